//! Partitions: node groups that the same policies decide for. They decide one after the other, in the order of
//! their policies' names.

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

pub(super) fn partitions(ctx: &Context, snapshot: &Snapshot) -> Vec<Partition> {
    let (growing, selecting) = (
        ctx.policies.active(Kind::ScaleUp),
        ctx.policies.active(Kind::NodeSelection),
    );
    let mut by_policies: BTreeMap<(usize, usize), BTreeSet<GroupId>> = BTreeMap::new();
    for (id, labels) in labels_of_groups(ctx, snapshot) {
        if let (Some(one), Some(other)) = (first_for(&growing, &labels), first_for(&selecting, &labels)) {
            by_policies.entry((one, other)).or_default().insert(id);
        }
    }
    let partition = |((one, other), groups): ((usize, usize), BTreeSet<GroupId>)| Partition {
        scale_up: growing[one].clone(),
        node_selection: selecting[other].clone(),
        groups,
    };
    by_policies.into_iter().map(partition).collect()
}

pub(super) fn rebalance_partitions(ctx: &Context, snapshot: &Snapshot) -> Vec<RebalancePartition> {
    let policies = ctx.policies.active(Kind::Rebalance);
    let mut by_policy: BTreeMap<usize, BTreeSet<GroupId>> = BTreeMap::new();
    for (id, labels) in labels_of_groups(ctx, snapshot) {
        if let Some(at) = first_for(&policies, &labels) {
            by_policy.entry(at).or_default().insert(id);
        }
    }
    by_policy
        .into_iter()
        .map(|(at, groups)| RebalancePartition {
            policy: policies[at].clone(),
            groups,
        })
        .collect()
}

fn labels_of_groups(ctx: &Context, snapshot: &Snapshot) -> Vec<(GroupId, Labels)> {
    let labels = |group: &autoscaler_core::model::Group| {
        let object = ctx
            .index
            .node_group(&ObjectKey::new(&group.namespace, &group.name));
        object.map(|object| object.labels().clone()).unwrap_or_default()
    };
    (0..)
        .zip(&snapshot.groups)
        .map(|(id, group)| (id, labels(group)))
        .collect()
}

/// The first policy that speaks for a group with these labels; the built-in one speaks for all and is last.
fn first_for(policies: &[Arc<Binding>], labels: &Labels) -> Option<usize> {
    policies.iter().position(|binding| binding.groups.matches(labels))
}
