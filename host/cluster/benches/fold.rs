//! The cost of one watch event, which must not grow with the cluster.

#[path = "../tests/recorded/objects.rs"]
mod recorded;

use autoscaler_cluster::{Change, Index, Inputs};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Nodes and pods.
const SIZES: [(usize, usize); 5] = [
    (100, 1_000),
    (500, 10_000),
    (1_000, 30_000),
    (2_500, 75_000),
    (5_000, 150_000),
];

fn typed<K: DeserializeOwned>(object: Value) -> Arc<K> {
    Arc::new(serde_json::from_value(object).unwrap_or_else(|error| panic!("{error}")))
}

fn node(number: usize) -> Change {
    Change::Node(typed(recorded::node(number)))
}

fn pod(number: usize, nodes: usize) -> Change {
    Change::Pod(typed(recorded::pod(number, nodes)))
}

fn events(criterion: &mut Criterion) {
    let mut fold = criterion.benchmark_group("fold");
    fold.sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    for (nodes, pods) in SIZES {
        let index = Index::new(Arc::new(|| jiff::Timestamp::UNIX_EPOCH));
        (0..nodes).for_each(|number| index.apply(&node(number)));
        (0..pods).for_each(|number| index.apply(&pod(number, nodes)));
        let size = format!("{nodes} nodes, {pods} pods");
        // A thousand events that are told again and again: making them must not be what is measured.
        let any = |of: usize| (0..1_000).map(move |at| at * 7_919 % of);
        let of_pods: Vec<Change> = any(pods).map(|number| pod(number, nodes)).collect();
        let of_nodes: Vec<Change> = any(nodes).map(node).collect();
        let mut next = 0;
        let mut draw = |from: usize| {
            next = (next + 1) % from;
            next
        };
        fold.bench_function(BenchmarkId::new("a pod changes", &size), |bencher| {
            bencher.iter_batched(
                || draw(of_pods.len()),
                |at| index.apply(&of_pods[at]),
                BatchSize::SmallInput,
            );
        });
        fold.bench_function(
            BenchmarkId::new("a pod changes, a snapshot is in use", &size),
            |bencher| {
                let snapshot = index.snapshot(&Inputs::default());
                bencher.iter_batched(
                    || draw(of_pods.len()),
                    |at| index.apply(&of_pods[at]),
                    BatchSize::SmallInput,
                );
                drop(snapshot);
            },
        );
        fold.bench_function(BenchmarkId::new("a node changes", &size), |bencher| {
            bencher.iter_batched(
                || draw(of_nodes.len()),
                |at| index.apply(&of_nodes[at]),
                BatchSize::SmallInput,
            );
        });
    }
    fold.finish();
}

criterion_group!(benches, events);
criterion_main!(benches);
