//! The budget of a placement, in steps of one class tried on one node.
//!
//! The core has no clock. Steps are counted instead: the same question takes the same steps on every machine,
//! so that a placement which stops early stops at the same pod wherever it is repeated.

/// Steps of [`super::place_pending`].
pub const PLACEMENT_STEPS: u64 = 50_000_000;
/// Steps of one question to the oracle: what the default fuel of a policy pays for.
pub const QUESTION_STEPS: u64 = 5_000_000;
/// Cells of the table that tells how many pods of a class a new node of a template holds.
pub(super) const TABLE_CELLS: usize = 20_000_000;

/// What has been done, and what may still be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    done: u64,
    limit: u64,
}

impl Work {
    pub(crate) fn new(limit: u64) -> Self {
        Self { done: 0, limit }
    }

    pub(crate) fn step(&mut self) {
        self.steps(1);
    }

    pub(crate) fn steps(&mut self, steps: u64) {
        self.done = self.done.saturating_add(steps);
    }

    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// Nothing more is to be begun.
    pub(crate) fn is_spent(&self) -> bool {
        self.done >= self.limit
    }
}
