//! Workloads to measure decisions with, and an independent validator of what comes out.
//!
//! The shapes are those of other autoscalers' own benchmarks, written anew from their descriptions, so that one
//! machine can run both. A workload is a function without arguments: the same snapshot every time, on every
//! machine. Times are in the snapshot, draws come from a fixed seed.

mod cluster;
mod consolidation;
mod diverse;
mod draw;
mod homogeneous;
mod validator;

pub use validator::{Assignment, Breach, Home, Rule, Verdict, Who, validate};

use autoscaler_core::model::Snapshot;

/// What is decided about the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Which nodes come for the pods that wait.
    Grow,
    /// Which nodes go, and where their pods move.
    Shrink,
    /// Which of the pods that wait fit on the nodes that are there.
    Place,
}

/// A shape of one size.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Shape and size: `H1/10000`.
    pub id: &'static str,
    pub what: &'static str,
    pub decision: Decision,
    pub snapshot: fn() -> Snapshot,
}

const fn workload(
    id: &'static str,
    what: &'static str,
    decision: Decision,
    snapshot: fn() -> Snapshot,
) -> Workload {
    Workload {
        id,
        what,
        decision,
        snapshot,
    }
}

const DIVERSE: &str = "pods with spread, affinity and anti-affinity, 400 instance types";
const FILTER: &str = "nodes, running pods, waiting pods: none fits";

/// All of them, in the order in which they are measured.
pub const ALL: [Workload; 15] = [
    workload("H1/1000", DIVERSE, Decision::Grow, || diverse::diverse(1_000)),
    workload("H1/5000", DIVERSE, Decision::Grow, || diverse::diverse(5_000)),
    workload("H1/10000", DIVERSE, Decision::Grow, || diverse::diverse(10_000)),
    workload("H1/20000", DIVERSE, Decision::Grow, || diverse::diverse(20_000)),
    workload(
        "H2/4000",
        "pods with preferences, 400 instance types",
        Decision::Grow,
        || diverse::preferring(4_000),
    ),
    workload(
        "H3/51000",
        "pods of two sizes, nodes of one size",
        Decision::Grow,
        homogeneous::estimate,
    ),
    workload(
        "H4/50000",
        "equal pods, a node group that starts empty",
        Decision::Grow,
        homogeneous::scale_up,
    ),
    workload(
        "H5/2000",
        "nodes at 40 %, 80 000 pods",
        Decision::Shrink,
        homogeneous::scale_down,
    ),
    workload("H6/1-30-1000", FILTER, Decision::Place, || {
        homogeneous::filter(1, 30, 1_000)
    }),
    workload("H6/10-300-1000", FILTER, Decision::Place, || {
        homogeneous::filter(10, 300, 1_000)
    }),
    workload("H6/100-3000-1000", FILTER, Decision::Place, || {
        homogeneous::filter(100, 3_000, 1_000)
    }),
    workload("H6/200-200-60000", FILTER, Decision::Place, || {
        homogeneous::filter(200, 200, 60_000)
    }),
    workload("H6/1000-1000-12000", FILTER, Decision::Place, || {
        homogeneous::filter(1_000, 1_000, 12_000)
    }),
    workload(
        "H8/1000",
        "nodes of 20 node groups, used unevenly",
        Decision::Shrink,
        consolidation::uneven,
    ),
    workload(
        "H9/10000",
        "1 000 nodes of 20 node groups with little room, pods of 240 applications",
        Decision::Grow,
        || consolidation::crowded(10_000),
    ),
];

/// H8's fleet with 30 000 pods, by a host that replaces nodes: many nodes can go.
#[must_use]
pub fn small_pods() -> Snapshot {
    replacing(consolidation::small_pods())
}

/// The same where no node can simply go: whether there is anything better is asked of many candidates.
#[must_use]
pub fn settled() -> Snapshot {
    replacing(consolidation::settled())
}

fn replacing(snapshot: Snapshot) -> Snapshot {
    Snapshot {
        may_replace: true,
        ..snapshot
    }
}

