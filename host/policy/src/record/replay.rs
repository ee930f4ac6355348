//! The same decision once more: with the components of the record it must come to the same plan.

use super::{Answered, Asked, Call, Record, Round, Subject};
use crate::binding::Binding;
use crate::compile::CompiledPolicy;
use crate::course::{self, Accept};
use crate::error::CallError;
use crate::limits::Limits;
use autoscaler_core::decision::{Answer, Kind, Oracle, Question};
use autoscaler_core::packing::{Placement, place_pending};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Who is asked in place of the one that the record names.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What it goes by.
    pub name: String,
    pub policy: Arc<CompiledPolicy>,
    pub config: String,
    pub limits: Limits,
}

/// On the terms on which it is bound.
impl From<&Binding> for Choice {
    fn from(binding: &Binding) -> Self {
        Self {
            name: binding.name.clone(),
            policy: binding.policy.clone(),
            config: binding.config.clone(),
            limits: binding.limits,
        }
    }
}

/// Why a decision cannot be made again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(
        "asking {kind} again: the component {digest} of policy {policy:?} is not at hand; give it, or another one"
    )]
    NotAtHand {
        kind: Kind,
        policy: String,
        digest: String,
    },
    #[error("asking {kind} again")]
    Call {
        kind: Kind,
        #[source]
        source: CallError,
    },
}

impl ReplayError {
    /// The stable word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotAtHand { .. } => "NotAtHand",
            Self::Call { source, .. } => source.reason(),
        }
    }
}

/// Where the decision stood before anybody was asked.
pub(super) fn beginning(record: &Record) -> Placement {
    let mut placement = place_pending(&record.snapshot);
    let aside: BTreeSet<u32> = record.set_aside.iter().copied().collect();
    for unplaced in &mut placement.unplaced {
        unplaced.pods.retain(|pod| !aside.contains(pod));
    }
    placement.unplaced.retain(|unplaced| !unplaced.pods.is_empty());
    placement
}

/// Decides again what a record tells of. `choose` names who is asked, given the kind of question and who was
/// asked then; that is none where nobody answered, or nobody was asked.
///
/// Policies that failed then are not asked again: the one that answered is. The memory, the log and the duration
/// of the rounds are those of now.
///
/// # Errors
/// Where nobody is chosen, or whoever is fails.
pub fn replay(
    record: &Record,
    choose: &dyn Fn(Kind, Option<&Asked>) -> Option<Choice>,
) -> Result<Vec<Round>, ReplayError> {
    let mut placement = beginning(record);
    let mut rounds = Vec::with_capacity(record.rounds.len());
    for before in &record.rounds {
        let mut calls: Vec<Call> = Vec::new();
        let mut ask = |question: &Question, oracle: &dyn Oracle, accept: Accept<'_>| {
            let kind = question.kind();
            let then = before.calls.iter().find(|call| call.kind == kind);
            let then = then.and_then(|call| Some(&call.taken.as_ref()?.asked));
            let choice = choose(kind, then).ok_or_else(|| ReplayError::NotAtHand {
                kind,
                policy: then.map(|asked| asked.policy.clone()).unwrap_or_default(),
                digest: then.map(|asked| asked.digest.clone()).unwrap_or_default(),
            })?;
            let answered = answer(&choice, question, oracle, accept)?;
            let answer = answered.answer.clone();
            calls.push(Call {
                kind,
                failures: Vec::new(),
                taken: Some(answered),
            });
            Ok(answer)
        };
        let allows = |group| before.groups.contains(&group);
        let plan = match record.subject {
            Subject::Growth => course::grow(&mut placement, &allows, &mut ask)?
                .and_then(|growth| growth.selection)
                .map(|selection| selection.plan),
            Subject::Removal => {
                course::shrink(&placement, &allows, &mut ask)?.map(|shrinkage| shrinkage.plan)
            }
        };
        rounds.push(Round {
            groups: before.groups.clone(),
            calls,
            plan: plan
                .as_ref()
                .map(|plan| plan.actions().to_vec())
                .unwrap_or_default(),
            notes: plan.map(|plan| plan.notes().to_vec()).unwrap_or_default(),
        });
    }
    Ok(rounds)
}

fn answer(
    choice: &Choice,
    question: &Question,
    oracle: &dyn Oracle,
    accept: Accept<'_>,
) -> Result<Answered, ReplayError> {
    let kind = question.kind();
    let failed = |source| ReplayError::Call { kind, source };
    let report = choice
        .policy
        .decide(question, &choice.config, &choice.limits, oracle)
        .map_err(failed)?;
    let refused = |text| failed(CallError::Garbage(text));
    accept(&report.answer as &Answer).map_err(refused)?;
    Ok(Answered::new(choice.asked(kind), &report))
}

impl Choice {
    fn asked(&self, kind: Kind) -> Asked {
        let description = self.policy.description(kind);
        Asked {
            policy: self.name.clone(),
            digest: self.policy.digest().to_owned(),
            version: description.map(|said| said.version.clone()).unwrap_or_default(),
            config: self.config.clone(),
            limits: self.limits.into(),
        }
    }
}

impl Call {
    /// A call that was answered at once.
    pub fn answered(kind: Kind, choice: &Choice, report: &crate::CallReport) -> Self {
        Self {
            kind,
            failures: Vec::new(),
            taken: Some(Answered::new(choice.asked(kind), report)),
        }
    }
}

impl Record {
    /// The record of a decision that nobody has made yet, with all groups in one partition.
    pub fn blank(snapshot: Arc<autoscaler_core::model::Snapshot>, subject: Subject) -> Self {
        let groups = (0..).take(snapshot.groups.len()).collect();
        Self {
            host: env!("CARGO_PKG_VERSION").to_owned(),
            subject,
            snapshot,
            set_aside: Vec::new(),
            rounds: vec![Round {
                groups,
                ..Round::default()
            }],
            outcome: super::Outcome::default(),
        }
    }
}
