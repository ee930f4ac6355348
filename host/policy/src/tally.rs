//! What the calls of one policy took and came to, and when it has failed often enough.
//!
//! Time is that of the snapshots, so that the same decisions trip at the same one, wherever they are played.

use crate::call::CallReport;
use crate::error::{CallError, Misdeed};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::time::Duration;

/// When a policy that fails is no longer asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TripAfter {
    pub failures: u32,
    pub within: Duration,
}

/// That a policy is no longer asked, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trip {
    /// Time of the snapshot whose decision tipped it.
    pub at_ms: u64,
    /// Failures within the window.
    pub failures: u32,
    /// How the last one failed.
    pub reason: String,
    pub message: String,
}

/// The calls of one policy since it was taken up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Those without a usable answer included.
    pub calls: u64,
    pub refusals: u64,
    pub traps: u64,
    pub limit_overruns: u64,
    /// Of answers that were taken.
    pub fuel: Spread,
    pub duration_us: Spread,
}

/// Sum and maximum of what was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    pub count: u64,
    pub sum: u64,
    pub max: u64,
}

impl Spread {
    fn add(&mut self, value: u64) {
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
    }

    pub fn mean(&self) -> u64 {
        self.sum.checked_div(self.count).unwrap_or(0)
    }
}

/// A decision in three numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Bought, or removed.
    pub nodes: u64,
    /// Price per hour of these.
    pub hourly_micros: u64,
    /// Pods without a place afterwards.
    pub waiting_pods: u64,
}

/// What a shadow would have done, beside what was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub decisions: u64,
    pub different: u64,
    pub failed: u64,
    /// Sums over the decisions that both made.
    pub active: Outcome,
    pub shadow: Outcome,
    pub last_difference: Option<String>,
}

/// Counts for one binding; shared by its clones.
#[derive(Debug, Default)]
pub struct Tally {
    trip_after: Option<TripAfter>,
    state: Mutex<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    usage: Usage,
    comparison: Comparison,
    /// Times of the failures within the window.
    failures: VecDeque<u64>,
    trip: Option<Trip>,
}

impl Tally {
    /// For a policy that is asked for as long as it fails not too often; for ever without a limit.
    pub fn new(trip_after: Option<TripAfter>) -> Self {
        Self {
            trip_after,
            ..Self::default()
        }
    }

    /// For a policy that had tripped before this process began.
    pub fn tripped(trip: Trip) -> Self {
        let tally = Self::default();
        tally.state.lock().trip = Some(trip);
        tally
    }

    /// The same standing, and nothing that is counted on it is seen here.
    pub fn detached(&self) -> Self {
        let trip = self.trip();
        trip.map_or_else(Self::default, Self::tripped)
    }

    pub fn usage(&self) -> Usage {
        self.state.lock().usage
    }

    pub fn trip(&self) -> Option<Trip> {
        self.state.lock().trip.clone()
    }

    pub fn comparison(&self) -> Comparison {
        self.state.lock().comparison.clone()
    }

    pub(crate) fn is_tripped(&self) -> bool {
        self.state.lock().trip.is_some()
    }

    pub(crate) fn answered(&self, report: &CallReport) {
        let usage = &mut self.state.lock().usage;
        usage.calls += 1;
        usage.fuel.add(report.fuel_used);
        let duration = u64::try_from(report.duration.as_micros()).unwrap_or(u64::MAX);
        usage.duration_us.add(duration);
    }

    /// Whether this failure was the one too many.
    pub(crate) fn failed(&self, now_ms: u64, error: &CallError) -> bool {
        let mut state = self.state.lock();
        state.usage.calls += 1;
        match error.misdeed() {
            Misdeed::Trap => state.usage.traps += 1,
            Misdeed::Limit => state.usage.limit_overruns += 1,
            Misdeed::Refusal => state.usage.refusals += 1,
        }
        let Some(limit) = self.trip_after.filter(|_| state.trip.is_none()) else {
            return false;
        };
        let within = u64::try_from(limit.within.as_millis()).unwrap_or(u64::MAX);
        state.failures.push_back(now_ms);
        state.failures.retain(|at| now_ms.saturating_sub(*at) <= within);
        let failures = u32::try_from(state.failures.len()).unwrap_or(u32::MAX);
        if failures < limit.failures {
            return false;
        }
        state.trip = Some(Trip {
            at_ms: now_ms,
            failures,
            reason: error.reason().to_owned(),
            message: error.to_string(),
        });
        true
    }

