//! The snapshot: one cluster at one moment.

use super::{
    ClassId, ClassKey, DrainRules, Group, GroupId, LabelSelector, Node, Pod, PodClass, ResourceNames,
    Template,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A PodDisruptionBudget with the room that its status reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisruptionBudget {
    pub namespace: String,
    pub name: String,
    pub selector: Option<LabelSelector>,
    pub disruptions_allowed: u32,
    /// Whether pods that are not ready may go without room: always (`AlwaysAllow`), or because as many are healthy as
    /// shall be.
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
    #[serde(with = "super::shared::list")]
    pub classes: Vec<Arc<PodClass>>,
    /// The number of each class in `classes`, by the key that residents know it by. A key beyond the end is the
    /// number itself.
    pub class_ids: Vec<ClassId>,
    pub nodes: Vec<Node>,
    /// Pods that wait. Those that run are with their nodes.
    pub pods: Vec<Pod>,
    pub groups: Vec<Group>,
    pub templates: Vec<Template>,
    pub budgets: Vec<DisruptionBudget>,
    /// How many nodes of node groups the cluster may have in all; none for no limit.
    pub max_cluster_nodes: Option<u32>,
    /// How many nodes one loop may remove.
    pub removal_budget: u32,
    /// Whether nodes may be replaced by others.
    pub may_replace: bool,
    /// Offerings whose nodes were replaced by cheaper ones, by group, and when.
    pub given_up: Vec<(GroupId, String, i64)>,
}

impl Snapshot {
    /// What a drain of the node does with pods that something would be lost with.
    pub fn drain_rules(&self, node: &Node) -> DrainRules {
        let group = node.group.and_then(|group| self.groups.get(group as usize));
        group.map_or_else(DrainRules::default, |group| group.drain)
    }

    /// The number of the class that residents know by this key. It may lead nowhere.
    pub fn class_of(&self, key: ClassKey) -> ClassId {
        self.class_ids.get(key as usize).copied().unwrap_or(key)
    }
}
