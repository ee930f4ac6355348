//! The settings in force: those of AutoscalerConfig `default`, and what the process was started with.

use autoscaler_api::AutoscalerConfig;
use autoscaler_api::autoscaler_config::Strategy;
use autoscaler_core::model::Resources;
use std::time::Duration;

/// Pace of the controllers. Everything here has a sentence on why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Waiting pods are gathered until none came for this long: a Deployment's pods turn unschedulable within
    /// some tens of milliseconds of each other.
    pub batch_idle: Duration,
    /// …but never for longer than this, so that a steady trickle cannot starve a decision.
    pub batch_max: Duration,
    /// How often the fleet is looked at for nodes that may go.
    pub rebalance_every: Duration,
    /// How often VPSie is asked for nodes that were ordered or removed: one list call serves all of them.
    pub provider_poll: Duration,
    /// How long an order whose answer was lost is looked for before it is sent again.
    pub lost_answer_grace: Duration,
    /// How long offers and prices are believed.
    pub offers_ttl: Duration,
    /// A purchase that was refused is not tried again for this long, doubling per refusal.
    pub backoff_first: Duration,
    pub backoff_max: Duration,
    /// Every object is looked at again after this long, whatever happened to the watches.
    pub resync: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            batch_idle: Duration::from_millis(60),
            batch_max: Duration::from_millis(400),
            rebalance_every: Duration::from_secs(10),
            provider_poll: Duration::from_secs(2),
            lost_answer_grace: Duration::from_secs(180),
            offers_ttl: Duration::from_secs(300),
            backoff_first: Duration::from_secs(30),
            backoff_max: Duration::from_secs(1800),
            resync: Duration::from_secs(60),
        }
    }
}

/// What AutoscalerConfig says, with its defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    pub max_cluster_workers: Option<u32>,
    pub node_ready_timeout: Duration,
    pub drain_timeout: Duration,
    pub pod_grace: Duration,
    pub reserved: Resources,
    pub removals_at_once: u32,
    /// Whether nodes may be replaced by others, and in what order new ones come and old ones go.
    pub may_replace: bool,
    pub strategy: Strategy,
    pub startup_taints: Vec<String>,
    pub remove_orphans: bool,
}

impl Settings {
    pub fn of(config: Option<&AutoscalerConfig>) -> Self {
        let global = config
            .and_then(|config| config.spec.global_settings.clone())
            .unwrap_or_default();
        let rebalancer = config
            .and_then(|config| config.spec.rebalancer.clone())
            .unwrap_or_default();
        let seconds = |value: Option<i32>, default: u64| {
            Duration::from_secs(
                value
                    .and_then(|seconds| u64::try_from(seconds).ok())
                    .unwrap_or(default),
            )
        };
        let reserved = config
            .and_then(|config| config.spec.system_reserved.clone())
            .unwrap_or_default();
        Self {
            max_cluster_workers: global
                .max_cluster_workers
                .and_then(|max| u32::try_from(max).ok())
                .filter(|max| *max > 0),
            node_ready_timeout: seconds(global.node_ready_timeout_seconds, 600),
            // The schema has refused what cannot be read.
            drain_timeout: rebalancer
                .settings()
                .map_or(Duration::from_secs(300), |settings| settings.drain_timeout),
            remove_orphans: global.remove_orphans_or_default(),
            pod_grace: seconds(global.unschedulable_pod_grace_period_seconds, 0),
            reserved: reserved_resources(&reserved),
            removals_at_once: rebalancer
                .max_concurrent
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(1),
            may_replace: config.is_some_and(|config| config.spec.replaces_nodes()),
            strategy: rebalancer.strategy_or_default(),
            startup_taints: global.startup_taints.unwrap_or_default(),
        }
    }
}

/// What the kubelet and the system keep for themselves where nobody says otherwise: enough for the VPSie
/// images that were seen, so that a first guess errs low.
fn reserved_resources(reserved: &autoscaler_api::autoscaler_config::SystemReserved) -> Resources {
    let cpu = reserved
        .cpu
        .as_ref()
        .and_then(|amount| autoscaler_core::quantity::parse_milli(&amount.0).ok());
    let memory = reserved
        .memory
        .as_ref()
        .and_then(|amount| autoscaler_core::quantity::parse_units(&amount.0).ok());
    Resources::cpu_memory(cpu.unwrap_or(100), memory.unwrap_or(512 << 20))
}
