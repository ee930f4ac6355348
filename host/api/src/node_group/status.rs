//! What is observed of a NodeGroup.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// What is observed of a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeGroupStatus {
    /// VPSieNodes that are not on their way out.
    #[serde(default)]
    pub current_nodes: i32,
    /// The size that the controllers work towards; 0 means minNodes.
    #[serde(default)]
    pub desired_nodes: i32,
    /// Nodes that are Ready.
    #[serde(default)]
    pub ready_nodes: i32,
    /// Number of the provider's node group that was used last.
    #[serde(rename = "vpsieGroupID", default, skip_serializing_if = "Option::is_none")]
    pub vpsie_group_id: Option<i64>,
    /// The provider's node groups that this group uses, one for each offering.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["offeringID"]))]
    pub groups: Vec<ProviderGroup>,
    /// The nodes, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<GroupNode>,
    /// Offerings whose purchases failed, until one of them succeeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["offeringID", "datacenterID"]))]
    pub offering_health: Vec<OfferingHealth>,
    /// Nothing is ordered for a while, because VPSie's quota is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_pause: Option<CreationPause>,
    /// Purchases that did not help, for as long as a pod waits that they were for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub futile_purchases: Vec<FutilePurchase>,
    /// Conditions, unique by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Last change of size in either direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scale_time: Option<Time>,
    /// Last growth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scale_up_time: Option<Time>,
    /// Last removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scale_down_time: Option<Time>,
    /// Generation of the spec that this status answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last value of the annotation `reconcile-trigger` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reconcile_trigger: Option<String>,
}

/// A node group at the provider. It may be shared with other NodeGroups: VPSie allows one for each
/// size and cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderGroup {
    /// Offering as the spec names it.
    #[serde(rename = "offeringID")]
    pub offering_id: String,
    /// Number of the size at the provider.
    #[serde(rename = "kubeSizeID", default, skip_serializing_if = "Option::is_none")]
    pub kube_size_id: Option<i64>,
    /// Number of the group at the provider; add-node wants this.
    #[serde(rename = "vpsieGroupID", default, skip_serializing_if = "Option::is_none")]
    pub vpsie_group_id: Option<i64>,
}

/// What the last purchases of an offering taught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfferingHealth {
    /// Offering as the spec names it.
    #[serde(rename = "offeringID")]
    pub offering_id: String,
    /// Datacenter in which it failed.
    #[serde(rename = "datacenterID")]
    pub datacenter_id: String,
    /// Failures in a row.
    pub failures: i32,
    /// The last of them.
    pub last_failure_time: Time,
    /// The offering is left alone until then.
    pub rests_until: Time,
    /// The last failure in one word.
    pub reason: String,
    /// The last failure in VPSie's words, where it said any.
    pub message: String,
}

/// A pause of all purchases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreationPause {
    /// Refusals in a row.
    pub refusals: i32,
    /// The last of them.
    pub last_refusal_time: Time,
    /// Nothing is ordered until then.
    pub until: Time,
    /// VPSie's words.
    pub message: String,
}

/// Nodes that came and stood idle while the pods that they were for wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FutilePurchase {
    /// Since when they were there and idle.
    pub idle_since: Time,
    /// Uids of the pods, 64 at most.
    pub pods: Vec<String>,
    /// VPSieNodes that were bought, 64 at most.
    pub nodes: Vec<String>,
}

/// One node of the group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupNode {
    /// Name of the Node, or of the VPSieNode as long as there is none.
    pub node_name: String,
    /// Number of the VM; 0 where the provider tells none.
    #[serde(rename = "vpsID", default)]
    pub vps_id: i64,
    /// Offering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// Phase of the VPSieNode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// When the VM was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// When the Node became Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Time>,
    /// Address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
}
