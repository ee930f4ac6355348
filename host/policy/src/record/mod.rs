//! The record of a decision: all that it was a function of, and what came of it.
//!
//! A record is complete: with the components that it names, any machine gets the same plan from it, byte by byte
//! ([`replay`]). The format is described in `docs/decision-record.md`; a change that old readers would
//! misunderstand raises [`VERSION`].

mod codec;
mod difference;
mod keeper;
mod replay;
mod ring;
mod rows;

pub use codec::{RecordError, decode, decode_within, encode};
pub use difference::{Totals, difference, lines, totals};
pub use keeper::{Kept, Records};
pub use replay::{Choice, ReplayError, replay};
pub use ring::{Entry, Ring};

use crate::limits::Limits;
use crate::state::{LogLevel, LogLine};
use autoscaler_core::decision::{Action, Answer, Kind, Note};
use autoscaler_core::model::{GroupId, PodId, Snapshot};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// What every record says it is.
pub const FORMAT: &str = "vpsie-autoscaler/decision-record";
/// The version of the format that is written.
pub const VERSION: u32 = 1;

/// What a decision is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    Growth,
    Removal,
}

impl Subject {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Growth => "growth",
            Self::Removal => "removal",
        }
    }
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Version of the autoscaler that decided. Another version may place pods otherwise.
    pub host: String,
    pub subject: Subject,
    /// The cluster, with the time and the seed of the decision.
    #[serde(with = "autoscaler_core::model::shared")]
    pub snapshot: Arc<Snapshot>,
    /// Waiting pods for which nothing was to be bought, because it had not helped before.
    pub set_aside: Vec<PodId>,
    /// Partition by partition, in the order in which they decided.
    pub rounds: Vec<Round>,
    pub outcome: Outcome,
}

/// What was asked for one partition of the node groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Round {
    pub groups: Vec<GroupId>,
    pub calls: Vec<Call>,
    /// What the checker let pass.
    pub plan: Vec<Action>,
    /// What it changed.
    pub notes: Vec<Note>,
}

/// One question, and who answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    pub kind: Kind,
    /// Policies that were asked before and gave no usable answer.
    pub failures: Vec<Failed>,
    /// None where nobody answered: the decision was held.
    pub taken: Option<Answered>,
}

/// A policy as it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// Name of the ScalingPolicy, or `built-in`.
    pub policy: String,
    /// `sha256:…` of the component.
    pub digest: String,
    pub version: String,
    /// JSON.
    pub config: String,
    pub limits: RecordedLimits,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failed {
    pub asked: Asked,
    /// The stable word.
    pub reason: String,
    pub message: String,
}

/// An answer that was accepted, with what it took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    pub asked: Asked,
    pub answer: Answer,
    pub fuel: u64,
    pub duration_us: u64,
    pub memory_bytes: u64,
    pub what_if_calls: u32,
    pub log: Vec<RecordedLine>,
}

/// [`Limits`] as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedLimits {
    pub fuel: u64,
    pub deadline_ms: u64,
    pub memory_bytes: u64,
    pub output_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedLine {
    pub level: String,
    pub text: String,
}

/// What was done about the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// VPSieNodes or Rebalances that were created, `namespace/name`.
    pub created: Vec<String>,
    /// Why not all of them were.
    pub error: Option<String>,
}

impl Record {
    /// Whether it did nothing, and nothing went wrong.
    pub fn is_idle(&self) -> bool {
        self.outcome == Outcome::default()
            && self
                .rounds
                .iter()
                .all(|round| round.plan.is_empty() && round.calls.iter().all(|call| call.failures.is_empty()))
    }
}

impl From<Limits> for RecordedLimits {
    fn from(limits: Limits) -> Self {
        Self {
            fuel: limits.fuel,
            deadline_ms: u64::try_from(limits.deadline.as_millis()).unwrap_or(u64::MAX),
            memory_bytes: limits.memory_bytes,
            output_bytes: limits.output_bytes,
        }
    }
}

impl From<RecordedLimits> for Limits {
    fn from(limits: RecordedLimits) -> Self {
        Self {
            fuel: limits.fuel,
            deadline: Duration::from_millis(limits.deadline_ms),
            memory_bytes: limits.memory_bytes,
            output_bytes: limits.output_bytes,
        }
    }
}

impl From<&LogLine> for RecordedLine {
    fn from(line: &LogLine) -> Self {
        let level = match line.level {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        };
        Self {
            level: level.to_owned(),
            text: line.text.clone(),
        }
    }
}

impl From<&crate::Decision> for Call {
    fn from(decision: &crate::Decision) -> Self {
        let asked = |policy: &crate::PolicyRef, terms: &crate::Terms| Asked {
            policy: policy.name.clone(),
            digest: policy.digest.clone(),
            version: policy.version.clone(),
            config: terms.config.clone(),
            limits: terms.limits.into(),
        };
        Self {
            kind: decision.kind,
            failures: decision
                .failures
                .iter()
                .map(|failure| Failed {
                    asked: asked(&failure.policy, &failure.terms),
                    reason: failure.error.reason().to_owned(),
                    message: failure.error.to_string(),
                })
                .collect(),
            taken: decision
                .taken
                .as_ref()
                .map(|taken| Answered::new(asked(&taken.policy, &taken.terms), &taken.report)),
        }
    }
}

impl Answered {
    pub(crate) fn new(asked: Asked, report: &crate::CallReport) -> Self {
        Self {
            asked,
            answer: report.answer.clone(),
            fuel: report.fuel_used,
            duration_us: u64::try_from(report.duration.as_micros()).unwrap_or(u64::MAX),
            memory_bytes: report.memory_peak,
            what_if_calls: report.what_if_calls,
            log: report.log.iter().map(RecordedLine::from).collect(),
        }
    }
}
