//! Nodes: those that exist, and those that are on their way.

use super::{GroupId, Labels, Residents, Resources, TemplateId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaintEffect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}

/// A taint of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Taint {
    pub key: String,
    #[serde(default)]
    pub value: String,
    pub effect: TaintEffect,
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeState {
    /// Bought, not yet ready: pods may be counted on it, none run there.
    Upcoming,
    Ready,
    NotReady,
    /// Being drained or deleted: takes no pod.
    Leaving,
}

/// How many volumes of a CSI driver can be attached to a node; a driver that is missing has no limit.
pub type AttachLimits = std::collections::BTreeMap<String, u32>;

/// A node as placement sees it. What is large is shared by all snapshots until it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Name of the Kubernetes Node; of the VPSieNode while no Node exists.
    pub name: String,
    #[serde(with = "super::shared")]
    pub labels: Arc<Labels>,
    pub taints: Vec<Taint>,
    pub allocatable: Resources,
    #[serde(with = "super::shared")]
    pub attach_limits: Arc<AttachLimits>,
    /// Cordoned.
    pub unschedulable: bool,
    pub state: NodeState,
    /// The node group it belongs to; none for nodes that we do not manage.
    pub group: Option<GroupId>,
    pub template: Option<TemplateId>,
    /// `namespace/name` of the VPSieNode behind it.
    pub vpsie_node: Option<String>,
    pub created_ms: i64,
    /// Since when no pod would have to move; none where one would.
    pub idle_since_ms: Option<i64>,
    /// Since when it is not ready; none where it is.
    pub not_ready_since_ms: Option<i64>,
    /// How it differs from what its group's spec asks for now, in words.
    pub drifted: Option<String>,
    /// Why the node may not be removed whatever runs on it (an opt-out), as a reason code and text.
    pub protected: Option<(String, String)>,
    /// Price in millionths of the currency unit per hour.
    pub hourly_micros: u64,
    /// The pods that run on it.
    #[serde(with = "super::shared")]
    pub residents: Arc<Residents>,
}
