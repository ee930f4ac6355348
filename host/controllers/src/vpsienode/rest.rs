//! Pauses between tries at VPSie, for each record. The queue's own do not hold here: what a failed try writes into the
//! status is a change that wakes the record at once, and it would try, fail and write as fast as it can.

use autoscaler_cluster::ObjectKey;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use vpsie_client::Error;

/// Pause after the first failure; doubles with each further one.
const FIRST: Duration = Duration::from_secs(1);
/// Orders go on this soon after VPSie is back, and machines that nobody uses go.
const LONGEST: Duration = Duration::from_secs(60);

/// The records that rest.
#[derive(Default)]
pub(super) struct Rests(Mutex<BTreeMap<ObjectKey, Rest>>);

struct Rest {
    failures: u32,
    until: Instant,
    /// What the group's reconcile trigger said when it failed: another value ends the rest.
    trigger: Option<String>,
}

impl Rests {
    /// How long the record still rests.
    pub(super) fn left(&self, key: &ObjectKey, trigger: Option<&str>) -> Option<Duration> {
        let rests = self.0.lock();
        let rest = rests.get(key).filter(|rest| rest.trigger.as_deref() == trigger)?;
        let left = rest.until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// A try failed: rests, as long as the error asks for, too.
    pub(super) fn failed(&self, key: &ObjectKey, trigger: Option<&str>, error: Option<&Error>) {
        let asked = match error {
            Some(Error::CircuitOpen { retry_in, .. }) => *retry_in,
            Some(Error::RateLimited {
                retry_after: Some(time),
                ..
            }) => *time,
            _ => Duration::ZERO,
        };
        let mut rests = self.0.lock();
        let before = rests.get(key).filter(|rest| rest.trigger.as_deref() == trigger);
        let failures = before.map_or(0, |rest| rest.failures);
        let pause = FIRST
            .saturating_mul(1 << failures.min(16))
            .max(asked)
            .min(LONGEST);
        let rest = Rest {
            failures: failures.saturating_add(1),
            until: Instant::now() + pause,
            trigger: trigger.map(str::to_owned),
        };
        rests.insert(key.clone(), rest);
    }

    /// A try went through, or the record is gone.
    pub(super) fn over(&self, key: &ObjectKey) {
        self.0.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_follow_the_server_and_end_with_a_new_trigger() {
        let (rests, key) = (Rests::default(), ObjectKey::new("ns", "a"));
        let left = |trigger| rests.left(&key, trigger).map(|left| left.as_secs());
        assert_eq!(left(None), None);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            rests.failed(&key, None, None);
            assert_eq!(left(None), Some(seconds));
        }
        assert_eq!(left(Some("now")), None, "an operator asks for another try");
        rests.failed(&key, Some("now"), None);
        assert_eq!(left(Some("now")), Some(1), "and the pauses begin anew");
        let open = Error::CircuitOpen {
            doing: "x",
            retry_in: Duration::from_secs(30),
        };
        rests.failed(&key, Some("now"), Some(&open));
        assert_eq!(left(Some("now")), Some(30));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(left(Some("now")), None);
        rests.over(&key);
        rests.failed(&key, Some("now"), None);
        assert_eq!(left(Some("now")), Some(1));
    }
}
