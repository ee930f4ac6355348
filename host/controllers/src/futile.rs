//! Purchases that do not help: nodes came for the same pods again and again, stood idle, and the pods wait still. What
//! keeps them is not room, so that no further node is bought for them for a while.
//!
//! Pure: a circuit breaker for each pod, with time passed in. It lives in memory; after a restart it takes the first
//! purchases once more to find out.

use autoscaler_cluster::ObjectKey;
use std::collections::BTreeSet;
use std::time::Duration;

/// Purchases that may come to nothing before no more is bought.
pub(super) const LIMIT: usize = 3;
/// How long nothing is bought then; doubles with each further purchase that comes to nothing.
const PAUSE: Duration = Duration::from_secs(30 * 60);
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// What has become of a node that was bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// On its way.
    Coming,
    /// Ready, and no pod on it.
    Idle,
    /// Ready, and it helped somebody.
    Used,
    /// It failed, or it has gone again.
    Gone,
}

/// One decision's purchases, with the pods that they were for and that wait still.
#[derive(Debug)]
struct Order {
    pods: BTreeSet<String>,
    nodes: Vec<ObjectKey>,
    /// Since when its nodes are there and idle.
    idle_since_ms: Option<i64>,
}

/// See the module's text. Pods are known by their uid.
#[derive(Debug, Default)]
pub(super) struct Futile(Vec<Order>);

impl Futile {
    /// Nothing was ever bought: nobody waits any more, or an operator asks for another try.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Nodes were bought for these pods.
    pub(super) fn ordered(&mut self, pods: BTreeSet<String>, nodes: Vec<ObjectKey>) {
        self.0.push(Order {
            pods,
            nodes,
            idle_since_ms: None,
        });
    }

    /// Looks at what was bought. What helped, or never came, says nothing.
    pub(super) fn look(
        &mut self,
        now_ms: i64,
        waits: impl Fn(&str) -> bool,
        arrival: impl Fn(&ObjectKey) -> Arrival,
    ) {
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
                order.idle_since_ms = Some(now_ms);
            }
            true
        });
    }

    /// Whether nothing is bought for a pod now.
    pub(super) fn blocks(&self, pod: &str, now_ms: i64) -> bool {
        let futile = self.0.iter().filter(|order| order.pods.contains(pod));
        let since: Vec<i64> = futile.filter_map(|order| order.idle_since_ms).collect();
        let Some(beyond) = since.len().checked_sub(LIMIT) else {
            return false;
        };
        let doublings = u32::try_from(beyond).unwrap_or(u32::MAX).min(16);
        let pause = PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
        let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        since
            .into_iter()
            .max()
            .is_some_and(|last| now_ms < last.saturating_add(pause))
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
        futile.ordered(pods(names), vec![key("node")]);
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
                futile.ordered(pods(&["a"]), vec![key("node")]);
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
            assert_eq!(futile.blocks("a", MINUTE), blocks, "{arrivals:?}");
            assert!(!futile.blocks("b", MINUTE));
        }
    }

    #[test]
    fn a_node_that_helps_somebody_later_clears_its_order() {
        let mut futile = Futile::default();
        for _ in 0..LIMIT {
            buy(&mut futile, &["a"], 0, Arrival::Idle);
        }
        assert!(futile.blocks("a", 0));
        futile.look(0, |_| true, |_| Arrival::Used);
        assert!(!futile.blocks("a", 0));
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
            assert!(futile.blocks("a", end - 1), "{minutes}");
            assert!(!futile.blocks("a", end), "{minutes}");
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
        assert!(!futile.blocks("a", 0) && futile.blocks("b", 0));
        futile.forget();
        assert!(!futile.blocks("b", 0));
    }
}
