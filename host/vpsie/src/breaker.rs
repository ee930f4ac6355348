//! Circuit breaker: stops calling a server that fails, and finds out by one probe at a time whether it is back.
//!
//! A pure state machine: time comes in as a monotonic [`Duration`] since any fixed point.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use crate::settings::BreakerSettings;

/// State of the breaker, spelt as the metric label has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// No call goes through.
    Open,
    /// One call at a time goes through, to probe.
    HalfOpen,
}

impl BreakerState {
    /// Every state, so that each metric series can exist from the start.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// `closed`, `open` or `half-open`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// How a call that was let through ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered sensibly (a refusal counts as sensible).
    Healthy,
    /// The server failed.
    Failed,
    /// The call was given up before anything could be learnt.
    Abandoned,
}

/// Leave to make one call; hand it back with [`Breaker::record`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not recorded may block the probe"]
pub struct Permit {
    generation: u64,
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state left.
    pub from: BreakerState,
    /// The state entered.
    pub to: BreakerState,
}

/// Answer to the question whether a call may be made.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Allowed(Permit, Option<Transition>),
    /// It may not; ask again after this time.
    Refused(Duration),
}

#[derive(Debug)]
enum State {
    Closed {
        consecutive: u32,
        recent: VecDeque<(Duration, bool)>,
    },
    Open {
        until: Duration,
    },
    HalfOpen {
        probing: bool,
    },
}

/// The state machine.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: State,
    // Counts state changes: what a call of an earlier state reports is no longer news.
    generation: u64,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            state: closed(),
            generation: 0,
        }
    }

    /// The present state. An open breaker stays open until somebody asks for leave after its time.
    pub fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// How long calls are certainly refused from `now` on; `None` if one might go through.
    pub fn refuses_for(&self, now: Duration) -> Option<Duration> {
        match &self.state {
            State::Closed { .. } | State::HalfOpen { probing: false } => None,
            State::Open { until } => (now < *until).then(|| *until - now),
            State::HalfOpen { probing: true } => Some(PROBE_WAIT),
        }
    }

    /// Asks for leave to make a call at `now`.
    pub fn admit(&mut self, now: Duration) -> Admission {
        if let Some(wait) = self.refuses_for(now) {
            return Admission::Refused(wait);
        }
        let transition = match &mut self.state {
            State::Closed { .. } => None,
            State::HalfOpen { probing } => {
                *probing = true;
                None
            }
            State::Open { .. } => Some(self.enter(State::HalfOpen { probing: true })),
        };
        Admission::Allowed(
            Permit {
                generation: self.generation,
            },
            transition,
        )
    }

    /// Reports how a permitted call ended at `now`.
    pub fn record(&mut self, permit: &Permit, outcome: Outcome, now: Duration) -> Option<Transition> {
        if permit.generation != self.generation {
            return None;
        }
        match (&mut self.state, outcome) {
            (State::HalfOpen { probing }, Outcome::Abandoned) => {
                *probing = false;
                None
            }
            (State::HalfOpen { .. }, Outcome::Healthy) => Some(self.enter(closed())),
            (State::HalfOpen { .. }, Outcome::Failed) => Some(self.open(now)),
            (State::Closed { .. }, Outcome::Abandoned) | (State::Open { .. }, _) => None,
            (State::Closed { consecutive, recent }, outcome) => {
                let failed = outcome == Outcome::Failed;
                *consecutive = if failed { consecutive.saturating_add(1) } else { 0 };
                recent.push_back((now, failed));
                let oldest = now.saturating_sub(self.settings.window);
                while recent.front().is_some_and(|(at, _)| *at < oldest) || recent.len() > LONGEST_WINDOW {
                    recent.pop_front();
                }
                let failures = recent.iter().filter(|(_, failed)| *failed).count();
                let in_a_row = self.settings.consecutive_failures > 0
                    && *consecutive >= self.settings.consecutive_failures;
                let enough = recent.len() >= self.settings.minimum_calls.max(1) as usize;
                let rate = enough && failures as f64 >= self.settings.failure_rate * recent.len() as f64;
                (failed && (in_a_row || rate)).then(|| self.open(now))
            }
        }
    }

    fn open(&mut self, now: Duration) -> Transition {
        self.enter(State::Open {
            until: now.saturating_add(self.settings.open_for),
        })
    }

    fn enter(&mut self, state: State) -> Transition {
        let from = self.state();
        self.state = state;
        self.generation += 1;
        Transition {
            from,
            to: self.state(),
        }
    }
}

/// Told to callers refused while a probe runs: its end is not known.
const PROBE_WAIT: Duration = Duration::from_secs(1);
/// Bounds the memory of a very busy window.
const LONGEST_WINDOW: usize = 4096;