    /// A shadow was compared with a decision; without an outcome it had no answer. `difference` tells in words
    /// what it would have done otherwise.
    pub fn compared(&self, active: Outcome, shadow: Option<Outcome>, difference: Option<String>) {
        let comparison = &mut self.state.lock().comparison;
        comparison.decisions += 1;
        let Some(shadow) = shadow else {
            comparison.failed += 1;
            return;
        };
        comparison.active.add(active);
        comparison.shadow.add(shadow);
        if difference.is_some() {
            comparison.different += 1;
            comparison.last_difference = difference;
        }
    }
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.nodes = self.nodes.saturating_add(other.nodes);
        self.hourly_micros = self.hourly_micros.saturating_add(other.hourly_micros);
        self.waiting_pods = self.waiting_pods.saturating_add(other.waiting_pods);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_in_a_minute() -> Tally {
        Tally::new(Some(TripAfter {
            failures: 3,
            within: Duration::from_secs(60),
        }))
    }

    #[test]
    fn only_failures_within_the_window_trip() {
        let trap = CallError::Trap("oh".to_owned());
        for (seconds, tripped_at) in [
            (vec![0, 30, 60], Some(60)),
            (vec![0, 31, 61, 91], Some(91)),
            (vec![0, 61, 122, 183], None),
            (vec![5, 5, 5, 5], Some(5)),
            (vec![0, 0], None),
        ] {
            let tally = three_in_a_minute();
            let tipping: Vec<u64> = seconds
                .iter()
                .copied()
                .filter(|second| tally.failed(second * 1000, &trap))
                .collect();
            assert_eq!(tipping, Vec::from_iter(tripped_at), "{seconds:?}");
            let trip = tally.trip();
            assert_eq!(
                trip.as_ref().map(|trip| trip.at_ms / 1000),
                tripped_at,
                "{seconds:?}"
            );
            if let Some(trip) = trip {
                assert_eq!((trip.reason.as_str(), trip.failures), ("Trap", 3));
                assert_eq!(tally.detached().trip(), Some(trip));
            }
            assert_eq!(tally.usage().traps, seconds.len() as u64);
        }
        let patient = Tally::new(None);
        assert!((0..1000).all(|at| !patient.failed(at, &trap)));
    }

    #[test]
    fn each_failure_is_counted_as_what_it_is() {
        let tally = Tally::default();
        for error in [
            CallError::OutOfFuel(1),
            CallError::Garbage(String::new()),
            CallError::Deadline(Duration::ZERO),
            CallError::Trap(String::new()),
        ] {
            tally.failed(0, &error);
        }
        let usage = tally.usage();
        let counts = (usage.calls, usage.limit_overruns, usage.refusals, usage.traps);
        assert_eq!(counts, (4, 2, 1, 1));
    }

    #[test]
    fn a_comparison_sums_what_both_decided() {
        let tally = Tally::default();
        let outcome = |nodes| Outcome {
            nodes,
            hourly_micros: nodes * 10,
            waiting_pods: 0,
        };
        tally.compared(outcome(2), Some(outcome(2)), None);
        tally.compared(outcome(3), Some(outcome(1)), Some("fewer".to_owned()));
        tally.compared(outcome(9), None, None);
        let comparison = tally.comparison();
        assert_eq!(
            (comparison.decisions, comparison.different, comparison.failed),
            (3, 1, 1)
        );
        assert_eq!((comparison.active, comparison.shadow), (outcome(5), outcome(3)));
        assert_eq!(comparison.last_difference.as_deref(), Some("fewer"));
    }
}
