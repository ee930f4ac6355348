//! What the VPSie client reports, as metrics.

use super::Metrics;
use super::catalogue::{Registrar, growing};
use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};
use std::time::Duration;
use vpsie_client::{BreakerState, CredentialsStatus, Family, Observer};

/// Routes that the client calls, with their method.
pub const ENDPOINTS: [(&str, &str); 24] = [
    ("POST", "auth"),
    ("GET", "cluster_list"),
    ("GET", "cluster_detail"),
    ("GET", "group_list"),
    ("POST", "group_create"),
    ("DELETE", "group_delete"),
    ("POST", "offer_list"),
    ("POST", "node_add"),
    ("DELETE", "node_remove"),
    ("GET", "vm_attachable_list"),
    ("GET", "datacenter_list"),
    ("GET", "vm_list"),
    ("GET", "vm_pending_list"),
    ("GET", "vm_detail"),
    ("POST", "vm_create"),
    ("DELETE", "vm_delete"),
    ("POST", "vm_start"),
    ("POST", "vm_stop"),
    ("POST", "vm_tag"),
    ("POST", "firewall_attach"),
    ("GET", "plan_category_list"),
    ("POST", "plan_list"),
    ("GET", "project_list"),
    ("GET", "vpc_member_list"),
];
const METHODS: [&str; 3] = ["GET", "POST", "DELETE"];
const ERROR_TYPES: [&str; 8] = [
    "unauthorized",
    "forbidden",
    "not_found",
    "rate_limited",
    "server_error",
    "client_error",
    "circuit_open",
    "request_failed",
];

pub(super) struct Provider {
    requests: IntCounterVec,
    duration: HistogramVec,
    errors: IntCounterVec,
    breaker: IntGaugeVec,
    breaker_changes: IntCounterVec,
    breaker_rejected: prometheus::IntCounter,
    rate_limited: IntCounterVec,
    rate_limit_wait: HistogramVec,
}

impl Provider {
    pub(super) fn new(add: &mut Registrar) -> Self {
        let provider = Self {
            requests: add.counters(
                "vpsie_api_requests_total",
                &["method", "endpoint", "status"],
                "Requests to VPSie; the status is that of HTTP, or `error` when no reply came.",
            ),
            duration: add.histograms(
                "vpsie_api_request_duration_seconds",
                &["method"],
                growing(0.01, 2.0, 13),
                "Duration of requests to VPSie.",
            ),
            errors: add.counters(
                "vpsie_api_errors_total",
                &["method", "error_type"],
                "Requests to VPSie that failed, by the kind of failure.",
            ),
            breaker: add.gauges(
                "vpsie_api_circuit_breaker_state",
                &["family", "state"],
                "1 for the present state of the circuit breaker of a part of the API: closed, open, half-open.",
            ),
            breaker_changes: add.counters(
                "vpsie_api_circuit_breaker_state_changes_total",
                &["family", "from_state", "to_state"],
                "Changes of a circuit breaker's state.",
            ),
            breaker_rejected: add.counter(
                "vpsie_api_circuit_breaker_rejected_total",
                "Requests that were not sent because a circuit breaker is open.",
            ),
            rate_limited: add.counters(
                "vpsie_api_rate_limited_total",
                &["method"],
                "Requests that waited for the client's own rate limit.",
            ),
            rate_limit_wait: add.histograms(
                "vpsie_api_rate_limit_wait_duration_seconds",
                &["method"],
                growing(0.001, 2.0, 16),
                "Time that requests waited for the client's own rate limit.",
            ),
        };
        provider.start_at_zero();
        provider
    }

    fn start_at_zero(&self) {
        for (method, endpoint) in ENDPOINTS {
            self.requests.with_label_values(&[method, endpoint, "200"]);
        }
        for method in METHODS {
            self.duration.with_label_values(&[method]);
            self.rate_limited.with_label_values(&[method]);
            self.rate_limit_wait.with_label_values(&[method]);
            for error_type in ERROR_TYPES {
                self.errors.with_label_values(&[method, error_type]);
            }
        }
        for family in Family::ALL {
            self.set_breaker(family, BreakerState::Closed);
            for from in BreakerState::ALL {
                for to in BreakerState::ALL.into_iter().filter(|to| *to != from) {
                    self.breaker_changes
                        .with_label_values(&[family.as_str(), from.as_str(), to.as_str()]);
                }
            }
        }
    }

    fn set_breaker(&self, family: Family, present: BreakerState) {
        for state in BreakerState::ALL {
            self.breaker
                .with_label_values(&[family.as_str(), state.as_str()])
                .set(i64::from(state == present));
        }
    }
}

impl Observer for Metrics {
    fn request(&self, method: &'static str, endpoint: &'static str, status: Option<u16>, duration: Duration) {
        let status = status.map_or_else(|| "error".to_owned(), |status| status.to_string());
        self.provider
            .requests
            .with_label_values(&[method, endpoint, status.as_str()])
            .inc();
        self.provider
            .duration
            .with_label_values(&[method])
            .observe(duration.as_secs_f64());
    }

    fn error(&self, method: &'static str, error_type: &'static str) {
        self.provider
            .errors
            .with_label_values(&[method, error_type])
            .inc();
        if error_type == "circuit_open" {
            self.provider.breaker_rejected.inc();
        }
    }

    fn breaker(&self, family: Family, from: BreakerState, to: BreakerState) {
        self.provider
            .breaker_changes
            .with_label_values(&[family.as_str(), from.as_str(), to.as_str()])
            .inc();
        self.provider.set_breaker(family, to);
    }

    fn rate_limit_wait(&self, method: &'static str, wait: Duration) {
        if !wait.is_zero() {
            self.provider.rate_limited.with_label_values(&[method]).inc();
        }
        self.provider
            .rate_limit_wait
            .with_label_values(&[method])
            .observe(wait.as_secs_f64());
    }

    fn credentials(&self, status: &CredentialsStatus) {
        self.credential_valid.set(i64::from(status.valid == Some(true)));
        self.credential_expires
            .set(status.expires_at.map_or(0, |at| at.as_second()));
    }
}
