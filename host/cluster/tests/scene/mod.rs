//! An index of a cluster as large as is wanted, with as many classes and templates as are wanted: sizes can be changed
//! one at a time.

use autoscaler_cluster::{Change, Index, Inputs, Offering};
use serde_json::{Value, json};
use std::sync::Arc;

/// Groups that the templates are spread over.
const GROUPS: usize = 10;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    /// Pods that run.
    pub(crate) pods: usize,
    /// Classes of the pods that run.
    pub(crate) classes: usize,
    /// Classes of pods that wait, two pods of each.
    pub(crate) waiting: usize,
    /// Ways to buy a node.
    pub(crate) templates: usize,
}

/// The index of such a cluster, and what a snapshot of it needs beside.
pub(crate) fn folded(size: Size) -> (Arc<Index>, Inputs) {
    let index = Index::new(Arc::new(|| jiff::Timestamp::UNIX_EPOCH));
    for group in 0..GROUPS.min(size.templates) {
        index.apply(&Change::NodeGroup(typed(node_group(group, size.templates))));
    }
    for number in 0..size.nodes {
        index.apply(&Change::VPSieNode(typed(vpsie_node(number))));
        index.apply(&Change::Node(typed(node(number))));
    }
    for number in 0..size.pods {
        index.apply(&Change::Pod(typed(pod(
            number,
            size.classes,
            Some(spread(number, size.nodes)),
        ))));
    }
    for number in 0..2 * size.waiting {
        index.apply(&Change::Pod(typed(pod(size.pods + number, size.waiting, None))));
    }
    let offering = |number: usize| Offering {
        size: number as i64,
        names: vec![offering_name(number)],
        cpu: 8 + 4 * (number as u32 % 7),
        memory_mib: 32_768 + 8_192 * (number as u64 % 5),
        disk_gib: 100,
        hourly_micros: 10_000 + number as u64,
    };
    let inputs = Inputs {
        offerings: [("dc".to_owned(), (0..size.templates).map(offering).collect())].into(),
        removal_budget: 10,
        ..Inputs::default()
    };
    (index, inputs)
}

pub(crate) fn typed<K: serde::de::DeserializeOwned>(object: Value) -> Arc<K> {
    Arc::new(serde_json::from_value(object).unwrap_or_else(|error| panic!("{error}")))
}

/// A node for each pod, as if by chance.
fn spread(number: usize, nodes: usize) -> usize {
    number.wrapping_mul(2_654_435_761) / 256 % nodes
}

fn offering_name(number: usize) -> String {
    format!("offering-{number}")
}

fn node_group(number: usize, templates: usize) -> Value {
    let offerings: Vec<String> = (number..templates).step_by(GROUPS).map(offering_name).collect();
    json!({
        "metadata": {"name": format!("group-{number}"), "namespace": "default"},
        "spec": {"minNodes": 0, "maxNodes": 10_000, "datacenterID": "dc", "resourceIdentifier": "c",
            "offeringIDs": offerings, "allowMixedInstances": true},
    })
}

fn vpsie_node(number: usize) -> Value {
    json!({
        "metadata": {"name": format!("record-{number:05}"), "namespace": "default"},
        "spec": {"nodeGroupName": format!("group-{}", number % GROUPS), "instanceType": offering_name(number % GROUPS),
            "datacenterID": "dc", "resourceIdentifier": "c"},
        "status": {"phase": "Ready", "nodeName": format!("node-{number:05}")},
    })
}

/// A node of 16 cores.
fn node(number: usize) -> Value {
    let name = format!("node-{number:05}");
    json!({
        "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": format!("zone-{}", number % 3), "pool": format!("pool-{}", number % 5),
        }},
        "status": {
            "allocatable": {"cpu": "16", "memory": "64Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

/// A pod of one of so many applications. Those that run ask for little, those that wait for more than a node of the
/// cluster has. Every fifth application spreads over zones, every seventh keeps to different nodes, every third chooses
/// a pool.
pub(crate) fn pod(number: usize, classes: usize, node: Option<usize>) -> Value {
    let app = number % classes;
    let kind = if node.is_some() { "runs" } else { "waits" };
    let labels = json!({"app": format!("{kind}-{app}"), "team": format!("team-{}", app % 40)});
    let own = json!({"matchLabels": {"app": format!("{kind}-{app}")}});
    let cpu = if node.is_some() {
        100 + app % 9 * 40
    } else {
        17_000
    };
    let mut spec = json!({
        "containers": [{"name": "c", "resources": {"requests": {"cpu": format!("{cpu}m"), "memory": "512Mi"}}}],
    });
    if let Some(node) = node {
        spec["nodeName"] = json!(format!("node-{node:05}"));
    }
    if app.is_multiple_of(5) {
        spec["topologySpreadConstraints"] = json!([{"maxSkew": 1000, "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": own}]);
    }
    if app.is_multiple_of(7) {
        spec["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": own}]}});
    }
    if app.is_multiple_of(3) && node.is_some() {
        spec["nodeSelector"] = json!({"pool": format!("pool-{}", app % 5)});
    }
    let waits = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "lastTransitionTime": "1970-01-01T00:00:00Z"}]);
    json!({
        "metadata": {"name": format!("{kind}-{app}-{number:06}"), "namespace": format!("team-{}", app % 40),
            "uid": format!("uid-{number}"), "labels": labels,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{kind}-{app}"), "uid": "u",
                "controller": true}]},
        "spec": spec,
        "status": {"phase": if node.is_some() { "Running" } else { "Pending" },
            "conditions": if node.is_some() { json!([]) } else { waits }},
    })
}
