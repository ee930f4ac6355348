//! The index stays small. `examples/memory.rs` measures a large cluster; this counts bytes, which is exact.

mod recorded;

use recorded::{PODS_PER_NODE, kept};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Half as much again as was measured: 7 922 bytes per node, 1 121 per pod.
const BYTES_PER_NODE: usize = 12_000;
const BYTES_PER_POD: usize = 1_700;

#[tokio::test]
async fn memory_follows_the_number_of_objects() {
    let (few, many) = (10, 30);
    let bytes = async |nodes: usize, pods: usize| kept(ALLOCATOR, nodes, pods).await.1;
    // The first one pays for what is made once in a process.
    bytes(few, few).await;
    let per_node = bytes(many, 0).await.saturating_sub(bytes(few, 0).await) / (many - few);
    let pods = |nodes: usize| nodes * PODS_PER_NODE;
    let grown = bytes(many, pods(many))
        .await
        .saturating_sub(bytes(many, pods(few)).await);
    let per_pod = grown / pods(many - few);
    println!("{per_node} bytes per node, {per_pod} per pod");
    assert!(per_node <= BYTES_PER_NODE, "{per_node} bytes per node");
    assert!(per_pod <= BYTES_PER_POD, "{per_pod} bytes per pod");
}
