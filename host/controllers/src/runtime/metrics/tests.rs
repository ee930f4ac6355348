use super::*;
use vpsie_client::{BreakerState, Family, Observer};

/// The lines of one metric, without its texts.
fn series(metrics: &Metrics, name: &str) -> Vec<String> {
    metrics
        .render()
        .lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(name))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_series_with_known_labels_stands_at_zero_from_the_start() {
    let metrics = Metrics::new();
    let table = [
        ("vpsie_api_requests_total", 24),
        ("vpsie_api_errors_total", 24),
        ("vpsie_api_circuit_breaker_state_changes_total", 36),
        ("vpsie_api_circuit_breaker_rejected_total", 1),
        ("vpsie_api_rate_limited_total", 3),
        ("rebalancer_operations_total", 12),
        ("rebalancer_operations_in_progress", 1),
        ("rebalancer_operations_blocked", 1),
        ("rebalancer_oldest_operation_seconds", 2),
        ("vpsie_autoscaler_evictions_total", 4),
        ("vpsie_autoscaler_policy_calls_total", 6),
        ("vpsie_autoscaler_policy_fallbacks_total", 24),
        ("vpsie_autoscaler_decisions_total", 9),
        ("vpsie_autoscaler_scale_up_reaction_seconds_count", 1),
        ("vpsie_autoscaler_futile_pods", 1),
        ("credential_valid", 1),
    ];
    for (name, count) in table {
        let lines = series(&metrics, name);
        assert_eq!(lines.len(), count, "{name}: {lines:#?}");
        assert!(
            lines.iter().all(|line| line.ends_with(" 0")),
            "{name}: {lines:#?}"
        );
    }
}

#[test]
fn exactly_one_state_of_each_breaker_is_one() {
    let metrics = Metrics::new();
    let present = |family: &str| -> Vec<String> {
        let label = format!("family=\"{family}\"");
        let lines = series(&metrics, "vpsie_api_circuit_breaker_state").into_iter();
        lines
            .filter(|line| line.contains(&label) && line.ends_with(" 1"))
            .collect()
    };
    let line = |family: &str, state: &str| {
        format!(r#"vpsie_api_circuit_breaker_state{{family="{family}",state="{state}"}} 1"#)
    };
    for family in Family::ALL.map(Family::as_str) {
        assert_eq!(present(family), [line(family, "closed")]);
    }
    metrics.breaker(Family::Kubernetes, BreakerState::Closed, BreakerState::Open);
    assert_eq!(present("kubernetes"), [line("kubernetes", "open")]);
    assert_eq!(present("auth"), [line("auth", "closed")]);
    let changes = series(&metrics, "vpsie_api_circuit_breaker_state_changes_total");
    let line = r#"vpsie_api_circuit_breaker_state_changes_total{family="kubernetes",from_state="closed",to_state="open"} 1"#;
    assert!(changes.iter().any(|l| l == line), "{changes:#?}");
}

#[test]
fn the_client_s_reports_are_counted() {
    let metrics = Metrics::new();
    metrics.request("POST", "node_add", Some(500), Duration::from_millis(30));
    metrics.request("GET", "cluster_list", None, Duration::from_secs(30));
    metrics.error("POST", "circuit_open");
    metrics.rate_limit_wait("GET", Duration::ZERO);
    metrics.rate_limit_wait("GET", Duration::from_millis(5));
    let text = metrics.render();
    for line in [
        r#"vpsie_api_requests_total{endpoint="node_add",method="POST",status="500"} 1"#,
        r#"vpsie_api_requests_total{endpoint="cluster_list",method="GET",status="error"} 1"#,
        r#"vpsie_api_errors_total{error_type="circuit_open",method="POST"} 1"#,
        "vpsie_api_circuit_breaker_rejected_total 1",
        r#"vpsie_api_rate_limited_total{method="GET"} 1"#,
        r#"vpsie_api_rate_limit_wait_duration_seconds_count{method="GET"} 2"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_group_takes_its_series_with_it() {
    let metrics = Metrics::new();
    metrics.group_sizes(
        "team",
        "web",
        GroupSizes {
            max: 9,
            ..GroupSizes::default()
        },
    );
    let ready = PhaseSize {
        nodes: 2,
        oldest_seconds: 60,
    };
    metrics.group_phases(
        "team",
        "web",
        &[(autoscaler_api::vpsie_node::Phase::Ready, ready)],
    );
    metrics.creation_paused("team", "web", true);
    let line = r#"vpsie_autoscaler_nodegroup_max_nodes{namespace="team",nodegroup="web"} 9"#;
    assert_eq!(series(&metrics, "vpsie_autoscaler_nodegroup_max_nodes"), [line]);
    assert_eq!(
        series(&metrics, "vpsie_autoscaler_vpsienode_phase").len(),
        autoscaler_api::vpsie_node::Phase::ALL.len()
    );
    metrics.group_gone("team", "web");
    assert!(!metrics.render().contains("team"));
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let page = document(&Metrics::new().describe());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let present = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        present == page,
        "docs/metrics.md is stale: run this test with BLESS=1"
    );
}
