//! One cluster, and what a policy makes of it: every question that its kinds are asked, each put twice.

use super::Asking;
use autoscaler_core::decision::{Answer, Kind, Oracle, Question, check_answer};
use autoscaler_core::model::Snapshot;
use autoscaler_core::packing::place_pending;
use autoscaler_policy::course::{self, Accept};
use autoscaler_policy::{CallError, CallReport};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What became of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trial {
    /// Answers that passed.
    pub(crate) answers: u64,
    pub(crate) fuel: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) failures: Vec<Failure>,
}

/// A policy gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) reason: String,
    pub(crate) text: String,
}

/// How a question put twice was answered.
#[derive(Debug)]
pub(super) enum Verdict {
    Same(Box<CallReport>),
    Failed(CallError),
    Unstable(String),
}

impl Failure {
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.kind, &self.reason) == (other.kind, &other.reason)
    }

    /// Whether each such call takes as long as its limits let.
    pub(super) fn is_slow(&self) -> bool {
        matches!(&*self.reason, "OutOfFuel" | "Deadline")
    }
}

impl Trial {
    pub(super) fn of(snapshot: &Arc<Snapshot>, kinds: &BTreeSet<Kind>, asking: Asking<'_>) -> Self {
        let mut trial = Self::default();
        let mut placement = place_pending(snapshot);
        let grows = kinds.iter().any(|kind| *kind != Kind::Rebalance);
        if grows && !placement.unplaced.is_empty() {
            let mut ask = |question: &Question, oracle: &dyn Oracle, accept: Accept<'_>| {
                trial.ask(question, oracle, accept, asking)
            };
            let grown = course::grow(&mut placement, &|_| true, &mut ask);
            trial.failures.extend(grown.err());
        }
        if kinds.contains(&Kind::Rebalance) {
            // What was bought above is part of the placement now.
            let placement = place_pending(snapshot);
            let mut ask = |question: &Question, oracle: &dyn Oracle, accept: Accept<'_>| {
                trial.ask(question, oracle, accept, asking)
            };
            let shrunk = course::shrink(&placement, &|_| true, &mut ask);
            trial.failures.extend(shrunk.err());
        }
        // A built-in policy that stands in for a kind is not on trial.
        trial.failures.retain(|failure| kinds.contains(&failure.kind));
        trial
    }

    fn ask(
        &mut self,
        question: &Question,
        oracle: &dyn Oracle,
        accept: Accept<'_>,
        asking: Asking<'_>,
    ) -> Result<Answer, Failure> {
        let kind = question.kind();
        let failure = |reason: &str, text: String| Failure {
            kind,
            reason: reason.to_owned(),
            text,
        };
        let report = match twice(question, oracle, asking) {
            Verdict::Same(report) => report,
            Verdict::Failed(error) => return Err(failure(error.reason(), error.to_string())),
            Verdict::Unstable(text) => return Err(failure("Unstable", text)),
        };
        check_answer(question, &report.answer)
            .map_err(|refusal| failure(refusal.reason(), refusal.to_string()))?;
        accept(&report.answer).map_err(|text| failure("Refused", text))?;
        self.answers += 1;
        self.fuel = self.fuel.max(report.fuel_used);
        self.memory_bytes = self.memory_bytes.max(report.memory_peak);
        Ok(report.answer)
    }
}

/// Puts a question twice. One that ends at a limit is not put again: it would only end there once more.
pub(super) fn twice(question: &Question, oracle: &dyn Oracle, asking: Asking<'_>) -> Verdict {
    let first = match asking(question, oracle) {
        Err(error @ (CallError::OutOfFuel(_) | CallError::Deadline(_))) => return Verdict::Failed(error),
        first => first,
    };
    match (first, asking(question, oracle)) {
        // The clock is no part of the question, and the one thing that may differ.
        (_, Err(error @ CallError::Deadline(_))) => Verdict::Failed(error),
        (Ok(one), Ok(other)) if one.answer != other.answer => {
            Verdict::Unstable("the same question gets another answer the second time".to_owned())
        }
        (Ok(one), Ok(other)) if one.fuel_used != other.fuel_used => Verdict::Unstable(format!(
            "the same question takes {} of fuel, and {} the second time",
            one.fuel_used, other.fuel_used
        )),
        (Ok(one), Ok(_)) => Verdict::Same(Box::new(one)),
        (Err(one), Err(other)) if one.reason() == other.reason() => Verdict::Failed(one),
        (one, other) => {
            let word =
                |end: Result<CallReport, CallError>| end.map_or_else(|error| error.reason(), |_| "an answer");
            Verdict::Unstable(format!(
                "the same question ends with {}, and with {} the second time",
                word(one),
                word(other)
            ))
        }
    }
}
