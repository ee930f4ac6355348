//! What pods would rather have, where several nodes take them: preferred node affinity, preferred company, soft topology
//! spread, and nodes without `PreferNoSchedule` taints.
//!
//! It orders the nodes that a class tries, and that is all: wishes weigh as much as the plugins of kube-scheduler, over
//! the pods that run before anybody is placed. Where an order by wishes left a pod without a place that has one
//! otherwise, nobody's wishes count, so that no wish is ever the cause of a purchase.

use super::State;
use super::field::Field;
use super::fill::{FilledLots, Lot, Offer, fill_all};
use super::links::CounterId;
use super::work::Work;
use crate::model::{ClassId, NodeId};
use std::collections::BTreeMap;

/// Weights of the plugins of kube-scheduler, each of which gives up to [`FULL`] points.
const NODE_AFFINITY: i64 = 2;
const TAINTS: i64 = 3;
const COMPANY: i64 = 2;
const SPREAD: i64 = 2;
const FULL: i64 = 100;

/// As [`fill_all`] on nodes that are there, all lots on these, those that pods prefer first where that costs nobody a
/// place. On new nodes it is packing that decides.
pub(super) fn fill_by_preference(
    state: &mut State,
    lots: &[Lot],
    nodes: &[NodeId],
    offers: &mut Vec<Offer>,
    work: &mut Work,
) -> FilledLots {
    // By order: the number of its field. The first is for those who have no wish.
    let mut orders: BTreeMap<Vec<NodeId>, usize> = BTreeMap::new();
    let mut wishful = lots.to_vec();
    for lot in &mut wishful {
        if let Some(order) = preferred_order(state, lot, nodes) {
            let next = orders.len() + 1;
            lot.field = Some(*orders.entry(order).or_insert(next));
        }
    }
    if orders.is_empty() {
        return fill_all(state, lots, &mut [Field::new(state, nodes)], offers, work);
    }
    let mark = state.mark();
    let before = (offers.clone(), *work);
    let plain = fill_all(state, lots, &mut [Field::new(state, nodes)], offers, work);
    state.rollback(mark);
    (*offers, *work) = before.clone();
    let mut fields = vec![Field::new(state, nodes); orders.len() + 1];
    for (order, number) in &orders {
        fields[*number] = Field::new(state, order);
    }
    let filled = fill_all(state, &wishful, &mut fields, offers, work);
    let mut both = filled.lots.iter().zip(&plain.lots);
    if both.any(|(wishful, plain)| wishful.left > plain.left) {
        state.rollback(mark);
        (*offers, *work) = before;
        return fill_all(state, lots, &mut [Field::new(state, nodes)], offers, work);
    }
    filled
}

/// The nodes, the most preferred first among those that run and among those that come. None where the class has no wish
/// that tells them apart.
fn preferred_order(state: &State, lot: &Lot, nodes: &[NodeId]) -> Option<Vec<NodeId>> {
    if lot.pods == 0 || !state.tables().has_wishes(lot.class) {
        return None;
    }
    let scores = scores(state, lot.class, nodes);
    let first = scores.first()?;
    if scores.iter().all(|score| score == first) {
        return None;
    }
    let mut order: Vec<(bool, i64, usize)> = scores
        .into_iter()
        .enumerate()
        .map(|(at, score)| (!state.is_ready(nodes[at]), -score, at))
        .collect();
    order.sort_unstable();
    Some(order.into_iter().map(|(_, _, at)| nodes[at]).collect())
}

/// Points by node.
fn scores(state: &State, class: ClassId, nodes: &[NodeId]) -> Vec<i64> {
    let links = state.tables().links.of(class);
    let verdicts = nodes.iter().map(|node| state.verdict(class, *node));
    let (preferred, discouraged): (Vec<_>, Vec<_>) = verdicts
        .map(|verdict| {
            (
                Some(i64::from(verdict.preferred)),
                Some(i64::from(verdict.discouraged)),
            )
        })
        .unzip();
    let company = |node: &NodeId| {
        let counts = links.wishes.iter();
        let counts = counts.map(|(weight, counter)| weight * i64::from(state.count_at(*counter, *node)));
        Some(counts.sum())
    };
    let company: Vec<_> = nodes.iter().map(company).collect();
    let crowd: Vec<_> = nodes
        .iter()
        .map(|node| crowd(state, &links.soft_spread, *node))
        .collect();
    let columns = [
        points(NODE_AFFINITY, &preferred, Best::Most, Some(0)),
        points(TAINTS, &discouraged, Best::Least, Some(0)),
        points(COMPANY, &company, Best::Most, None),
        points(SPREAD, &crowd, Best::Least, None),
    ];
    (0..nodes.len())
        .map(|at| columns.iter().map(|column| column[at]).sum())
        .collect()
}

/// How many pods are where the node is; none where it is in no domain.
fn crowd(state: &State, counters: &[CounterId], node: NodeId) -> Option<i64> {
    let count = |counter: &CounterId| {
        let key = state.tables().links.counters[*counter as usize].key;
        let domain = state.domain(node, key)?;
        Some(i64::from(state.counter(*counter).count(domain)))
    };
    counters.iter().map(count).sum()
}

/// Which values get the most points.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Best {
    Most,
    Least,
}

/// From no points to full ones, between the `lowest` value, or the least that there is, and the largest. Who has no
/// value has no points.
fn points(weight: i64, values: &[Option<i64>], best: Best, lowest: Option<i64>) -> Vec<i64> {
    let known = || values.iter().flatten().copied();
    let lowest = lowest.or_else(|| known().min()).unwrap_or(0);
    let span = known().max().unwrap_or(lowest).saturating_sub(lowest);
    let points = |value: i64| {
        let part = match span {
            0 => 0,
            _ => value.saturating_sub(lowest).saturating_mul(FULL) / span,
        };
        weight * if best == Best::Most { part } else { FULL - part }
    };
    values.iter().map(|value| value.map_or(0, points)).collect()
}

