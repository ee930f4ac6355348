//! A keyed work queue and the loop that works it off.
//!
//! A key stands in the queue at most once and is never worked on twice at the same time: one that is
//! added while it runs is run again afterwards. Keys leave in the order in which they became due, and
//! those that become due together in the order of their keys, so that equal inputs give equal runs.
//! Time is tokio's, which tests and the simulation move by hand.

use super::metrics::Metrics;
use super::{Reasoned, chain};
use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Pause after the first failure of a key; doubles with each further one.
pub const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// Longest pause between two tries of a key that keeps failing.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(300);
/// How long running reconciles may finish after shutdown was asked for. Shorter than the time between
/// the renewal deadline of the Lease and its end, so that a lost leader is quiet before the next one acts.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// What is to happen with a key after a reconcile that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing, until it is added again.
    Done,
    /// Look again after this time at the latest.
    After(Duration),
}

/// See the module's text.
#[derive(Debug)]
pub struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    /// Due, in the order in which they became so.
    ready: VecDeque<K>,
    /// Not due yet; a key has at most one time.
    times: BTreeMap<K, Instant>,
    /// The same, in the order of time.
    timeline: BTreeSet<(Instant, K)>,
    running: BTreeSet<K>,
    /// Added while running.
    again: BTreeSet<K>,
    /// Failures in a row.
    failures: BTreeMap<K, u32>,
}

impl<K: Ord + Clone + Debug> Default for Queue<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord + Clone + Debug> Queue<K> {
    /// An empty queue.
    pub fn new() -> Self {
        let state = State {
            ready: VecDeque::new(),
            times: BTreeMap::new(),
            timeline: BTreeSet::new(),
            running: BTreeSet::new(),
            again: BTreeSet::new(),
            failures: BTreeMap::new(),
        };
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    /// Makes `key` due now.
    pub fn add(&self, key: K) {
        self.state.lock().add(key);
        self.changed.notify_one();
    }

    /// Makes `key` due now and forgets its failures: an operator says that the cause is gone.
    pub fn wake(&self, key: K) {
        self.state.lock().failures.remove(&key);
        self.add(key);
    }

    /// Makes `key` due after `delay`, or earlier when it is already waiting for an earlier time.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        self.state.lock().add_at(key, Instant::now() + delay);
        self.changed.notify_one();
    }

