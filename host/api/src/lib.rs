//! The custom resources of `autoscaler.vpsie.com/v1alpha1` as Rust types.
//!
//! These types are the single source: the manifests under `crds/` are generated from them, the
//! controllers read and write them, and the command line checks files against them without a
//! cluster. Field names, defaults, labels and finalizers are those that operators of the Go
//! controller already have in their manifests.
//!
//! Every field with a default is an `Option`: an explicit `false` or `0` must survive a round trip
//! through this program, and only an absent field may take its default. The accessor of the same
//! name with the suffix `_or_default` applies it.

#![expect(
    clippy::duplicated_attributes,
    reason = "printer columns of one kind share types and priorities"
)]
#![expect(
    unreachable_pub,
    reason = "KubeSchema copies each type, with its visibility, into a function body"
)]

pub mod autoscaler_config;
pub mod common;
pub mod conditions;
pub mod duration;
mod error;
pub mod labels;
pub mod node_group;
pub mod provisioner;
pub mod rebalance;
pub mod scaling_policy;
pub mod schema;
pub mod validation;
pub mod vpsie_node;

pub use autoscaler_config::{AutoscalerConfig, AutoscalerConfigSpec, AutoscalerConfigStatus};
pub use common::{Taint, TaintEffect};
pub use conditions::{Condition, ConditionStatus, ConditionUpdate};
pub use duration::DurationString;
pub use error::Error;
pub use node_group::{NodeGroup, NodeGroupSpec, NodeGroupStatus};
pub use provisioner::{Provisioner, UserData};
pub use rebalance::{Rebalance, RebalanceSpec, RebalanceStatus};
pub use scaling_policy::{ScalingPolicy, ScalingPolicySpec, ScalingPolicyStatus};
pub use schema::{all_crds, crd_yaml};
pub use validation::{Violation, parse_manifest, validate_manifest, validate_object};
pub use vpsie_node::{VPSieNode, VPSieNodeSpec, VPSieNodeStatus};

/// API group of every kind here.
pub const GROUP: &str = "autoscaler.vpsie.com";
/// The only version so far.
pub const VERSION: &str = "v1alpha1";
/// `GROUP/VERSION` as it stands in `apiVersion`.
pub const API_VERSION: &str = "autoscaler.vpsie.com/v1alpha1";
/// Name of the one `AutoscalerConfig` that is read.
pub const CONFIG_NAME: &str = "default";
