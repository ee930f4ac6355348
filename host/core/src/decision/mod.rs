//! Decisions: what policies answer, and the plan that becomes of it.
//!
//! The plan's type tells where it is: a policy's answer makes a [`Plan<Proposed>`], only the checker makes a
//! [`Plan<Checked>`] of it, and only that can be executed.

mod answer;
mod budgets;
mod codes;
mod growth;
#[cfg(test)]
mod growth_tests;
mod plan;
mod proposal;
#[cfg(test)]
mod proposal_tests;
mod question;
pub mod questions;
#[cfg(test)]
mod questions_tests;
mod removals;
#[cfg(test)]
mod removals_tests;
mod replacements;
#[cfg(test)]
mod replacements_tests;

pub use answer::{
    Answer, ClassCount, Demand, GroupDemand, Kept, Mix, Purchase, Reason, RebalanceAction, RebalanceProposal,
    RebalanceStep, Rejection, Replacement, ReplacementKind,
};
pub use codes::{NoteCode, Refusal};
pub use growth::{MAX_NODES_PER_PLAN, check_growth};
pub use plan::{Action, Checked, Note, Plan, Proposed};
pub use proposal::{check_answer, check_demand, propose_growth, propose_removals};
pub use question::{
    Addition, Catalogue, Cause, ClassRow, Context, Fleet, GroupRow, Leftover, NodeFlags, Oracle, Pending,
    Question, TemplateRow, WhatIfOutcome, WhatIfQuestion,
};
pub use removals::check_removals;

use serde::{Deserialize, Serialize};

/// The three questions that policies answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    ScaleUp,
    NodeSelection,
    Rebalance,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::ScaleUp, Self::NodeSelection, Self::Rebalance];

    /// The name that the WIT package, the custom resources and the metrics share.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScaleUp => "scale-up",
            Self::NodeSelection => "node-selection",
            Self::Rebalance => "rebalance",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
