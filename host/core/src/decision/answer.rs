//! What policies answer, as they said it: indices may be wrong and numbers absurd until checked.

use super::Addition;
use crate::model::{ClassId, GroupId, NodeId, TemplateId};
use serde::{Deserialize, Serialize};

/// Why something was decided: a stable CamelCase code and a text for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: String,
    pub text: String,
}

impl Reason {
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            text: text.into(),
        }
    }
}

/// A number of pods of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    pub class: ClassId,
    pub pods: u32,
}

/// These pods shall get their place on new nodes of the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDemand {
    pub group: GroupId,
    pub pods: Vec<ClassCount>,
    pub reason: Reason,
}

/// Why a class gets nothing, from one group or from any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    pub class: ClassId,
    pub group: Option<GroupId>,
    pub reason: Reason,
}

/// Answer of a scale-up policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    pub groups: Vec<GroupDemand>,
    pub rejections: Vec<Rejection>,
}

/// Nodes of one template, with the templates to try where it cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    pub template: TemplateId,
    pub count: u32,
    pub fallbacks: Vec<TemplateId>,
    pub reason: Reason,
}

/// Answer of a node-selection policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mix {
    pub purchases: Vec<Purchase>,
    pub rejections: Vec<Rejection>,
}

/// What a rebalance step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RebalanceAction {
    /// Drain the node and give it back.
    Remove(NodeId),
    /// Buy nodes, then drain these and give them back.
    Replace(Replacement),
}

/// Nodes that make way for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// They go, in this order.
    pub nodes: Vec<NodeId>,
    /// They come first.
    pub additions: Vec<Addition>,
    pub kind: ReplacementKind,
}

/// Why nodes are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplacementKind {
    /// A cheaper node does.
    Cheaper,
    /// Fewer or cheaper nodes take the place of several.
    Consolidate,
    /// It no longer is what its group's spec says.
    Drift,
    /// It is too old.
    Expire,
    /// It does not work.
    Repair,
}

impl ReplacementKind {
    /// Whether it is done for the money only.
    pub fn is_for_saving(self) -> bool {
        matches!(self, Self::Cheaper | Self::Consolidate)
    }
}

/// One step; steps of a batch may run side by side, batches run in ascending order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebalanceStep {
    pub action: RebalanceAction,
    pub batch: u32,
    pub reason: Reason,
}

/// Why a node stays although it looked superfluous.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub node: NodeId,
    pub reason: Reason,
}

/// Answer of a rebalance policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebalanceProposal {
    pub steps: Vec<RebalanceStep>,
    pub kept: Vec<Kept>,
}

/// The answer of any policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    ScaleUp(Demand),
    NodeSelection(Mix),
    Rebalance(RebalanceProposal),
}
