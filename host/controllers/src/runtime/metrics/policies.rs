//! What is counted of policies.

use super::Metrics;
use autoscaler_policy::Outcome;
use std::time::Duration;

/// Why a controller's decision maker could not use a policy, as `autoscaler_policy` names it.
const POLICY_FAILURES: [&str; 8] = [
    "Trap",
    "OutOfFuel",
    "Deadline",
    "MemoryLimit",
    "OutputLimit",
    "PolicyError",
    "BadConfig",
    "Garbage",
];
/// Whose numbers stand beside each other in a comparison.
const SIDES: [&str; 2] = ["active", "shadow"];

/// How a shadow's decision compares with the one that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowResult {
    /// The same nodes.
    Same,
    /// Other nodes.
    Different,
    /// It had no usable answer.
    Failed,
}

impl ShadowResult {
    const ALL: [Self; 3] = [Self::Same, Self::Different, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::Failed => "failed",
        }
    }
}

impl Metrics {
    /// A policy may be called from now on.
    pub fn policy_bound(&self, kind: &str, policy: &str) {
        for result in ["success", "failure"] {
            self.policy_calls.with_label_values(&[kind, policy, result]);
        }
        for reason in POLICY_FAILURES {
            self.policy_fallbacks.with_label_values(&[kind, policy, reason]);
        }
        self.policy_duration.with_label_values(&[kind]);
        self.policy_fuel.with_label_values(&[kind]);
    }

    /// Whether the component of a ScalingPolicy is compiled and in use.
    pub fn policy_loaded(&self, policy: &str, loaded: bool) {
        self.policy_loaded
            .with_label_values(&[policy])
            .set(i64::from(loaded));
    }

    /// A ScalingPolicy is gone.
    pub fn policy_gone(&self, policy: &str) {
        for series in [&self.policy_loaded, &self.policy_tripped] {
            // An error says that there was none.
            let _ = series.remove_label_values(&[policy]);
        }
    }

    /// Whether a policy failed so often that it is not asked any more.
    pub fn policy_tripped(&self, policy: &str, tripped: bool) {
        self.policy_tripped
            .with_label_values(&[policy])
            .set(i64::from(tripped));
    }

    /// A shadow may be asked from now on.
    pub fn shadow_bound(&self, policy: &str) {
        for result in ShadowResult::ALL {
            self.shadow_decisions
                .with_label_values(&[policy, result.as_str()]);
        }
        for side in SIDES {
            for series in [&self.shadow_nodes, &self.shadow_cost, &self.shadow_waiting] {
                series.with_label_values(&[policy, side]);
            }
        }
    }

    /// A shadow was asked what it would have done; it has an outcome where it had an answer.
    pub fn shadow_compared(
        &self,
        policy: &str,
        result: ShadowResult,
        active: Outcome,
        shadow: Option<Outcome>,
    ) {
        self.shadow_decisions
            .with_label_values(&[policy, result.as_str()])
            .inc();
        let Some(shadow) = shadow else { return };
        for (side, outcome) in SIDES.into_iter().zip([active, shadow]) {
            for (series, amount) in [
                (&self.shadow_nodes, outcome.nodes),
                (&self.shadow_cost, outcome.hourly_micros),
                (&self.shadow_waiting, outcome.waiting_pods),
            ] {
                series.with_label_values(&[policy, side]).inc_by(amount);
            }
        }
    }

    /// A policy answered a question within its limits and the answer was taken.
    pub fn policy_answered(&self, kind: &str, policy: &str, duration: Duration, fuel: u64) {
        self.policy_calls
            .with_label_values(&[kind, policy, "success"])
            .inc();
        self.policy_duration
            .with_label_values(&[kind])
            .observe(duration.as_secs_f64());
        // Fuel stays far below 2^53, where a float is still exact.
        self.policy_fuel.with_label_values(&[kind]).observe(fuel as f64);
    }

    /// A policy failed, and another one decided.
    pub fn policy_fell_back(&self, kind: &str, policy: &str, reason: &str) {
        self.policy_calls
            .with_label_values(&[kind, policy, "failure"])
            .inc();
        self.policy_fallbacks
            .with_label_values(&[kind, policy, reason])
            .inc();
    }
}
