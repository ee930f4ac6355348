//! A group with a few nodes each; what goes, what stays, and why.

use super::*;
use policy_sdk::rebalance::{Fleet, NodeFlags};
use policy_sdk::testing::{node_group, with_oracle};
use policy_sdk::what_if::{Cause, Leftover, Outcome};
use policy_sdk::{Catalogue, Context, NodeGroup};

const MINUTE: u64 = 60_000;
const READY: NodeFlags = NodeFlags::READY;

#[derive(Clone, Copy)]
struct NodeCase {
    permille: u32,
    pods: u32,
    idle_ms: u64,
    age_ms: u64,
    price: u64,
    flags: NodeFlags,
}

const IDLE: NodeCase = NodeCase {
    permille: 0,
    pods: 0,
    idle_ms: 20 * MINUTE,
    age_ms: 60 * MINUTE,
    price: 100_000,
    flags: READY,
};
const LOW: NodeCase = NodeCase {
    permille: 200,
    pods: 2,
    idle_ms: 0,
    ..IDLE
};
const BUSY: NodeCase = NodeCase {
    permille: 900,
    pods: 9,
    ..LOW
};

fn snapshot(nodes: &[NodeCase]) -> Snapshot {
    let count = u32::try_from(nodes.len()).unwrap();
    let group = NodeGroup {
        current: count,
        ..node_group("ns/g", 20)
    };
    Snapshot {
        context: Context {
            now_ms: 0,
            seed: 0,
            resource_names: Vec::new(),
            cluster_headroom: None,
            annotations: Vec::new(),
        },
        catalogue: Catalogue {
            groups: vec![group],
            templates: Vec::new(),
            allocatable: Vec::new(),
        },
        fleet: Fleet {
            names: (0..count).map(|number| format!("n{number}")).collect(),
            group: nodes.iter().map(|_| 0).collect(),
            template: nodes.iter().map(|_| 0).collect(),
            hourly_micros: nodes.iter().map(|node| node.price).collect(),
            cpu_permille: nodes.iter().map(|node| node.permille).collect(),
            memory_permille: nodes.iter().map(|node| node.permille / 2).collect(),
            pods_to_move: nodes.iter().map(|node| node.pods).collect(),
            age_ms: nodes.iter().map(|node| node.age_ms).collect(),
            idle_ms: nodes.iter().map(|node| node.idle_ms).collect(),
            not_ready_ms: vec![0; nodes.len()],
            flags: nodes.iter().map(|node| node.flags).collect(),
        },
        waiting_pods: 0,
        removal_budget: 10,
    }
}

/// Finds a place for all pods while at most `most` nodes go.
fn ask(snapshot: Snapshot, most: usize) -> Proposal {
    let oracle = move |question: &Question| {
        assert_eq!(
            question.pods.as_deref(),
            Some(&[][..]),
            "waiting pods are none of its business"
        );
        let stuck = question.removals.len() > most;
        let leftover = Leftover {
            class: 0,
            pods: 1,
            cause: Cause::Resources,
        };
        Outcome {
            used: Vec::new(),
            unplaced: if stuck { vec![leftover] } else { Vec::new() },
            hourly_delta_micros: 0,
            cpu_permille: 0,
            memory_permille: 0,
        }
    };
    with_oracle(oracle, move || decide(&snapshot, &Config::default()))
}

/// [(node, batch)], [(node, code)].
type Summary<'a> = (Vec<(u32, u32)>, Vec<(u32, &'a str)>);

fn summary(proposal: &Proposal) -> Summary<'_> {
    let steps = proposal.steps.iter().map(|step| match &step.action {
        Action::Remove(node) => (*node, step.batch),
        Action::Replace(_) => panic!("replacements are not wanted here"),
    });
    (
        steps.collect(),
        proposal
            .kept
            .iter()
            .map(|kept| (kept.node, kept.reason.code.as_str()))
            .collect(),
    )
}

