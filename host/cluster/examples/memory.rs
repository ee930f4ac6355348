//! How much memory the index of a cluster takes: `cargo run -p autoscaler-cluster --example memory -- 5000`.
//!
//! The objects come through the watches that the controller uses, from an API server in this process.

#[path = "../tests/recorded/mod.rs"]
mod recorded;

use autoscaler_cluster::Inputs;
use recorded::{PODS_PER_NODE, kept};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Resident memory of this process, in MiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kib.unwrap_or(0) >> 10
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let nodes = std::env::args()
        .nth(1)
        .and_then(|count| count.parse().ok())
        .unwrap_or(5000);
    let pods = nodes * PODS_PER_NODE;
    println!("resident before: {} MiB", resident());
    let (index, bytes) = kept(ALLOCATOR, nodes, 0).await;
    println!("{nodes} nodes: {bytes} bytes, {} per node", bytes / nodes);
    drop(index);
    let began = Instant::now();
    let (index, all) = kept(ALLOCATOR, nodes, pods).await;
    println!(
        "with {pods} pods: {all} bytes, {} per pod; read in {:.1?}; resident: {} MiB",
        all.saturating_sub(bytes) / pods,
        began.elapsed(),
        resident(),
    );
    let began = Instant::now();
    let snapshot = index.snapshot(&Inputs::default());
    println!(
        "a snapshot of it: {:.1?}, {} classes; resident with it: {} MiB",
        began.elapsed(),
        snapshot.classes.len(),
        resident(),
    );
}
