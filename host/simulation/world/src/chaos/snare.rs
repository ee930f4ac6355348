//! Snares: one request of the autoscaler, told by what it asks, meets what a test has prepared for it.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub method: &'static str,
    /// Part of the path.
    pub path: &'static str,
    /// Part of the body.
    pub body: &'static str,
    /// So many of its kind go through first.
    pub skip: u32,
}

/// What it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    /// It, and all like it for this long, is refused with this code.
    Refused(u16, Duration),
    /// It is carried out, and the answer says that it took too long.
    AnswerLost,
    /// It is carried out this much later.
    Late(Duration),
    /// The process dies before it, or right after it.
    DiesBefore,
    DiesAfter,
    /// The process stands still before it for this long, and then goes on where it was.
    Paused(Duration),
    /// Kubernetes refuses everything for this long.
    Down(Duration),
    /// It waits until the test has done something.
    Held,
}

#[derive(Default)]
struct State {
    snare: Option<(Target, Hit)>,
    refusing: Option<(Target, u16, Instant)>,
    down_until: Option<Instant>,
    caught: bool,
}

/// One snare at a time, for all processes.
#[derive(Default)]
pub(super) struct Snares {
    state: Mutex<State>,
    caught: Notify,
    released: Notify,
}

impl Target {
    fn fits(&self, method: &str, path: &str, body: &str) -> bool {
        self.method == method && path.contains(self.path) && body.contains(self.body)
    }
}

impl Snares {
    /// From now on.
    pub(super) fn set(&self, target: Target, hit: Hit) {
        self.state.lock().snare = Some((target, hit));
    }

    /// Whether the request came.
    pub(super) fn has_caught(&self) -> bool {
        self.state.lock().caught
    }

    /// Waits until it came.
    pub(super) async fn caught(&self) {
        while !self.has_caught() {
            self.caught.notified().await;
        }
    }

    /// Lets a request go on that is held.
    pub(super) fn release(&self) {
        self.released.notify_one();
    }

    /// What this request meets, once.
    pub(super) fn of_kubernetes(&self, method: &str, path: &str, body: &str) -> Option<Hit> {
        let down = self.state.lock().down_until;
        if down.is_some_and(|until| Instant::now() < until) {
            return Some(Hit::Refused(503, Duration::ZERO));
        }
        self.step_in(method, path, body)
    }

    /// The same for a request to VPSie.
    pub(super) fn of_vpsie(&self, method: &str, path: &str) -> Option<Hit> {
        self.step_in(method, path, "")
    }

    fn step_in(&self, method: &str, path: &str, body: &str) -> Option<Hit> {
        let mut state = self.state.lock();
        let now = Instant::now();
        if let Some((target, code, until)) = state.refusing
            && now < until
            && target.fits(method, path, body)
        {
            return Some(Hit::Refused(code, Duration::ZERO));
        }
        let (mut target, hit) = state
            .snare
            .filter(|(target, _)| target.fits(method, path, body))?;
        if target.skip > 0 {
            target.skip -= 1;
            state.snare = Some((target, hit));
            return None;
        }
        state.snare = None;
        state.caught = true;
        match hit {
            Hit::Refused(code, time) => state.refusing = Some((target, code, now + time)),
            Hit::Down(time) => state.down_until = Some(now + time),
            _ => {}
        }
        self.caught.notify_one();
        Some(match hit {
            Hit::Down(time) => Hit::Refused(503, time),
            other => other,
        })
    }

    pub(super) async fn wait_for_release(&self) {
        self.released.notified().await;
    }
}
