//! What the controllers have to come back to, and when.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use crate::store::ObjectKey;

/// One thing that becomes due. The uid tells a recreated object from the one that was meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    NodeReady { name: String, uid: String },
    PodStarts { key: ObjectKey, uid: String },
    PodStops { key: ObjectKey, uid: String },
    PodCollected { key: ObjectKey, uid: String },
    PodEvicted { key: ObjectKey, uid: String },
}

/// Pending things by time. A thing that is pending already keeps its time.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Instant, u64, Due)>,
    pending: BTreeMap<Due, (Instant, u64)>,
    sequence: u64,
}

impl Timers {
    pub(super) fn schedule(&mut self, at: Instant, due: Due) {
        if self.pending.contains_key(&due) {
            return;
        }
        self.sequence += 1;
        self.pending.insert(due.clone(), (at, self.sequence));
        self.queue.insert((at, self.sequence, due));
    }

    pub(super) fn cancel(&mut self, due: &Due) {
        if let Some((at, sequence)) = self.pending.remove(due) {
            self.queue.remove(&(at, sequence, due.clone()));
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, ..)| *at)
    }

    /// Takes the earliest thing that is due at `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Due> {
        if self.next()? > now {
            return None;
        }
        let (_, _, due) = self.queue.pop_first()?;
        self.pending.remove(&due);
        Some(due)
    }
}
