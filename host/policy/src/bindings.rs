//! The generated bindings: once for what every policy shares, once for each decision.
//!
//! Exports are called asynchronously although a call blocks: the oracle is asked while the guest is suspended
//! (see `exchange`), and so it needs to live no longer than the call.

#![allow(
    unreachable_pub,
    unused_qualifications,
    dead_code,
    clippy::all,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    clippy::redundant_clone,
    clippy::allow_attributes_without_reason,
    reason = "generated code follows its own style"
)]

pub mod shared {
    wasmtime::component::bindgen!({ path: "../../wit", world: "policy" });
}

pub use shared::vpsie::autoscaler::{log, types, what_if};

pub mod growth {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "scale-up-policy",
        exports: { default: async },
        with: {
            "vpsie:autoscaler/types": super::types,
            "vpsie:autoscaler/log": super::log,
            "vpsie:autoscaler/what-if": super::what_if,
        },
    });
}

pub mod selection {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "node-selection-policy",
        exports: { default: async },
        with: {
            "vpsie:autoscaler/types": super::types,
            "vpsie:autoscaler/log": super::log,
            "vpsie:autoscaler/what-if": super::what_if,
        },
    });
}

pub mod shrinkage {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "rebalance-policy",
        exports: { default: async },
        with: {
            "vpsie:autoscaler/types": super::types,
            "vpsie:autoscaler/log": super::log,
            "vpsie:autoscaler/what-if": super::what_if,
        },
    });
}

pub use growth::exports::vpsie::autoscaler::scale_up;
pub use selection::exports::vpsie::autoscaler::node_selection;
pub use shrinkage::exports::vpsie::autoscaler::rebalance;
