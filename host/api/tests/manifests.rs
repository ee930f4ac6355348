//! The manifests under `tests/cases/crds` without an API server: the accepted pass, each refused
//! one is refused for the reason in its first line. The same files go to a real API server in
//! `tests/tests/crd_validation.rs`.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::{Path, PathBuf};

use autoscaler_api::{
    AutoscalerConfig, NodeGroup, Rebalance, ScalingPolicy, VPSieNode, validate_manifest, validate_object,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

fn cases(kind: &str) -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/cases/crds")
        .join(kind);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn round_trip<T: Serialize + DeserializeOwned>(text: &str) -> Value {
    serde_json::to_value(serde_saphyr::from_str::<T>(text).unwrap()).unwrap()
}

#[test]
fn accepted_manifests_pass_and_survive_the_types_unchanged() {
    for (name, text) in cases("accepted") {
        let violations = validate_manifest(&text).unwrap();
        assert!(violations.is_empty(), "{name}: {violations:?}");
        let mut written: Value = serde_saphyr::from_str(&text).unwrap();
        let typed = match written["kind"].as_str().unwrap() {
            "AutoscalerConfig" => round_trip::<AutoscalerConfig>(&text),
            "NodeGroup" => round_trip::<NodeGroup>(&text),
            "Rebalance" => round_trip::<Rebalance>(&text),
            "ScalingPolicy" => round_trip::<ScalingPolicy>(&text),
            "VPSieNode" => round_trip::<VPSieNode>(&text),
            other => panic!("{name}: no type for {other}"),
        };
        if let Some(spec) = written["spec"].as_object_mut() {
            spec.retain(|_, value| !value.is_null());
        }
        assert_eq!(
            numbers_as_floats(typed["spec"].clone()),
            numbers_as_floats(written["spec"].clone()),
            "{name}"
        );
    }
}

/// `0` and `0.0` are the same number in a manifest.
fn numbers_as_floats(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64().unwrap()),
        Value::Array(list) => list.into_iter().map(numbers_as_floats).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, numbers_as_floats(value)))
            .collect(),
        other => other,
    }
}

#[test]
fn refused_manifests_are_refused_for_the_reason_they_state() {
    for (name, text) in cases("refused") {
        let expected = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# expect: "))
            .unwrap();
        let (path, fragment) = expected.split_once(' ').unwrap();
        let violations = validate_manifest(&text).unwrap();
        assert_eq!(violations.len(), 1, "{name}: {violations:?}");
        // The rule about the name stands on the object: only its message can name the field.
        let at = if path == "metadata.name" { "" } else { path };
        assert_eq!(violations[0].path, at, "{name}: {violations:?}");
        assert!(violations[0].message.contains(fragment), "{name}: {violations:?}");
    }
}

#[test]
fn what_may_not_change_is_refused_on_update() {
    let node = |group: &str| {
        json!({
            "apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "VPSieNode", "metadata": {"name": "a"},
            "spec": {"nodeGroupName": group, "instanceType": "1", "datacenterID": "d", "resourceIdentifier": "r"},
        })
    };
    let rebalance = |action: &str| {
        json!({
            "apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "Rebalance", "metadata": {"name": "a"},
            "spec": {"plan": {"kind": "drift", "strategy": "rolling", "steps": [{"id": "1", "action": action}]}},
        })
    };
    let table = [
        (node("a"), node("a"), None),
        (node("a"), node("b"), Some("spec.nodeGroupName")),
        (rebalance("drain"), rebalance("drain"), None),
        (rebalance("drain"), rebalance("remove"), Some("spec.plan")),
    ];
    for (old, new, refused) in table {
        let violations = validate_object(&new, Some(&old)).unwrap();
        assert_eq!(
            violations.first().map(|v| v.path.as_str()),
            refused,
            "{violations:?}"
        );
    }
}

#[test]
fn strangers_are_named() {
    for text in [
        "{}",
        "apiVersion: v1\nkind: Pod",
        "apiVersion: autoscaler.vpsie.io/v1alpha1\nkind: NodeGroup",
    ] {
        assert_eq!(
            validate_manifest(text).unwrap_err().reason(),
            "UnknownKind",
            "{text}"
        );
    }
    assert_eq!(validate_manifest("a: [").unwrap_err().reason(), "InvalidYaml");
}
