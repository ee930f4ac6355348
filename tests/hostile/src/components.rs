//! From bytes through a component: the guest `dice`, which answers what its configuration says, and components that were
//! damaged on the way.

use autoscaler_core::decision::{
    Answer, Checked, Plan, Question, Refusal, check_answer, check_growth, check_removals, propose_growth,
    propose_removals, questions,
};
use autoscaler_core::model::Snapshot;
use autoscaler_core::packing::{Placement, WhatIf, place_pending};
use autoscaler_policy::{Binding, CompiledPolicy, Engine, Limits, PolicySet};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A roll of the dice takes four bytes; so many answer any question.
const ROLLS: usize = 400 * 4;
/// What one call may take: little, so that many fit into a second.
const LIMITS: Limits = Limits {
    fuel: 50_000_000,
    deadline: std::time::Duration::from_secs(5),
    memory_bytes: 16 << 20,
    output_bytes: 1 << 20,
};
/// Damages to one component.
const DAMAGES: usize = 16;

/// What became of the answers of one input, for those who want to know that something was tried.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Answers of the component that passed the checker, and actions in their plans.
    pub taken: usize,
    pub actions: usize,
    /// The reasons of the others.
    pub failures: BTreeMap<&'static str, usize>,
}

struct Host {
    engine: Engine,
    policies: PolicySet,
    /// Bytes of the guest, and what became of them.
    bytes: Vec<u8>,
    dice: Arc<CompiledPolicy>,
}

fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| {
        let start = || -> Result<Host, Box<dyn std::error::Error>> {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/policies/test/dice.wasm");
            let bytes = std::fs::read(file)?;
            let engine = Engine::new()?;
            Ok(Host {
                policies: PolicySet::built_in(&engine)?,
                dice: engine.compile(&bytes)?,
                engine,
                bytes,
            })
        };
        start().unwrap_or_else(|error| panic!("{error}; run `cargo xtask policies` first"))
    })
}

/// The guest, bound under small limits. With `rolls` it answers what they say, then what the snapshot's seed says.
pub fn dice(rolls: &[u8]) -> Binding {
    let mut digits = String::with_capacity(2 * rolls.len());
    for byte in rolls {
        let _ = write!(digits, "{byte:02x}");
    }
    Binding {
        limits: LIMITS,
        config: format!(r#"{{"rolls":"{digits}"}}"#),
        ..Binding::new("dice", host().dice.clone())
    }
}

/// A cluster of these objects, or, where the first byte is even, one that is made of it as a seed: hostile objects seldom
/// come together to something that can grow.
fn cluster(rolls: &[u8], objects: &[u8]) -> Snapshot {
    let sound = rolls.first().filter(|byte| *byte % 2 == 0);
    let made = sound.map(|_| {
        let seed = rolls
            .first_chunk()
            .map_or(0, |bytes| u64::from(u16::from_le_bytes(*bytes)));
        autoscaler_cases::snapshot_of_seed(seed / 2)
    });
    match made {
        Some(Ok(snapshot)) => Snapshot {
            may_replace: true,
            ..Snapshot::clone(&snapshot)
        },
        Some(Err(error)) => panic!("a cluster that cannot be made: {error:#}"),
        None => super::cluster(objects),
    }
}

/// Makes objects of the bytes, and has a component answer everything that is asked about them, as other bytes say.
///
/// # Panics
/// Where a checked plan breaks a limit, a call takes more memory than it may, or nobody decides.
pub fn component(bytes: &[u8]) -> Heard {
    let (rolls, objects) = bytes.split_at((bytes.len() / 2).min(ROLLS));
    let mut snapshot = cluster(rolls, objects);
    snapshot.seed = rolls.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let placement = place_pending(&Arc::new(snapshot));
    let binding = dice(rolls);
    let mut heard = Heard::default();
    for question in [
        questions::scale_up(&placement, &|_| true),
        questions::growth(&placement, &|_| true).node_selection(Vec::new()),
        questions::rebalance(&placement, &|_| true),
    ] {
        let oracle = WhatIf::new(&placement, &question);
        let accept = |answer: &Answer| {
            let plan = checked(&placement, &question, answer);
            plan.map(drop).map_err(|refusal| refusal.to_string())
        };
        let decision = host().policies.decide(&binding, &question, &oracle, &accept);
        for failure in &decision.failures {
            assert_eq!(
                failure.policy.name, "dice",
                "the built-in policy failed: {failure:?}"
            );
            *heard.failures.entry(failure.error.reason()).or_insert(0) += 1;
        }
        let Some(decided) = decision.taken else {
            panic!("nobody decides about {}", question.kind());
        };
        let own = decided.policy.name == "dice";
        let limits = if own { LIMITS } else { Limits::default() };
        assert!(
            decided.report.memory_peak <= limits.memory_bytes,
            "too much memory"
        );
        assert!(decided.report.fuel_used <= limits.fuel, "too much fuel");
        let plan = checked(&placement, &question, &decided.report.answer);
        let Ok(plan) = plan else {
            panic!("an answer is accepted and then refused: {plan:?}");
        };
        heard.taken += usize::from(own);
        if let Some(plan) = plan {
            super::within_limits(placement.snapshot(), &plan);
            heard.actions += plan.actions().len();
        }
    }
    heard
}

/// Damages a real component as the bytes say, and loads it. One that still loads is asked, too.
///
/// # Panics
/// Where a refusal has no reason, or a call takes more than it may.
pub fn loader(bytes: &[u8]) -> Result<(), &'static str> {
    let damaged = damage(host().bytes.clone(), bytes);
    let policy = match host().engine.compile(&damaged) {
        Ok(policy) => policy,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return Err(error.reason());
        }
    };
    let placement = place_pending(&Arc::default());
    for question in [
        questions::scale_up(&placement, &|_| true),
        questions::rebalance(&placement, &|_| true),
    ] {
        if policy.description(question.kind()).is_none() {
            continue;
        }
        let oracle = WhatIf::new(&placement, &question);
        if let Ok(report) = policy.decide(&question, "{}", &LIMITS, &oracle) {
            assert!(report.memory_peak <= LIMITS.memory_bytes && report.fuel_used <= LIMITS.fuel);
        }
    }
    Ok(())
}

/// Seven bytes make one damage: what, where, and with what.
fn damage(mut component: Vec<u8>, bytes: &[u8]) -> Vec<u8> {
    for damage in bytes.chunks_exact(7).take(DAMAGES) {
        let [what, a, b, c, d, length, value] = *damage else {
            continue;
        };
        if component.is_empty() {
            break;
        }
        let at = u32::from_le_bytes([a, b, c, d]) as usize % component.len();
        let end = (at + usize::from(length)).min(component.len());
        match what % 5 {
            0 => component.truncate(at),
            1 => drop(component.drain(at..end)),
            2 => drop(component.splice(at..at, vec![value; usize::from(length)])),
            3 => component[at..end].fill(value),
            _ => component[at] = value,
        }
    }
    component
}

fn checked(
    placement: &Placement,
    question: &Question,
    answer: &Answer,
) -> Result<Option<Plan<Checked>>, Refusal> {
    match answer {
        Answer::ScaleUp(_) => check_answer(question, answer).map(|()| None),
        Answer::NodeSelection(mix) => propose_growth(question, mix)
            .and_then(|plan| check_growth(placement, plan, &|_| true))
            .map(Some),
        Answer::Rebalance(proposal) => propose_removals(question, proposal)
            .and_then(|plan| check_removals(placement, plan))
            .map(Some),
    }
}
