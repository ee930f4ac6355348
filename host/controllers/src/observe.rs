//! What a decision leaves behind: one record that logs, events, the demo and reports all render.

use autoscaler_core::decision::{Kind, Note, Reason};
use jiff::Timestamp;
use serde::Serialize;

/// The component that decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DecidedBy {
    pub name: String,
    /// `sha256:…` of the component.
    pub digest: String,
    pub version: String,
}

/// A component that was asked first and did not answer usably.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    pub policy: DecidedBy,
    /// One stable word.
    pub reason: &'static str,
    pub message: String,
}

/// One action in words, with what led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActionText {
    pub action: String,
    pub reason: Reason,
}

/// One decision of one policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DecisionRecord {
    pub at: Timestamp,
    pub kind: Kind,
    pub policy: DecidedBy,
    pub actions: Vec<ActionText>,
    /// Classes or nodes that got nothing, by name.
    pub rejections: Vec<Note>,
    /// What the checker changed.
    pub notes: Vec<Note>,
    pub failed: Vec<Failed>,
    pub duration_us: u64,
    pub fuel: u64,
}

/// Hears of decisions as they are made. Must not block.
pub trait Observer: Send + Sync {
    fn decided(&self, record: &DecisionRecord);
}

/// An observer for those who need none.
pub struct Silent;

impl Observer for Silent {
    fn decided(&self, _record: &DecisionRecord) {}
}
