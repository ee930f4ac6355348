//! Purchases that do not help: nodes came for the same pods again and again, stood idle, and the pods wait still. What
//! keeps them is not room (a taint that somebody puts on new nodes, a scheduler with a mind of its own), so that no
//! further node is bought for them for a while.
//!
//! Pure: a circuit breaker for each pod, with time passed in. The working copy lives in memory; NodeGroups carry what
//! was found futile in their status, from where the next leader restores it. A purchase whose nodes are still coming at
//! that moment is not counted.

use autoscaler_api::NodeGroup;
use autoscaler_api::node_group::FutilePurchase;
use autoscaler_cluster::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Purchases that may come to nothing before no more is bought.
pub(crate) const LIMIT: usize = 3;
/// How long nothing is bought then; doubles with each further purchase that comes to nothing.
const PAUSE: Duration = Duration::from_secs(30 * 60);
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);
/// Pods and nodes that a status carries of one purchase: beyond it, a restart forgets.
const REMEMBERED: usize = 64;

/// What has become of a node that was bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// On its way.
    Coming,
    /// Ready, and no pod on it.
    Idle,
    /// Ready, and it helped somebody.
    Used,
    /// It failed, or it has gone again.
    Gone,
}

/// What one decision bought in one group, with the pods that it was for and that wait still.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Order {
    group: ObjectKey,
    pods: BTreeSet<String>,
    nodes: Vec<ObjectKey>,
    /// Since when its nodes are there and idle.
    idle_since_ms: Option<i64>,
}

/// Pods of a group for which nothing is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocked {
    pub(crate) pods: usize,
    /// When the last of them is tried again.
    pub(crate) until_ms: i64,
}

/// What all controllers share of it.
#[derive(Default)]
pub struct FutilePurchases {
    state: Mutex<Futile>,
    changes: watch::Sender<u64>,
}

impl FutilePurchases {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Futile> {
        self.state.lock()
    }

    /// Counts changes of what groups show of it.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

/// See the module's text. Pods are known by their uid.
#[derive(Debug, Default)]
pub(crate) struct Futile(Vec<Order>);

impl Futile {
    /// Nothing was ever bought: nobody waits any more, or an operator asks for another try. Tells whether anything was
    /// known.
    pub(crate) fn forget(&mut self) -> bool {
        !std::mem::take(&mut self.0).is_empty()
    }

    /// Nodes of a group were bought for these pods.
    pub(crate) fn ordered(&mut self, group: ObjectKey, pods: BTreeSet<String>, nodes: Vec<ObjectKey>) {
        self.0.push(Order {
            group,
            pods,
            nodes,
            idle_since_ms: None,
        });
    }

    /// Looks at what was bought. What helped, or never came, says nothing. Tells whether anything is known anew.
    pub(crate) fn look(
        &mut self,
        now_ms: i64,
        waits: impl Fn(&str) -> bool,
        arrival: impl Fn(&ObjectKey) -> Arrival,
    ) -> bool {
        let judged = |orders: &[Order]| -> Vec<Order> {
            orders
                .iter()
                .filter(|order| order.idle_since_ms.is_some())
                .cloned()
                .collect()
        };
        let before = judged(&self.0);
        self.0.retain_mut(|order| {
            order.pods.retain(|pod| waits(pod));
            if order.pods.is_empty() {
                return false;
            }
            let nodes: Vec<Arrival> = order.nodes.iter().map(&arrival).collect();
            if nodes.contains(&Arrival::Used) {
                return false;
            }
            if order.idle_since_ms.is_none() && !nodes.contains(&Arrival::Coming) {
                if !nodes.contains(&Arrival::Idle) {
                    return false;
                }
                // Statuses have whole seconds: what is restored must be what was kept.
                order.idle_since_ms = Some(now_ms - now_ms.rem_euclid(1000));
            }
            true
        });
        judged(&self.0) != before
    }

    /// Until when nothing is bought for a pod.
    pub(crate) fn blocks(&self, pod: &str, now_ms: i64) -> Option<i64> {
        let futile = self.0.iter().filter(|order| order.pods.contains(pod));
        let since: Vec<i64> = futile.filter_map(|order| order.idle_since_ms).collect();
        let beyond = since.len().checked_sub(LIMIT)?;
        let doublings = u32::try_from(beyond).unwrap_or(u32::MAX).min(16);
        let pause = PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
        let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        let until = since.into_iter().max()?.saturating_add(pause);
        (now_ms < until).then_some(until)
    }

    /// The pods that nodes of the group were bought for in vain, and for which nothing more is bought now.
    pub(crate) fn blocked_in(&self, group: &ObjectKey, now_ms: i64) -> Option<Blocked> {
        let orders = self.0.iter().filter(|order| order.group == *group);
        let pods: BTreeSet<&String> = orders.flat_map(|order| &order.pods).collect();
        let ends: Vec<i64> = pods
            .into_iter()
            .filter_map(|pod| self.blocks(pod, now_ms))
            .collect();
        let until_ms = ends.iter().copied().max()?;
        Some(Blocked {
            pods: ends.len(),
            until_ms,
        })
    }

    /// What a group's status carries.
    pub(crate) fn status(&self, group: &ObjectKey) -> Vec<FutilePurchase> {
        let own = self.0.iter().filter(|order| order.group == *group);
        let purchase = |order: &Order| {
            let since = Timestamp::from_millisecond(order.idle_since_ms?).ok()?;
            Some(FutilePurchase {
                idle_since: Time(since),
                pods: order.pods.iter().take(REMEMBERED).cloned().collect(),
                nodes: order
                    .nodes
                    .iter()
                    .take(REMEMBERED)
                    .map(|key| key.name.clone())
                    .collect(),
            })
        };
        own.filter_map(purchase).collect()
    }

