//! Questions: what policies are told of a cluster.

use super::{NodeFlags, Question, questions};
use crate::model::{DisruptionBudget, Movability, NodeState};
use crate::packing::place_pending;
use crate::testing::{Cluster, pod, selector};

/// Groups `a` (one node of at most three, two templates) and `b` (none of at most five); five pods of 1500 wait.
pub(super) fn cluster() -> Cluster {
    let mut cluster = Cluster::default();
    cluster.snapshot.now_ms = 100_000;
    cluster.snapshot.removal_budget = 2;
    let (a, b) = (cluster.group("a", 0, 3), cluster.group("b", 1, 5));
    let small = cluster.template_of(a, "small", 2000, &[]);
    cluster.template_of(a, "large", 4000, &[]);
    cluster.template_of(b, "other", 8000, &[]);
    let node = cluster.managed("a-1", small);
    let running = cluster.class(pod(1000).labels(&[("app", "web")]));
    cluster.bound(running, node);
    let class = cluster.class(pod(1500));
    cluster.waiting(class, 5);
    cluster.snapshot.pods[2].unschedulable_since_ms = Some(40_000);
    cluster
}

#[test]
fn a_scale_up_question() {
    let cluster = cluster();
    let placement = place_pending(&cluster.shared());
    let Question::ScaleUp {
        context,
        catalogue,
        pending,
    } = questions::scale_up(&placement, &|group| group == 0)
    else {
        panic!("another question");
    };
    assert_eq!((context.now_ms, context.cluster_headroom), (100_000, None));
    assert_eq!(
        context.resource_names,
        ["cpu", "memory", "ephemeral-storage", "pods"]
    );
    assert_eq!(catalogue.groups[1].name, "default/b");
    let headroom: Vec<u32> = catalogue
        .templates
        .iter()
        .map(|template| template.headroom)
        .collect();
    assert_eq!(headroom, [2, 2, 0], "the last one is of another partition");
    assert_eq!(catalogue.allocatable[4..8], [4000, 64 << 30, 0, 110]);
    assert_eq!(
        pending.class_ids,
        [1],
        "the class that runs has nothing to ask for"
    );
    assert_eq!(pending.requests, [1500, 0, 0, 1]);
    assert_eq!(
        [0, 1, 2].map(|template| pending.per_node.pods(0, template)),
        [1, 2, 5]
    );
    let row = &pending.classes[0];
    assert_eq!(
        (row.name.as_str(), row.unplaced, row.waiting_ms),
        ("default/ReplicaSet/web", 5, 60_000)
    );
}

#[test]
fn headroom() {
    type Arrange = fn(&mut Cluster);
    let cases: [(Arrange, [u32; 3], &str); 7] = [
        (|_| {}, [2, 2, 5], "the groups' own room"),
        (
            |cluster| cluster.snapshot.max_cluster_nodes = Some(4),
            [2, 2, 3],
            "the cluster's room",
        ),
        (
            |cluster| cluster.snapshot.max_cluster_nodes = Some(0),
            [0, 0, 0],
            "beyond the cluster's maximum",
        ),
        (
            |cluster| cluster.snapshot.groups[0].may_grow = false,
            [0, 0, 5],
            "may not grow",
        ),
        (
            |cluster| cluster.snapshot.groups[1].held = Some(("X".into(), String::new())),
            [2, 2, 0],
            "held",
        ),
        (
            |cluster| cluster.snapshot.templates[1].backoff_until_ms = Some(100_001),
            [2, 0, 5],
            "backing off",
        ),
        (
            |cluster| cluster.snapshot.templates[1].backoff_until_ms = Some(100_000),
            [2, 2, 5],
            "no longer",
        ),
    ];
    for (arrange, expected, why) in cases {
        let mut cluster = cluster();
        arrange(&mut cluster);
        let placement = place_pending(&cluster.shared());
        let Question::NodeSelection { catalogue, .. } =
            questions::growth(&placement, &|_| true).node_selection(Vec::new())
        else {
            panic!("another question");
        };
        let headroom: Vec<u32> = catalogue
            .templates
            .iter()
            .map(|template| template.headroom)
            .collect();
        assert_eq!(headroom, expected, "{why}");
    }
}

