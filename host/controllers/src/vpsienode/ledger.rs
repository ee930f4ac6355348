//! The ledger of one VPSie cluster: orders under way and machines given out, as this process knows them.
//!
//! The objects are the truth; the ledger only bridges the moment between a write and its echo in the index,
//! and makes orders of one cluster wait for each other. It is rebuilt from the objects after a restart.

use super::claim::{Order, SizeOf, claim, identity};
use super::order::since;
use autoscaler_api::VPSieNode;
use autoscaler_api::vpsie_node::Phase;
use autoscaler_cluster::ObjectKey;
use jiff::Timestamp;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use vpsie_client::{ClusterId, ProviderNode};

/// The ledgers of all clusters.
#[derive(Default)]
pub(crate) struct Ledgers {
    clusters: Mutex<BTreeMap<ClusterId, Arc<tokio::sync::Mutex<Ledger>>>>,
}

impl Ledgers {
    /// The ledger of a cluster. Holding its lock serialises orders of that cluster.
    pub(crate) fn of(&self, cluster: &ClusterId) -> Arc<tokio::sync::Mutex<Ledger>> {
        self.clusters.lock().entry(cluster.clone()).or_default().clone()
    }
}

/// Orders and machines of one cluster.
#[derive(Default)]
pub(crate) struct Ledger {
    orders: BTreeMap<ObjectKey, Order>,
    /// Machines given to a VPSieNode by this process.
    given: BTreeMap<ObjectKey, ProviderNode>,
    /// Machines that are not ours, seen before the orders under way were sent.
    foreign: BTreeSet<String>,
    /// Machines that were given back, and when: a list that is late may show them once more.
    buried: BTreeMap<String, Timestamp>,
}

/// No list is as late as this.
const BURIED_FOR: Duration = Duration::from_secs(3600);

impl Ledger {
    /// Takes over what the objects say.
    pub(crate) fn refresh(&mut self, nodes: &[Arc<VPSieNode>]) {
        let keys: BTreeSet<ObjectKey> = nodes.iter().map(|node| ObjectKey::of(&**node)).collect();
        self.orders.retain(|key, _| keys.contains(key));
        self.given.retain(|key, _| keys.contains(key));
        for node in nodes {
            let key = ObjectKey::of(&**node);
            let Some(order) = order_of(&key, node) else {
                continue;
            };
            if !self.given.contains_key(&key) && !self.orders.contains_key(&key) {
                let before = node
                    .status
                    .as_ref()
                    .and_then(|status| status.provider_nodes_before.clone());
                self.foreign.extend(before.into_iter().flatten());
                self.orders.insert(key, order);
            }
        }
        if self.orders.is_empty() {
            self.foreign.clear();
        }
    }

    /// Everything that belongs to a VPSieNode, by identifier and by name.
    pub(crate) fn owned(&self, nodes: &[Arc<VPSieNode>]) -> BTreeSet<String> {
        let of_objects = nodes.iter().flat_map(|node| {
            let hostname = node.status.as_ref().and_then(|status| status.hostname.as_deref());
            [node.provider_identifier(), hostname, node.node_name()]
                .into_iter()
                .flatten()
                .flat_map(|name| [name.to_owned(), name.to_lowercase()])
        });
        let given = self
            .given
            .values()
            .flat_map(|row| [identity(row), row.name_key()]);
        of_objects.chain(given).collect()
    }

    /// Whether an order of this size may be sent now: where rows do not tell their size, machines of two sizes
    /// could not be told apart, so one size is ordered at a time.
    pub(crate) fn admits(&self, size: i64, rows_tell_sizes: bool) -> bool {
        rows_tell_sizes || self.orders.values().all(|order| order.size == size)
    }

    /// Whether nothing is under way, so that everything listed and not ours is foreign.
    pub(crate) fn is_quiet(&self) -> bool {
        self.orders.is_empty()
    }

    pub(crate) fn set_foreign(&mut self, foreign: BTreeSet<String>) {
        self.foreign = foreign;
    }

    /// Machines that no order under way has brought.
    pub(crate) fn foreign(&self) -> Vec<String> {
        self.not_new().into_iter().collect()
    }

    fn not_new(&self) -> BTreeSet<String> {
        self.foreign.iter().chain(self.buried.keys()).cloned().collect()
    }

    /// A machine of ours was given back: it is not new, should a late list show it again.
    pub(crate) fn bury(&mut self, machine: &str, now: Timestamp) {
        self.buried.retain(|_, at| since(at, now) < BURIED_FOR);
        self.buried.insert(machine.to_owned(), now);
    }

    /// The orders that wait for a machine.
    pub(crate) fn open(&self) -> impl Iterator<Item = &ObjectKey> {
        self.orders.keys()
    }

    pub(crate) fn ordered(&mut self, order: Order) {
        self.orders.insert(order.key.clone(), order);
    }

    /// The order surely did not go through, or its VPSieNode is gone.
    pub(crate) fn forget(&mut self, key: &ObjectKey) {
        self.orders.remove(key);
        self.given.remove(key);
    }

    /// Gives the new machines among `rows` to the orders, and tells which one `key` has, if any.
    pub(crate) fn settle(
        &mut self,
        key: &ObjectKey,
        rows: &[ProviderNode],
        nodes: &[Arc<VPSieNode>],
        size_of: SizeOf<'_>,
    ) -> Option<ProviderNode> {
        let orders: Vec<Order> = self.orders.values().cloned().collect();
        let claims = claim(rows, &orders, &self.not_new(), &self.owned(nodes), size_of);
        let claims: Vec<(ObjectKey, ProviderNode)> =
            claims.into_iter().map(|(key, row)| (key, row.clone())).collect();
        for (claimed, row) in claims {
            self.orders.remove(&claimed);
            self.given.insert(claimed, row);
        }
        self.given.get(key).cloned()
    }
}

/// The order that an object stands for: asked for, and no machine known.
fn order_of(key: &ObjectKey, node: &VPSieNode) -> Option<Order> {
    let status = node.status.as_ref()?;
    let requested = status.creation_requested_at.as_ref()?;
    let unclaimed = status.hostname.is_none() && node.provider_identifier().is_none();
    let open = matches!(
        status.phase,
        Phase::Provisioning | Phase::Terminating | Phase::Deleting | Phase::Failed
    );
    (unclaimed && open).then(|| Order {
        key: key.clone(),
        size: node.spec.kube_size_id.unwrap_or_default(),
        requested_ms: requested.0.as_millisecond(),
        accepted: status.creation_accepted_at.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vpsie_client::NodeRole;

    #[test]
    fn a_machine_that_was_given_back_is_not_new_for_an_hour() {
        let row = ProviderNode {
            id: None,
            identifier: Some("uuid-1".into()),
            hostname: "slave-1".to_owned(),
            address: None,
            private_address: None,
            role: NodeRole::Worker,
            status: None,
            cpu: None,
            memory_mib: None,
            disk_gib: None,
            created_on: None,
        };
        let key = ObjectKey::new("ns", "a");
        let at = |second| Timestamp::from_second(second).unwrap();
        for (now, found) in [(0, false), (3_599, false), (3_600, true)] {
            let mut ledger = Ledger::default();
            ledger.bury("uuid-1", at(0));
            ledger.bury("uuid-2", at(now));
            ledger.ordered(Order {
                key: key.clone(),
                size: 12,
                requested_ms: 0,
                accepted: true,
            });
            let settled = ledger.settle(&key, std::slice::from_ref(&row), &[], &|_| None);
            assert_eq!(settled.is_some(), found, "after {now} s");
        }
    }
}
