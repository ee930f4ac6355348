use super::*;
use crate::model::NodeState;
use crate::testing::{Cluster, pod};

/// Names of the nodes that take the waiting pods, in the order of placing.
fn homes(placement: &Placement) -> Vec<String> {
    let nodes = &placement.snapshot().nodes;
    placement
        .placed
        .iter()
        .map(|(_, node)| nodes[*node as usize].name.clone())
        .collect()
}

#[test]
fn which_nodes_take_pods() {
    let mut cluster = Cluster::default();
    for (name, state, cordoned) in [
        ("upcoming", NodeState::Upcoming, false),
        ("leaving", NodeState::Leaving, false),
        ("unready", NodeState::NotReady, false),
        ("cordoned", NodeState::Ready, true),
        ("ready", NodeState::Ready, false),
    ] {
        let node = cluster.node(name, 1000) as usize;
        cluster.snapshot.nodes[node].state = state;
        cluster.snapshot.nodes[node].unschedulable = cordoned;
    }
    let class = cluster.class(pod(1000));
    cluster.waiting(class, 4);
    let placement = place_pending(&cluster.shared());
    assert_eq!(homes(&placement), ["ready", "upcoming"]);
    assert_eq!(placement.unplaced_pods(), 2);
    assert_eq!(
        placement.unplaced[0].cause,
        Cause::Resources,
        "of the nodes that could take pods"
    );
}

#[test]
fn who_comes_first() {
    let mut cluster = Cluster::default();
    cluster.node("only", 1000);
    let small = cluster.class(pod(400));
    let large = cluster.class(pod(600));
    let urgent = cluster.class(pod(300).with(|class| class.priority = 10));
    cluster.waiting(small, 1);
    cluster.waiting(large, 1);
    cluster.waiting(urgent, 1);
    let placement = place_pending(&cluster.shared());
    let placed: Vec<ClassId> = placement
        .placed
        .iter()
        .map(|(pod, _)| placement.snapshot().pods[*pod as usize].class)
        .collect();
    assert_eq!(placed, [urgent, large]);
    assert_eq!(placement.unplaced[0].class, small);
    assert_eq!(placement.unplaced[0].cause, Cause::Resources);
}

#[test]
fn company_that_comes_later_counts() {
    let mut cluster = Cluster::default();
    cluster.labelled("n", 4000, &[("zone", "a")]);
    let near = crate::model::PodAffinityTerm {
        selector: Some(crate::testing::selector(&[("app", "db")])),
        topology_key: "zone".into(),
        namespaces: vec!["default".into()],
        sought_everywhere: false,
    };
    let first = cluster.class(
        pod(1000)
            .with(|class| class.priority = 10)
            .with(|class| class.pod_affinity = vec![near]),
    );
    let second = cluster.class(pod(100).labels(&[("app", "db")]));
    cluster.waiting(first, 2);
    cluster.waiting(second, 1);
    assert_eq!(place_pending(&cluster.shared()).unplaced, []);
}

#[test]
fn a_budget_leaves_a_valid_part_and_says_what_it_left() {
    let mut cluster = Cluster::default();
    for number in 0..200 {
        cluster.node(&format!("n{number:03}"), 1000);
    }
    let urgent = cluster.class(pod(600).with(|class| class.priority = 10));
    let other = cluster.class(pod(700));
    cluster.waiting(other, 100);
    cluster.waiting(urgent, 100);
    let snapshot = cluster.shared();
    let whole = place_pending(&snapshot);
    assert_eq!((whole.placed.len(), whole.postponed.len()), (200, 0));
    let part = place_pending_within(&snapshot, 300);
    assert_eq!(part.unplaced, [], "what was not looked at is no reason to buy");
    assert_eq!(part.postponed.len(), 1);
    let left = &part.postponed[0];
    assert_eq!(
        (left.class, left.cause),
        (other, Cause::Budget),
        "the less important"
    );
    assert_eq!(part.placed.len() + left.pods.len(), 200);
    assert_eq!(
        part.placed,
        whole.placed[..part.placed.len()],
        "the same as far as it goes"
    );
    let nothing = place_pending_within(&snapshot, 0);
    assert_eq!((nothing.placed.len(), nothing.postponed.len()), (0, 2));
}

#[test]
fn the_oldest_counts() {
    let mut cluster = Cluster::default();
    cluster.snapshot.now_ms = 900;
    let class = cluster.class(pod(100));
    cluster.waiting(class, 3);
    cluster.snapshot.pods[1].unschedulable_since_ms = Some(300);
    cluster.snapshot.pods[2].unschedulable_since_ms = Some(500);
    assert_eq!(place_pending(&cluster.shared()).unplaced[0].oldest_ms, 300);
}

#[test]
fn why_templates_refuse() {
    let mut cluster = Cluster::default();
    cluster.template("small", 500, &[]);
    cluster.template("large", 4000, &[]);
    let tainted = cluster.template("tainted", 4000, &[]) as usize;
    cluster.snapshot.templates[tainted]
        .taints
        .push(crate::testing::taint("gpu"));
    let class = cluster.class(pod(1000));
    let placement = place_pending(&cluster.shared());
    assert_eq!(
        placement.refusals_by_template(class),
        [Some(Cause::Resources), None, Some(Cause::Taints)]
    );
}

#[test]
fn dangling_numbers_are_ignored() {
    let mut cluster = Cluster::default();
    cluster.node("n", 1000);
    cluster.class(pod(100));
    cluster.bound(77, 0);
    cluster.waiting(77, 1);
    let placement = place_pending(&cluster.shared());
    assert_eq!((placement.placed.len(), placement.unplaced.len()), (0, 0));
}
