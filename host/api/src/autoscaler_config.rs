//! AutoscalerConfig: settings of the whole installation, in one object named `default`.
//!
//! Every field is optional; the defaults are in the schema and in the accessors here, which are
//! what the controllers use when there is no object at all.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;
use crate::common::{
    Labels, Taint, kubernetes_version_schema, labels_schema, offering_ids_schema, quantity_schema,
    startup_taints_schema,
};
use crate::node_group::{CostOptimization, ScaleDownPolicy, ScaleUpPolicy, SpotConfig};

mod calendar;
mod effect;
mod rebalancer;

pub use calendar::Opening;
pub use effect::config_status;
pub use rebalancer::{Budget, DisruptionBudget, MaintenanceWindow, Rebalancer, RebalancerSettings, Strategy};

/// Settings of the installation.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "autoscaler.vpsie.com",
    version = "v1alpha1",
    kind = "AutoscalerConfig",
    plural = "autoscalerconfigs",
    shortname = "asc",
    category = "vpsie",
    status = "AutoscalerConfigStatus",
    derive = "PartialEq",
    doc = "Settings of the whole installation. There is one, named default.",
    validation = Rule::new("self.metadata.name == 'default'")
        .message("metadata.name must be default: there is one AutoscalerConfig"),
    printcolumn(name = "MaxWorkers", type_ = "integer", json_path = ".spec.globalSettings.maxClusterWorkers"),
    printcolumn(name = "MinNodes", type_ = "integer", json_path = ".spec.nodeGroupDefaults.minNodes"),
    printcolumn(name = "MaxNodes", type_ = "integer", json_path = ".spec.nodeGroupDefaults.maxNodes"),
    printcolumn(
        name = "DynamicCreation",
        type_ = "boolean",
        json_path = ".spec.globalSettings.enableDynamicNodeGroupCreation"
    ),
    printcolumn(name = "Active", type_ = "boolean", json_path = ".status.active"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Rebalancing", type_ = "boolean", json_path = ".spec.rebalancer.enabled", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct AutoscalerConfigSpec {
    /// What a node group that is created by itself looks like. Groups that exist are never changed. Nothing
    /// creates groups in this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_group_defaults: Option<NodeGroupDefaults>,
    /// Limits and times of the whole installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global_settings: Option<GlobalSettings>,
    /// How nodes are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebalancer: Option<Rebalancer>,
    /// What the system keeps of a new node, taken off the offering when its room for pods is
    /// estimated. Once a node of the offering exists, its own numbers are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_reserved: Option<SystemReserved>,
    /// Which policies are trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<PolicyTrust>,
}

/// Which policies are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTrust {
    /// Whether a component that is not built in must be signed with one of the keys. One that decides already
    /// and is not signed so stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "defaults::no")]
    pub require_signature: Option<bool>,
    /// Secret in kube-system with public keys of minisign or cosign (ECDSA on P-256), one under each key. The role in
    /// `deploy/rbac.yaml` lets the controller read the default one; another needs a rule of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), default = "defaults::keys_secret")]
    pub keys_secret: Option<String>,
}

/// What a node group that is created by itself looks like.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!has(self.minNodes) || !has(self.maxNodes) || self.minNodes <= self.maxNodes")
    .message("nodeGroupDefaults.minNodes must not exceed nodeGroupDefaults.maxNodes")
    .field_path(".maxNodes"))]
#[serde(rename_all = "camelCase")]
pub struct NodeGroupDefaults {
    /// Fewest nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), default = "defaults::min_nodes")]
    pub min_nodes: Option<i32>,
    /// Most nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), default = "defaults::max_nodes")]
    pub max_nodes: Option<i32>,
    /// Namespace of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), default = "defaults::namespace")]
    pub namespace: Option<String>,
    /// Id of the VPSie datacenter.
    #[serde(rename = "datacenterID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub datacenter_id: Option<String>,
    /// Offerings.
    #[serde(rename = "offeringIDs", default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "offering_ids_schema")]
    pub offering_ids: Option<Vec<String>>,
    /// Identifier (UUID) of the VPSie Kubernetes cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub resource_identifier: Option<String>,
    /// Id of the VPSie project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub project: Option<String>,
    /// Image of the operating system.
    #[serde(rename = "osImageID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub os_image_id: Option<String>,
    /// Version of Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "kubernetes_version_schema")]
    pub kubernetes_version: Option<String>,
    /// Number of the VPSie Kubernetes size.
    #[serde(rename = "kubeSizeID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub kube_size_id: Option<i64>,
    /// Labels of the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "labels_schema")]
    pub labels: Option<Labels>,
    /// Taints of the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub taints: Option<Vec<Taint>>,
    /// When the group may grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up_policy: Option<ScaleUpPolicy>,
    /// When the group may shrink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down_policy: Option<ScaleDownPolicy>,
    /// Cost optimisation of the Go controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_optimization: Option<CostOptimization>,
    /// SSH keys.
    #[serde(rename = "sshKeyIDs", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub ssh_key_ids: Option<Vec<String>>,
    /// Tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub tags: Option<Vec<String>>,
    /// A note for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub notes: Option<String>,
    /// Spot instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot_config: Option<SpotConfig>,
}

