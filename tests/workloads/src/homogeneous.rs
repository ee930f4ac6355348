//! The shapes of Cluster Autoscaler's benchmarks: nodes of one size, pods of one or two.

use crate::cluster::{Cluster, MIB, class, resources};
use autoscaler_core::model::Snapshot;

/// What its test nodes have room for unless told otherwise.
const PODS_PER_NODE: i64 = 100;
const PRICE: u64 = 100_000;

/// 50 000 small and 1 000 larger pods for nodes of one core; a perfect packing has 2 595 of them.
pub(crate) fn estimate() -> Snapshot {
    let mut cluster = Cluster::new();
    let old = cluster.group("old", 0);
    let old = cluster.template(old, "old", "zone-jupiter", resources(100, 100, 10), PRICE);
    let node = cluster.node(old) as usize;
    // The estimator looks at new nodes only.
    cluster.snapshot.nodes[node].unschedulable = true;
    let group = cluster.group("group", 3_000);
    cluster.template(
        group,
        "template",
        "zone-mars",
        resources(1_000, 5_000 * MIB, 100),
        PRICE,
    );
    for (cpu, memory, pods) in [(50, 100, 50_000), (95, 190, 1_000)] {
        let mut class = class(cpu, memory);
        class.labels = crate::cluster::labels(&[("app", "estimatee")]);
        let class = cluster.class(class);
        (0..pods).for_each(|_| cluster.pod(class, None));
    }
    cluster.snapshot
}

fn one_group() -> Cluster {
    let mut cluster = Cluster::new();
    let group = cluster.group("group", 10_000);
    let node = resources(10_000, 10_000, PODS_PER_NODE);
    cluster.template(group, "template", "zone", node, PRICE);
    cluster
}

/// 50 000 pods, 50 to a node.
pub(crate) fn scale_up() -> Snapshot {
    let mut cluster = one_group();
    let class = cluster.class(class(200, 200));
    (0..50_000).for_each(|_| cluster.pod(class, None));
    cluster.snapshot
}

/// 2 000 nodes with 40 pods each, of which 800 would hold all.
pub(crate) fn scale_down() -> Snapshot {
    let mut cluster = one_group();
    let class = cluster.class(class(100, 100));
    let nodes: Vec<_> = (0..2_000).map(|_| cluster.node(0)).collect();
    for _ in 0..40 {
        nodes.iter().for_each(|node| cluster.pod(class, Some(*node)));
    }
    cluster.snapshot
}

/// Half-full nodes, and pods that ask for more memory than a node has.
pub(crate) fn filter(nodes: u32, running: u32, waiting: u32) -> Snapshot {
    let mut cluster = Cluster::new();
    let group = cluster.group("group", nodes);
    let node = resources(2_000, 200_000, PODS_PER_NODE);
    cluster.template(group, "template", "zone", node, PRICE);
    let nodes: Vec<_> = (0..nodes).map(|_| cluster.node(0)).collect();
    let small = cluster.class(class(1_000, 200_000));
    for (_, node) in (0..running).zip(nodes.iter().cycle()) {
        cluster.pod(small, Some(*node));
    }
    let large = cluster.class(class(1_000, 2_000_000));
    (0..waiting).for_each(|_| cluster.pod(large, None));
    cluster.snapshot
}