#[test]
fn a_fleet() {
    let mut cluster = cluster();
    cluster.snapshot.nodes[0].idle_since_ms = Some(0);
    let idle = cluster.managed("b-1", 2) as usize;
    cluster.snapshot.nodes[idle].idle_since_ms = Some(70_000);
    cluster.snapshot.nodes[idle].state = NodeState::NotReady;
    cluster.node("nobody's", 100);
    let placement = place_pending(&cluster.shared());
    let Question::Rebalance {
        fleet,
        waiting_pods,
        removal_budget,
        ..
    } = questions::rebalance(&placement, &|_| true)
    else {
        panic!("another question");
    };
    assert_eq!((waiting_pods, removal_budget), (5, 2));
    assert_eq!(fleet.names, ["a-1", "b-1"]);
    assert_eq!(
        (fleet.node_ids, fleet.group, fleet.template),
        (vec![0, 1], vec![0, 1], vec![0, 2])
    );
    assert_eq!(
        (fleet.cpu_permille, fleet.pods_to_move),
        (vec![500, 0], vec![1, 0])
    );
    assert_eq!(
        fleet.idle_ms,
        [0, 30_000],
        "a node with a pod is not idle, whatever the watch said"
    );
    let ready = NodeFlags {
        ready: true,
        ..NodeFlags::default()
    };
    assert_eq!(fleet.flags, [ready, NodeFlags::default()]);
}

#[test]
fn flags() {
    type Arrange = fn(&mut Cluster);
    let flag = |change: fn(&mut NodeFlags)| {
        let mut flags = NodeFlags {
            ready: true,
            ..NodeFlags::default()
        };
        change(&mut flags);
        flags
    };
    let cases: Vec<(Arrange, NodeFlags, &str)> = vec![
        (|_| {}, flag(|_| {}), "ready"),
        (
            |cluster| cluster.snapshot.nodes[0].unschedulable = true,
            flag(|f| (f.ready, f.cordoned) = (false, true)),
            "cordoned",
        ),
        (
            |cluster| cluster.snapshot.nodes[0].state = NodeState::Upcoming,
            flag(|f| (f.ready, f.upcoming) = (false, true)),
            "upcoming",
        ),
        (
            |cluster| cluster.snapshot.nodes[0].state = NodeState::Leaving,
            flag(|f| (f.ready, f.leaving) = (false, true)),
            "leaving",
        ),
        (
            |cluster| cluster.snapshot.groups[0].may_shrink = false,
            flag(|f| f.blocked = true),
            "the group is held",
        ),
        (
            |cluster| cluster.snapshot.nodes[0].protected = Some(("X".into(), String::new())),
            flag(|f| f.blocked = true),
            "protected",
        ),
        (
            |cluster| {
                cluster.resident(0, 0, |pod| {
                    pod.judgement.lasting = Movability::Blocks("X".into(), String::new())
                })
            },
            flag(|f| f.blocked = true),
            "a pod that stays",
        ),
        (
            |cluster| {
                cluster.snapshot.budgets.push(DisruptionBudget {
                    namespace: "default".into(),
                    name: "web".into(),
                    selector: Some(selector(&[("app", "web")])),
                    disruptions_allowed: 0,
                    spares_unready: false,
                });
            },
            flag(|f| f.blocked = true),
            "a budget without room",
        ),
    ];
    for (arrange, expected, why) in cases {
        let mut cluster = cluster();
        arrange(&mut cluster);
        let placement = place_pending(&cluster.shared());
        let Question::Rebalance { fleet, .. } = questions::rebalance(&placement, &|_| true) else {
            panic!("another question");
        };
        assert_eq!(fleet.flags, [expected], "{why}");
    }
}

#[test]
fn a_node_that_offers_nothing_is_not_little_used() {
    for (cpu, pods, expected) in [(4000, 1, 250), (0, 1, 1000), (-1, 1, 1000), (0, 0, 0)] {
        let mut cluster = Cluster::default();
        let group = cluster.group("a", 0, 3);
        let template = cluster.template_of(group, "small", 2000, &[]);
        let node = cluster.managed("a-1", template);
        cluster.snapshot.nodes[node as usize].allocatable.cpu_milli = cpu;
        let class = cluster.class(pod(1000));
        for _ in 0..pods {
            cluster.bound(class, node);
        }
        let placement = place_pending(&cluster.shared());
        let Question::Rebalance { fleet, .. } = questions::rebalance(&placement, &|_| true) else {
            panic!("another question");
        };
        assert_eq!(fleet.cpu_permille, [expected], "{cpu} for {pods}");
    }
}
