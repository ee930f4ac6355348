//! The generated bindings: once for what every policy shares, once for each decision.

#![allow(
    unreachable_pub,
    unused_qualifications,
    missing_docs,
    clippy::all,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    clippy::redundant_clone,
    clippy::allow_attributes_without_reason,
    reason = "generated code follows its own style"
)]

pub mod shared {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "policy",
        additional_derives: [PartialEq],
    });
}

pub mod scale_up {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "scale-up-policy",
        additional_derives: [PartialEq],
        pub_export_macro: true,
        with: {
            "vpsie:autoscaler/types@0.1.0": crate::bindings::shared::vpsie::autoscaler::types,
            "vpsie:autoscaler/log@0.1.0": crate::bindings::shared::vpsie::autoscaler::log,
            "vpsie:autoscaler/what-if@0.1.0": crate::bindings::shared::vpsie::autoscaler::what_if,
        },
    });
}

pub mod node_selection {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "node-selection-policy",
        additional_derives: [PartialEq],
        pub_export_macro: true,
        with: {
            "vpsie:autoscaler/types@0.1.0": crate::bindings::shared::vpsie::autoscaler::types,
            "vpsie:autoscaler/log@0.1.0": crate::bindings::shared::vpsie::autoscaler::log,
            "vpsie:autoscaler/what-if@0.1.0": crate::bindings::shared::vpsie::autoscaler::what_if,
        },
    });
}

pub mod rebalance {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "rebalance-policy",
        additional_derives: [PartialEq],
        pub_export_macro: true,
        with: {
            "vpsie:autoscaler/types@0.1.0": crate::bindings::shared::vpsie::autoscaler::types,
            "vpsie:autoscaler/log@0.1.0": crate::bindings::shared::vpsie::autoscaler::log,
            "vpsie:autoscaler/what-if@0.1.0": crate::bindings::shared::vpsie::autoscaler::what_if,
        },
    });
}
