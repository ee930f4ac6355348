//! The checker of removals against a table of cases.

use super::{Action, NoteCode, Plan, Proposed, Reason, Refusal, check_removals};
use crate::model::{DisruptionBudget, Health, Movability, NodeState, PodAffinityTerm, SpreadConstraint};
use crate::packing::place_pending;
use crate::testing::{Cluster, pod, selector, spread, taint};
use std::sync::Arc;

fn remove(node: u32, batch: u32) -> Action {
    Action::Remove {
        node,
        batch,
        reason: Reason::new("Test", ""),
    }
}

fn codes<Stage>(plan: &Plan<Stage>) -> Vec<&str> {
    plan.notes()
        .iter()
        .map(|note| note.reason.code.as_str())
        .collect()
}

/// Three nodes of one group, with two pods of 500 on each; 2000 to a node.
fn shrinking() -> Cluster {
    let mut cluster = Cluster::default();
    cluster.snapshot.removal_budget = 10;
    let group = cluster.group("a", 0, 5);
    let template = cluster.template_of(group, "small", 2000, &[]);
    let class = cluster.class(pod(500).labels(&[("app", "web")]));
    for name in ["n0", "n1", "n2"] {
        let node = cluster.managed(name, template);
        cluster.bound(class, node);
        cluster.bound(class, node);
    }
    cluster
}

fn budget(app: &str, disruptions_allowed: u32) -> DisruptionBudget {
    DisruptionBudget {
        namespace: "default".into(),
        name: app.into(),
        selector: Some(selector(&[("app", app)])),
        disruptions_allowed,
        spares_unready: false,
    }
}

