//! Leader election by a Lease: of several replicas one acts.
//!
//! Whether another holder is alive is judged by what this process sees on its own monotonic clock: a
//! Lease that did not change for its whole duration is free. Times that others wrote are never compared
//! with our clock. A holder that cannot renew in time stops everything (see [`Leadership::lost`]) before
//! anybody else may take the Lease.

use super::chain;
use super::metrics::Metrics;
use crate::context::Now;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Name of the Lease, in the controller's own namespace.
pub const LEASE_NAME: &str = "vpsie-autoscaler-leader";
/// How long a Lease holds after its last renewal.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);
/// A holder that could not renew for this long gives up.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two tries.
pub const RETRY_PERIOD: Duration = Duration::from_secs(2);
/// Longest wait for one answer of the API server.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// What this process saw of the Lease, and since when it has looked like that.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    spec: LeaseSpec,
    since: Instant,
}

impl Observation {
    /// The observation after the Lease was read: its time moves only when something changed.
    pub fn update(before: Option<Self>, spec: &LeaseSpec, now: Instant) -> Self {
        match before {
            Some(before) if before.spec == *spec => before,
            _ => Self {
                spec: spec.clone(),
                since: now,
            },
        }
    }
}

/// What to do about the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is free: take it.
    Acquire,
    /// It is ours: renew it.
    Renew,
    /// Somebody else holds it, and may do so for this long.
    Wait(Duration),
}

/// Judges a Lease. `observation` is the one after this reading.
pub fn evaluate(lease: &LeaseSpec, me: &str, observation: &Observation, now: Instant) -> Step {
    match lease.holder_identity.as_deref() {
        None | Some("") => Step::Acquire,
        Some(holder) if holder == me => Step::Renew,
        Some(_) => {
            let seconds = lease
                .lease_duration_seconds
                .and_then(|s| u64::try_from(s).ok())
                .filter(|s| *s > 0);
            let duration = seconds.map_or(LEASE_DURATION, Duration::from_secs);
            match duration.saturating_sub(now.saturating_duration_since(observation.since)) {
                Duration::ZERO => Step::Acquire,
                left => Step::Wait(left),
            }
        }
    }
}

/// The Lease's spec after it was taken or renewed.
fn claimed(before: Option<&LeaseSpec>, me: &str, now: jiff::Timestamp) -> LeaseSpec {
    let renewal = before.is_some_and(|spec| spec.holder_identity.as_deref() == Some(me));
    let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or(0);
    LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
        acquire_time: before
            .filter(|_| renewal)
            .and_then(|spec| spec.acquire_time.clone())
            .or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(transitions.saturating_add(i32::from(!renewal && before.is_some()))),
        ..LeaseSpec::default()
    }
}

/// The running election. Dropping it leaves the Lease to its end.
pub struct Leadership {
    leading: watch::Receiver<bool>,
    lost: CancellationToken,
    release: CancellationToken,
    task: JoinHandle<()>,
}

impl Leadership {
    /// Begins to try for the Lease. `client` must not retry by itself.
    pub fn contend(
        client: &Client,
        namespace: &str,
        identity: &str,
        now: Now,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (leads, leading) = watch::channel(false);
        let lost = CancellationToken::new();
        let release = CancellationToken::new();
        let contender = Contender {
            api: Api::namespaced(client.clone(), namespace),
            me: identity.to_owned(),
            now,
            metrics,
            leads,
            lost: lost.clone(),
            release: release.clone(),
        };
        let task = tokio::spawn(contender.run());
        Self {
            leading,
            lost,
            release,
            task,
        }
    }

    /// Waits until this process leads. Dropping the future gives nothing up.
    pub async fn acquired(&mut self) {
        // The sender lives until the Lease is lost; whoever waits then is stopped by the token.
        if self.leading.wait_for(|leads| *leads).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether this process leads now.
    pub fn is_leading(&self) -> bool {
        *self.leading.borrow()
    }

    /// Cancelled when the Lease is lost: every effect must stop, and the process end.
    pub fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// Gives the Lease back, so that another replica need not wait. Call it after the controllers ended.
    pub async fn release(self) {
        self.release.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!("leader election ended badly: {error}");
        }
    }
}

struct Contender {
    api: Api<Lease>,
    me: String,
    now: Now,
    metrics: Arc<Metrics>,
    leads: watch::Sender<bool>,
    lost: CancellationToken,
    release: CancellationToken,
}

impl Contender {
    async fn run(self) {
        let release = self.release.clone();
        let held = tokio::select! {
            biased;
            () = release.cancelled() => return,
            lease = self.acquire() => lease,
        };
        tracing::info!(identity = self.me, "leading");
        self.lead(true);
        let last = self.hold(held).await;
        self.lead(false);
        match last {
            Some(lease) => self.give_back(lease).await,
            None => {
                tracing::error!(identity = self.me, "the leader's Lease is lost: everything stops");
                self.lost.cancel();
            }
        }
    }

