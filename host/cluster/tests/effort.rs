//! What work does not grow with. Time is for benchmarks (`benches/`); how often memory is asked for is exact.

mod scene;

use autoscaler_cluster::Change;
use autoscaler_core::packing::State;
use scene::Size;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn allocations<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let region = Region::new(ALLOCATOR);
    let result = work();
    (region.change().allocations, result)
}

fn size(nodes: usize, pods: usize) -> Size {
    Size {
        nodes,
        pods,
        classes: 10,
        waiting: 2,
        templates: 10,
    }
}

fn change(number: usize, node: usize) -> Change {
    let pod = scene::pod(number, 10, Some(node));
    Change::Pod(scene::typed(pod))
}

/// One test: others beside it would be counted too.
#[test]
fn what_work_does_not_grow_with() {
    // A pod that moves to another node and back, in a cluster and in one ten times as large.
    let event = |nodes: usize, in_use: bool| {
        let (index, inputs) = scene::folded(size(nodes, nodes * 30));
        let snapshot = in_use.then(|| index.snapshot(&inputs));
        let (there, back) = (change(0, 1), change(0, 0));
        let (asked, ()) = allocations(|| {
            index.apply(&there);
            index.apply(&back);
        });
        drop(snapshot);
        asked
    };
    for in_use in [false, true] {
        let (small, large) = (event(20, in_use), event(200, in_use));
        assert!(small > 0, "nothing was counted");
        assert_eq!(small, large, "a watch event; snapshot in use: {in_use}");
    }

    // A snapshot, and the state that it begins with, of as many nodes with ten times the pods.
    let decision = |pods: usize| {
        let (index, inputs) = scene::folded(size(20, pods));
        let (asked, snapshot) = allocations(|| Arc::new(index.snapshot(&inputs)));
        let all: usize = snapshot.nodes.iter().map(|node| node.residents.len()).sum();
        assert_eq!(all, pods, "all of them are there");
        (asked, allocations(|| State::new(&snapshot)).0)
    };
    let (few, many) = (decision(1_000), decision(10_000));
    assert!(few.0 > 0 && few.1 > 0, "nothing was counted");
    assert_eq!(few, many, "a snapshot, and a state");
}
