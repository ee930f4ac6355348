//! What policies are asked: the snapshot as columns, and the oracle that answers "what if …?".
//!
//! The shapes are those of `wit/`; the `policy` crate hands them over the border as they are.

use super::{ClassCount, GroupDemand};
use crate::model::{ClassId, GroupId, NodeId, TemplateId, shared};
use crate::packing::PerNewNode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is the same for every decision of a loop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    pub now_ms: u64,
    pub seed: u64,
    pub resource_names: Vec<String>,
    /// How many nodes the whole cluster may still gain; none for no limit.
    pub cluster_headroom: Option<u32>,
    pub annotations: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRow {
    /// `namespace/name`.
    pub name: String,
    pub min: u32,
    pub max: u32,
    pub current: u32,
    pub upcoming: u32,
    pub since_scale_up_ms: Option<u64>,
    pub since_scale_down_ms: Option<u64>,
    pub annotations: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateRow {
    pub group: GroupId,
    pub offering: String,
    pub datacenter: String,
    pub hourly_micros: u64,
    /// How many more may be bought: 0 where the group is held, full, backing off or of another partition.
    pub headroom: u32,
    pub failures: u32,
    pub backoff_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassRow {
    /// `namespace/owner`, for people.
    pub name: String,
    pub priority: i32,
    /// Pods that no existing or coming node can hold.
    pub unplaced: u32,
    pub waiting_ms: u64,
    /// Whether other pods have a say in where its pods go, by topology spread or affinity.
    pub topology_bound: bool,
}

/// Groups and the ways to buy for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    pub groups: Vec<GroupRow>,
    pub templates: Vec<TemplateRow>,
    /// templates × resources.
    pub allocatable: Vec<u64>,
}

/// Pods without a place, by class. `classes` are only those with unplaced pods; [`Pending::class_ids`] leads back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub classes: Vec<ClassRow>,
    /// Position in the snapshot of each row. Stays in the host: policies count rows.
    pub class_ids: Vec<ClassId>,
    /// classes × resources.
    pub requests: Vec<u64>,
    /// How many pods an empty new node holds.
    pub per_node: PerNewNode,
}

/// State of a node as the rebalance policy sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFlags {
    pub ready: bool,
    pub blocked: bool,
    pub cordoned: bool,
    pub upcoming: bool,
    pub leaving: bool,
    pub drifted: bool,
}

/// Nodes of the groups, as columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    pub names: Vec<String>,
    /// Position in the snapshot of each row. Stays in the host.
    pub node_ids: Vec<NodeId>,
    pub group: Vec<GroupId>,
    pub template: Vec<TemplateId>,
    pub hourly_micros: Vec<u64>,
    pub cpu_permille: Vec<u32>,
    pub memory_permille: Vec<u32>,
    pub pods_to_move: Vec<u32>,
    pub age_ms: Vec<u64>,
    pub idle_ms: Vec<u64>,
    pub not_ready_ms: Vec<u64>,
    pub flags: Vec<NodeFlags>,
}

/// One question to one policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    ScaleUp {
        context: Context,
        #[serde(with = "shared")]
        catalogue: Arc<Catalogue>,
        #[serde(with = "shared")]
        pending: Arc<Pending>,
    },
    NodeSelection {
        context: Context,
        #[serde(with = "shared")]
        catalogue: Arc<Catalogue>,
        #[serde(with = "shared")]
        pending: Arc<Pending>,
        demand: Vec<GroupDemand>,
    },
    Rebalance {
        context: Context,
        catalogue: Catalogue,
        fleet: Fleet,
        waiting_pods: u32,
        removal_budget: u32,
    },
}

impl Question {
    /// The kind of policy that answers it.
    pub fn kind(&self) -> super::Kind {
        match self {
            Self::ScaleUp { .. } => super::Kind::ScaleUp,
            Self::NodeSelection { .. } => super::Kind::NodeSelection,
            Self::Rebalance { .. } => super::Kind::Rebalance,
        }
    }

    /// The time of the snapshot that it is about.
    pub fn now_ms(&self) -> u64 {
        let (Self::ScaleUp { context, .. }
        | Self::NodeSelection { context, .. }
        | Self::Rebalance { context, .. }) = self;
        context.now_ms
    }
}

/// New nodes to imagine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addition {
    pub template: TemplateId,
    pub count: u32,
}

/// A question of a policy to the oracle. Class and node numbers are rows of the question that it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhatIfQuestion {
    pub additions: Vec<Addition>,
    pub removals: Vec<u32>,
    /// None for every unplaced pod.
    pub pods: Option<Vec<ClassCount>>,
}

/// The rule that kept a pod from a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    Resources,
    Taints,
    NodeAffinity,
    PodAffinity,
    TopologySpread,
    HostPorts,
    Volumes,
    Unschedulable,
    Limits,
    /// Nobody knows: the decision may not take more work.
    Budget,
}

impl Cause {
    /// What a user is told.
    pub fn text(self) -> &'static str {
        match self {
            Self::Resources => "not enough resources on a new node",
            Self::Taints => "taints that the pod does not tolerate",
            Self::NodeAffinity => "the pod's node selector or node affinity does not match",
            Self::PodAffinity => "the pod's affinity to other pods cannot be satisfied",
            Self::TopologySpread => "the pod's topology spread cannot be satisfied",
            Self::HostPorts => "its host ports are taken",
            Self::Volumes => "a volume of the pod is not bound yet, elsewhere, in use, or one too many",
            Self::Unschedulable => "the node is unschedulable",
            Self::Limits => "a limit is reached",
            Self::Budget => "the decision ran out of its budget of work before this pod's turn",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// Row of the question for waiting pods; pods of removed nodes count under the row of their class, or
    /// under `u32::MAX` where the question has none.
    pub class: u32,
    pub pods: u32,
    pub cause: Cause,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhatIfOutcome {
    pub used: Vec<u32>,
    pub unplaced: Vec<Leftover>,
    pub hourly_delta_micros: i64,
    pub cpu_permille: u32,
    pub memory_permille: u32,
}

/// The oracle. It answers from one snapshot and keeps nothing between questions.
pub trait Oracle: Send + Sync {
    /// The outcome, and the work done in steps of one pod class tried on one node.
    ///
    /// # Errors
    /// A text that names the number which is out of range.
    fn what_if(&self, question: &WhatIfQuestion) -> Result<(WhatIfOutcome, u64), String>;
}