    fn lead(&self, leads: bool) {
        self.metrics.leading(leads);
        self.leads.send_replace(leads);
    }

    /// Tries until the Lease is ours.
    async fn acquire(&self) -> Lease {
        let mut observation = None;
        loop {
            match timeout(CALL_TIMEOUT, self.try_acquire(&mut observation)).await {
                Ok(Ok(Some(lease))) => return lease,
                Ok(Ok(None)) => {}
                Ok(Err(error)) if is_conflict(&error) => tracing::debug!("another replica was faster"),
                Ok(Err(error)) => tracing::warn!("trying for the leader's Lease failed: {}", chain(&error)),
                Err(_) => tracing::warn!("trying for the leader's Lease failed: timeout"),
            }
            sleep(RETRY_PERIOD).await;
        }
    }

    async fn try_acquire(&self, observation: &mut Option<Observation>) -> kube::Result<Option<Lease>> {
        let Some(mut lease) = self.api.get_opt(LEASE_NAME).await? else {
            let mut lease = Lease {
                spec: Some(claimed(None, &self.me, (self.now)())),
                ..Lease::default()
            };
            lease.metadata.name = Some(LEASE_NAME.to_owned());
            return self.api.create(&PostParams::default(), &lease).await.map(Some);
        };
        let spec = lease.spec.take().unwrap_or_default();
        let now = Instant::now();
        let seen = Observation::update(observation.take(), &spec, now);
        let step = evaluate(&spec, &self.me, &seen, now);
        *observation = Some(seen);
        if let Step::Wait(left) = step {
            tracing::debug!(holder = spec.holder_identity, ?left, "standing by");
            return Ok(None);
        }
        lease.spec = Some(claimed(Some(&spec), &self.me, (self.now)()));
        // The resourceVersion that was read travels along: of two replicas one wins.
        self.api
            .replace(LEASE_NAME, &PostParams::default(), &lease)
            .await
            .map(Some)
    }