#[test]
fn superfluous_nodes_go_and_the_others_are_explained() {
    type Case<'a> = (
        &'a str,
        &'a [NodeCase],
        fn(&mut Snapshot),
        usize,
        &'a [(u32, u32)],
        &'a [(u32, &'a str)],
    );
    let with = |node: NodeCase, flags| NodeCase { flags, ..node };
    let cases: &[Case<'_>] = &[
        ("busy nodes stay, silently", &[BUSY, BUSY], |_| {}, 9, &[], &[]),
        (
            "idle ones together, dearest first",
            &[
                IDLE,
                NodeCase {
                    price: 200_000,
                    ..IDLE
                },
            ],
            |_| {},
            9,
            &[(1, 0), (0, 0)],
            &[],
        ),
        (
            "little-used ones one by one",
            &[LOW, NodeCase { permille: 100, ..LOW }],
            |_| {},
            9,
            &[(1, 1), (0, 2)],
            &[],
        ),
        (
            "as long as the pods fit",
            &[LOW, LOW, BUSY],
            |_| {},
            1,
            &[(0, 1)],
            &[(1, "NoOtherPlace")],
        ),
        (
            "idle before little-used",
            &[LOW, IDLE],
            |_| {},
            1,
            &[(1, 0)],
            &[(0, "NoOtherPlace")],
        ),
        (
            "not yet",
            &[NodeCase {
                idle_ms: MINUTE,
                ..IDLE
            }],
            |_| {},
            9,
            &[],
            &[(0, "IdleTooShort")],
        ),
        (
            "too young",
            &[NodeCase {
                age_ms: MINUTE,
                ..LOW
            }],
            |_| {},
            9,
            &[],
            &[(0, "TooYoung")],
        ),
        (
            "just grown",
            &[LOW],
            |s| s.catalogue.groups[0].since_scale_up_ms = Some(MINUTE),
            9,
            &[],
            &[(0, "GroupJustGrew")],
        ),
        (
            "most saved for each move first",
            &[
                LOW,
                NodeCase {
                    pods: 1,
                    permille: 300,
                    ..LOW
                },
            ],
            |_| {},
            9,
            &[(1, 1), (0, 2)],
            &[],
        ),
        (
            "minimum",
            &[IDLE, IDLE],
            |s| s.catalogue.groups[0].min = 1,
            9,
            &[(0, 0)],
            &[(1, "GroupAtMinimum")],
        ),
        (
            "coming nodes are none yet",
            &[IDLE],
            |s| {
                s.catalogue.groups[0].min = 1;
                s.catalogue.groups[0].current = 2;
                s.catalogue.groups[0].upcoming = 1;
            },
            9,
            &[],
            &[(0, "GroupAtMinimum")],
        ),
        (
            "budget",
            &[IDLE, IDLE],
            |s| s.removal_budget = 1,
            9,
            &[(0, 0)],
            &[(1, "BudgetSpent")],
        ),
        (
            "pods wait",
            &[IDLE, LOW],
            |s| s.waiting_pods = 3,
            9,
            &[],
            &[(0, "PodsWait"), (1, "PodsWait")],
        ),
        (
            "blocked",
            &[with(IDLE, READY | NodeFlags::BLOCKED)],
            |_| {},
            9,
            &[],
            &[(0, "Blocked")],
        ),
        (
            "leaving or coming",
            &[with(IDLE, NodeFlags::LEAVING), with(IDLE, NodeFlags::UPCOMING)],
            |_| {},
            9,
            &[],
            &[],
        ),
        (
            "no such group",
            &[IDLE],
            |s| s.fleet.group[0] = 7,
            9,
            &[],
            &[(0, "GroupAtMinimum")],
        ),
        (
            "a column too short",
            &[IDLE],
            |s| s.fleet.age_ms.clear(),
            9,
            &[],
            &[],
        ),
    ];
    for (name, nodes, change, most, steps, kept) in cases {
        let mut snapshot = snapshot(nodes);
        change(&mut snapshot);
        let proposal = ask(snapshot, *most);
        assert_eq!(summary(&proposal), (steps.to_vec(), kept.to_vec()), "{name}");
    }
}

#[test]
fn removal_while_pods_wait_can_be_allowed() {
    let mut snapshot = snapshot(&[IDLE]);
    snapshot.waiting_pods = 1;
    let config = Config {
        while_pods_wait: true,
        ..Config::default()
    };
    assert_eq!(decide(&snapshot, &config).steps.len(), 1);
}

#[test]
fn a_share_of_nothing_leaves_used_nodes_alone() {
    let config = Config {
        underused_permille: 0,
        ..Config::default()
    };
    let proposal = decide(&snapshot(&[LOW, IDLE]), &config);
    assert_eq!(summary(&proposal), (vec![(1, 0)], vec![]));
}
