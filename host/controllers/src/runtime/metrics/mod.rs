//! The process's metrics: one struct with its own registry, and methods that say what happened.
//!
//! Every series whose labels are known stands at 0 from the start, so that the first event is an
//! increase that an alert can see. Nobody outside this module touches a Prometheus type. The names are
//! those of the runbooks; `docs/metrics.md` is generated from the same descriptions.

mod catalogue;
mod policies;
mod provider;

use autoscaler_policy::record::Kept;
use catalogue::Registrar;
pub use catalogue::{Description, document};
pub use policies::ShadowResult;
use prometheus::{Histogram, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};
pub use provider::ENDPOINTS;
use std::time::Duration;

const KINDS: [&str; 3] = ["scale-up", "node-selection", "rebalance"];
const DECISIONS: [&str; 3] = ["executed", "nothing", "held"];
/// The name under which the embedded policies are counted.
pub const BUILT_IN: &str = "built-in";

/// Which part of a rebalance operation is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebalanceStage {
    /// Looking for something to do.
    Analyze,
    /// Making and checking the plan.
    Plan,
    /// Carrying it out.
    Execute,
    /// Undoing it.
    Rollback,
}

impl RebalanceStage {
    const ALL: [Self; 4] = [Self::Analyze, Self::Plan, Self::Execute, Self::Rollback];

    fn as_str(self) -> &'static str {
        match self {
            Self::Analyze => "analyze",
            Self::Plan => "plan",
            Self::Execute => "execute",
            Self::Rollback => "rollback",
        }
    }
}

/// How a part of a rebalance operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebalanceResult {
    /// As wanted.
    Success,
    /// Not as wanted.
    Failure,
    /// Not begun, for a named reason.
    Skipped,
}

impl RebalanceResult {
    const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Skipped];

    fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Skipped => "skipped",
        }
    }
}

/// Rebalance operations that have begun and are not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RebalancesUnderWay {
    pub count: usize,
    /// Those whose evictions are refused now.
    pub blocked: usize,
    /// Seconds since the start of the oldest that runs.
    pub oldest_running: i64,
    /// Seconds since the beginning of the oldest rollback.
    pub oldest_rollback: i64,
}

/// How an eviction request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionResult {
    /// The pod is leaving.
    Evicted,
    /// A PodDisruptionBudget forbids it for now.
    Blocked,
    /// The pod was gone already.
    Gone,
    /// Anything else.
    Failed,
}

impl EvictionResult {
    const ALL: [Self; 4] = [Self::Evicted, Self::Blocked, Self::Gone, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Blocked => "blocked",
            Self::Gone => "gone",
            Self::Failed => "failed",
        }
    }
}

/// The sizes of a node group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupSizes {
    /// What the controllers work towards.
    pub desired: i64,
    /// VPSieNodes that are not on their way out.
    pub current: i64,
    /// Nodes that are Ready.
    pub ready: i64,
    /// Lower limit.
    pub min: i64,
    /// Upper limit.
    pub max: i64,
}

/// VPSieNodes in one phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseSize {
    /// How many.
    pub nodes: usize,
    /// For how many seconds the oldest of them has been in it.
    pub oldest_seconds: i64,
}

/// See the module's text. Share it behind an `Arc`.
pub struct Metrics {
    registry: Registry,
    described: Vec<Description>,
    provider: provider::Provider,
    credential_valid: IntGauge,
    credential_expires: IntGauge,
    credential_conflict: IntGauge,
    reconciles: IntCounterVec,
    reconcile_duration: HistogramVec,
    queue_depth: IntGaugeVec,
    events: IntCounterVec,
    events_dropped: prometheus::IntCounter,
    leader: IntGauge,
    rebalances: IntCounterVec,
    rebalances_in_progress: IntGauge,
    rebalances_blocked: IntGauge,
    rebalances_oldest: IntGaugeVec,
    evictions: IntCounterVec,
    group_desired: IntGaugeVec,
    group_current: IntGaugeVec,
    group_ready: IntGaugeVec,
    group_min: IntGaugeVec,
    group_max: IntGaugeVec,
    phases: IntGaugeVec,
    orphans: IntGaugeVec,
    phase_age: IntGaugeVec,
    creation_paused: IntGaugeVec,
    pending_pods: IntGauge,
    unschedulable_pods: IntGauge,
    futile_pods: IntGauge,
    policy_calls: IntCounterVec,
    policy_fallbacks: IntCounterVec,
    policy_duration: HistogramVec,
    policy_fuel: HistogramVec,
    policy_loaded: IntGaugeVec,
    policy_tripped: IntGaugeVec,
    shadow_decisions: IntCounterVec,
    shadow_nodes: IntCounterVec,
    shadow_cost: IntCounterVec,
    shadow_waiting: IntCounterVec,
    decisions: IntCounterVec,
    checker_notes: IntCounterVec,
    decision_records: IntCounterVec,
    scale_up_reaction: Histogram,
    provisioning: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A registry of its own with every known series at 0.
    pub fn new() -> Self {
        let mut add = Registrar::default();
        let provider = provider::Provider::new(&mut add);
        let metrics = catalogue::register(add, provider);
        metrics.start_at_zero();
        metrics
    }