    /// Renews until release (gives the Lease back to the caller) or loss (None).
    async fn hold(&self, mut lease: Lease) -> Option<Lease> {
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = self.release.cancelled() => return Some(lease),
                () = sleep(RETRY_PERIOD) => {}
            }
            let sent = Instant::now();
            let left = RENEW_DEADLINE.saturating_sub(sent - renewed);
            let failure = match timeout(left.min(CALL_TIMEOUT), self.renew(&lease)).await {
                Ok(Ok(Some(fresh))) => {
                    lease = fresh;
                    renewed = sent;
                    continue;
                }
                Ok(Ok(None)) => return None,
                Ok(Err(error)) => chain(&error),
                Err(_) => "timeout".to_owned(),
            };
            if renewed.elapsed() >= RENEW_DEADLINE {
                return None;
            }
            tracing::warn!(since = ?renewed.elapsed(), "renewing the leader's Lease failed: {failure}");
        }
    }

    /// None: somebody else holds it.
    async fn renew(&self, lease: &Lease) -> kube::Result<Option<Lease>> {
        let mut next = lease.clone();
        next.spec = Some(claimed(lease.spec.as_ref(), &self.me, (self.now)()));
        match self.api.replace(LEASE_NAME, &PostParams::default(), &next).await {
            Err(error) if is_conflict(&error) => {}
            other => return other.map(Some),
        }
        // Somebody wrote: an operator's label does no harm, another holder does. An answer of our own
        // that was lost also comes out here.
        let mut present = self.api.get(LEASE_NAME).await?;
        if present
            .spec
            .as_ref()
            .and_then(|spec| spec.holder_identity.as_deref())
            != Some(&self.me)
        {
            return Ok(None);
        }
        present.spec = Some(claimed(present.spec.as_ref(), &self.me, (self.now)()));
        self.api
            .replace(LEASE_NAME, &PostParams::default(), &present)
            .await
            .map(Some)
    }

    async fn give_back(&self, mut lease: Lease) {
        if let Some(spec) = lease.spec.as_mut() {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(MicroTime((self.now)()));
        }
        match timeout(
            CALL_TIMEOUT,
            self.api.replace(LEASE_NAME, &PostParams::default(), &lease),
        )
        .await
        {
            Ok(Ok(_)) => tracing::info!("the leader's Lease is given back"),
            Ok(Err(error)) => tracing::warn!("giving the leader's Lease back failed: {}", chain(&error)),
            Err(_) => tracing::warn!("giving the leader's Lease back failed: timeout"),
        }
    }
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeApi;

    fn spec(holder: &str, renewed: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(jiff::Timestamp::from_second(renewed).unwrap())),
            ..LeaseSpec::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_judged_by_local_observation_only() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let wait = |seconds| Step::Wait(Duration::from_secs(seconds));
        let longer = LeaseSpec {
            lease_duration_seconds: Some(60),
            ..spec("b", 0)
        };
        let without = LeaseSpec {
            lease_duration_seconds: None,
            ..spec("b", 0)
        };
        let nobody = LeaseSpec::default();
        // (lease, seen unchanged since, now, step). The written renew time never matters.
        let table = [
            (&nobody, 0, 0, Step::Acquire),
            (&spec("", 0), 0, 0, Step::Acquire),
            (&spec("a", 0), 0, 100, Step::Renew),
            (&spec("b", 0), 0, 0, wait(15)),
            (&spec("b", 999_999_999), 3, 10, wait(8)),
            (&spec("b", 0), 0, 14, wait(1)),
            (&spec("b", 999_999_999), 0, 15, Step::Acquire),
            (&longer, 0, 15, wait(45)),
            (&without, 0, 14, wait(1)),
        ];
        for (row, (lease, since, now, step)) in table.into_iter().enumerate() {
            let observation = Observation {
                spec: lease.clone(),
                since: at(since),
            };
            assert_eq!(evaluate(lease, "a", &observation, at(now)), step, "row {row}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_observation_gets_a_new_time_when_anything_changed() {
        let start = Instant::now();
        let later = start + Duration::from_secs(5);
        let first = Observation::update(None, &spec("b", 1), start);
        assert_eq!(
            Observation::update(Some(first.clone()), &spec("b", 1), later).since,
            start
        );
        assert_eq!(
            Observation::update(Some(first.clone()), &spec("b", 2), later).since,
            later
        );
        assert_eq!(
            Observation::update(Some(first), &spec("c", 1), later).since,
            later
        );
    }

    #[test]
    fn transitions_count_changes_of_holder() {
        let now = jiff::Timestamp::from_second(50).unwrap();
        let fresh = claimed(None, "a", now);
        assert_eq!(fresh.lease_transitions, Some(0));
        let renewed = claimed(Some(&fresh), "a", jiff::Timestamp::from_second(60).unwrap());
        assert_eq!(
            (renewed.lease_transitions, &renewed.acquire_time),
            (Some(0), &fresh.acquire_time)
        );
        assert_eq!(claimed(Some(&renewed), "b", now).lease_transitions, Some(1));
    }

    fn contend(api: &FakeApi, me: &str) -> Leadership {
        Leadership::contend(
            &api.client(),
            "kube-system",
            me,
            api.now(),
            Arc::new(Metrics::new()),
        )
    }

    fn holder(api: &FakeApi) -> String {
        let lease = api.object("leases", LEASE_NAME).unwrap();
        lease["spec"]["holderIdentity"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn one_leads_and_hands_over() {
        let api = FakeApi::new();
        let mut first = contend(&api, "first");
        first.acquired().await;
        let mut second = contend(&api, "second");
        sleep(Duration::from_secs(120)).await;
        assert!(first.is_leading() && !second.is_leading());
        let handed = Instant::now();
        first.release().await;
        second.acquired().await;
        assert!(handed.elapsed() <= RETRY_PERIOD, "{:?}", handed.elapsed());
        assert_eq!(holder(&api), "second");
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_holder_is_replaced_after_the_duration_of_its_lease() {
        let api = FakeApi::new();
        let mut first = contend(&api, "first");
        first.acquired().await;
        first.task.abort();
        let mut second = contend(&api, "second");
        let died = Instant::now();
        second.acquired().await;
        let waited = died.elapsed();
        assert!(
            waited >= LEASE_DURATION && waited <= LEASE_DURATION + 2 * RETRY_PERIOD,
            "{waited:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_that_cannot_renew_stops_before_its_lease_ends() {
        let api = FakeApi::new();
        let mut first = contend(&api, "first");
        first.acquired().await;
        api.fail_with(Some(503));
        let failed = Instant::now();
        first.lost().cancelled().await;
        assert!(failed.elapsed() < LEASE_DURATION, "{:?}", failed.elapsed());
        assert!(
            failed.elapsed() >= RENEW_DEADLINE - RETRY_PERIOD,
            "{:?}",
            failed.elapsed()
        );
        assert!(!first.is_leading());
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_outage_does_not_stop_the_holder_and_a_taken_lease_does() {
        let api = FakeApi::new();
        let mut first = contend(&api, "first");
        first.acquired().await;
        api.fail_with(Some(503));
        sleep(Duration::from_secs(6)).await;
        api.fail_with(None);
        sleep(Duration::from_secs(60)).await;
        assert!(first.is_leading());
        api.edit("leases", LEASE_NAME, |lease| {
            lease["metadata"]["labels"] = serde_json::json!({"a": "b"})
        });
        sleep(Duration::from_secs(10)).await;
        assert!(first.is_leading(), "an edit by somebody else is no loss");
        api.edit("leases", LEASE_NAME, |lease| {
            lease["spec"]["holderIdentity"] = "thief".into()
        });
        timeout(Duration::from_secs(3), first.lost().cancelled())
            .await
            .unwrap();
    }
}
