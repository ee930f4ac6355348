//! Whether a replacement earns more than it costs.
//!
//! What is saved now is saved until the group needs it again. Nobody knows when that will be; but a group that has not
//! grown for an hour is likelier to need nothing for a while than one that grew a minute ago. Of things that end as if by
//! chance and have lasted for some time, three in four last for a third of it longer. That is what is counted on. So a
//! fleet whose load comes and goes is left in peace by changes that pay off in a day, and one that has been steady for
//! days is not.

use crate::Config;
use policy_sdk::rebalance::Snapshot;

const HOUR: u64 = 3600;
/// What has lasted is counted on for so many parts of that time.
const SHARE: u64 = 3;

/// What changes are weighed with.
#[derive(Clone, Copy)]
pub(crate) struct Worth<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) config: &'a Config,
}

impl Worth<'_> {
    /// For how long it can be counted on that the group stays of the size that it has, in seconds.
    fn unchanged(&self, group: u32) -> u64 {
        let group = self.snapshot.catalogue.groups.get(group as usize);
        let grown = self.expected(group.and_then(|group| group.since_scale_up_ms));
        let shrunk = self.expected(group.and_then(|group| group.since_scale_down_ms));
        grown.min(shrunk)
    }

    fn expected(&self, since_ms: Option<u64>) -> u64 {
        let most = u64::from(self.config.expected_life_seconds);
        since_ms.map_or(most, |since| (since / 1000 / SHARE).min(most))
    }

    /// What is left of the saving of a replacement when the moves, and the time in which both old and new nodes run, are
    /// paid; none where that is nothing.
    pub(crate) fn of_replacement(&self, group: u32, old: u64, new: u64, pods: u64) -> Option<u64> {
        let saving = old.checked_sub(new)?;
        let least = old.saturating_mul(u64::from(self.config.minimum_saving_permille));
        if saving.saturating_mul(1000) < least {
            return None;
        }
        let earned = saving.saturating_mul(self.unchanged(group)) / HOUR;
        let overlap = new.saturating_mul(u64::from(self.config.start_seconds)) / HOUR;
        let moves = pods.saturating_mul(u64::from(self.config.eviction_cost_micros));
        let costs = moves.saturating_add(overlap);
        earned.checked_sub(costs).filter(|net| *net > 0)
    }
}