/// The workload of this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Workload> {
    ALL.iter().find(|workload| workload.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        // Waiting pods, running pods, nodes, templates.
        let expected = [
            ("H1/1000", 1_000, 0, 0, 2_000),
            ("H1/5000", 5_000, 0, 0, 2_000),
            ("H1/10000", 10_000, 0, 0, 2_000),
            ("H1/20000", 20_000, 0, 0, 2_000),
            ("H2/4000", 4_000, 0, 0, 2_000),
            ("H3/51000", 51_000, 0, 1, 2),
            ("H4/50000", 50_000, 0, 0, 1),
            ("H5/2000", 0, 80_000, 2_000, 1),
            ("H6/1-30-1000", 1_000, 30, 1, 1),
            ("H6/10-300-1000", 1_000, 300, 10, 1),
            ("H6/100-3000-1000", 1_000, 3_000, 100, 1),
            ("H6/200-200-60000", 60_000, 200, 200, 1),
            ("H6/1000-1000-12000", 12_000, 1_000, 1_000, 1),
        ];
        for (id, waiting, running, nodes, templates) in expected {
            let snapshot = (find(id).unwrap().snapshot)();
            let bound = snapshot.nodes.iter().map(|node| node.residents.len()).sum();
            assert_eq!((snapshot.pods.len(), bound), (waiting, running), "pods of {id}");
            assert_eq!(
                (snapshot.nodes.len(), snapshot.templates.len()),
                (nodes, templates),
                "{id}"
            );
        }
        assert_eq!(
            expected.len() + 2,
            ALL.len(),
            "all but the uneven and the crowded fleet, whose pods are drawn"
        );
        let crowded = consolidation::crowded(10_000);
        assert_eq!((crowded.pods.len(), crowded.nodes.len()), (10_000, 1_000));
    }

    #[test]
    fn the_uneven_fleet_is_used_unevenly_and_legal() {
        let snapshot = consolidation::uneven();
        let mut cpu = vec![0; snapshot.nodes.len()];
        for (cpu, node) in cpu.iter_mut().zip(&snapshot.nodes) {
            let classes = node
                .residents
                .iter()
                .map(|pod| &snapshot.classes[pod.class as usize]);
            *cpu += classes.map(|class| class.requests.cpu_milli).sum::<i64>();
        }
        let share =
            |(used, node): (&i64, &autoscaler_core::model::Node)| used * 1000 / node.allocatable.cpu_milli;
        let shares: Vec<i64> = cpu.iter().zip(&snapshot.nodes).map(share).collect();
        assert_eq!((shares.len(), snapshot.groups.len()), (1_000, 20));
        assert!(shares.iter().filter(|share| **share < 250).count() > 200);
        assert!(shares.iter().filter(|share| **share > 600).count() > 150);
        assert!(shares.iter().all(|share| *share <= 1000));

        for fleet in [small_pods(), settled()] {
            let running: usize = fleet.nodes.iter().map(|node| node.residents.len()).sum();
            assert!((29_000..32_000).contains(&running), "{running}");
        }

        // Nobody has to move, so an empty plan says whether the fleet as drawn is sound; that its pods may be
        // where they are is seen when all of them are bound anew.
        let mut empty = snapshot.clone();
        let mut homes = Vec::new();
        for (id, node) in (0..).zip(&snapshot.nodes) {
            for pod in node.residents.iter() {
                homes.push((empty.pods.len() as u32, id));
                empty.pods.push(autoscaler_core::model::Pod {
                    key: pod.key.clone(),
                    uid: pod.key.name.to_string(),
                    class: pod.class,
                    nominated: None,
                    owner: None,
                    unschedulable_since_ms: None,
                });
            }
            empty.nodes[id as usize].residents = std::sync::Arc::default();
        }
        let anew = Assignment::growth(&empty, Vec::new(), &homes);
        let hard = |breaches: Vec<Breach>| {
            let of_order = |breach: &Breach| breach.rule != Rule::TopologySpread;
            breaches.into_iter().filter(of_order).collect::<Vec<_>>()
        };
        assert_eq!(
            validate(&empty, &anew).map_err(hard).err().unwrap_or_default(),
            []
        );
    }

    #[test]
    fn the_same_snapshot_every_time() {
        for id in ["H1/1000", "H8/1000", "H9/10000"] {
            let make = find(id).unwrap().snapshot;
            assert_eq!(make(), make(), "{id}");
        }
    }
}
