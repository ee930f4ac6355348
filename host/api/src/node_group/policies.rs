//! The parts of a NodeGroup's spec that say when and how it may change.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) fn some_true() -> Option<bool> {
    Some(true)
}

pub(crate) fn some_false() -> Option<bool> {
    Some(false)
}

/// A default for the schema; `or` is the accessor's value, so that the two cannot differ.
macro_rules! defaults {
    ($($name:ident, $schema:ident: $type:ty = $value:expr;)*) => {
        impl Defaults { $(const $schema: $type = $value;)* }
        $(fn $name() -> Option<$type> { Some(Defaults::$schema) })*
    };
}

struct Defaults;

defaults! {
    up_window, UP_WINDOW: i32 = 0;
    up_threshold, UP_THRESHOLD: i32 = 80;
    down_window, DOWN_WINDOW: i32 = 600;
    down_threshold, DOWN_THRESHOLD: i32 = 50;
    down_cooldown, DOWN_COOLDOWN: i32 = 600;
    spot_percentage, SPOT_PERCENTAGE: i32 = 80;
    interruption_rate, INTERRUPTION_RATE: i32 = 20;
    one_node, ONE_NODE: i32 = 1;
    minimum_savings, MINIMUM_SAVINGS: f64 = 10.0;
    performance_impact, PERFORMANCE_IMPACT: i32 = 5;
}

fn grace_period() -> Option<String> {
    Some("120s".to_owned())
}

fn optimization_interval() -> Option<String> {
    Some("24h".to_owned())
}

fn balanced() -> Option<DistributionStrategy> {
    Some(DistributionStrategy::Balanced)
}

fn automatic() -> Option<OptimizationStrategy> {
    Some(OptimizationStrategy::Auto)
}

/// When the group may grow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleUpPolicy {
    /// Whether the group grows by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "some_true")]
    pub enabled: Option<bool>,
    /// Seconds after growth before the group may grow again; 0 means no wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), default = "up_window")]
    pub stabilization_window_seconds: Option<i32>,
    /// Kept for manifests of the Go controller: growth follows pending pods, not utilisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100), default = "up_threshold")]
    pub cpu_threshold: Option<i32>,
    /// Kept for manifests of the Go controller: growth follows pending pods, not utilisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100), default = "up_threshold")]
    pub memory_threshold: Option<i32>,
}

impl ScaleUpPolicy {
    /// Whether the group grows by itself (default true).
    pub fn enabled_or_default(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    /// Seconds (default 0).
    pub fn stabilization_window_seconds_or_default(&self) -> i32 {
        self.stabilization_window_seconds.unwrap_or(Defaults::UP_WINDOW)
    }

    /// Per cent (default 80).
    pub fn cpu_threshold_or_default(&self) -> i32 {
        self.cpu_threshold.unwrap_or(Defaults::UP_THRESHOLD)
    }

    /// Per cent (default 80).
    pub fn memory_threshold_or_default(&self) -> i32 {
        self.memory_threshold.unwrap_or(Defaults::UP_THRESHOLD)
    }
}

/// When the group may shrink.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleDownPolicy {
    /// Whether the group shrinks by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "some_true")]
    pub enabled: Option<bool>,
    /// Seconds after the group last grew before it shrinks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), default = "down_window")]
    pub stabilization_window_seconds: Option<i32>,
    /// A node whose pods request at least this per cent of its cpu is needed. The built-in policy heeds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100), default = "down_threshold")]
    pub cpu_threshold: Option<i32>,
    /// A node whose pods request at least this per cent of its memory is needed. The built-in policy heeds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100), default = "down_threshold")]
    pub memory_threshold: Option<i32>,
    /// Seconds after a removal before the group shrinks again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), default = "down_cooldown")]
    pub cooldown_seconds: Option<i32>,
    /// What a drain of the group's nodes does with some pods. What is absent follows AutoscalerConfig
    /// (spec.rebalancer.drain).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainPolicy>,
}

/// What a drain does with some pods. A pod's own annotations come first: one that is
/// safe-to-evict is evicted, one that is not to be disrupted keeps its node, and volumes that
/// safe-to-evict-local-volumes names do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrainPolicy {
    /// Pods with an emptyDir volume on disk, which goes with the pod. Default: Evict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<PodTreatment>,
    /// Pods with a hostPath volume, whose files stay on the machine and go with it. Default: Keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<PodTreatment>,
    /// Pods without a controller, which nobody makes again. Default: Keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bare_pods: Option<PodTreatment>,
    /// Pods that are the only one of their Deployment. Default: Evict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub single_replica: Option<SingleReplica>,
}

