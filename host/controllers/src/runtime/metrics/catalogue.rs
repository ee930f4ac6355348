//! Names, labels and texts of all metrics, and the page that lists them.

use super::{Metrics, provider::Provider};
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use std::fmt::Write as _;

/// One metric, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// Name as it is exposed.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of the labels.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

/// Makes metrics, registers them and remembers what they mean.
#[derive(Default)]
pub(super) struct Registrar {
    registry: Registry,
    described: Vec<Description>,
}

#[expect(
    clippy::expect_used,
    reason = "names, labels and buckets are constants of this crate, tried by every test"
)]
impl Registrar {
    fn add<C: Collector + Clone + 'static>(
        &mut self,
        made: prometheus::Result<C>,
        name: &'static str,
        kind: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> C {
        let collector = made.expect("a metric with a valid name");
        self.registry
            .register(Box::new(collector.clone()))
            .expect("a metric that is registered once");
        self.described.push(Description {
            name,
            kind,
            labels,
            help,
        });
        collector
    }

    pub(super) fn counters(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> IntCounterVec {
        self.add(
            IntCounterVec::new(Opts::new(name, help), labels),
            name,
            "counter",
            labels,
            help,
        )
    }

    pub(super) fn counter(&mut self, name: &'static str, help: &'static str) -> IntCounter {
        self.add(IntCounter::new(name, help), name, "counter", &[], help)
    }

    pub(super) fn gauges(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> IntGaugeVec {
        self.add(
            IntGaugeVec::new(Opts::new(name, help), labels),
            name,
            "gauge",
            labels,
            help,
        )
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str) -> IntGauge {
        self.add(IntGauge::new(name, help), name, "gauge", &[], help)
    }

    pub(super) fn histograms(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        buckets: Vec<f64>,
        help: &'static str,
    ) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(buckets);
        self.add(
            HistogramVec::new(options, labels),
            name,
            "histogram",
            labels,
            help,
        )
    }

    pub(super) fn histogram(
        &mut self,
        name: &'static str,
        buckets: Vec<f64>,
        help: &'static str,
    ) -> Histogram {
        let options = HistogramOpts::new(name, help).buckets(buckets);
        self.add(Histogram::with_opts(options), name, "histogram", &[], help)
    }
}

/// `count` bounds, the first of them `first`, each `factor` times the one before.
pub(super) fn growing(first: f64, factor: f64, count: i32) -> Vec<f64> {
    (0..count).map(|power| first * factor.powi(power)).collect()
}

/// Registers everything that does not come from the VPSie client.
pub(super) fn register(mut add: Registrar, provider: Provider) -> Metrics {
    let group = &["namespace", "nodegroup"];
    let build = add.gauges(
        "build_info",
        &["version"],
        "Always 1; the label tells the version.",
    );
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    Metrics {
        provider,
        credential_valid: add.gauge(
            "credential_valid",
            "1 when VPSie accepted the credentials at the last try, 0 when it refused them or none are known.",
        ),
        credential_expires: add.gauge(
            "credential_expires_at_timestamp_seconds",
            "Unix time at which the present token ends, 0 when it does not tell.",
        ),
        credential_conflict: add.gauge(
            "credential_conflict",
            "1 when the secret holds a token and a client pair at once; the pair is used.",
        ),
        reconciles: add.counters(
            "controller_reconcile_total",
            &["controller", "result"],
            "Reconciles by result: success, error, panic.",
        ),
        reconcile_duration: add.histograms(
            "controller_reconcile_duration_seconds",
            &["controller"],
            growing(0.001, 2.0, 17),
            "Duration of reconciles.",
        ),
        queue_depth: add.gauges(
            "reconciliation_queue_depth",
            &["controller"],
            "Objects that wait for a reconcile which is due.",
        ),
        events: add.counters(
            "vpsie_autoscaler_events_total",
            &["type"],
            "Kubernetes events sent, repeats included.",
        ),
        events_dropped: add.counter(
            "vpsie_autoscaler_events_dropped_total",
            "Kubernetes events that were not sent: too many waited, or the API server refused them.",
        ),
        leader: add.gauge("vpsie_autoscaler_is_leader", "1 while this process holds the Lease."),
        rebalances: add.counters(
            "rebalancer_operations_total",
            &["operation", "result"],
            "Parts of rebalance operations that ended: analyze, plan, execute, rollback; with success, failure, skipped.",
        ),
        rebalances_in_progress: add.gauge(
            "rebalancer_operations_in_progress",
            "Rebalance operations that run or are being rolled back.",
        ),
        rebalances_blocked: add.gauge(
            "rebalancer_operations_blocked",
            "Rebalance operations whose evictions are refused now, as a rule by a PodDisruptionBudget.",
        ),
        rebalances_oldest: add.gauges(
            "rebalancer_oldest_operation_seconds",
            &["operation"],
            "Age of the oldest rebalance operation that runs (execute) and of the oldest rollback; 0 where there is none. Operations that pause or a budget keeps from their next node do not count.",
        ),
        evictions: add.counters(
            "vpsie_autoscaler_evictions_total",
            &["result"],
            "Answers to eviction requests: evicted, blocked (by a PodDisruptionBudget), gone, failed.",
        ),
        group_desired: add.gauges(
            "vpsie_autoscaler_nodegroup_desired_nodes",
            group,
            "Size that the controllers work towards.",
        ),
        group_current: add.gauges(
            "vpsie_autoscaler_nodegroup_current_nodes",
            group,
            "VPSieNodes of the group that are not on their way out.",
        ),
        group_ready: add.gauges("vpsie_autoscaler_nodegroup_ready_nodes", group, "Nodes of the group that are Ready."),
        group_min: add.gauges("vpsie_autoscaler_nodegroup_min_nodes", group, "Lower limit of the group."),
        group_max: add.gauges("vpsie_autoscaler_nodegroup_max_nodes", group, "Upper limit of the group."),
        phases: add.gauges(
            "vpsie_autoscaler_vpsienode_phase",
            &["nodegroup", "namespace", "phase"],
            "VPSieNodes of the group in each phase.",
        ),
        orphans: add.gauges(
            "vpsie_autoscaler_orphans",
            &["kind"],
            "Things without their counterpart for two minutes: machine (ours, without a VPSieNode), record (a VPSieNode \
             without its machine), surplus (machines in a group of ours that no VPSieNode accounts for).",
        ),
        phase_age: add.gauges(
            "vpsie_autoscaler_vpsienode_phase_age_seconds",
            &["nodegroup", "namespace", "phase"],
            "For how long the oldest VPSieNode of the group in each phase has been in it; looked at once a minute.",
        ),
        creation_paused: add.gauges(
            "vpsie_autoscaler_creation_paused",
            group,
            "1 while nothing is ordered for the group, because VPSie's quota is used up.",
        ),
        pending_pods: add.gauge("vpsie_autoscaler_pending_pods", "Pods that the scheduler could not place."),
        unschedulable_pods: add.gauge(
            "vpsie_autoscaler_unschedulable_pods",
            "Those of the pending pods that no node group can take.",
        ),
        futile_pods: add.gauge(
            "vpsie_autoscaler_futile_pods",
            "Pending pods for which nothing more is bought for now: nodes came for them, stood idle, and they wait still.",
        ),
        policy_calls: add.counters(
            "vpsie_autoscaler_policy_calls_total",
            &["kind", "policy", "result"],
            "Questions put to policies: success (the answer was taken) or failure.",
        ),
        policy_fallbacks: add.counters(
            "vpsie_autoscaler_policy_fallbacks_total",
            &["kind", "policy", "reason"],
            "Questions that another policy had to answer, with the reason.",
        ),
        policy_duration: add.histograms(
            "vpsie_autoscaler_policy_duration_seconds",
            &["kind"],
            growing(0.0001, 2.0, 16),
            "Duration of answers that were taken.",
        ),
        policy_fuel: add.histograms(
            "vpsie_autoscaler_policy_fuel",
            &["kind"],
            growing(10_000.0, 4.0, 12),
            "Fuel that answers took.",
        ),
        policy_loaded: add.gauges(
            "vpsie_autoscaler_policy_loaded",
            &["policy"],
            "1 when the ScalingPolicy, as it stands, is compiled and in use.",
        ),
        policy_tripped: add.gauges(
            "vpsie_autoscaler_policy_tripped",
            &["policy"],
            "1 while the ScalingPolicy is not asked, because it failed too often; until somebody acknowledges it.",
        ),
        shadow_decisions: add.counters(
            "vpsie_autoscaler_shadow_decisions_total",
            &["policy", "result"],
            "Decisions that a shadow was asked about: same, different (other nodes), failed (no usable answer).",
        ),
        shadow_nodes: add.counters(
            "vpsie_autoscaler_shadow_nodes_total",
            &["policy", "side"],
            "Nodes bought or removed by the decisions (active) and those that the shadow would have (shadow).",
        ),
        shadow_cost: add.counters(
            "vpsie_autoscaler_shadow_hourly_cost_micros_total",
            &["policy", "side"],
            "Price per hour of these nodes, in millionths of the currency.",
        ),
        shadow_waiting: add.counters(
            "vpsie_autoscaler_shadow_waiting_pods_total",
            &["policy", "side"],
            "Pods that these decisions leave without a place.",
        ),
        decisions: add.counters(
            "vpsie_autoscaler_decisions_total",
            &["kind", "outcome"],
            "Decisions by outcome: executed, nothing (to do), held (the policy failed and nobody else may decide).",
        ),
        checker_notes: add.counters(
            "vpsie_autoscaler_checker_notes_total",
            &["reason"],
            "Parts of plans that the checker trimmed or refused.",
        ),
        decision_records: add.counters(
            "vpsie_autoscaler_decision_records_total",
            &["result"],
            "Records of decisions: kept; repeated (nothing was done, for the same reasons as before); dropped (the \
             writer did not keep up).",
        ),
        scale_up_reaction: add.histogram(
            "vpsie_autoscaler_scale_up_reaction_seconds",
            growing(0.01, 2.0, 14),
            "From a pod's Unschedulable condition to the add-node request at VPSie.",
        ),
        provisioning: add.histogram(
            "vpsie_autoscaler_node_provisioning_duration_seconds",
            growing(10.0, 1.5, 14),
            "From the add-node request to the Ready node.",
        ),
        registry: add.registry,
        described: add.described,
    }
}

/// The reference page.
pub fn document(rows: &[Description]) -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         Generated from the program; a test keeps it true. The controller serves them at port 8080, path `/metrics`.\n\
         Every series whose labels are known in advance stands at 0 from the start.\n\n\
         | name | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for Description {
        name,
        kind,
        labels,
        help,
    } in rows
    {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    page
}
