//! Token bucket with priorities: what frees money goes before what buys, and both before what only looks.
//!
//! Runs on tokio's clock, so that it works under a paused one too.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Who goes first when requests wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Removals.
    Delete,
    /// Orders.
    Create,
    /// Reads.
    List,
}

/// The bucket.
#[derive(Debug)]
pub struct RateLimiter {
    interval: Duration,
    burst: f64,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    tokens: f64,
    counted_at: Instant,
    not_before: Option<Instant>,
    waiting: BTreeSet<(Priority, u64)>,
    next_ticket: u64,
}

impl RateLimiter {
    /// A full bucket of `burst` requests that gains `per_minute` of them (both at least 1).
    pub fn new(per_minute: u32, burst: u32) -> Self {
        let burst = f64::from(burst.max(1));
        Self {
            interval: Duration::from_secs(60) / per_minute.max(1),
            burst,
            state: Mutex::new(State {
                tokens: burst,
                counted_at: Instant::now(),
                not_before: None,
                waiting: BTreeSet::new(),
                next_ticket: 0,
            }),
            changed: Notify::new(),
        }
    }

    /// Waits for leave to send one request; returns how long that took.
    pub async fn acquire(&self, priority: Priority) -> Duration {
        let begun = Instant::now();
        let waiter = Waiter::join(self, priority);
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before looking, so that a change after the look is not missed.
            changed.as_mut().enable();
            match waiter.try_take() {
                Turn::Taken => return begun.elapsed(),
                Turn::At(instant) => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = tokio::time::sleep_until(instant) => {}
                    }
                }
                Turn::NotFirst => changed.await,
            }
        }
    }

    /// Sends nothing for `pause` from now on, as the server asked.
    pub fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        state.not_before = Some(state.not_before.map_or(until, |present| present.max(until)));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Turn {
    Taken,
    At(Instant),
    NotFirst,
}

/// A place in the queue; given up when dropped.
struct Waiter<'a> {
    limiter: &'a RateLimiter,
    key: (Priority, u64),
}

impl<'a> Waiter<'a> {
    fn join(limiter: &'a RateLimiter, priority: Priority) -> Self {
        let mut state = limiter.lock();
        let key = (priority, state.next_ticket);
        state.next_ticket += 1;
        state.waiting.insert(key);
        Self { limiter, key }
    }

    fn try_take(&self) -> Turn {
        let now = Instant::now();
        let mut guard = self.limiter.lock();
        let state = &mut *guard;
        if state.waiting.first() != Some(&self.key) {
            return Turn::NotFirst;
        }
        let interval = self.limiter.interval;
        let gained = (now - state.counted_at).as_secs_f64() / interval.as_secs_f64();
        state.tokens = (state.tokens + gained).min(self.limiter.burst);
        state.counted_at = now;
        if let Some(until) = state.not_before.filter(|until| now < *until) {
            return Turn::At(until);
        }
        state.not_before = None;
        // A hair of tolerance: sums of fractions must not make anyone wait another round.
        if state.tokens < 1.0 - 1e-6 {
            let wait = interval.mul_f64(1.0 - state.tokens).max(Duration::from_millis(1));
            return Turn::At(now + wait);
        }
        state.tokens = (state.tokens - 1.0).max(0.0);
        Turn::Taken
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.limiter.lock().waiting.remove(&self.key);
        self.limiter.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let limiter = RateLimiter::new(60, 3);
        let begun = Instant::now();
        let mut at = Vec::new();
        for _ in 0..6 {
            limiter.acquire(Priority::List).await;
            at.push(begun.elapsed().as_secs_f64().round() as u64);
        }
        assert_eq!(at, [0, 0, 0, 1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_removals_go_before_orders_and_orders_before_reads() {
        let limiter = Arc::new(RateLimiter::new(60, 1));
        limiter.acquire(Priority::List).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for (name, priority) in [
            ("list 1", Priority::List),
            ("create 1", Priority::Create),
            ("list 2", Priority::List),
            ("delete 1", Priority::Delete),
            ("create 2", Priority::Create),
        ] {
            let (limiter, order) = (limiter.clone(), order.clone());
            tasks.spawn(async move {
                limiter.acquire(priority).await;
                order.lock().unwrap().push(name);
            });
        }
        tasks.join_all().await;
        assert_eq!(
            *order.lock().unwrap(),
            ["delete 1", "create 1", "create 2", "list 1", "list 2"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_gives_up_blocks_nobody() {
        let limiter = Arc::new(RateLimiter::new(60, 1));
        limiter.acquire(Priority::List).await;
        let hasty = tokio::time::timeout(Duration::from_millis(10), limiter.acquire(Priority::Delete));
        let patient = limiter.acquire(Priority::List);
        let (hasty, waited) = tokio::join!(hasty, patient);
        assert!(hasty.is_err());
        assert_eq!(waited.as_secs_f64().round(), 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_the_server_asked_for_holds_everyone() {
        let limiter = RateLimiter::new(6000, 10);
        limiter.pause(Duration::from_secs(7));
        limiter.pause(Duration::from_secs(2));
        assert_eq!(limiter.acquire(Priority::Delete).await, Duration::from_secs(7));
        assert_eq!(limiter.acquire(Priority::Delete).await, Duration::ZERO);
    }
}
