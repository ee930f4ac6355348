//! Defaults: those in the schema, which the API server fills in, are those of the accessors, which
//! the controllers use; explicit values win; fields without effect are told.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::autoscaler_config::{GlobalSettings, NodeGroupDefaults, PolicyTrust, Rebalancer};
use autoscaler_api::node_group::{CostOptimization, MultiRegion, ScaleDownPolicy, ScaleUpPolicy, SpotConfig};
use autoscaler_api::scaling_policy::{ConfigMapSource, PolicyLimits, TripAfter};
use autoscaler_api::{NodeGroupSpec, all_crds};
use serde_json::{Value, json};

fn schema(kind: &str, path: &str) -> Value {
    let crds = all_crds().unwrap();
    let crd = crds.iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let mut schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap()["openAPIV3Schema"].clone();
    for step in path.split('.') {
        schema = schema["properties"][step].clone();
    }
    schema
}

/// The defaults that a schema states for the fields directly below it.
fn stated(kind: &str, path: &str) -> Value {
    schema(kind, path)["properties"]
        .as_object()
        .unwrap()
        .iter()
        .filter_map(|(field, schema)| Some((field.clone(), schema.get("default")?.clone())))
        .collect()
}

#[test]
fn schema_and_accessors_agree() {
    let up = ScaleUpPolicy::default();
    let down = ScaleDownPolicy::default();
    let global = GlobalSettings::default();
    let group = NodeGroupDefaults::default();
    let rebalancer = Rebalancer::default();
    let limits = PolicyLimits::default();
    let config_map = ConfigMapSource::default();
    let trip = TripAfter::default();
    let trust = PolicyTrust::default();
    let table = [
        (
            ("NodeGroup", "spec.scaleUpPolicy"),
            json!({
                "enabled": up.enabled_or_default(),
                "stabilizationWindowSeconds": up.stabilization_window_seconds_or_default(),
                "cpuThreshold": up.cpu_threshold_or_default(),
                "memoryThreshold": up.memory_threshold_or_default(),
            }),
            json!({"enabled": true, "stabilizationWindowSeconds": 0, "cpuThreshold": 80, "memoryThreshold": 80}),
        ),
        (
            ("NodeGroup", "spec.scaleDownPolicy"),
            json!({
                "enabled": down.enabled_or_default(),
                "stabilizationWindowSeconds": down.stabilization_window_seconds_or_default(),
                "cpuThreshold": down.cpu_threshold_or_default(),
                "memoryThreshold": down.memory_threshold_or_default(),
                "cooldownSeconds": down.cooldown_seconds_or_default(),
            }),
            json!({
                "enabled": true, "stabilizationWindowSeconds": 600, "cpuThreshold": 50, "memoryThreshold": 50,
                "cooldownSeconds": 600,
            }),
        ),
        (
            ("AutoscalerConfig", "spec.globalSettings"),
            json!({
                "scaleUpCooldownSeconds": global.scale_up_cooldown_seconds_or_default(),
                "scaleDownCooldownSeconds": global.scale_down_cooldown_seconds_or_default(),
                "maxClusterWorkers": global.max_cluster_workers_or_default(),
                "unschedulablePodGracePeriodSeconds": global.unschedulable_pod_grace_period_seconds_or_default(),
                "enableDynamicNodeGroupCreation": global.enable_dynamic_node_group_creation_or_default(),
                "enableRebalancing": global.enable_rebalancing_or_default(),
                "nodeReadyTimeoutSeconds": global.node_ready_timeout_seconds_or_default(),
                "removeOrphans": global.remove_orphans_or_default(),
            }),
            json!({
                "scaleUpCooldownSeconds": 0, "scaleDownCooldownSeconds": 0, "maxClusterWorkers": 0,
                "unschedulablePodGracePeriodSeconds": 0, "enableDynamicNodeGroupCreation": false,
                "enableRebalancing": false, "nodeReadyTimeoutSeconds": 600, "removeOrphans": false,
            }),
        ),
        (
            ("AutoscalerConfig", "spec.nodeGroupDefaults"),
            json!({
                "minNodes": group.min_nodes_or_default(), "maxNodes": group.max_nodes_or_default(),
                "namespace": group.namespace_or_default(),
            }),
            json!({"minNodes": 1, "maxNodes": 10, "namespace": "kube-system"}),
        ),
        (
            ("AutoscalerConfig", "spec.rebalancer"),
            json!({
                "enabled": rebalancer.enabled_or_default(),
                "strategy": rebalancer.strategy_or_default(),
                "maxConcurrent": rebalancer.max_concurrent_or_default(),
                "drainTimeout": rebalancer.drain_timeout_or_default(),
                "healthCheckInterval": rebalancer.health_check_interval_or_default(),
                "rollbackOnFailure": rebalancer.rollback_on_failure_or_default(),
                "paused": rebalancer.paused_or_default(),
                "quietPeriodAfterScaleUp": rebalancer.quiet_period_after_scale_up_or_default(),
                "healthTimeout": rebalancer.health_timeout_or_default(),
                "readyNodesPercent": rebalancer.ready_nodes_percent_or_default(),
                "historyLimit": rebalancer.history_limit_or_default(),
            }),
            json!({
                "enabled": false, "strategy": "rolling", "maxConcurrent": 1, "drainTimeout": "300s",
                "healthCheckInterval": "10s", "rollbackOnFailure": true, "paused": false,
                "quietPeriodAfterScaleUp": "0s", "healthTimeout": "300s", "readyNodesPercent": 75,
                "historyLimit": 200,
            }),
        ),
        (
            ("ScalingPolicy", "spec.limits"),
            json!({
                "fuel": limits.fuel_or_default(), "deadline": limits.deadline_or_default(),
                "memoryMiB": limits.memory_mib_or_default(), "outputKiB": limits.output_kib_or_default(),
            }),
            json!({"fuel": 4_000_000_000_u64, "deadline": "5s", "memoryMiB": 64, "outputKiB": 4096}),
        ),
        (
            ("ScalingPolicy", "spec.source.configMap"),
            json!({"namespace": config_map.namespace_or_default(), "key": config_map.key_or_default()}),
            json!({"namespace": "kube-system", "key": "policy.wasm"}),
        ),
        (
            ("ScalingPolicy", "spec.tripAfter"),
            json!({"failures": trip.failures_or_default(), "within": trip.within_or_default()}),
            json!({"failures": 5, "within": "10m"}),
        ),
        (
            ("AutoscalerConfig", "spec.policies"),
            json!({
                "requireSignature": trust.require_signature_or_default(),
                "keysSecret": trust.keys_secret_or_default(),
            }),
            json!({"requireSignature": false, "keysSecret": "vpsie-policy-keys"}),
        ),
    ];
    for ((kind, path), accessors, expected) in table {
        assert_eq!(accessors, expected, "accessors of {kind} {path}");
        assert_eq!(stated(kind, path), expected, "schema of {kind} {path}");
    }
}