#[test]
fn removals() {
    type Arrange = fn(&mut Cluster);
    type Case<'a> = (Arrange, &'a [u32], &'a [u32], &'a [&'a str], &'a str);
    let cases: Vec<Case<'_>> = vec![
        (|_| {}, &[], &[], &[], "nothing"),
        (|_| {}, &[0], &[0], &[], "one fits on the others"),
        (
            |_| {},
            &[0, 1],
            &[0],
            &["NoPlaceToMovePods"],
            "two do not fit on the third",
        ),
        (
            |_| {},
            &[2, 1, 0],
            &[2],
            &["NoPlaceToMovePods", "NoPlaceToMovePods"],
            "the policy's order counts",
        ),
        (
            |cluster| cluster.snapshot.groups[0].min = 3,
            &[0],
            &[],
            &["GroupMinSize"],
            "at the minimum",
        ),
        (
            |cluster| {
                cluster.snapshot.groups[0].min = 2;
                cluster.no_pods();
            },
            &[0, 1],
            &[0],
            &["GroupMinSize"],
            "down to the minimum",
        ),
        (
            |cluster| {
                cluster.snapshot.removal_budget = 1;
                cluster.no_pods();
            },
            &[1, 2],
            &[1],
            &["RemovalBudget"],
            "one per loop",
        ),
        (
            |cluster| cluster.snapshot.groups[0].may_shrink = false,
            &[0],
            &[],
            &["GroupMayNotShrink"],
            "held",
        ),
        (
            |cluster| cluster.snapshot.nodes[0].group = None,
            &[0],
            &[],
            &["NotManaged"],
            "somebody else's node",
        ),
        (
            |cluster| cluster.snapshot.nodes[0].group = Some(9),
            &[0],
            &[],
            &["NotManaged"],
            "a dangling group",
        ),
        (
            |cluster| cluster.snapshot.nodes[0].state = NodeState::Leaving,
            &[0],
            &[],
            &["AlreadyLeaving"],
            "on its way out",
        ),
        (
            |cluster| cluster.snapshot.nodes[0].state = NodeState::Leaving,
            &[1],
            &[],
            &["NoPlaceToMovePods"],
            "the room elsewhere is for the pods of a node that leaves already",
        ),
        (
            |cluster| {
                cluster.snapshot.nodes[0].state = NodeState::Leaving;
                for (node, pod) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
                    cluster.resident(node, pod, |pod| pod.judgement.lasting = Movability::Ignored);
                }
                let large = cluster.class(pod(3000));
                cluster.bound(large, 0);
            },
            &[1, 2],
            &[1],
            &["NoPlaceToMovePods"],
            "one of its pods that fits nowhere keeps no node, the others keep one",
        ),
        (
            |cluster| cluster.snapshot.nodes[0].state = NodeState::Upcoming,
            &[0],
            &[],
            &["StillComing"],
            "on its way in",
        ),
        (
            |cluster| cluster.snapshot.nodes[0].state = NodeState::NotReady,
            &[0],
            &[0],
            &[],
            "a broken node may go",
        ),
        (
            |cluster| cluster.snapshot.nodes[0].protected = Some(("Annotated".into(), "keep".into())),
            &[0],
            &[],
            &["NodeProtected"],
            "protected",
        ),
        (
            |cluster| {
                cluster.resident(0, 0, |pod| {
                    pod.judgement.lasting = Movability::Blocks("NotReplicated".into(), "bare".into())
                })
            },
            &[0, 1],
            &[1],
            &["BlockedByPod"],
            "a pod that stays",
        ),
        (
            |cluster| {
                for (node, pod) in (0..3).flat_map(|node| [(node, 0), (node, 1)]) {
                    cluster.resident(node, pod, |pod| pod.judgement.lasting = Movability::Ignored);
                }
            },
            &[0, 1, 2],
            &[0, 1, 2],
            &[],
            "pods that do not matter",
        ),
        (
            |cluster| cluster.snapshot.budgets = vec![budget("web", 0)],
            &[0],
            &[],
            &["NotEnoughBudget"],
            "no room",
        ),
        (
            |cluster| cluster.snapshot.budgets = vec![budget("web", 1)],
            &[0],
            &[0],
            &[],
            "two pods go one after the other",
        ),
        (
            |cluster| {
                cluster.snapshot.budgets = vec![budget("web", 2)];
                cluster.snapshot.nodes[2].allocatable.cpu_milli = 64_000;
            },
            &[0, 1],
            &[0],
            &["NotEnoughBudget"],
            "room for one of them",
        ),
        (
            |cluster| {
                cluster.snapshot.budgets = vec![budget("web", 0)];
                cluster.resident(0, 0, |pod| pod.health = Health::Down);
                cluster.resident(0, 1, |pod| pod.health = Health::Down);
            },
            &[0, 1],
            &[0],
            &["NotEnoughBudget"],
            "pods that start or leave ask no budget",
        ),
        (
            |cluster| {
                cluster.snapshot.budgets = vec![budget("web", 0)];
                cluster.snapshot.budgets[0].spares_unready = true;
                cluster.resident(0, 0, |pod| pod.health = Health::Unready);
                cluster.resident(0, 1, |pod| pod.health = Health::Down);
                cluster.resident(1, 0, |pod| pod.health = Health::Unready);
            },
            &[0, 1],
            &[0],
            &["NotEnoughBudget"],
            "pods that are not ready take no room of a budget that spares them",
        ),
        (
            |cluster| {
                cluster.snapshot.budgets = vec![budget("web", 0)];
                cluster.resident(0, 0, |pod| pod.health = Health::Unready);
                cluster.resident(0, 1, |pod| pod.health = Health::Unready);
            },
            &[0],
            &[],
            &["NotEnoughBudget"],
            "and of another they do",
        ),
        (
            |cluster| {
                cluster.snapshot.budgets = vec![budget("web", 9), budget("web", 9)];
                cluster.snapshot.budgets[1].name = "x".into();
                cluster.resident(0, 0, |pod| pod.health = Health::Down);
                cluster.resident(0, 1, |pod| pod.health = Health::Down);
                cluster.resident(1, 0, |pod| pod.health = Health::Unready);
            },
            &[0, 1],
            &[0],
            &["SeveralBudgets"],
            "two budgets for a pod that leaves, and for one that is not ready",
        ),
        (
            |cluster| {
                // The larger one comes first, and needs the company of the other.
                let near = PodAffinityTerm {
                    selector: Some(selector(&[("app", "db")])),
                    topology_key: crate::packing::HOSTNAME_LABEL.into(),
                    namespaces: vec!["default".into()],
                    sought_everywhere: false,
                };
                let seeks = cluster.class(pod(400).with(|class| class.pod_affinity = vec![near]));
                let sought = cluster.class(pod(100).labels(&[("app", "db")]));
                for (pod, class) in [(0, seeks), (1, sought)] {
                    cluster.resident(0, pod, |pod| pod.class = class);
                }
            },
            &[0],
            &[0],
            &[],
            "two pods of which one needs the other move together",
        ),
        (
            |cluster| cluster.snapshot.budgets = vec![budget("db", 0)],
            &[0],
            &[0],
            &[],
            "a budget of others",
        ),
        (
            |cluster| {
                cluster.snapshot.budgets = vec![DisruptionBudget {
                    namespace: "other".into(),
                    ..budget("web", 0)
                }];
            },
            &[0],
            &[0],
            &[],
            "a budget of another namespace",
        ),
        (
            |cluster| {
                cluster.snapshot.budgets = vec![DisruptionBudget {
                    selector: None,
                    ..budget("web", 0)
                }]
            },
            &[0],
            &[0],
            &[],
            "a budget that selects nothing",
        ),
        (
            |cluster| {
                cluster.snapshot.budgets = vec![
                    budget("web", 9),
                    DisruptionBudget {
                        name: "x".into(),
                        ..budget("web", 9)
                    },
                ];
            },
            &[0],
            &[],
            &["SeveralBudgets"],
            "two budgets for one pod",
        ),
        (
            |cluster| cluster.snapshot.nodes[1].state = NodeState::Upcoming,
            &[0],
            &[0],
            &[],
            "the third has room enough alone",
        ),
        (
            |cluster| {
                cluster.snapshot.nodes[1].state = NodeState::Upcoming;
                cluster.snapshot.nodes[2].state = NodeState::Upcoming;
            },
            &[0],
            &[],
            &["NoPlaceToMovePods"],
            "nodes that are merely on their way are no place",
        ),
        (
            |cluster| {
                cluster.snapshot.nodes[1].taints.push(taint("gpu"));
                cluster.snapshot.nodes[2].unschedulable = true;
            },
            &[0],
            &[],
            &["NoPlaceToMovePods"],
            "nor are tainted and cordoned ones",
        ),
        (
            |cluster| {
                cluster.snapshot.nodes[1].group = None;
                cluster.snapshot.nodes[2].labels = Arc::default();
            },
            &[0],
            &[0],
            &[],
            "nodes of others have room too",
        ),
        (
            |cluster| {
                let class = cluster.class(pod(1000));
                cluster.waiting(class, 3);
            },
            &[0],
            &[],
            &["NoPlaceToMovePods"],
            "waiting pods count as placed",
        ),
    ];
    for (arrange, nodes, expected, notes, why) in cases {
        let mut cluster = shrinking();
        arrange(&mut cluster);
        let placement = place_pending(&cluster.shared());
        let actions = nodes.iter().map(|node| remove(*node, 0)).collect();
        let plan = check_removals(&placement, Plan::<Proposed>::propose(actions)).expect(why);
        let removed: Vec<Action> = expected.iter().map(|node| remove(*node, 0)).collect();
        assert_eq!(plan.actions(), removed, "{why}");
        assert_eq!(codes(&plan), notes, "{why}");
    }
}