    /// Adds the process's own memory, file and processor series, where the system tells them.
    #[cfg(target_os = "linux")]
    pub fn with_process(self) -> Self {
        let collector = prometheus::process_collector::ProcessCollector::for_self();
        if let Err(error) = self.registry.register(Box::new(collector)) {
            tracing::warn!("no process metrics: {error}");
        }
        self
    }

    /// What is measured: one row per metric, in the order of names.
    pub fn describe(&self) -> Vec<Description> {
        let mut rows = self.described.clone();
        rows.sort_by(|a, b| a.name.cmp(b.name));
        rows
    }

    /// Everything in Prometheus's text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::warn!("metrics cannot be written: {error}");
        }
        text
    }

    fn start_at_zero(&self) {
        self.rebalances(&RebalancesUnderWay::default());
        for stage in RebalanceStage::ALL {
            for result in RebalanceResult::ALL {
                self.rebalances
                    .with_label_values(&[stage.as_str(), result.as_str()]);
            }
        }
        for result in EvictionResult::ALL {
            self.evictions.with_label_values(&[result.as_str()]);
        }
        for kind in KINDS {
            self.policy_bound(kind, BUILT_IN);
            for outcome in DECISIONS {
                self.decisions.with_label_values(&[kind, outcome]);
            }
        }
        for kept in Kept::ALL {
            self.decision_records.with_label_values(&[kept.as_str()]);
        }
        for kind in crate::orphans::Kind::ALL {
            self.orphans.with_label_values(&[kind.as_str()]);
        }
        for type_ in ["Normal", "Warning"] {
            self.events.with_label_values(&[type_]);
        }
    }

    /// A controller begins to work off its queue.
    pub fn controller_started(&self, controller: &str) {
        for result in ["success", "error", "panic"] {
            self.reconciles.with_label_values(&[controller, result]);
        }
        self.reconcile_duration.with_label_values(&[controller]);
        self.queue_depth(controller, 0);
    }

    /// A reconcile ended with `success`, `error` or `panic`.
    pub fn reconciled(&self, controller: &str, result: &'static str, duration: Duration) {
        self.reconciles.with_label_values(&[controller, result]).inc();
        self.reconcile_duration
            .with_label_values(&[controller])
            .observe(duration.as_secs_f64());
    }

    /// Keys that are due and do not run.
    pub fn queue_depth(&self, controller: &str, depth: usize) {
        self.queue_depth
            .with_label_values(&[controller])
            .set(gauge(depth));
    }

    /// An event was sent.
    pub fn event_sent(&self, type_: &'static str) {
        self.events.with_label_values(&[type_]).inc();
    }

    /// An event was dropped, because too many waited or the API server did not take it.
    pub fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// Whether this process holds the Lease.
    pub fn leading(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// What [`Metrics::leading`] was told last.
    pub fn is_leading(&self) -> bool {
        self.leader.get() == 1
    }

    /// Whether the secret names a token and a client pair at once.
    pub fn credential_conflict(&self, present: bool) {
        self.credential_conflict.set(i64::from(present));
    }

    /// A part of a rebalance operation ended.
    pub fn rebalanced(&self, stage: RebalanceStage, result: RebalanceResult) {
        self.rebalances
            .with_label_values(&[stage.as_str(), result.as_str()])
            .inc();
    }

    /// How the rebalance operations under way stand.
    pub fn rebalances(&self, under_way: &RebalancesUnderWay) {
        self.rebalances_in_progress.set(gauge(under_way.count));
        self.rebalances_blocked.set(gauge(under_way.blocked));
        let oldest = |operation, seconds| {
            self.rebalances_oldest
                .with_label_values(&[operation])
                .set(seconds);
        };
        oldest(RebalanceStage::Execute.as_str(), under_way.oldest_running);
        oldest(RebalanceStage::Rollback.as_str(), under_way.oldest_rollback);
    }

    /// An eviction request was answered.
    pub fn eviction(&self, result: EvictionResult) {
        self.evictions.with_label_values(&[result.as_str()]).inc();
    }

    /// Pods that were evicted so far.
    pub fn evicted(&self) -> u64 {
        let evicted = EvictionResult::Evicted.as_str();
        self.evictions.with_label_values(&[evicted]).get()
    }

    /// The sizes of a node group.
    pub fn group_sizes(&self, namespace: &str, group: &str, sizes: GroupSizes) {
        let labels = &[namespace, group];
        self.group_desired.with_label_values(labels).set(sizes.desired);
        self.group_current.with_label_values(labels).set(sizes.current);
        self.group_ready.with_label_values(labels).set(sizes.ready);
        self.group_min.with_label_values(labels).set(sizes.min);
        self.group_max.with_label_values(labels).set(sizes.max);
    }

    /// How many things of a kind have no counterpart; see [`crate::orphans`].
    pub fn orphans(&self, kind: crate::orphans::Kind, count: usize) {
        self.orphans.with_label_values(&[kind.as_str()]).set(gauge(count));
    }

    /// How many VPSieNodes of a node group stand in each phase, and for how long; phases not named stand at 0.
    pub fn group_phases(
        &self,
        namespace: &str,
        group: &str,
        sizes: &[(autoscaler_api::vpsie_node::Phase, PhaseSize)],
    ) {
        for phase in autoscaler_api::vpsie_node::Phase::ALL {
            let size = sizes.iter().find(|(known, _)| *known == phase);
            let size = size.map(|(_, size)| *size).unwrap_or_default();
            let labels = &[group, namespace, phase.as_str()];
            self.phases.with_label_values(labels).set(gauge(size.nodes));
            self.phase_age.with_label_values(labels).set(size.oldest_seconds);
        }
    }

    /// Whether VPSie's quota lets nothing be ordered for a node group now.
    pub fn creation_paused(&self, namespace: &str, group: &str, paused: bool) {
        self.creation_paused
            .with_label_values(&[namespace, group])
            .set(i64::from(paused));
    }

    /// A node group is gone, and its series with it.
    pub fn group_gone(&self, namespace: &str, group: &str) {
        let sizes = [
            &self.group_desired,
            &self.group_current,
            &self.group_ready,
            &self.group_min,
            &self.group_max,
            &self.creation_paused,
        ];
        for series in sizes {
            // An error says that there was none.
            let _ = series.remove_label_values(&[namespace, group]);
        }
        for phase in autoscaler_api::vpsie_node::Phase::ALL {
            for series in [&self.phases, &self.phase_age] {
                let _ = series.remove_label_values(&[group, namespace, phase.as_str()]);
            }
        }
    }

    /// Pods that wait for a node: all of them, and those that no node group can take.
    pub fn waiting_pods(&self, pending: usize, without_a_group: usize) {
        self.pending_pods.set(gauge(pending));
        self.unschedulable_pods.set(gauge(without_a_group));
    }

    /// Waiting pods for which nothing more is bought, because nodes came and did not help.
    pub fn futile_pods(&self, count: usize) {
        self.futile_pods.set(gauge(count));
    }

    /// A decision was made: `executed`, `nothing` (nothing to do) or `held` (the policy failed, and its
    /// ScalingPolicy wants nobody else to decide).
    pub fn decided(&self, kind: &str, outcome: &'static str) {
        self.decisions.with_label_values(&[kind, outcome]).inc();
    }

    /// A decision has its record, or not.
    pub fn decision_recorded(&self, kept: Kept) {
        self.decision_records.with_label_values(&[kept.as_str()]).inc();
    }

    /// The checker trimmed or refused a part of a plan.
    pub fn checker_note(&self, reason: &str) {
        self.checker_notes.with_label_values(&[reason]).inc();
    }

    /// From a pod's Unschedulable condition to the add-node request.
    pub fn scale_up_reaction(&self, duration: Duration) {
        self.scale_up_reaction.observe(duration.as_secs_f64());
    }

    /// From the add-node request to the Ready node.
    pub fn node_provisioned(&self, duration: Duration) {
        self.provisioning.observe(duration.as_secs_f64());
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
