//! What the border between host and policy costs, beside the decision that crosses it: 10 000 pods wait, 1 000 nodes.
//!
//! A policy that computes nothing has everything else: the snapshot as columns, lowered into a fresh instance, and an
//! answer lifted out of it. `thousand` answers scale-up with every class in every group, more than any real answer;
//! `nothing` stands for node-selection, whose answers are short.

use anyhow::{Context as _, Result, bail};
use autoscaler_core::decision::{Answer, Oracle, Question, WhatIfOutcome, WhatIfQuestion, questions};
use autoscaler_core::packing::{Placement, place_pending};
use autoscaler_policy::{CompiledPolicy, Engine, Limits};
use autoscaler_rivals::{Components, Policies as _, decide, growth};
use autoscaler_workloads::{Workload, find};
use criterion::{Criterion, criterion_group, criterion_main};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const WORKLOADS: [&str; 2] = ["H9/10000", "H1/10000"];
/// Runs of which the share is the median.
const RUNS: usize = 15;

/// An oracle for policies that do not ask.
struct Unasked;

impl Oracle for Unasked {
    fn what_if(&self, _: &WhatIfQuestion) -> Result<(WhatIfOutcome, u64), String> {
        Err("nobody asks".to_owned())
    }
}

struct Border {
    components: Components,
    thousand: Arc<CompiledPolicy>,
    nothing: Arc<CompiledPolicy>,
}

impl Border {
    fn new() -> Result<Self> {
        let engine = Engine::new()?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/policies/test");
        let guest = |name: &str| -> Result<_> {
            let file = folder.join(format!("{name}.wasm"));
            let bytes = std::fs::read(&file)
                .with_context(|| format!("reading {}; `cargo xtask policies` makes it", file.display()))?;
            Ok(engine.compile(&bytes)?)
        };
        let (thousand, nothing) = (guest("thousand")?, guest("nothing")?);
        Ok(Self {
            components: Components::new()?,
            thousand,
            nothing,
        })
    }

    /// There and back without a thought.
    fn cross(&self, question: &Question) -> Result<()> {
        let policy = match question {
            Question::ScaleUp { .. } => &self.thousand,
            _ => &self.nothing,
        };
        policy.decide(question, "{}", &Limits::default(), &Unasked)?;
        Ok(())
    }

    /// The two questions of a growth decision, as the built-in policies make them of each other.
    fn questions(&self, placement: &Placement) -> Result<[Question; 2]> {
        let questions = questions::growth(placement, &|_| true);
        let first = questions.scale_up();
        let Answer::ScaleUp(demand) = self.components.answer(placement, &first, &|_| Ok(()))? else {
            bail!("another answer");
        };
        let second = questions.node_selection(demand.groups);
        Ok([first, second])
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn timed<T>(work: impl Fn() -> T) -> f64 {
    let times = (0..RUNS).map(|_| {
        let begun = Instant::now();
        std::hint::black_box(work());
        begun.elapsed().as_secs_f64() * 1e3
    });
    median(times.collect())
}

fn measure(criterion: &mut Criterion, border: &Border, workload: &Workload) -> Result<()> {
    let snapshot = Arc::new((workload.snapshot)());
    let placement = place_pending(&snapshot);
    let asked = border.questions(&placement)?;
    for question in &asked {
        border.cross(question)?;
    }
    let decided = decide(workload.decision, &snapshot, &border.components)?;
    let judged = decided.judge();
    if let Some(breach) = judged.breaches.first() {
        bail!("an invalid plan: {breach:?}");
    }
    let made = timed(|| questions::growth(&placement, &|_| true));
    let crossed = timed(|| asked.iter().try_for_each(|question| border.cross(question)));
    let whole = timed(|| growth(&snapshot, &border.components).map(drop));
    eprintln!(
        "{}: {} nodes come in {} plans, {} pods wait; columns {made:.3} ms, crossing {crossed:.3} ms, decision {whole:.2} ms: {:.1} %",
        workload.id,
        judged.bought,
        decided.loops,
        decided.waiting,
        (made + crossed) * 100.0 / whole
    );
    let mut group = criterion.benchmark_group(format!("boundary/{}", workload.id));
    group.sample_size(20);
    group.bench_function("placement", |bencher| bencher.iter(|| place_pending(&snapshot)));
    group.bench_function("columns", |bencher| {
        bencher.iter(|| questions::growth(&placement, &|_| true));
    });
    for question in &asked {
        let kind = question.kind();
        group.bench_function(format!("crossing {kind}"), |bencher| {
            bencher.iter(|| border.cross(question));
        });
        group.bench_function(format!("policy {kind}"), |bencher| {
            bencher.iter(|| border.components.answer(&placement, question, &|_| Ok(())));
        });
    }
    group.bench_function("decision", |bencher| {
        bencher.iter(|| growth(&snapshot, &border.components));
    });
    group.finish();
    Ok(())
}

fn boundary(criterion: &mut Criterion) {
    let border = match Border::new() {
        Ok(border) => border,
        Err(error) => {
            eprintln!("no measurement: {error:#}");
            return;
        }
    };
    for id in WORKLOADS {
        let Some(workload) = find(id) else { continue };
        if let Err(error) = measure(criterion, &border, workload) {
            eprintln!("{id}: {error:#}");
        }
    }
}

criterion_group!(benches, boundary);
criterion_main!(benches);