    /// Takes over what a leader before wrote down.
    pub(crate) fn restore(&mut self, groups: &[Arc<NodeGroup>]) {
        self.0.clear();
        for group in groups {
            let key = ObjectKey::of(&**group);
            let namespace = group.namespace().unwrap_or_default();
            for known in group.status.iter().flat_map(|status| &status.futile_purchases) {
                self.0.push(Order {
                    group: key.clone(),
                    pods: known.pods.iter().cloned().collect(),
                    nodes: known
                        .nodes
                        .iter()
                        .map(|name| ObjectKey::new(&namespace, name))
                        .collect(),
                    idle_since_ms: Some(known.idle_since.0.as_millisecond()),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("kube-system", name)
    }

    fn pods(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Buys a node for the pods, which becomes this.
    fn buy(futile: &mut Futile, names: &[&str], now_ms: i64, arrival: Arrival) {
        futile.ordered(key("group"), pods(names), vec![key("node")]);
        futile.look(now_ms, |_| true, |_| arrival);
    }

    #[test]
    fn only_nodes_that_came_and_stood_idle_count() {
        for (arrivals, blocks) in [
            (&[Arrival::Idle, Arrival::Idle, Arrival::Idle][..], true),
            (&[Arrival::Idle, Arrival::Idle], false),
            (
                &[Arrival::Gone, Arrival::Gone, Arrival::Gone, Arrival::Gone],
                false,
            ),
            (&[Arrival::Coming, Arrival::Coming, Arrival::Coming], false),
        ] {
            let mut futile = Futile::default();
            for arrival in arrivals {
                // The one before has gone when the next one is bought.
                futile.ordered(key("group"), pods(&["a"]), vec![key("node")]);
                let last = futile.0.len() - 1;
                futile.0[last].nodes = vec![key(&last.to_string())];
                futile.look(
                    0,
                    |_| true,
                    |node| {
                        if node.name == last.to_string() {
                            *arrival
                        } else {
                            Arrival::Gone
                        }
                    },
                );
            }
            assert_eq!(futile.blocks("a", MINUTE).is_some(), blocks, "{arrivals:?}");
            assert_eq!(futile.blocks("b", MINUTE), None);
        }
    }

    #[test]
    fn a_node_that_helps_somebody_later_clears_its_order() {
        let mut futile = Futile::default();
        for _ in 0..LIMIT {
            buy(&mut futile, &["a"], 0, Arrival::Idle);
        }
        assert!(futile.blocks("a", 0).is_some());
        futile.look(0, |_| true, |_| Arrival::Used);
        assert!(futile.blocks("a", 0).is_none());
    }

    #[test]
    fn it_tries_again_after_a_growing_pause() {
        let mut futile = Futile::default();
        for _ in 0..LIMIT {
            buy(&mut futile, &["a"], 0, Arrival::Idle);
        }
        let mut last = 0;
        for minutes in [30, 60, 120, 240, 480, 960, 1440, 1440] {
            let end = last + minutes * MINUTE;
            assert_eq!(futile.blocks("a", end - 1), Some(end), "{minutes}");
            assert_eq!(futile.blocks("a", end), None, "{minutes}");
            buy(&mut futile, &["a"], end, Arrival::Idle);
            last = end;
        }
    }

    #[test]
    fn a_pod_that_waits_no_more_is_forgotten_and_an_operator_ends_it() {
        let mut futile = Futile::default();
        for _ in 0..LIMIT {
            buy(&mut futile, &["a", "b"], 0, Arrival::Idle);
        }
        futile.look(0, |pod| pod == "b", |_| Arrival::Idle);
        assert!(futile.blocks("a", 0).is_none() && futile.blocks("b", 0).is_some());
        futile.forget();
        assert!(futile.blocks("b", 0).is_none());
    }

    #[test]
    fn what_a_status_carries_is_restored_as_it_was() {
        let mut futile = Futile::default();
        for (at, names) in [(1_700, &["a", "b"][..]), (60_300, &["a"]), (120_900, &["a"])] {
            buy(&mut futile, names, at, Arrival::Idle);
        }
        // Still coming: not known to be futile yet.
        futile.ordered(key("group"), pods(&["a"]), vec![key("late")]);
        let group = |futile: &Futile| {
            let mut group = NodeGroup::new("group", autoscaler_api::NodeGroupSpec::default());
            group.metadata.namespace = Some("kube-system".to_owned());
            let futile_purchases = futile.status(&key("group"));
            let status = serde_json::json!({"futilePurchases": futile_purchases});
            group.status = serde_json::from_value(status).unwrap();
            Arc::new(group)
        };
        let mut restored = Futile::default();
        restored.restore(&[group(&futile)]);
        assert_eq!(restored.0, futile.0[..3]);
        let blocked = Blocked {
            pods: 1,
            until_ms: 120_000 + 30 * MINUTE,
        };
        for futile in [&futile, &restored] {
            assert_eq!(futile.blocked_in(&key("group"), 121_000), Some(blocked));
            assert_eq!(futile.blocked_in(&key("other"), 121_000), None);
            assert_eq!(futile.blocked_in(&key("group"), blocked.until_ms), None);
        }
    }
}
