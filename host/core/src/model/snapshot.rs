//! The snapshot: one cluster at one moment.

use super::{Group, LabelSelector, Node, Pod, PodClass, ResourceNames, Template};
use serde::{Deserialize, Serialize};

/// A PodDisruptionBudget with the room that its status reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisruptionBudget {
    pub namespace: String,
    pub name: String,
    pub selector: Option<LabelSelector>,
    pub disruptions_allowed: u32,
    /// Whether pods that are not ready may go without room: always (`AlwaysAllow`), or because as many are healthy as
    /// shall be.
    #[serde(default)]
    pub spares_unready: bool,
}

/// Everything that a decision depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Handed to policies; the same snapshot with the same seed gives the same plan.
    pub seed: u64,
    pub resources: ResourceNames,
    pub classes: Vec<PodClass>,
    pub nodes: Vec<Node>,
    pub pods: Vec<Pod>,
    pub groups: Vec<Group>,
    pub templates: Vec<Template>,
    pub budgets: Vec<DisruptionBudget>,
    /// How many nodes of node groups the cluster may have in all; none for no limit.
    pub max_cluster_nodes: Option<u32>,
    /// How many nodes one loop may remove.
    pub removal_budget: u32,
}
