//! How long one look for the best rebalance takes in a cluster of 1 000 nodes and 30 000 pods: from the snapshot in hand
//! to the checked plan, by the built-in component, and what one candidate of it costs the oracle.

use autoscaler_core::decision::{Addition, Oracle, Question, WhatIfQuestion, questions};
use autoscaler_core::packing::{WhatIf, place_pending};
use autoscaler_rivals::{Components, Policies, rebalance};
use criterion::{Criterion, criterion_group, criterion_main};
use std::sync::Arc;
use std::time::Duration;

fn look(criterion: &mut Criterion) {
    let Ok(components) = Components::new().map_err(|error| eprintln!("no component: {error:#}")) else {
        return;
    };
    let removing = Arc::new(autoscaler_workloads::small_pods());
    let replacing = Arc::new(autoscaler_workloads::settled());
    let mut group = criterion.benchmark_group("rebalance");
    group.sample_size(20).warm_up_time(Duration::from_millis(500));
    for (name, snapshot) in [("nodes to remove", &removing), ("nothing to remove", &replacing)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| rebalance(snapshot, &components as &dyn Policies));
        });
    }
    let placement = place_pending(&removing);
    let question = questions::rebalance(&placement, &|_| true);
    let oracle = WhatIf::new(&placement, &question);
    let Question::Rebalance { fleet, .. } = &question else {
        return;
    };
    let nodes = u32::try_from(fleet.names.len()).unwrap_or(0);
    let mut turn = 0;
    group.bench_function("one candidate to remove", |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % nodes;
            oracle.what_if(&WhatIfQuestion {
                removals: vec![turn],
                pods: Some(Vec::new()),
                ..WhatIfQuestion::default()
            })
        });
    });
    group.bench_function("one candidate to replace", |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % nodes;
            oracle.what_if(&WhatIfQuestion {
                additions: vec![Addition {
                    template: fleet.template[turn as usize],
                    count: 1,
                }],
                removals: vec![turn],
                pods: Some(Vec::new()),
            })
        });
    });
    group.finish();
}

criterion_group!(benches, look);
criterion_main!(benches);
