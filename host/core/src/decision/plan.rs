//! The plan: what is to be done, with a type that tells how far it has come.

use super::{Reason, Replacement};
use crate::model::{NodeId, TemplateId};
use serde::{Deserialize, Serialize};
use std::marker::PhantomData;

/// A plan as a policy proposed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proposed {}
/// A plan that the checker let pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Buy {
        template: TemplateId,
        count: u32,
        fallbacks: Vec<TemplateId>,
        reason: Reason,
    },
    Remove {
        node: NodeId,
        batch: u32,
        reason: Reason,
    },
    Replace {
        replacement: Replacement,
        batch: u32,
        reason: Reason,
    },
}

/// What the checker changed or refused, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub subject: String,
    pub reason: Reason,
}

/// Actions in the order in which they are to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<Stage> {
    actions: Vec<Action>,
    notes: Vec<Note>,
    stage: PhantomData<Stage>,
}

impl<Stage> Plan<Stage> {
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }
}

impl Plan<Proposed> {
    pub fn propose(actions: Vec<Action>) -> Self {
        Self {
            actions,
            notes: Vec::new(),
            stage: PhantomData,
        }
    }

    /// Only the checker may say that a plan is checked.
    pub(crate) fn checked(self, actions: Vec<Action>, notes: Vec<Note>) -> Plan<Checked> {
        Plan {
            actions,
            notes,
            stage: PhantomData,
        }
    }
}