#[cfg(test)]
mod tests {
    use crate::model::{
        LabelOperator, LabelRequirement, NodeSelectorTerm, PodAffinityTerm, PodClass, SpreadConstraint,
        Taint, TaintEffect, WhenUnsatisfiable,
    };
    use crate::packing::{Placement, place_pending};
    use crate::testing::{Cluster, pod, selector, spread, taint};

    fn zone(name: &str) -> NodeSelectorTerm {
        NodeSelectorTerm {
            match_expressions: vec![LabelRequirement {
                key: "zone".into(),
                operator: LabelOperator::In,
                values: vec![name.into()],
            }],
            match_fields: Vec::new(),
        }
    }

    fn company(app: &str) -> PodAffinityTerm {
        PodAffinityTerm {
            selector: Some(selector(&[("app", app)])),
            topology_key: "zone".into(),
            namespaces: vec!["default".into()],
            sought_everywhere: false,
        }
    }

    fn soft_spread() -> SpreadConstraint {
        SpreadConstraint {
            when_unsatisfiable: WhenUnsatisfiable::ScheduleAnyway,
            ..spread("zone", 1)
        }
    }

    fn homes(placement: &Placement) -> Vec<&str> {
        let nodes = &placement.snapshot().nodes;
        let placed = placement.placed.iter();
        placed
            .map(|(_, node)| nodes[*node as usize].name.as_str())
            .collect()
    }

    /// Nodes a, b and c, each in the zone of its name, with room for two pods; a pod `db` runs on c, and a pod `web` on
    /// a. Where do two pods go?
    #[test]
    fn what_is_preferred() {
        type Arrange = fn(&mut Cluster, &mut PodClass);
        let cases: [(Arrange, [&str; 2], &str); 11] = [
            (|_, _| {}, ["a", "b"], "no wish: in the order of the nodes"),
            (
                |_, class| class.preferences.nodes = vec![(1, zone("b"))],
                ["b", "b"],
                "a zone",
            ),
            (
                |_, class| class.preferences.nodes = vec![(1, zone("b")), (2, zone("c"))],
                ["c", "b"],
                "one zone more than another, as long as there is room",
            ),
            (
                |_, class| class.preferences.nodes = vec![(1, zone("z"))],
                ["a", "b"],
                "a zone that is nowhere",
            ),
            (
                |_, class| class.preferences.pods = vec![(1, company("db"))],
                ["c", "a"],
                "company",
            ),
            (
                |_, class| class.preferences.pods = vec![(-1, company("web"))],
                ["b", "b"],
                "no company",
            ),
            (
                |_, class| class.preferences.pods = vec![(-1, company("web")), (-2, company("db"))],
                ["b", "b"],
                "neither company",
            ),
            (
                |_, class| class.topology_spread = vec![soft_spread()],
                ["b", "b"],
                "spread",
            ),
            (
                |cluster, _| {
                    let effect = TaintEffect::PreferNoSchedule;
                    cluster.snapshot.nodes[0].taints.push(Taint {
                        effect,
                        ..taint("spot")
                    });
                },
                ["b", "b"],
                "no taint that discourages",
            ),
            (
                |cluster, class| {
                    let effect = TaintEffect::PreferNoSchedule;
                    cluster.snapshot.nodes[0].taints.push(Taint {
                        effect,
                        ..taint("spot")
                    });
                    *class = class.clone().tolerates("spot");
                },
                ["a", "b"],
                "unless it is tolerated",
            ),
            (
                |cluster, class| {
                    class.preferences.nodes = vec![(1, zone("b"))];
                    cluster.snapshot.nodes[1].state = crate::model::NodeState::Upcoming;
                },
                ["a", "c"],
                "a node that runs comes before one that is preferred and on its way",
            ),
        ];
        for (arrange, expected, why) in cases {
            let mut cluster = Cluster::default();
            for name in ["a", "b", "c"] {
                cluster.labelled(name, 1000, &[("zone", name)]);
            }
            let web = cluster.class(pod(500).labels(&[("app", "web")]));
            let db = cluster.class(pod(500).labels(&[("app", "db")]));
            cluster.bound(web, 0);
            cluster.bound(db, 2);
            let mut class = pod(500).labels(&[("app", "web")]);
            arrange(&mut cluster, &mut class);
            let class = cluster.class(class);
            cluster.waiting(class, 2);
            assert_eq!(homes(&place_pending(&cluster.shared())), expected, "{why}");
        }
    }

    /// A small pod and a large one, and a small node before a large one. The small pod is more important.
    #[test]
    fn a_wish_leaves_nobody_without_a_place() {
        for (large_waits, expected) in [(false, vec!["large"]), (true, vec!["small", "large"])] {
            let mut cluster = Cluster::default();
            cluster.labelled("small", 500, &[("zone", "a")]);
            cluster.labelled("large", 1000, &[("zone", "b")]);
            let wishful = cluster.class(pod(500).with(|class| {
                class.priority = 1;
                class.preferences.nodes = vec![(100, zone("b"))];
            }));
            let large = cluster.class(pod(1000));
            cluster.waiting(wishful, 1);
            cluster.waiting(large, usize::from(large_waits));
            let placement = place_pending(&cluster.shared());
            assert_eq!(homes(&placement), expected);
            assert_eq!(placement.unplaced_pods(), 0);
        }
    }
}
