//! What the scenarios share: a quick cloud, groups, deployments, and what is asked of the cluster.

use anyhow::{Context, Result, ensure};
use autoscaler_api::{VPSieNode, labels};
use autoscaler_tests::stage::Stage;
use fake_vpsie::{Config, JournalEntry};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const CLUSTER: &str = "f3b0c3f4-8f5e-4c1e-9f0f-2b1c7a9e49ab";
const DATACENTER: &str = "7c0f6a52-3a3e-4d27-9a52-6f0d5d6f1a01";

/// Where the load runs.
pub(crate) const NAMESPACE: &str = "shop";

/// Production's pace, but for what a test would only wait for.
pub(crate) const PACE: [&str; 5] = [
    "--rebalance-interval=1s",
    "--provider-poll=500ms",
    "--resync=5s",
    "--lost-answer-grace=6s",
    "--purchase-backoff=5s",
];

/// A VPSie whose machines come and go within a second.
pub(crate) fn quick_cloud() -> Config {
    let mut config = Config::default();
    config.delays.reply = Duration::from_millis(5);
    config.delays.appear = Duration::from_millis(300);
    config.delays.join = Duration::from_millis(500);
    config.delays.join_spread = Duration::from_millis(300);
    config.delays.delete = Duration::from_millis(500);
    config
}

/// A node group without a floor.
pub(crate) fn group(name: &str, offerings: &[&str], max: i32) -> Value {
    json!({
        "apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "NodeGroup",
        "metadata": {"name": name, "namespace": "kube-system", "labels": {labels::MANAGED: "true"}},
        "spec": {
            "minNodes": 0, "maxNodes": max, "datacenterID": DATACENTER, "resourceIdentifier": CLUSTER, "project": "",
            "offeringIDs": offerings, "kubernetesVersion": "v1.35.6",
            "scaleDownPolicy": {"enabled": true, "stabilizationWindowSeconds": 0, "cooldownSeconds": 0},
        },
    })
}

/// A cloud whose plain VMs join with the token of the Secret that [`vm_group`] names.
pub(crate) fn vm_cloud() -> Config {
    let mut cloud = quick_cloud();
    cloud.plain.join_token = Some("hunter2-join-token".to_owned());
    cloud
}

/// A group of plain VMs, and the Secret with the token that they join with.
pub(crate) async fn vm_group(stage: &Stage, name: &str, max: i32) -> Result<Value> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vpsie-join", "namespace": "kube-system"},
        "stringData": {"token": "hunter2-join-token"},
    });
    stage.apply(&secret).await?;
    let plain = stage.cloud.config().plain;
    let mut group = group(name, &["vm-2-4"], max);
    let spec = json!({
        "provisioner": "VM", "osImageID": plain.images[0], "sshKeyIDs": plain.ssh_keys, "tags": ["e2e"],
        "userData": {"template": "join {{ secret.token }} {{ hostname }} {{ kubernetesVersion }}"},
    });
    if let (Some(group), Value::Object(spec)) = (group["spec"].as_object_mut(), spec) {
        group.extend(spec);
        group.remove("resourceIdentifier");
    }
    Ok(group)
}

/// A node group for a tier: its nodes carry the label `tier` and keep others off by the taint `dedicated`.
pub(crate) fn tier(name: &str, offerings: &[&str], max: i32) -> Value {
    let mut group = group(name, offerings, max);
    group["spec"]["labels"] = json!({"tier": name});
    group["spec"]["taints"] = json!([{"key": "dedicated", "value": name, "effect": "NoSchedule"}]);
    group
}

/// What lets a pod onto the nodes of a tier.
pub(crate) fn tolerates(tier: &str) -> Value {
    json!({"tolerations": [{"key": "dedicated", "operator": "Equal", "value": tier, "effect": "NoSchedule"}]})
}

/// What sends a pod to the nodes of a tier.
pub(crate) fn selects(tier: &str) -> Value {
    json!({"nodeSelector": {"tier": tier}, "tolerations": tolerates(tier)["tolerations"]})
}

/// A deployment whose pods carry the label `app` with its name; `extra` are fields of the pod's spec.
#[expect(clippy::needless_pass_by_value, reason = "cases write their values in place")]
pub(crate) fn deployment(name: &str, replicas: usize, cpu: &str, extra: Value) -> Value {
    let mut pod = json!({
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": "app", "resources": {"requests": {"cpu": cpu, "memory": "200Mi"}}}],
    });
    if let (Some(pod), Some(extra)) = (pod.as_object_mut(), extra.as_object()) {
        pod.extend(extra.clone());
    }
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    })
}

/// The namespace of the load, a policy that lets idle nodes go at once, and the rebalancer switched on or off.
pub(crate) async fn prepare(stage: &Stage, rebalance: bool) -> Result<()> {
    stage
        .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}))
        .await?;
    // The test has no ten minutes.
    stage
        .apply(&json!({
            "apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "ScalingPolicy",
            "metadata": {"name": "quick-removal"},
            "spec": {
                "kinds": ["rebalance"], "mode": "Active", "source": {"builtIn": "rebalance"},
                "config": {"idleSeconds": 1, "settleSeconds": 1, "mostMerged": 0},
            },
        }))
        .await?;
    rebalancer(stage, rebalance).await
}

