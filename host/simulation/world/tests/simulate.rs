//! Scenarios from files: what they come to, the same each time, and errors that name what is wrong.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::scaling_policy::PolicyKind;
use autoscaler_policy::Engine;
use autoscaler_simulation::simulate::{Candidate, Report, ScenarioFile, page, simulate};
use serde_json::json;
use std::path::{Path, PathBuf};

/// A burst that VPSie answers badly, and its end.
const BURST: &str = "
title: A <burst>
duration: 40m
objects:
- {apiVersion: autoscaler.vpsie.com/v1alpha1, kind: NodeGroup, metadata: {name: web}, spec: {
    minNodes: 0, maxNodes: 6, offeringIDs: [k8s-2-4], kubernetesVersion: v1.35.6,
    scaleDownPolicy: {stabilizationWindowSeconds: 60, cooldownSeconds: 0}}}
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: web, labels: {app: web}}, spec: {
    replicas: 1, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {
      containers: [{name: main, image: pause, resources: {requests: {cpu: 600m, memory: 256Mi}}}]}}}}
timeline:
- {at: 2m, fault: {path: /add/slave, effect: {kind: dropAfterApply}, times: 1}}
- {at: 5m, scale: {deployment: web, replicas: 9}}
- {at: 20m, scale: {deployment: web, replicas: 1}}
variants:
- {name: as it is}
- name: nothing goes
  objects:
  - {apiVersion: autoscaler.vpsie.com/v1alpha1, kind: NodeGroup, metadata: {name: web}, spec: {
      minNodes: 0, maxNodes: 6, offeringIDs: [k8s-2-4], kubernetesVersion: v1.35.6,
      scaleDownPolicy: {enabled: false}}}
";

fn play(candidates: &[Candidate]) -> Report {
    let file = ScenarioFile::parse(BURST).unwrap();
    let mut report = simulate(&file, candidates, 1, |_| {}).unwrap();
    for column in &mut report.columns {
        column.end = column.end.clone().without_durations();
    }
    report
}

#[test]
fn a_burst_is_told_the_same_each_time() {
    let report = play(&[]);
    let [plain, keeps] = &report.columns[..] else {
        panic!("{} columns", report.columns.len());
    };
    for column in [plain, keeps] {
        let end = &column.end;
        assert_eq!(
            (end.pods.running, end.pods.pending, end.vms.leaked),
            (1, 0, 0),
            "{}",
            column.name
        );
        assert_eq!(
            (column.most_nodes, end.vms.created),
            (3, 3),
            "nine pods, three to a node"
        );
        assert!(column.most_pending > 0 && column.waited_pod_seconds > 0);
    }
    assert_eq!((plain.end.vms.deleted, keeps.end.vms.deleted), (2, 0));
    assert!(plain.end.cost.total < keeps.end.cost.total);
    assert_eq!(play(&[]), report);
    let html = page(&report);
    assert!(
        html.contains("A &lt;burst&gt;") && html.matches("<polyline").count() == 8,
        "{html}"
    );
    let text = report.text();
    assert!(
        text.contains("nothing goes") && text.contains("pod-minutes without a node"),
        "{text}"
    );
}

fn candidate(name: &str, kind: PolicyKind) -> Candidate {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/policies");
    Candidate {
        name: name.to_owned(),
        file: policies.join(format!("{name}.wasm")),
        kinds: vec![kind],
        config: None,
    }
}

#[test]
fn a_candidate_decides_or_the_simulation_ends() {
    let built_in = candidate("scale-up", PolicyKind::ScaleUp);
    let bytes = std::fs::read(&built_in.file).unwrap();
    let digest = Engine::new()
        .unwrap()
        .compile(&bytes)
        .unwrap()
        .digest()
        .to_owned();
    let report = play(std::slice::from_ref(&built_in));
    let played = report.columns.last().unwrap();
    assert_eq!((report.columns.len(), played.name.as_str()), (3, "scale-up"));
    let by = |policy: &str| {
        played
            .end
            .decisions
            .iter()
            .filter(|decision| decision.policy.name == policy)
            .count()
    };
    assert!(by("candidate") > 0, "{:?} of {digest}", played.end.decisions);

    let refused = Candidate {
        config: Some(json!({"nonsense": 1})),
        ..built_in.clone()
    };
    let absent = Candidate {
        file: PathBuf::from("/nowhere.wasm"),
        ..built_in
    };
    let file = ScenarioFile::parse(BURST).unwrap();
    for (candidate, says) in [(refused, "nonsense"), (absent, "nowhere.wasm")] {
        let error = simulate(&file, &[candidate], 1, |_| {}).unwrap_err();
        assert!(
            error.to_string().contains(says) && error.reason() == "PolicyNotLoaded",
            "{error}"
        );
    }
}

#[test]
fn an_object_that_the_schemas_refuse_ends_it() {
    let file = ScenarioFile::parse(&BURST.replace("maxNodes: 6", "maxNodes: many")).unwrap();
    let error = simulate(&file, &[], 1, |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "NodeGroup web of the scenario is refused");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("maxNodes"), "{cause}");
}

#[test]
fn the_scenarios_of_the_project_can_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/scenarios");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        ScenarioFile::parse(&text).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
        read += 1;
    }
    assert!(read > 0);
}