#[test]
fn batches_come_in_order() {
    let mut cluster = shrinking();
    cluster.no_pods();
    let placement = place_pending(&cluster.shared());
    let plan = Plan::propose(vec![remove(0, 2), remove(1, 1), remove(2, 1)]);
    let plan = check_removals(&placement, plan).unwrap();
    assert_eq!(plan.actions(), [remove(1, 1), remove(2, 1), remove(0, 2)]);
}

/// Zone a with a pod on each of two nodes, of which one is full; a pod in zone b; and zone c, where nobody runs.
/// A node of zone a is to go, and that of zone c before it or beside it.
#[test]
fn an_empty_zone_holds_others_back_until_its_node_is_gone() {
    /// Node and batch of each step.
    type Steps<'a> = &'a [(u32, u32)];
    let cases: [(bool, Steps<'_>, &[u32], &str); 4] = [
        (false, &[(0, 0)], &[0], "zone c takes the pod"),
        (false, &[(2, 0), (0, 0)], &[2], "zone c takes none, and is there"),
        (true, &[(2, 0), (0, 0)], &[2, 0], "unless taints count"),
        (false, &[(2, 0), (0, 1)], &[2, 0], "zone c is gone by then"),
    ];
    for (honor_taints, steps, expected, why) in cases {
        let mut cluster = Cluster::default();
        cluster.snapshot.removal_budget = 10;
        let group = cluster.group("a", 0, 10);
        let spread = SpreadConstraint {
            honor_taints,
            ..spread("zone", 1)
        };
        let class = pod(500).labels(&[("app", "web")]);
        let class = cluster.class(class.with(|class| class.topology_spread = vec![spread]));
        for (name, zone, cores, runs) in [
            ("n0", "a", 500, true),
            ("n1", "b", 2000, true),
            ("n2", "c", 2000, false),
            ("n3", "a", 500, true),
        ] {
            let template = cluster.template_of(group, name, cores, &[("zone", zone)]);
            let node = cluster.managed(name, template);
            if runs {
                cluster.bound(class, node);
            }
        }
        let placement = place_pending(&cluster.shared());
        let plan = Plan::propose(steps.iter().map(|(node, batch)| remove(*node, *batch)).collect());
        let plan = check_removals(&placement, plan).expect(why);
        let removed = plan.actions().iter().map(|action| match action {
            Action::Remove { node, .. } => *node,
            Action::Buy { .. } | Action::Replace { .. } => panic!("{why}: a purchase"),
        });
        assert_eq!(removed.collect::<Vec<_>>(), expected, "{why}");
    }
}

#[test]
fn removals_refuse_nonsense() {
    let placement = place_pending(&shrinking().shared());
    let refusal = |actions| check_removals(&placement, Plan::propose(actions)).unwrap_err();
    assert_eq!(
        refusal(vec![remove(3, 0)]),
        Refusal::OutOfRange {
            what: "node",
            index: 3,
            count: 3
        }
    );
    assert_eq!(
        refusal(vec![remove(1, 0), remove(1, 1)]),
        Refusal::Duplicate {
            what: "node",
            index: 1
        }
    );
    let purchase = Action::Buy {
        template: 0,
        count: 1,
        fallbacks: Vec::new(),
        reason: Reason::new("Test", ""),
    };
    assert_eq!(refusal(vec![purchase]).reason(), "WrongKind");
}

#[test]
fn notes_carry_listed_codes() {
    let mut cluster = shrinking();
    cluster.snapshot.groups[0].min = 3;
    let placement = place_pending(&cluster.shared());
    let plan = check_removals(&placement, Plan::propose(vec![remove(1, 0)])).unwrap();
    assert_eq!(plan.notes()[0].subject, "n1");
    assert!(
        NoteCode::ALL
            .iter()
            .any(|code| code.as_str() == plan.notes()[0].reason.code)
    );
}