fn closed() -> State {
    State::Closed {
        consecutive: 0,
        recent: VecDeque::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn call(breaker: &mut Breaker, outcome: Outcome, now: Duration) -> Option<Transition> {
        match breaker.admit(now) {
            Admission::Allowed(permit, _) => breaker.record(&permit, outcome, now),
            Admission::Refused(_) => None,
        }
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_one_good_probe_closes_it() {
        let mut breaker = Breaker::new(BreakerSettings::default());
        for _ in 0..4 {
            assert_eq!(call(&mut breaker, Outcome::Failed, s(0)), None);
        }
        let opened = Transition {
            from: BreakerState::Closed,
            to: BreakerState::Open,
        };
        assert_eq!(call(&mut breaker, Outcome::Failed, s(1)), Some(opened));
        assert_eq!(breaker.admit(s(30)), Admission::Refused(s(1)));

        let Admission::Allowed(probe, Some(half)) = breaker.admit(s(31)) else {
            panic!("no probe")
        };
        assert_eq!(
            half,
            Transition {
                from: BreakerState::Open,
                to: BreakerState::HalfOpen
            }
        );
        assert!(
            matches!(breaker.admit(s(31)), Admission::Refused(_)),
            "one probe at a time"
        );
        assert_eq!(
            breaker.record(&probe, Outcome::Healthy, s(32)).unwrap().to,
            BreakerState::Closed
        );
        // The slate is clean: it takes five again.
        for _ in 0..4 {
            assert_eq!(call(&mut breaker, Outcome::Failed, s(33)), None);
        }
        assert!(call(&mut breaker, Outcome::Failed, s(33)).is_some());
    }

    #[test]
    fn a_failed_probe_opens_it_for_another_full_time() {
        let mut breaker = Breaker::new(BreakerSettings {
            consecutive_failures: 1,
            ..Default::default()
        });
        call(&mut breaker, Outcome::Failed, s(0));
        assert_eq!(
            call(&mut breaker, Outcome::Failed, s(30)).unwrap().to,
            BreakerState::Open
        );
        assert_eq!(breaker.admit(s(59)), Admission::Refused(s(1)));
        assert!(matches!(breaker.admit(s(60)), Admission::Allowed(..)));
    }

    #[test]
    fn an_abandoned_probe_makes_room_for_the_next() {
        let mut breaker = Breaker::new(BreakerSettings {
            consecutive_failures: 1,
            ..Default::default()
        });
        call(&mut breaker, Outcome::Failed, s(0));
        assert_eq!(call(&mut breaker, Outcome::Abandoned, s(30)), None);
        assert!(matches!(breaker.admit(s(30)), Admission::Allowed(..)));
    }

    #[test]
    fn a_late_report_from_before_the_change_counts_for_nothing() {
        let mut breaker = Breaker::new(BreakerSettings {
            consecutive_failures: 1,
            ..Default::default()
        });
        let Admission::Allowed(slow, _) = breaker.admit(s(0)) else {
            panic!("refused")
        };
        call(&mut breaker, Outcome::Failed, s(0));
        assert_eq!(breaker.record(&slow, Outcome::Healthy, s(1)), None);
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn the_rate_opens_it_only_with_enough_calls_within_the_window() {
        let settings = BreakerSettings {
            consecutive_failures: 0,
            failure_rate: 0.5,
            minimum_calls: 4,
            window: s(10),
            open_for: s(30),
        };
        let mut breaker = Breaker::new(settings.clone());
        for (at, outcome, opens) in [
            (0, Outcome::Failed, false),
            (1, Outcome::Healthy, false),
            (2, Outcome::Healthy, false),
            (3, Outcome::Failed, true),
        ] {
            assert_eq!(call(&mut breaker, outcome, s(at)).is_some(), opens, "at {at}");
        }
        let mut breaker = Breaker::new(settings);
        for at in [0, 20, 40, 60, 80] {
            assert_eq!(
                call(&mut breaker, Outcome::Failed, s(at)),
                None,
                "too few within the window"
            );
        }
    }

    proptest! {
        /// Against any interleaving of calls: at most one probe runs, nothing is let through while open,
        /// and once the server is healthy one probe after the waiting time closes the breaker.
        #[test]
        fn it_never_floods_and_always_recovers(
            steps in proptest::collection::vec((0u64..20, 0u8..4, 0usize..8), 1..200)
        ) {
            let settings = BreakerSettings { consecutive_failures: 3, ..Default::default() };
            let open_for = settings.open_for;
            let mut breaker = Breaker::new(settings);
            let mut now = Duration::ZERO;
            let mut running: Vec<(Permit, BreakerState)> = Vec::new();
            let mut opened_at = None;
            for (advance, action, which) in steps {
                now += s(advance);
                let before = breaker.state();
                if action == 0 || running.is_empty() {
                    match breaker.admit(now) {
                        Admission::Allowed(permit, _) => {
                            if before == BreakerState::Open {
                                prop_assert!(now >= opened_at.unwrap_or(now) + open_for);
                            }
                            running.push((permit, breaker.state()));
                        }
                        Admission::Refused(wait) => {
                            prop_assert!(before != BreakerState::Closed);
                            prop_assert!(wait > Duration::ZERO && wait <= open_for);
                        }
                    }
                } else {
                    let (permit, _) = running.swap_remove(which % running.len());
                    let outcome = [Outcome::Healthy, Outcome::Failed, Outcome::Abandoned][action as usize - 1];
                    if let Some(change) = breaker.record(&permit, outcome, now) {
                        prop_assert_ne!(change.from, change.to);
                        opened_at = (change.to == BreakerState::Open).then_some(now);
                    }
                }
                let probes = running.iter().filter(|(permit, state)| {
                    *state == BreakerState::HalfOpen && permit.generation == breaker.generation
                }).count();
                prop_assert!(probes <= 1);
            }
            for (permit, _) in running {
                breaker.record(&permit, Outcome::Abandoned, now);
            }
            now += open_for;
            call(&mut breaker, Outcome::Healthy, now);
            prop_assert_eq!(breaker.state(), BreakerState::Closed);
        }
    }
}
