//! A rehearsal: a component that is about to decide makes the last recorded decisions once more. One that traps, runs
//! out of its limits, or proposes what the checker refuses, does so here and not in the cluster.
//!
//! Whether its plans are better is not asked: another plan is why somebody loads another policy.

use super::host::Loaded;
use super::source::Refusal;
use crate::runtime::chain;
use autoscaler_core::decision::Kind;
use autoscaler_policy::PolicySet;
use autoscaler_policy::record::{Choice, Record, Records, ReplayError, Subject, replay};
use std::collections::BTreeSet;

/// How many decisions of each subject.
const DECISIONS: usize = 10;

/// Rehearses the decisions of these kinds. The other kinds of a decision are answered by the built-in policies, which
/// are not on trial.
pub(super) fn rehearse(
    records: &Records,
    set: &PolicySet,
    kinds: &BTreeSet<Kind>,
    loaded: &Loaded,
) -> Result<(), Refusal> {
    let subjects: BTreeSet<Subject> = kinds.iter().map(|kind| subject(*kind)).collect();
    let records: Vec<Record> = subjects
        .into_iter()
        .flat_map(|subject| records.latest(subject, DECISIONS))
        .collect();
    let choose = |kind: Kind| {
        if kinds.contains(&kind) {
            return Some(Choice {
                name: "rehearsed".to_owned(),
                policy: loaded.policy.clone(),
                config: loaded.config.clone(),
                limits: loaded.limits,
            });
        }
        set.active(kind).pop().as_deref().map(Choice::from)
    };
    let mut failed = records.iter().filter_map(|record| {
        let error = replay(record, &|kind, _| choose(kind)).err()?;
        let on_trial = matches!(&error, ReplayError::Call { kind, .. } if kinds.contains(kind));
        on_trial.then_some((record, error))
    });
    let Some((record, error)) = failed.next() else {
        return Ok(());
    };
    let at = jiff::Timestamp::from_millisecond(record.snapshot.now_ms).unwrap_or_default();
    let text = format!(
        "spec.source: deciding again what was decided at {at} ({}; {} of the last {} recorded decisions fail); \
         `vpsie-autoscaler policy replay` shows it at a desk",
        chain(&error),
        failed.count() + 1,
        records.len(),
    );
    Err(Refusal::new("RehearsalFailed", text))
}

/// What a kind of question is asked for.
fn subject(kind: Kind) -> Subject {
    match kind {
        Kind::ScaleUp | Kind::NodeSelection => Subject::Growth,
        Kind::Rebalance => Subject::Removal,
    }
}