/// What a drain does with a pod that is the only one of its Deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SingleReplica {
    /// It is evicted like others: nobody serves until its successor is ready.
    #[default]
    Evict,
    /// The Deployment is restarted, as kubectl rollout restart does, where it may have a pod more for a while (maxSurge)
    /// and need not miss one (maxUnavailable rounds down to 0): the successor is ready before the pod goes. Other
    /// Deployments, and other controllers, are evicted. Takes the rights of deploy/surge-rbac.yaml.
    Surge,
}

/// What a drain does with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PodTreatment {
    /// It is evicted like others.
    Evict,
    /// It keeps its node: the node is not drained.
    Keep,
}

impl ScaleDownPolicy {
    /// Whether the group shrinks by itself (default true).
    pub fn enabled_or_default(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    /// Seconds (default 600).
    pub fn stabilization_window_seconds_or_default(&self) -> i32 {
        self.stabilization_window_seconds.unwrap_or(Defaults::DOWN_WINDOW)
    }

    /// Per cent (default 50).
    pub fn cpu_threshold_or_default(&self) -> i32 {
        self.cpu_threshold.unwrap_or(Defaults::DOWN_THRESHOLD)
    }

    /// Per cent (default 50).
    pub fn memory_threshold_or_default(&self) -> i32 {
        self.memory_threshold.unwrap_or(Defaults::DOWN_THRESHOLD)
    }

    /// Seconds (default 600).
    pub fn cooldown_seconds_or_default(&self) -> i32 {
        self.cooldown_seconds.unwrap_or(Defaults::DOWN_COOLDOWN)
    }
}

/// Spot instances of the Go controller. No effect: VPSie offers none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpotConfig {
    /// Whether to use spot instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "some_false")]
    pub enabled: Option<bool>,
    /// Largest share of spot instances, in per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100), default = "spot_percentage")]
    pub max_spot_percentage: Option<i32>,
    /// Whether to fall back to normal instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "some_true")]
    pub fallback_to_on_demand: Option<bool>,
    /// Notice before an interruption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), default = "grace_period")]
    pub interruption_grace_period: Option<String>,
    /// Interruption rate that is still acceptable, in per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100), default = "interruption_rate")]
    pub allowed_interruption_rate: Option<i32>,
}

/// How nodes spread over datacenters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DistributionStrategy {
    /// Evenly.
    Balanced,
    /// By weight.
    Weighted,
    /// All in one, the others as reserve.
    PrimaryBackup,
}

/// Several datacenters, of the Go controller. No effect: a VPSie cluster lives in one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MultiRegion {
    /// Whether to use several datacenters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "some_false")]
    pub enabled: Option<bool>,
    /// Datacenters.
    #[serde(rename = "datacenterIDs", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub datacenter_ids: Option<Vec<String>>,
    /// How to spread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "balanced")]
    pub distribution_strategy: Option<DistributionStrategy>,
    /// Weight of each datacenter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighted_distribution: Option<BTreeMap<String, i32>>,
    /// The datacenter that comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub primary_datacenter: Option<String>,
    /// Fewest nodes in each datacenter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), default = "one_node")]
    pub min_nodes_per_region: Option<i32>,
}

/// How boldly costs are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OptimizationStrategy {
    /// By itself.
    Auto,
    /// On demand.
    Manual,
    /// Boldly.
    Aggressive,
    /// Carefully.
    Conservative,
}

/// Cost optimisation of the Go controller. No effect: a ScalingPolicy of kind rebalance does this.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CostOptimization {
    /// Whether costs are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "some_true")]
    pub enabled: Option<bool>,
    /// How boldly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "automatic")]
    pub strategy: Option<OptimizationStrategy>,
    /// Time between two looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), default = "optimization_interval")]
    pub optimization_interval: Option<String>,
    /// Smallest saving per month that is worth a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "minimum_savings")]
    pub min_monthly_savings: Option<f64>,
    /// Largest loss of performance, in per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100), default = "performance_impact")]
    pub max_performance_impact: Option<i32>,
    /// Whether an operator must agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "some_false")]
    pub require_approval: Option<bool>,
}
