//! `run`: the controller, wired to a real cluster and to VPSie.
//!
//! Neither VPSie nor its credentials need to be there at the start: the process stays live, says in `/readyz`
//! and in the log what is missing, and goes on by itself when it comes.

use crate::arguments::{Pace as PaceFlags, Run};
use anyhow::{Context, bail};
use autoscaler_controllers::observe::Silent;
use autoscaler_controllers::runtime::metrics::Metrics;
use autoscaler_controllers::settings::Pace;
use autoscaler_controllers::{Autoscaler, Ended, Ids, Options, http};
use autoscaler_policy::record::{Records, Ring};
use autoscaler_policy::{Engine, PolicySet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use vpsie_client::transport::HttpSettings;
use vpsie_client::{HttpTransport, Settings};

pub(crate) fn run(options: Box<Run>) -> anyhow::Result<()> {
    crate::logging::init(&options.log.log_level, options.log.log_format)?;
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(control(*options))
}

async fn control(options: Run) -> anyhow::Result<()> {
    let now: autoscaler_controllers::Now = Arc::new(jiff::Timestamp::now);
    let metrics = Arc::new(Metrics::new().with_process());

    let mut settings = match options.vpsie_settings.as_deref() {
        Some(file) => vpsie_settings(file)?,
        None => Settings::default(),
    };
    if let Some(url) = &options.vpsie_url {
        settings.base_url.clone_from(url);
    }
    let transport =
        Arc::new(HttpTransport::new(HttpSettings::default()).context("setting up the VPSie connection")?);
    let vpsie = vpsie_client::Client::new(settings, transport, now.clone(), metrics.clone())
        .context("setting up the VPSie client")?;

    let cluster = super::cluster(options.kubeconfig.as_deref()).await?;
    let reads = kube::Client::try_from(cluster.clone()).context("making a Kubernetes client")?;
    let mut without_retries = cluster;
    without_retries.default_retry = false;
    let effects = kube::Client::try_from(without_retries).context("making a Kubernetes client")?;

    let engine = Engine::new().context("starting the policy engine")?;
    let policies = Arc::new(PolicySet::built_in(&engine).context("loading the built-in policies")?);
    let options_of_process = Options {
        namespace: options.namespace,
        identity: options.identity.unwrap_or_else(identity),
        leader_election: options.leader_election,
        secret: (options.secret_namespace, options.secret_name),
        policy_cache: options.policy_cache,
        pace: pace(&options.pace),
        now: now.clone(),
        ids: Arc::new(Clocked::starting_at(now())),
        observer: Arc::new(Silent),
        records: Arc::new(records(options.records_dir.as_deref(), options.records_size)?),
    };
    let autoscaler = Autoscaler::new(
        reads,
        effects,
        vpsie,
        engine,
        policies,
        metrics,
        options_of_process,
    );

    let listener = tokio::net::TcpListener::bind(options.metrics_addr)
        .await
        .with_context(|| format!("--metrics-addr: listening on {}", options.metrics_addr))?;
    let address = listener.local_addr().context("reading the own address")?;
    tracing::info!(%address, "serving /metrics, /healthz, /readyz and /decisions");

    let stop = CancellationToken::new();
    let health = http::Health::new(&autoscaler.context(), autoscaler.feed());
    let endpoints = http::router(health).merge(http::explain(autoscaler.context()));
    let until = stop.clone().cancelled_owned();
    let serving = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, endpoints)
            .with_graceful_shutdown(until)
            .await
        {
            tracing::error!("serving /metrics, /healthz and /readyz ended: {error}");
        }
    });
    let signals = {
        let stop = stop.clone();
        async move {
            asked_to_stop().await;
            tracing::info!("asked to stop: finishing what runs, then releasing the Lease");
            stop.cancel();
        }
    };
    let signals = tokio::spawn(signals);
    let ended = autoscaler.run(stop.clone()).await;
    stop.cancel();
    signals.abort();
    // A panic in there has been printed already.
    let _ = serving.await;
    match ended {
        Ended::Stopped => Ok(()),
        Ended::LeaseLost => bail!("the Lease was lost: another replica acts now"),
    }
}

fn records(folder: Option<&Path>, bytes: u64) -> anyhow::Result<Records> {
    let ring = match (folder, bytes) {
        (_, 0) => return Ok(Records::off()),
        (None, bytes) => Ring::in_memory(bytes),
        (Some(folder), bytes) => Ring::in_folder(folder, bytes)
            .with_context(|| format!("--records-dir: keeping records in {}", folder.display()))?,
    };
    Records::keep_in(ring).context("starting to keep decision records")
}

fn vpsie_settings(file: &Path) -> anyhow::Result<Settings> {
    let flag = || format!("--vpsie-settings {}", file.display());
    let text = std::fs::read_to_string(file).with_context(|| format!("{}: reading it", flag()))?;
    // JSON is YAML too.
    serde_saphyr::from_str(&text).with_context(|| format!("{}: understanding it", flag()))
}

/// SIGTERM or Ctrl-C.
pub(crate) async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            biased;
            _ = terminate.recv() => {}
            () = interrupted => {}
        },
        Err(error) => {
            tracing::warn!("SIGTERM will not be noticed: {error}");
            interrupted.await;
        }
    }
}

/// Outside a pod: unique enough among the people who run a controller by hand.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "local".to_owned());
    format!("{host}-{}", std::process::id())
}

fn pace(flags: &PaceFlags) -> Pace {
    let default = Pace::default();
    let or = |flag: Option<Duration>, default: Duration| flag.unwrap_or(default);
    Pace {
        batch_idle: or(flags.batch_idle, default.batch_idle),
        batch_max: or(flags.batch_max, default.batch_max),
        rebalance_every: or(flags.rebalance_interval, default.rebalance_every),
        provider_poll: or(flags.provider_poll, default.provider_poll),
        lost_answer_grace: or(flags.lost_answer_grace, default.lost_answer_grace),
        offers_ttl: or(flags.offers_ttl, default.offers_ttl),
        backoff_first: or(flags.purchase_backoff, default.backoff_first),
        backoff_max: or(flags.purchase_backoff_max, default.backoff_max),
        resync: or(flags.resync, default.resync),
    }
}

/// Numbers that do not repeat across restarts: the time of the start in front, a counter behind.
struct Clocked(AtomicU64);

impl Clocked {
    fn starting_at(now: jiff::Timestamp) -> Self {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Self(AtomicU64::new(millis << 20))
    }
}

impl Ids for Clocked {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_later_start_come_after_those_of_an_earlier_one() {
        let at = |millis| Clocked::starting_at(jiff::Timestamp::from_millisecond(millis).unwrap());
        let (earlier, later) = (at(1_799_049_600_000), at(1_799_049_600_001));
        let last_of_earlier = (0..1000).map(|_| earlier.next()).last().unwrap();
        assert!(last_of_earlier < later.next());
    }
}