    /// Waits for the next due key and marks it as running until [`Queue::done`]. Dropping the future
    /// loses nothing.
    pub async fn next(&self) -> K {
        loop {
            let due = {
                let mut state = self.state.lock();
                state.collect_due(Instant::now());
                if let Some(key) = state.ready.pop_front() {
                    state.running.insert(key.clone());
                    if !state.ready.is_empty() {
                        self.changed.notify_one();
                    }
                    return key;
                }
                state.timeline.first().map(|(due, _)| *due)
            };
            match due {
                Some(due) => tokio::select! {
                    biased;
                    () = self.changed.notified() => {}
                    () = tokio::time::sleep_until(due) => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    /// Ends what [`Queue::next`] began.
    pub fn done(&self, key: &K) {
        let mut state = self.state.lock();
        state.running.remove(key);
        if state.again.remove(key) {
            state.add(key.clone());
            self.changed.notify_one();
        }
    }

    /// Notes a failure and tells the pause before the next try.
    fn failed(&self, key: &K) -> Duration {
        let mut state = self.state.lock();
        let count = state.failures.entry(key.clone()).or_default();
        *count = count.saturating_add(1);
        backoff(*count)
    }

    fn succeeded(&self, key: &K) {
        self.state.lock().failures.remove(key);
    }

    /// Keys that are due and do not run.
    pub fn depth(&self) -> usize {
        let mut state = self.state.lock();
        state.collect_due(Instant::now());
        state.ready.len() + state.again.len()
    }
}

impl<K: Ord + Clone> State<K> {
    fn add(&mut self, key: K) {
        self.forget_time(&key);
        if self.running.contains(&key) {
            self.again.insert(key);
        } else if !self.ready.contains(&key) {
            self.ready.push_back(key);
        }
    }

    fn add_at(&mut self, key: K, due: Instant) {
        if self.ready.contains(&key)
            || self.again.contains(&key)
            || self.times.get(&key).is_some_and(|present| *present <= due)
        {
            return;
        }
        self.forget_time(&key);
        self.times.insert(key.clone(), due);
        self.timeline.insert((due, key));
    }

    fn forget_time(&mut self, key: &K) {
        if let Some((key, due)) = self.times.remove_entry(key) {
            self.timeline.remove(&(due, key));
        }
    }

    fn collect_due(&mut self, now: Instant) {
        while self.timeline.first().is_some_and(|(due, _)| *due <= now) {
            let Some((_, key)) = self.timeline.pop_first() else {
                return;
            };
            self.add(key);
        }
    }
}

/// The pause after `failures` failures in a row.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF)
}

/// Works off `queue` until `shutdown`: at most `concurrency` keys at a time, all in the calling task.
///
/// A reconcile that fails or panics is logged once with its causes, counted, and tried again after a
/// pause of its own; the others go on. `name` is the label `controller` of the metrics.
pub async fn run<K, E, F, Fut>(
    name: &'static str,
    queue: Arc<Queue<K>>,
    concurrency: usize,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
    reconcile: F,
) where
    K: Ord + Clone + Debug,
    E: Reasoned,
    F: Fn(K) -> Fut,
    Fut: Future<Output = Result<Next, E>>,
{
    metrics.controller_started(name);
    let mut running = FuturesUnordered::new();
    loop {
        metrics.queue_depth(name, queue.depth());
        let (key, duration, result) = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(finished) = running.next(), if !running.is_empty() => finished,
            key = queue.next(), if running.len() < concurrency.max(1) => {
                running.push(attempt(name, key, &reconcile));
                continue;
            }
        };
        queue.done(&key);
        finish(name, &queue, &metrics, key, duration, result);
    }
    // What runs may finish: a request in flight whose answer nobody reads is an unknown outcome.
    let finish_all = async { while running.next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_GRACE, finish_all).await.is_err() {
        tracing::warn!(
            controller = name,
            "shutdown does not wait longer for running reconciles"
        );
    }
    metrics.queue_depth(name, 0);
}

/// How a reconcile ended.
enum Outcome<E> {
    Ok(Next),
    Failed(E),
    Panicked(String),
}

async fn attempt<K, E, F, Fut>(name: &'static str, key: K, reconcile: &F) -> (K, Duration, Outcome<E>)
where
    K: Clone + Debug,
    F: Fn(K) -> Fut,
    Fut: Future<Output = Result<Next, E>>,
{
    let started = Instant::now();
    let span = tracing::info_span!("reconcile", controller = name, key = ?key);
    // The call itself may panic too, before there is a future.
    let work = async { reconcile(key.clone()).await }.instrument(span);
    let outcome = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(next)) => Outcome::Ok(next),
        Ok(Err(error)) => Outcome::Failed(error),
        Err(payload) => Outcome::Panicked(panic_text(payload.as_ref())),
    };
    (key, started.elapsed(), outcome)
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without text".to_owned())
}

fn finish<K: Ord + Clone + Debug, E: Reasoned>(
    name: &'static str,
    queue: &Queue<K>,
    metrics: &Metrics,
    key: K,
    duration: Duration,
    outcome: Outcome<E>,
) {
    let (result, retry) = match outcome {
        Outcome::Ok(next) => {
            queue.succeeded(&key);
            if let Next::After(delay) = next {
                queue.add_after(key, delay);
            }
            metrics.reconciled(name, "success", duration);
            return;
        }
        Outcome::Failed(error) => {
            let retry = queue.failed(&key);
            tracing::warn!(
                controller = name, ?key, reason = error.reason(), retry_in = ?retry,
                "reconcile failed: {}", chain(&error)
            );
            ("error", retry)
        }
        Outcome::Panicked(text) => {
            let retry = queue.failed(&key);
            tracing::error!(controller = name, ?key, retry_in = ?retry, "reconcile panicked: {text}");
            ("panic", retry)
        }
    };
    metrics.reconciled(name, result, duration);
    queue.add_after(key, retry);
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::poll;
    use std::pin::pin;

    #[derive(Debug, thiserror::Error)]
    #[error("doing it")]
    struct Failed;

    impl Reasoned for Failed {
        fn reason(&self) -> &'static str {
            "Failed"
        }
    }

