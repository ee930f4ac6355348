//! What a decision costs before a policy is asked, step by step: the snapshot, the state that it begins with, the
//! placement of waiting pods, the question, and what the oracle answers. Once over the number of nodes and pods, the
//! classes and templates being the same; once over classes and templates, the cluster being the same.

#[path = "../tests/scene/mod.rs"]
mod scene;

use autoscaler_core::decision::{Addition, Oracle, WhatIfQuestion, questions};
use autoscaler_core::packing::{State, WhatIf, place_pending};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use scene::Size;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

fn size(nodes: usize, pods: usize, classes: usize, waiting: usize, templates: usize) -> Size {
    Size {
        nodes,
        pods,
        classes,
        waiting,
        templates,
    }
}

fn steps(criterion: &mut Criterion, curve: &str, size: Size, label: &str) {
    let mut group = criterion.benchmark_group(curve);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    let id = |step: &str| BenchmarkId::new(step, label);
    let (index, inputs) = scene::folded(size);
    group.bench_function(id("snapshot"), |bencher| {
        bencher.iter_with_large_drop(|| black_box(index.snapshot(&inputs)));
    });
    let snapshot = Arc::new(index.snapshot(&inputs));
    group.bench_function(id("state"), |bencher| {
        bencher.iter_with_large_drop(|| black_box(State::new(&snapshot)));
    });
    group.bench_function(id("placement"), |bencher| {
        bencher.iter_with_large_drop(|| black_box(place_pending(&snapshot)));
    });
    let placement = place_pending(&snapshot);
    assert!(placement.unplaced_pods() > 0, "a question about nothing");
    group.bench_function(id("question"), |bencher| {
        bencher.iter_with_large_drop(|| black_box(questions::scale_up(&placement, &|_| true)));
    });
    let question = questions::scale_up(&placement, &|_| true);
    let additions = (0..snapshot.templates.len() as u32).map(|template| Addition { template, count: 2 });
    let asked = WhatIfQuestion {
        additions: additions.collect(),
        removals: Vec::new(),
        pods: None,
    };
    group.bench_function(id("oracle"), |bencher| {
        bencher.iter_with_large_drop(|| WhatIf::new(&placement, &question).what_if(&asked).map(drop));
    });
    group.bench_function(id("all"), |bencher| {
        bencher.iter_with_large_drop(|| {
            let placement = place_pending(&Arc::new(index.snapshot(&inputs)));
            let question = questions::scale_up(&placement, &|_| true);
            let answer = WhatIf::new(&placement, &question).what_if(&asked);
            (placement, answer)
        });
    });
    group.finish();
}

/// Nodes and pods grow; 300 classes run, 20 wait, 40 templates.
fn over_the_cluster(criterion: &mut Criterion) {
    for (nodes, pods) in [
        (100, 1_000),
        (500, 10_000),
        (1_000, 30_000),
        (2_500, 75_000),
        (5_000, 150_000),
    ] {
        let size = size(nodes, pods, 300, 20, 40);
        steps(criterion, "cluster", size, &format!("{nodes} nodes, {pods} pods"));
    }
    // Five times the pods on as many nodes.
    for pods in [30_000, 75_000] {
        let size = size(5_000, pods, 300, 20, 40);
        steps(criterion, "pods", size, &format!("5000 nodes, {pods} pods"));
    }
}

/// Classes and templates grow; 1 000 nodes, 30 000 pods.
fn over_classes_and_templates(criterion: &mut Criterion) {
    for (classes, templates) in [
        (10, 10),
        (100, 10),
        (1_000, 10),
        (10, 100),
        (100, 100),
        (1_000, 100),
    ] {
        let size = size(1_000, 30_000, classes, classes / 5, templates);
        steps(
            criterion,
            "classes",
            size,
            &format!("{classes} classes, {templates} templates"),
        );
    }
}

criterion_group!(benches, over_the_cluster, over_classes_and_templates);
criterion_main!(benches);
