//! The ledger of one VPSie cluster: orders under way and machines given out, as this process knows them.
//!
//! The objects are the truth; the ledger only bridges the moment between a write and its echo in the index,
//! and makes orders of one cluster wait for each other. It is rebuilt from the objects after a restart.

use super::claim::{Order, SizeOf, claim, identity};
use autoscaler_api::VPSieNode;
use autoscaler_api::vpsie_node::Phase;
use autoscaler_cluster::ObjectKey;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
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
}

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

    pub(crate) fn foreign(&self) -> Vec<String> {
        self.foreign.iter().cloned().collect()
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
        let claims = claim(rows, &orders, &self.foreign, &self.owned(nodes), size_of);
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