/// Switches the rebalancer on or off.
pub(crate) async fn rebalancer(stage: &Stage, enabled: bool) -> Result<()> {
    stage
        .apply(&json!({
            "apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "AutoscalerConfig",
            "metadata": {"name": "default"},
            "spec": {"rebalancer": {
                "enabled": enabled, "maxConcurrent": 4, "drainTimeout": "120s", "healthCheckInterval": "1s",
            }},
        }))
        .await
}

/// How many pods of a deployment run and are not about to go.
pub(crate) async fn running(stage: &Stage, app: &str) -> Result<usize> {
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let pods = pods
        .list(&ListParams::default().labels(&format!("app={app}")))
        .await?;
    let runs = |pod: &&Pod| {
        pod.metadata.deletion_timestamp.is_none()
            && pod
                .status
                .as_ref()
                .is_some_and(|status| status.phase.as_deref() == Some("Running"))
    };
    Ok(pods.iter().filter(runs).count())
}

/// Sets the number of replicas of a deployment.
pub(crate) async fn scale(stage: &Stage, name: &str, replicas: usize) -> Result<()> {
    let api: Api<Deployment> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let patch = json!({"spec": {"replicas": replicas}});
    api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .map(drop)
        .context("scaling")
}

/// Waits until so many pods of each deployment run.
pub(crate) async fn all_run(stage: &Stage, wanted: &[(&str, usize)], limit: Duration) -> Result<Duration> {
    stage
        .until("every pod that can fit runs", limit, || async {
            let mut missing = Vec::new();
            for (app, pods) in wanted {
                let found = running(stage, app).await?;
                if found != *pods {
                    missing.push(format!("{app}: {found} of {pods}"));
                }
            }
            Ok((!missing.is_empty()).then(|| format!("run: {}", missing.join(", "))))
        })
        .await
}

/// When VPSie was asked for a node, each time.
pub(crate) fn orders(stage: &Stage) -> Vec<Timestamp> {
    let journal = stage.cloud.journal();
    journal
        .iter()
        .filter(|entry| is_order(entry))
        .map(|entry| entry.at)
        .collect()
}

/// How many of them VPSie has carried out.
pub(crate) fn carried_out(stage: &Stage) -> usize {
    let journal = stage.cloud.journal();
    journal
        .iter()
        .filter(|entry| is_order(entry) && entry.applied)
        .count()
}

fn is_order(entry: &JournalEntry) -> bool {
    entry.method == "POST" && (entry.path.contains("/add/slave") || entry.path.ends_with("/vm"))
}

/// Names of the worker machines that VPSie has.
pub(crate) fn machines(stage: &Stage) -> BTreeSet<String> {
    let workers = stage.cloud.vms().into_iter().filter(|vm| vm.is_ordered());
    workers.map(|vm| vm.node_name).collect()
}

/// Waits until each machine has exactly one Node and one VPSieNode, and there are no others.
pub(crate) async fn machines_nodes_and_records_agree(stage: &Stage, limit: Duration) -> Result<()> {
    stage
        .until("machines, nodes and records agree", limit, || async {
            Ok(disagreement(stage).await.err().map(|error| format!("{error:#}")))
        })
        .await?;
    println!(
        "{} machines, each with one Node and one VPSieNode",
        machines(stage).len()
    );
    Ok(())
}

async fn disagreement(stage: &Stage) -> Result<()> {
    let machines = machines(stage);
    let nodes: Api<Node> = Api::all(stage.client.clone());
    let workers = ListParams::default().labels("!node-role.kubernetes.io/control-plane");
    let nodes: BTreeSet<String> = nodes
        .list(&workers)
        .await?
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    let records: Api<VPSieNode> = Api::all(stage.client.clone());
    let records = records.list(&ListParams::default()).await?;
    let named: BTreeSet<String> = records
        .iter()
        .filter_map(|record| record.node_name().map(str::to_owned))
        .collect();
    ensure!(machines == nodes, "machines {machines:?}\nnodes {nodes:?}");
    ensure!(
        machines == named && records.items.len() == machines.len(),
        "machines {machines:?}\nrecords {named:?} ({})",
        records.items.len()
    );
    Ok(())
}

/// How many nodes of each group there are; fails where one lacks its group's labels and taints.
pub(crate) async fn nodes_by_group(stage: &Stage) -> Result<BTreeMap<String, usize>> {
    let nodes: Api<Node> = Api::all(stage.client.clone());
    let nodes = nodes
        .list(&ListParams::default().labels(labels::NODE_GROUP))
        .await?;
    let mut by_group: BTreeMap<String, usize> = BTreeMap::new();
    for node in &nodes {
        let group = node.labels()[labels::NODE_GROUP].clone();
        let expected = (group != "general").then_some(group.as_str());
        let taint = node
            .spec
            .iter()
            .flat_map(|spec| spec.taints.iter().flatten())
            .find(|taint| taint.key == "dedicated")
            .and_then(|taint| taint.value.as_deref());
        ensure!(
            taint == expected,
            "{}: taint of {group} is {taint:?}",
            node.name_any()
        );
        let label = node.labels().get("tier").map(String::as_str);
        ensure!(
            label == expected,
            "{}: label of {group} is {label:?}",
            node.name_any()
        );
        *by_group.entry(group).or_default() += 1;
    }
    Ok(by_group)
}
