//! How long whole decisions take on the shared workloads, with the built-in policies as components and compiled
//! natively. `cargo xtask bench-rivals` holds them against other autoscalers.

use autoscaler_rivals::{Components, Native, Policies, decide};
use autoscaler_workloads::{ALL, Decision};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::sync::Arc;
use std::time::Duration;

fn decisions(criterion: &mut Criterion) {
    let components = Components::new().map_err(|error| eprintln!("without components: {error:#}"));
    for workload in &ALL {
        let snapshot = Arc::new((workload.snapshot)());
        let mut group = criterion.benchmark_group(workload.id);
        group.sample_size(10).warm_up_time(Duration::from_millis(100));
        let who: [(&str, Option<&dyn Policies>); 2] = [
            (
                "wasm",
                components
                    .as_ref()
                    .ok()
                    // No policy is asked what fits on the nodes that are there.
                    .filter(|_| workload.decision != Decision::Place)
                    .map(|components| components as &dyn Policies),
            ),
            ("native", Some(&Native)),
        ];
        for (name, policies) in who {
            let Some(policies) = policies else { continue };
            // Decided once before it is measured: what fails or is wrong has no time.
            let judged = match decide(workload.decision, &snapshot, policies) {
                Ok(decided) => decided.judge(),
                Err(error) => {
                    eprintln!("{} {name}: {error:#}", workload.id);
                    continue;
                }
            };
            if let Some(breach) = judged.breaches.first() {
                eprintln!("{} {name}: an invalid plan: {breach:?}", workload.id);
                continue;
            }
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter_custom(|runs| {
                    (0..runs)
                        .filter_map(|_| decide(workload.decision, &snapshot, policies).ok())
                        .map(|decided| decided.took)
                        .sum()
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, decisions);
criterion_main!(benches);
