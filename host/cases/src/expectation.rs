//! What a case says must be true. Each part is judged on its own; a case has at least one.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

type ByName<T> = BTreeMap<String, T>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Expectation {
    /// By pod: the nodes that take it, as the cluster stands; all others refuse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fits: Option<ByName<Vec<String>>>,
    /// By pod and node: the rule that refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<ByName<ByName<String>>>,
    /// The same for new nodes, by `group/offering`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fits_new: Option<ByName<Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused_new: Option<ByName<ByName<String>>>,
    /// Requests of one pod by resource: milli-cores, bytes, numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requests: Option<ByName<ByName<i64>>>,
    /// Waiting pods that get a place on nodes which are there or coming, by pod and node; all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) placed: Option<ByName<ByName<u32>>>,
    /// Pods that are left after that, by pod; all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unplaced: Option<ByName<u32>>,
    /// By `group/offering`: how many nodes the pods without a place need of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) estimate: Option<ByName<Estimate>>,
    /// By pod: `Moves`, `Ignored`, or the word for what forbids its removal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drain: Option<ByName<String>>,
    /// By node: thousandths of what it offers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) utilisation: Option<ByName<Utilisation>>,
    /// By node, each judged alone: `Removable`, or the checker's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) removable: Option<ByName<String>>,
    /// Nodes removed in this order in one plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) together: Option<Together>,
    /// The scale-up policy: pods by group and pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) demand: Option<ByName<ByName<u32>>>,
    /// The scale-up policy: by pod, the word for why it gets nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rejected: Option<ByName<String>>,
    /// The checked plan: nodes by `group/offering`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) purchases: Option<ByName<u32>>,
    /// By purchase: the offerings to try instead, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fallbacks: Option<ByName<Vec<String>>>,
    /// The node-selection policy: by pod, the word for why it gets nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unserved: Option<ByName<String>>,
    /// What the checker changed in the plan: its words by subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trimmed: Option<ByName<String>>,
    /// Price of the plan in thousandths of the currency unit per hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<u64>,
    /// Pods without a place after the plan, by pod; all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) left: Option<ByName<u32>>,
    /// After the plan: by pod and label of nodes, how many pods are where. Pods that ran before count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) domains: Option<ByName<ByName<ByName<u32>>>>,
    /// The rebalance policy, and then the checker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) removals: Option<Removals>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Estimate {
    pub(crate) nodes: u32,
    /// Pods that still find no place.
    #[serde(default)]
    pub(crate) left: u32,
    /// Nodes to try at most.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Utilisation {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<u32>,
    /// Pods that would have to move.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to_move: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Together {
    pub(crate) order: Vec<String>,
    /// Those that may go.
    pub(crate) removed: Vec<String>,
    /// The checker's word for each of the others.
    #[serde(default)]
    pub(crate) kept: ByName<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Removals {
    /// Nodes that go, in order; those of one batch together.
    pub(crate) batches: Vec<Vec<String>>,
    /// Nodes that looked superfluous, with the policy's word for why they stay; all of them.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<ByName<String>>,
    /// Nodes that the checker struck from the plan, with its word.
    #[serde(default, skip_serializing_if = "ByName::is_empty")]
    pub(crate) struck: ByName<String>,
}

impl Expectation {
    /// Whether the growth policies have to be asked.
    pub(crate) fn asks_for_growth(&self) -> bool {
        self.demand.is_some()
            || self.rejected.is_some()
            || self.purchases.is_some()
            || self.fallbacks.is_some()
            || self.unserved.is_some()
            || self.trimmed.is_some()
            || self.cost.is_some()
            || self.left.is_some()
            || self.domains.is_some()
    }
}
