//! Random clusters from seeds: small, and skewed to the edges, so that about half of all pairs are refused and
//! many hinge on one unit or one label.
//!
//! Few values for everything: what is rare in real clusters (two pods on one port, a spread that is just
//! level, a toleration of the wrong effect) is common here.

mod constraints;
mod dice;
mod extras;
mod groups;
mod nodes;
mod pods;
mod volumes;

use serde_json::{Value, json};

pub use dice::Dice;
pub use groups::group;

use super::Cluster;

/// How many nodes and pods a cluster has, and whether it has what only some clusters have.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub nodes: usize,
    pub running: usize,
    pub pending: usize,
    /// Claims, volumes and drivers.
    pub volumes: bool,
    /// Pods that the scheduler has made room for on a node.
    pub promises: bool,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            nodes: 12,
            running: 14,
            pending: 9,
            volumes: true,
            promises: true,
        }
    }
}

/// Namespaces with the labels that selectors tell them apart by. They stay from cluster to cluster.
pub const NAMESPACES: [(&str, &[(&str, &str)]); 4] = [
    ("default", &[]),
    ("alpha", &[("team", "red"), ("stage", "prod")]),
    ("beta", &[("team", "blue"), ("stage", "prod")]),
    ("gamma", &[("team", "red")]),
];

/// Runtime classes with what they add to a pod.
const RUNTIMES: [(&str, Option<(&str, &str)>); 2] = [("plain", None), ("heavy", Some(("150m", "64Mi")))];

/// Priority classes; the first is that of pods which name none. None preempts: pods shall stay where they are.
const PRIORITIES: [(&str, i32); 3] = [("usual", 0), ("low", -10), ("high", 1000)];

/// The objects that stay the same for all clusters.
#[must_use]
pub fn fixtures() -> Vec<Value> {
    let labels = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value)));
        Value::Object(pairs.collect())
    };
    let namespaces = NAMESPACES
        .iter()
        .filter(|(name, _)| *name != "default")
        .map(|(name, pairs)| {
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels(pairs) } })
        });
    let priorities = PRIORITIES.iter().map(|(name, value)| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": { "name": name },
            "value": value, "globalDefault": *name == PRIORITIES[0].0, "preemptionPolicy": "Never",
        })
    });
    let runtimes = RUNTIMES.iter().map(|(name, overhead)| {
        let mut class = json!({
            "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": { "name": name }, "handler": name,
        });
        if let Some((cpu, memory)) = overhead {
            class["overhead"] = json!({ "podFixed": { "cpu": cpu, "memory": memory } });
        }
        class
    });
    namespaces.chain(priorities).chain(runtimes).collect()
}

/// The cluster of a seed.
#[must_use]
pub fn cluster(seed: u64, size: Size) -> Cluster {
    let mut dice = Dice::new(seed);
    let mut nodes: Vec<nodes::Plan> = (0..size.nodes).map(|at| nodes::plan(&mut dice, at)).collect();
    let volumes = volumes::supply(&mut dice, &nodes, size.volumes);
    let mut running = Vec::new();
    for at in 0..size.running {
        running.push(pods::running(&mut dice, at, &mut nodes, &volumes));
    }
    let mut pending = Vec::new();
    // One promise at most: the scheduler learns of it before it looks at any other pod.
    let mut promises = size.promises;
    for at in 0..size.pending {
        let pod = pods::pending(&mut dice, at, &nodes, &volumes, promises);
        promises &= pod["status"].is_null();
        pending.push(pod);
    }
    let mut objects: Vec<Value> = nodes.iter().map(|node| node.object.clone()).collect();
    objects.extend(volumes.objects);
    objects.extend(running);
    objects.extend(pending);
    if size.volumes {
        extras::add(&mut Dice::new(seed ^ 0x6d6f_7265), &mut objects);
    }
    Cluster { objects }
}