/// Limits and times of the whole installation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GlobalSettings {
    /// Seconds after growth before any group may grow again; 0 means no wait. Without effect in this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), default = "defaults::zero")]
    pub scale_up_cooldown_seconds: Option<i32>,
    /// Seconds after a removal before the next; 0 means no wait. Without effect in this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), default = "defaults::zero")]
    pub scale_down_cooldown_seconds: Option<i32>,
    /// Most groups that grow at once. Absent: no limit. Without effect in this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_concurrent_scale_ups: Option<i32>,
    /// Most nodes that are removed at once. Without effect in this version: rebalancer.maxConcurrent decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_concurrent_scale_downs: Option<i32>,
    /// Most worker nodes in the cluster; 0 means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), default = "defaults::zero")]
    pub max_cluster_workers: Option<i32>,
    /// Seconds that a pod must have been unschedulable before it counts; 0 means at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), default = "defaults::zero")]
    pub unschedulable_pod_grace_period_seconds: Option<i32>,
    /// Whether node groups are created for pods that fit no group. Without effect in this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "defaults::no")]
    pub enable_dynamic_node_group_creation: Option<bool>,
    /// Whether nodes are replaced; the same as rebalancer.enabled, and either is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "defaults::no")]
    pub enable_rebalancing: Option<bool>,
    /// Seconds from the request to a Ready node before the node counts as failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60), default = "defaults::node_ready_timeout")]
    pub node_ready_timeout_seconds: Option<i32>,
    /// Whether orphans are removed: machines whose Node carries our label while the VPSieNode that it names is gone,
    /// those that surely came twice for one order, and VPSieNodes whose machine VPSie does not list. Otherwise they are
    /// only reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "defaults::no")]
    pub remove_orphans: Option<bool>,
    /// Seconds that an evicted pod gets to go. Without effect in this version: the pod's own grace period counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub pod_eviction_timeout_seconds: Option<i32>,
    /// Keys of taints that nodes carry at their start only and that somebody in the cluster takes off, such as
    /// node.cilium.io/agent-not-ready; one with a slash at its end stands for all keys that begin so. They keep no pod
    /// from a node that is to be bought, is on its way, or is Ready but for them. Those of Kubernetes itself and of
    /// Cluster Autoscaler (startup-taint.cluster-autoscaler.kubernetes.io/) are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "startup_taints_schema")]
    pub startup_taints: Option<Vec<String>>,
}

/// What the system keeps of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemReserved {
    /// Cpu, for example 100m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity_schema")]
    pub cpu: Option<Quantity>,
    /// Memory, for example 512Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity_schema")]
    pub memory: Option<Quantity>,
}

/// What is made of the settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AutoscalerConfigStatus {
    /// Generation of the spec that is in effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When this status was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<Time>,
    /// Whether the settings are in effect.
    #[serde(default)]
    pub active: bool,
    /// What is in effect, or why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Conditions, unique by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

impl AutoscalerConfigSpec {
    /// Whether nodes are replaced. Two switches, as the schema fills in `false` where only one is set.
    pub fn replaces_nodes(&self) -> bool {
        let rebalancer = self.rebalancer.as_ref().and_then(|rebalancer| rebalancer.enabled);
        let global = self.global_settings.as_ref();
        rebalancer == Some(true) || global.is_some_and(GlobalSettings::enable_rebalancing_or_default)
    }
}

macro_rules! accessors {
    ($type:ident { $($field:ident, $accessor:ident: $value:ty = $default:path;)* }) => {
        impl $type {
            $(
                /// The field, or its documented default.
                pub fn $accessor(&self) -> $value {
                    self.$field.clone().or_else($default).unwrap_or_default()
                }
            )*
        }
    };
}
pub(crate) use accessors;

accessors!(GlobalSettings {
    scale_up_cooldown_seconds, scale_up_cooldown_seconds_or_default: i32 = defaults::zero;
    scale_down_cooldown_seconds, scale_down_cooldown_seconds_or_default: i32 = defaults::zero;
    max_cluster_workers, max_cluster_workers_or_default: i32 = defaults::zero;
    unschedulable_pod_grace_period_seconds, unschedulable_pod_grace_period_seconds_or_default: i32 = defaults::zero;
    enable_dynamic_node_group_creation, enable_dynamic_node_group_creation_or_default: bool = defaults::no;
    enable_rebalancing, enable_rebalancing_or_default: bool = defaults::no;
    node_ready_timeout_seconds, node_ready_timeout_seconds_or_default: i32 = defaults::node_ready_timeout;
    remove_orphans, remove_orphans_or_default: bool = defaults::no;
});

accessors!(PolicyTrust {
    require_signature, require_signature_or_default: bool = defaults::no;
    keys_secret, keys_secret_or_default: String = defaults::keys_secret;
});

accessors!(NodeGroupDefaults {
    min_nodes, min_nodes_or_default: i32 = defaults::min_nodes;
    max_nodes, max_nodes_or_default: i32 = defaults::max_nodes;
    namespace, namespace_or_default: String = defaults::namespace;
});

/// The defaults, each in one place for the schema and the accessor.
mod defaults {
    macro_rules! defaults {
        ($($name:ident: $type:ty = $value:expr;)*) => {
            $(pub(super) fn $name() -> Option<$type> { Some($value) })*
        };
    }

    defaults! {
        min_nodes: i32 = 1;
        max_nodes: i32 = 10;
        // The Go schema said "default", and its own webhook refused anything but kube-system.
        namespace: String = "kube-system".to_owned();
        // "No wait" and "no limit": docs/adr/0004-defaults.md says where and why the Go system's differ.
        zero: i32 = 0;
        no: bool = false;
        keys_secret: String = "vpsie-policy-keys".to_owned();
        node_ready_timeout: i32 = 600;
    }
}