    #[test]
    fn the_pause_doubles_up_to_its_cap() {
        let table = [
            (0, 1),
            (1, 1),
            (2, 2),
            (3, 4),
            (8, 128),
            (9, 256),
            (10, 300),
            (u32::MAX, 300),
        ];
        for (failures, seconds) in table {
            assert_eq!(
                backoff(failures),
                Duration::from_secs(seconds),
                "{failures} failures"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keys_leave_in_the_order_in_which_they_became_due() {
        let queue = Queue::new();
        let begin = Instant::now();
        queue.add_after("late", Duration::from_secs(9));
        queue.add_after("b", Duration::from_secs(5));
        queue.add_after("a", Duration::from_secs(5));
        queue.add_after("late", Duration::from_secs(20));
        queue.add_after("a", Duration::from_secs(7));
        queue.add("now");
        queue.add("now");
        let mut seen = Vec::new();
        for _ in 0..4 {
            let key = queue.next().await;
            seen.push((key, begin.elapsed().as_secs()));
            queue.done(&key);
        }
        assert_eq!(seen, [("now", 0), ("a", 5), ("b", 5), ("late", 9)]);
        assert!(poll!(pin!(queue.next())).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_while_it_runs_runs_again_and_never_twice_at_once() {
        let queue = Queue::new();
        queue.add(1);
        assert_eq!(queue.next().await, 1);
        queue.add(1);
        queue.add_after(1, Duration::from_secs(1));
        assert!(poll!(pin!(queue.next())).is_pending());
        assert_eq!(queue.depth(), 1);
        queue.done(&1);
        assert_eq!(queue.next().await, 1);
        queue.done(&1);
        assert!(poll!(pin!(queue.next())).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn every_waiter_gets_a_key() {
        let queue = Queue::new();
        let mut first = pin!(queue.next());
        let mut second = pin!(queue.next());
        assert!(poll!(&mut first).is_pending());
        assert!(poll!(&mut second).is_pending());
        queue.add(1);
        queue.add(2);
        assert_eq!(first.await + second.await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_and_panics_back_off_and_do_not_stop_the_others() {
        let queue = Arc::new(Queue::new());
        let metrics = Arc::new(Metrics::new());
        let shutdown = CancellationToken::new();
        let begin = Instant::now();
        let seen = Mutex::new(Vec::new());
        for key in ["fails", "panics", "works"] {
            queue.add(key);
        }
        let work = run(
            "test",
            queue.clone(),
            2,
            metrics.clone(),
            shutdown.clone(),
            |key| {
                let at = begin.elapsed().as_secs();
                let runs = {
                    let mut seen = seen.lock();
                    seen.push((at, key));
                    seen.iter().filter(|(_, k)| *k == key).count()
                };
                if at >= 7 {
                    shutdown.cancel();
                }
                async move {
                    match key {
                        "fails" => Err(Failed),
                        "panics" if runs < 3 => panic!("on purpose"),
                        "works" => Ok(Next::After(Duration::from_secs(6))),
                        _ => Ok(Next::Done),
                    }
                }
            },
        );
        work.await;
        let seen = seen.into_inner();
        let times = |wanted: &str| -> Vec<u64> {
            seen.iter()
                .filter(|(_, key)| *key == wanted)
                .map(|(at, _)| *at)
                .collect()
        };
        assert_eq!(times("fails"), [0, 1, 3, 7]);
        assert_eq!(times("panics"), [0, 1, 3]);
        assert_eq!(times("works"), [0, 6]);
        let text = metrics.render();
        for line in [
            r#"controller_reconcile_total{controller="test",result="panic"} 2"#,
            r#"controller_reconcile_total{controller="test",result="success"} 3"#,
            r#"reconciliation_queue_depth{controller="test"} 0"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_lets_running_work_finish_within_its_grace() {
        for (needs, finishes) in [(1, true), (10, false)] {
            let queue = Arc::new(Queue::new());
            let shutdown = CancellationToken::new();
            let finished = Mutex::new(false);
            queue.add(());
            let metrics = Arc::new(Metrics::new());
            run("test", queue, 1, metrics, shutdown.clone(), |()| {
                shutdown.cancel();
                let finished = &finished;
                async move {
                    tokio::time::sleep(Duration::from_secs(needs)).await;
                    *finished.lock() = true;
                    Ok::<_, Failed>(Next::Done)
                }
            })
            .await;
            assert_eq!(*finished.lock(), finishes, "work of {needs} s");
        }
    }
}
