//! From a policy to the exports of its component: adapters that read the configuration before they ask the
//! policy, and the macros that export them. Natively there is nothing to export
//! to; the macros then only see to it that the policy is one.

use crate::bindings::{node_selection, rebalance, scale_up};
use crate::config::parse;
use crate::policy::{NodeSelection, Rebalance, ScaleUp};
use crate::types::{Description, Diagnostic, PolicyError};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// The configuration as the policy accepts it, or every complaint about it.
fn checked<C: DeserializeOwned>(
    text: &str,
    validate: impl FnOnce(&C) -> Vec<Diagnostic>,
) -> Result<C, Vec<Diagnostic>> {
    let config = parse(text).map_err(|diagnostic| vec![diagnostic])?;
    let complaints = validate(&config);
    if complaints.is_empty() {
        Ok(config)
    } else {
        Err(complaints)
    }
}

/// A panic is a trap, and a trap has no words: they go to the log first.
fn tell_of_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| crate::log::error(panic.to_string())));
}

fn bad_config(complaints: &[Diagnostic]) -> PolicyError {
    let texts: Vec<String> = complaints
        .iter()
        .map(|complaint| format!("{}: {}", complaint.path, complaint.message))
        .collect();
    PolicyError::BadConfig(texts.join("; "))
}

macro_rules! adapter {
    ($(#[$doc:meta])* $name:ident, $policy:ident, $guest:path, $snapshot:path, $answer:path) => {
        $(#[$doc])*
        pub struct $name<P>(PhantomData<P>);

        impl<P: $policy> $guest for $name<P> {
            fn describe() -> Description {
                P::describe()
            }

            fn validate_config(config: String) -> Vec<Diagnostic> {
                checked(&config, P::validate).err().unwrap_or_default()
            }

            fn decide(snapshot: $snapshot, config: String) -> Result<$answer, PolicyError> {
                tell_of_panics();
                let config = checked(&config, P::validate).map_err(|complaints| bad_config(&complaints))?;
                P::decide(&snapshot, &config)
            }
        }
    };
}

adapter!(
    /// Exports a [`ScaleUp`] policy.
    ScaleUpExport,
    ScaleUp,
    scale_up::exports::vpsie::autoscaler::scale_up::Guest,
    scale_up::exports::vpsie::autoscaler::scale_up::Snapshot,
    scale_up::exports::vpsie::autoscaler::scale_up::Demand
);
adapter!(
    /// Exports a [`NodeSelection`] policy.
    NodeSelectionExport,
    NodeSelection,
    node_selection::exports::vpsie::autoscaler::node_selection::Guest,
    node_selection::exports::vpsie::autoscaler::node_selection::Snapshot,
    node_selection::exports::vpsie::autoscaler::node_selection::Mix
);
adapter!(
    /// Exports a [`Rebalance`] policy.
    RebalanceExport,
    Rebalance,
    rebalance::exports::vpsie::autoscaler::rebalance::Guest,
    rebalance::exports::vpsie::autoscaler::rebalance::Snapshot,
    rebalance::exports::vpsie::autoscaler::rebalance::Proposal
);

/// Makes the crate a component that exports this [`ScaleUp`] policy.
#[macro_export]
macro_rules! export_scale_up {
    ($policy:ty) => {
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $crate::Description = <$policy as $crate::ScaleUp>::describe;
        #[cfg(target_arch = "wasm32")]
        #[allow(
            unsafe_code,
            unused_qualifications,
            reason = "exported symbols need it; all of it is generated"
        )]
        const _: () = {
            type Export = $crate::export::ScaleUpExport<$policy>;
    $crate::bindings::scale_up::export!(Export with_types_in $crate::bindings::scale_up);
        };
    };
}

/// Makes the crate a component that exports this [`NodeSelection`] policy.
#[macro_export]
macro_rules! export_node_selection {
    ($policy:ty) => {
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $crate::Description = <$policy as $crate::NodeSelection>::describe;
        #[cfg(target_arch = "wasm32")]
        #[allow(
            unsafe_code,
            unused_qualifications,
            reason = "exported symbols need it; all of it is generated"
        )]
        const _: () = {
            type Export = $crate::export::NodeSelectionExport<$policy>;
    $crate::bindings::node_selection::export!(Export with_types_in $crate::bindings::node_selection);
        };
    };
}

/// Makes the crate a component that exports this [`Rebalance`] policy.
#[macro_export]
macro_rules! export_rebalance {
    ($policy:ty) => {
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $crate::Description = <$policy as $crate::Rebalance>::describe;
        #[cfg(target_arch = "wasm32")]
        #[allow(
            unsafe_code,
            unused_qualifications,
            reason = "exported symbols need it; all of it is generated"
        )]
        const _: () = {
            type Export = $crate::export::RebalanceExport<$policy>;
    $crate::bindings::rebalance::export!(Export with_types_in $crate::bindings::rebalance);
        };
    };
}