#[test]
fn explicit_values_win_over_defaults() {
    let up: ScaleUpPolicy = serde_json::from_value(json!({"enabled": false, "cpuThreshold": 0})).unwrap();
    assert!(!up.enabled_or_default());
    assert_eq!(up.cpu_threshold_or_default(), 0);
    assert_eq!(up.memory_threshold_or_default(), 80);
    let global: GlobalSettings = serde_json::from_value(json!({"maxClusterWorkers": 7})).unwrap();
    assert_eq!(global.max_cluster_workers_or_default(), 7);
    assert_eq!(global.node_ready_timeout_seconds_or_default(), 600);
}

#[test]
fn sizes_stay_within_the_limits() {
    // (min, max, desired in the spec, wanted, size)
    let table = [
        (1, 5, None, 0, 1),
        (1, 5, None, 3, 3),
        (1, 5, None, 9, 5),
        (1, 5, Some(4), 2, 4),
        (1, 5, Some(4), 5, 5),
        (0, 5, None, 0, 0),
        // The schema refuses such specs; an object that is older than the schema may still be one.
        (1, 5, Some(9), 0, 5),
        (7, 5, None, 0, 5),
        (1, 5, None, i32::MAX, 5),
        (1, 5, None, i32::MIN, 1),
    ];
    for (min_nodes, max_nodes, desired_nodes, wanted, size) in table {
        let spec = NodeGroupSpec {
            min_nodes,
            max_nodes,
            desired_nodes,
            ..NodeGroupSpec::default()
        };
        assert_eq!(
            spec.clamp(wanted),
            size,
            "{min_nodes} {max_nodes} {desired_nodes:?} {wanted}"
        );
    }
}

#[test]
fn fields_without_effect_are_told() {
    assert_eq!(
        NodeGroupSpec::default().unsupported_fields(),
        Vec::<String>::new()
    );
    let defaults_filled_in = NodeGroupSpec {
        project: Some(String::new()),
        ssh_key_ids: Some(Vec::new()),
        scale_up_policy: Some(ScaleUpPolicy {
            cpu_threshold: Some(80),
            ..ScaleUpPolicy::default()
        }),
        scale_down_policy: Some(ScaleDownPolicy {
            stabilization_window_seconds: Some(600),
            cpu_threshold: Some(50),
            cooldown_seconds: Some(600),
            ..ScaleDownPolicy::default()
        }),
        spot_config: Some(SpotConfig {
            enabled: Some(false),
            ..SpotConfig::default()
        }),
        multi_region: Some(MultiRegion {
            enabled: Some(false),
            ..MultiRegion::default()
        }),
        cost_optimization: Some(CostOptimization {
            enabled: Some(false),
            ..CostOptimization::default()
        }),
        ..NodeGroupSpec::default()
    };
    assert_eq!(defaults_filled_in.unsupported_fields(), Vec::<String>::new());
    let set = NodeGroupSpec {
        project: Some("p".into()),
        os_image_id: Some("i".into()),
        kubernetes_version: Some("v1.33.2".into()),
        ssh_key_ids: Some(vec!["k".into()]),
        tags: Some(vec!["t".into()]),
        spot_config: Some(SpotConfig {
            enabled: Some(true),
            ..SpotConfig::default()
        }),
        multi_region: Some(MultiRegion {
            enabled: Some(true),
            ..MultiRegion::default()
        }),
        cost_optimization: Some(CostOptimization::default()),
        scale_up_policy: Some(ScaleUpPolicy {
            cpu_threshold: Some(0),
            memory_threshold: Some(70),
            ..ScaleUpPolicy::default()
        }),
        scale_down_policy: Some(ScaleDownPolicy {
            stabilization_window_seconds: Some(0),
            cpu_threshold: Some(60),
            memory_threshold: Some(60),
            cooldown_seconds: Some(0),
            ..ScaleDownPolicy::default()
        }),
        ..NodeGroupSpec::default()
    };
    let paths = [
        "spec.project",
        "spec.osImageID",
        "spec.kubernetesVersion",
        "spec.sshKeyIDs",
        "spec.tags",
        "spec.spotConfig",
        "spec.multiRegion",
        "spec.costOptimization",
        "spec.scaleUpPolicy.cpuThreshold",
        "spec.scaleUpPolicy.memoryThreshold",
    ];
    assert_eq!(set.unsupported_fields(), paths);
}
