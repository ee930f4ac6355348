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
#[path = "breaker_tests.rs"]
mod tests;
