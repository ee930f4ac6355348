//! A component that answers anything, on clusters that nobody should have: whatever it says, what the checker lets
//! pass breaks no limit, and somebody decides.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use autoscaler_core::decision::{
    Answer, Checked, Kind, Plan, Question, Refusal, check_answer, check_growth, check_removals,
    propose_growth, propose_removals, questions,
};
use autoscaler_core::packing::{Placement, WhatIf, place_pending};
use autoscaler_policy::{Binding, Engine, Limits, PolicySet};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A test run; `HOSTILE_SEEDS` has others for a longer one.
const SEEDS: std::ops::Range<u64> = 0..200;
const BYTES: usize = 6000;

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("HOSTILE_SEEDS") else {
        return SEEDS;
    };
    let (from, to) = text.split_once("..").expect("HOSTILE_SEEDS is like 0..1000");
    from.parse().expect("a seed")..to.parse().expect("a seed")
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

#[test]
fn whatever_a_component_says_no_limit_breaks() {
    let engine = Engine::new().unwrap();
    let policies = PolicySet::built_in(&engine).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/policies/test");
    let bytes = std::fs::read(folder.join("dice.wasm")).expect("run `cargo xtask policies` first");
    let limits = Limits {
        fuel: 50_000_000,
        memory_bytes: 16 << 20,
        output_bytes: 1 << 20,
        ..Limits::default()
    };
    let dice = Binding {
        limits,
        ..Binding::new("dice", engine.compile(&bytes).unwrap())
    };
    let (mut taken, mut actions, mut failures) = (0, 0, BTreeMap::new());
    for seed in seeds() {
        let mut source = ChaCha8Rng::seed_from_u64(seed);
        let mut bytes = vec![0; BYTES];
        source.fill_bytes(&mut bytes);
        let mut snapshot = hostile_objects::cluster(&bytes);
        snapshot.seed = source.next_u64();
        let placement = place_pending(&Arc::new(snapshot));
        for question in [
            questions::scale_up(&placement, &|_| true),
            questions::node_selection(&placement, &|_| true, Vec::new()),
            questions::rebalance(&placement, &|_| true),
        ] {
            let oracle = WhatIf::new(&placement, &question);
            let accept = |answer: &Answer| {
                let plan = checked(&placement, &question, answer);
                plan.map(drop).map_err(|refusal| refusal.to_string())
            };
            let decision = policies.decide(&dice, &question, &oracle, &accept);
            for failure in &decision.failures {
                assert_eq!(
                    failure.policy.name, "dice",
                    "seed {seed}: the built-in policy failed: {failure:?}"
                );
                *failures.entry(failure.error.reason()).or_insert(0) += 1;
            }
            let decided = decision.taken.expect("somebody decides");
            assert!(decided.report.memory_peak <= Limits::default().memory_bytes);
            let plan = checked(&placement, &question, &decided.report.answer).unwrap();
            let Some(plan) = plan else { continue };
            hostile_objects::within_limits(placement.snapshot(), &plan);
            taken += usize::from(decided.policy.name == "dice");
            actions += plan.actions().len();
        }
    }
    // Else nothing was tried: answers that pass, plans that do something, and failures of several kinds.
    assert!(
        taken > 0 && actions > 0,
        "{taken} answers passed, with {actions} actions"
    );
    assert!(
        failures.contains_key("Garbage") && failures.contains_key("Trap"),
        "{failures:?}"
    );
    assert_eq!(
        dice.tally.usage().calls,
        seeds().count() as u64 * Kind::ALL.len() as u64
    );
}
