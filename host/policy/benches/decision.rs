//! What one decision costs: a fresh instance, the snapshot moved in, the answer moved out.

use autoscaler_core::decision::{
    Catalogue, ClassRow, Context, GroupRow, Kind, Oracle, Pending, Question, TemplateRow, WhatIfOutcome,
    WhatIfQuestion,
};
use autoscaler_core::packing::PerNewNode;
use autoscaler_policy::{Engine, Limits, PolicySet};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::sync::Arc;

/// An oracle that is not asked: every class of these questions has a place.
struct Unasked;

impl Oracle for Unasked {
    fn what_if(&self, _: &WhatIfQuestion) -> Result<(WhatIfOutcome, u64), String> {
        Err("nobody asks".to_owned())
    }
}

/// Ten groups of five templates each, all of which hold all classes.
fn question(classes: u32) -> Question {
    let group = |number: u32| GroupRow {
        name: format!("ns/group-{number}"),
        min: 0,
        max: 1_000_000,
        current: 0,
        upcoming: 0,
        since_scale_up_ms: None,
        since_scale_down_ms: None,
        annotations: Vec::new(),
    };
    let template = |number: u32| TemplateRow {
        group: number / 5,
        offering: format!("offering-{number}"),
        datacenter: "ams".to_owned(),
        hourly_micros: 1000 + u64::from(number * 7919 % 101),
        headroom: 1_000_000,
        failures: 0,
        backoff_ms: 0,
    };
    let class = |number: u32| ClassRow {
        name: format!("ns/owner-{number}"),
        priority: 0,
        unplaced: 10,
        waiting_ms: 1000,
        topology_bound: false,
    };
    Question::ScaleUp {
        context: Context::default(),
        catalogue: Arc::new(Catalogue {
            groups: (0..10).map(group).collect(),
            templates: (0..50).map(template).collect(),
            allocatable: vec![1 << 40; 200],
        }),
        pending: Arc::new(Pending {
            classes: (0..classes).map(class).collect(),
            class_ids: (0..classes).collect(),
            requests: vec![1; classes as usize * 4],
            per_node: PerNewNode::whole(
                classes as usize,
                50,
                (0..classes * 50).map(|number| 1 + number * 31 % 40).collect(),
            ),
        }),
    }
}

fn scale_up(criterion: &mut Criterion) {
    let Ok(policies) = Engine::new().and_then(|engine| PolicySet::built_in(&engine)) else {
        eprintln!("this machine runs no WebAssembly");
        return;
    };
    let Some(binding) = policies.active(Kind::ScaleUp).pop() else {
        return;
    };
    let limits = Limits {
        fuel: u64::MAX,
        ..Limits::default()
    };
    let mut group = criterion.benchmark_group("scale-up");
    for classes in [1, 100, 1000] {
        let question = question(classes);
        group.bench_with_input(
            BenchmarkId::from_parameter(classes),
            &question,
            |bencher, question| {
                bencher.iter(|| binding.policy.decide(question, "{}", &limits, &Unasked));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, scale_up);
criterion_main!(benches);
