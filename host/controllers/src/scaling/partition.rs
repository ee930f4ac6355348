//! Partitions: node groups that the same policies decide for. They decide one after the other, in the order of
//! their policies' names.

use super::deciders::Deciders;
use crate::context::Context;
use autoscaler_cluster::ObjectKey;
use autoscaler_core::decision::Kind;
use autoscaler_core::model::{GroupId, Labels, Snapshot};
use autoscaler_policy::Binding;
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Groups with the policies that decide on their growth.
pub(super) struct Partition {
    pub(super) scale_up: Arc<Binding>,
    pub(super) node_selection: Arc<Binding>,
    pub(super) groups: BTreeSet<GroupId>,
}

/// Groups with the policy that decides on their shrinkage.
pub(super) struct RebalancePartition {
    pub(super) policy: Arc<Binding>,
    pub(super) groups: BTreeSet<GroupId>,
}

pub(super) fn partitions(ctx: &Context, deciders: &Deciders, snapshot: &Snapshot) -> Vec<Partition> {
    let groups = groups(ctx, snapshot);
    let (growing, selecting) = (deciders.of(Kind::ScaleUp), deciders.of(Kind::NodeSelection));
    let (grower, selector) = (speakers(growing, &groups), speakers(selecting, &groups));
    let mut by_policies: BTreeMap<(usize, usize), BTreeSet<GroupId>> = BTreeMap::new();
    for (id, grower) in grower {
        if let Some(selector) = selector.get(&id) {
            by_policies.entry((grower, *selector)).or_default().insert(id);
        }
    }
    let partition = |((one, other), groups): ((usize, usize), BTreeSet<GroupId>)| Partition {
        scale_up: growing[one].clone(),
        node_selection: selecting[other].clone(),
        groups,
    };
    by_policies.into_iter().map(partition).collect()
}

pub(super) fn rebalance_partitions(
    ctx: &Context,
    deciders: &Deciders,
    snapshot: &Snapshot,
) -> Vec<RebalancePartition> {
    let policies = deciders.of(Kind::Rebalance);
    let mut by_policy: BTreeMap<usize, BTreeSet<GroupId>> = BTreeMap::new();
    for (id, at) in speakers(policies, &groups(ctx, snapshot)) {
        by_policy.entry(at).or_default().insert(id);
    }
    by_policy
        .into_iter()
        .map(|(at, groups)| RebalancePartition {
            policy: policies[at].clone(),
            groups,
        })
        .collect()
}

/// The policy that decides for the group.
pub(crate) fn speaker(
    ctx: &Context,
    snapshot: &Snapshot,
    kind: Kind,
    group: GroupId,
) -> Option<Arc<Binding>> {
    let deciders = Deciders::present(&ctx.policies);
    let policies = deciders.of(kind);
    let at = *speakers(policies, &groups(ctx, snapshot)).get(&group)?;
    Some(policies[at].clone())
}

/// The shadows that would speak for the group if they were active.
pub(crate) fn shadows(ctx: &Context, snapshot: &Snapshot, group: GroupId) -> Vec<Arc<Binding>> {
    let groups = groups(ctx, snapshot);
    let known: Vec<(&str, &Labels)> = groups
        .iter()
        .map(|group| (group.name.as_str(), &group.labels))
        .collect();
    let shadows = ctx.policies.shadows().into_values();
    // One policy's bindings differ by their kind alone, and are counted together.
    let one_each = shadows.filter_map(|kinds| kinds.into_values().next());
    let speaks = |binding: &Arc<Binding>| {
        let mut chosen = binding.chosen(&known).into_iter();
        chosen.any(|at| groups[at].id == group)
    };
    one_each.filter(speaks).collect()
}

/// A group with what policies choose it by.
struct Choosable {
    id: GroupId,
    name: String,
    labels: Labels,
}

fn groups(ctx: &Context, snapshot: &Snapshot) -> Vec<Choosable> {
    let choosable = |(id, group): (GroupId, &autoscaler_core::model::Group)| {
        let key = ObjectKey::new(&group.namespace, &group.name);
        let object = ctx.index.node_group(&key);
        Choosable {
            id,
            name: key.to_string(),
            labels: object.map(|object| object.labels().clone()).unwrap_or_default(),
        }
    };
    (0..).zip(&snapshot.groups).map(choosable).collect()
}

/// For each group the first policy that speaks for it; the built-in one speaks for all and is last.
fn speakers(policies: &[Arc<Binding>], groups: &[Choosable]) -> BTreeMap<GroupId, usize> {
    let mut speakers = BTreeMap::new();
    for (at, binding) in policies.iter().enumerate() {
        let left: Vec<&Choosable> = groups
            .iter()
            .filter(|group| !speakers.contains_key(&group.id))
            .collect();
        let known: Vec<(&str, &Labels)> = left
            .iter()
            .map(|group| (group.name.as_str(), &group.labels))
            .collect();
        for chosen in binding.chosen(&known) {
            speakers.insert(left[chosen].id, at);
        }
    }
    speakers
}
