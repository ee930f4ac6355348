//! What a scaling policy is written with: the snapshot as Rust types, the oracle, the log, and one trait and
//! one export macro for each of the three decisions.
//!
//! A policy is a type that implements [`ScaleUp`], [`NodeSelection`] or [`Rebalance`], and one line that
//! exports it. The bindings to the component model stay inside this crate. The same code compiles natively,
//! where [`testing::with_oracle`] stands in for the host, so that a policy is unit-tested with `cargo test`.
//!
//! ```
//! use policy_sdk::scale_up::{Demand, Snapshot};
//! use policy_sdk::{Description, NoConfig, PolicyError, ScaleUp};
//!
//! struct Nothing;
//!
//! impl ScaleUp for Nothing {
//!     type Config = NoConfig;
//!
//!     fn describe() -> Description {
//!         Description::new("nothing", "1.0.0", NoConfig::SCHEMA)
//!     }
//!
//!     fn decide(_: &Snapshot, _: &NoConfig) -> Result<Demand, PolicyError> {
//!         Ok(Demand { groups: Vec::new(), rejections: Vec::new() })
//!     }
//! }
//!
//! policy_sdk::export_scale_up!(Nothing);
//! ```

#[doc(hidden)]
pub mod bindings;
mod config;
#[doc(hidden)]
pub mod export;
pub mod log;
mod policy;
mod rows;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod types;
pub mod what_if;

pub use config::NoConfig;
pub use policy::{NodeSelection, Rebalance, ScaleUp};
pub use types::{
    Catalogue, ClassCount, Context, Description, Diagnostic, GroupDemand, NodeGroup, Pending, PodClass,
    PolicyError, Reason, Rejection, Template, node_selection, rebalance, resource, scale_up,
};

/// The examples of the policy author's guide are compiled with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/policies.md")]
pub struct Guide;
