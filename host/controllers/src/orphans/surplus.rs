//! Which machines are the surplus of a provider's group, where that is certain: VPSie carried one order of ours out twice.
//!
//! VPSie names no group in its list of machines, but it has one group per size and cluster, so a machine's size tells
//! its group; where rows tell no size, the group must hold all workers. A machine of the group is the twin of an order if nobody claims it, if it was not there when the order was
//! sent, and if it was first seen while the order was under way. Anything less is reported and stays: a machine that was
//! added by hand, one that came after its order was given up, one that was already there when this process began to look.

use super::find::{Facts, counted, is_in, surplus};
use crate::vpsienode::{identity, is_machine_of};
use autoscaler_api::vpsie_node::VPSieNodeSpec;
use autoscaler_api::{VPSieNode, labels};
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::time::Duration;
use vpsie_client::{ClusterDetail, NodeRole, ProviderGroup, ProviderNode};

/// When machines were first seen, by cluster and identity.
#[derive(Default)]
pub(super) struct Sightings(BTreeMap<(String, String), Timestamp>);

impl Sightings {
    /// Takes note of a list, and forgets what is not in it any more.
    pub(super) fn note(&mut self, cluster: &str, listed: &ClusterDetail, now: Timestamp) {
        let all = std::mem::take(&mut self.0).into_iter();
        let (before, others): (BTreeMap<_, _>, BTreeMap<_, _>) = all.partition(|((of, _), _)| of == cluster);
        self.0 = others;
        for row in &listed.nodes {
            let key = (cluster.to_owned(), identity(row));
            let first = before.get(&key).copied().unwrap_or(now);
            self.0.insert(key, first);
        }
    }

    fn of(&self, cluster: &str, row: &ProviderNode) -> Option<Timestamp> {
        self.0.get(&(cluster.to_owned(), identity(row))).copied()
    }
}

/// What else has to be known to tell twins.
pub(super) struct Evidence<'a> {
    pub(super) sightings: &'a Sightings,
    /// The size that a row's figures mean in a datacenter, where they mean one only.
    pub(super) size_of: &'a dyn Fn(&str, &ProviderNode) -> Option<i64>,
    /// How long after an order found its machine, or for as long as it looks for it, its twin may appear.
    pub(super) grace: Duration,
    pub(super) now: Timestamp,
}

/// A record for each twin in this group. None if there are more that could be one than the group has too many.
pub(super) fn twins(facts: &Facts<'_>, provider: &ProviderGroup, evidence: &Evidence<'_>) -> Vec<VPSieNode> {
    let claimed = |row: &ProviderNode| facts.records.iter().any(|record| is_machine_of(record, row));
    let labelled = |row: &ProviderNode| {
        (facts.node)(&row.name_key()).is_some_and(|node| node.labels().contains_key(labels::VPSIE_NODE))
    };
    let workers = facts.listed.nodes.iter();
    let unclaimed = workers.filter(|row| row.role == NodeRole::Worker && !claimed(row) && !labelled(row));
    let twins: Vec<VPSieNode> = unclaimed
        .filter_map(|row| record_of(row, order_of(row, facts, provider, evidence)?))
        .collect();
    if twins.len() > surplus(facts, provider) {
        return Vec::new();
    }
    twins
}

/// The latest order of the group that may have brought the machine.
fn order_of<'a>(
    row: &ProviderNode,
    facts: &'a Facts<'_>,
    provider: &ProviderGroup,
    evidence: &Evidence<'_>,
) -> Option<&'a VPSieNode> {
    let workers = facts
        .listed
        .nodes
        .iter()
        .filter(|row| row.role != NodeRole::ControlPlane);
    let all_are_in_it = counted(provider) == workers.count();
    let seen = evidence.sightings.of(facts.cluster, row)?;
    let of_group = facts
        .records
        .iter()
        .map(AsRef::as_ref)
        .filter(|record: &&VPSieNode| {
            record.spec.resource_identifier == facts.cluster && is_in(record, provider)
        });
    of_group
        .filter(|record| {
            let size = (evidence.size_of)(&record.spec.datacenter_id, row);
            size.map_or(all_are_in_it, |size| size == provider.size.0)
        })
        .filter_map(|record| {
            let status = record.status.as_ref()?;
            let sent = status.creation_requested_at.as_ref()?.0;
            let before = status.provider_nodes_before.as_ref()?;
            let known = before.contains(&identity(row)) || before.contains(&row.name_key());
            let found = status.provisioned_at.as_ref().map_or(evidence.now, |at| at.0);
            let until = found.checked_add(evidence.grace).ok()?;
            (!known && sent <= seen && seen <= until).then_some((sent, record))
        })
        .max_by_key(|(sent, record)| (*sent, record.name_any()))
        .map(|(_, record)| record)
}

/// A record like that of the order, which names its machine, so that nothing is ever ordered for it.
fn record_of(row: &ProviderNode, order: &VPSieNode) -> Option<VPSieNode> {
    let spec = VPSieNodeSpec {
        node_group_name: order.spec.node_group_name.clone(),
        instance_type: order.spec.instance_type.clone(),
        datacenter_id: order.spec.datacenter_id.clone(),
        resource_identifier: order.spec.resource_identifier.clone(),
        kube_size_id: order.spec.kube_size_id,
        vpsie_group_id: order.status.as_ref().and_then(|status| status.vpsie_group_id),
        vpsie_node_identifier: Some(row.identifier.as_ref()?.as_str().to_owned()),
        node_name: Some(row.name_key()),
        ..VPSieNodeSpec::default()
    };
    let mut record = VPSieNode::new(&row.name_key(), spec);
    record.metadata.namespace = order.namespace();
    record.metadata.finalizers = Some(vec![labels::VPSIE_NODE_FINALIZER.to_owned()]);
    record.metadata.owner_references = order.metadata.owner_references.clone();
    Some(record)
}
