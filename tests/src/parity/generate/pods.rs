//! Pods: those that run, and those that wait.

use serde_json::{Value, json};

use super::constraints;
use super::nodes::{DEVICE, PAGES, Plan};
use super::volumes::Supply;
use super::{Dice, NAMESPACES, PRIORITIES, RUNTIMES};

fn namespace(dice: &mut Dice) -> &'static str {
    NAMESPACES[dice.below(NAMESPACES.len())].0
}

#[expect(clippy::needless_pass_by_value, reason = "requests are written in place")]
fn container(name: &str, requests: Value) -> Value {
    let limits: serde_json::Map<String, Value> = requests
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name == DEVICE || *name == PAGES)
        .map(|(name, amount)| (name.clone(), amount.clone()))
        .collect();
    json!({ "name": name, "image": "none", "resources": { "requests": requests, "limits": limits } })
}

/// Splits a pod's CPU and memory over containers, init containers and sidecars, in one of the ways in which
/// the sum that counts stays the same, or nearly.
fn containers(dice: &mut Dice, spec: &mut Value, cpu: i64, mib: i64) {
    let amount = |cpu: i64, mib: i64| json!({ "cpu": format!("{cpu}m"), "memory": format!("{mib}Mi") });
    let sidecar = |requests: Value| {
        let mut container = container("sidecar", requests);
        container["restartPolicy"] = "Always".into();
        container
    };
    let (half, rest) = (cpu / 2, cpu - cpu / 2);
    match dice.below(8) {
        0 => spec["containers"] = json!([container("a", amount(half, mib)), container("b", amount(rest, 0))]),
        1 => {
            spec["initContainers"] = json!([container("init", amount(cpu, mib))]);
            spec["containers"] = json!([container("a", amount(half, mib / 2))]);
        }
        2 => {
            spec["initContainers"] = json!([sidecar(amount(half, mib))]);
            spec["containers"] = json!([container("a", amount(rest, 0))]);
        }
        3 => {
            spec["initContainers"] = json!([sidecar(amount(half, 0)), container("init", amount(rest, mib))]);
            spec["containers"] = json!([container("a", amount(1, mib))]);
        }
        4 => {
            spec["initContainers"] = json!([container("init", amount(rest, 0)), sidecar(amount(half, mib))]);
            spec["containers"] = json!([container("a", amount(rest, 0))]);
        }
        5 => {
            spec["resources"] = json!({ "requests": amount(cpu, mib) });
            spec["containers"] = json!([container("a", amount(half, mib / 2)), container("b", json!({}))]);
        }
        6 => {
            // A limit without a request is a request.
            let mut main = container("a", json!({ "cpu": format!("{cpu}m") }));
            main["resources"]["limits"]["memory"] = format!("{mib}Mi").into();
            spec["containers"] = json!([main]);
        }
        _ => spec["containers"] = json!([container("a", amount(cpu, mib))]),
    }
    let extras: [(&str, &[&str], usize); 3] = [
        ("ephemeral-storage", &["512Mi", "1Gi", "1025Mi"], 8),
        (DEVICE, &["1", "2", "3"], 8),
        (PAGES, &["2Mi", "4Mi"], 4),
    ];
    for (resource, amounts, chance) in extras {
        if spec["resources"].is_null() && dice.percent(chance) {
            let amount = dice.pick(amounts);
            let resources = &mut spec["containers"][0]["resources"];
            resources["requests"][resource] = amount.into();
            if resource != "ephemeral-storage" {
                resources["limits"][resource] = amount.into();
            }
        }
    }
}

fn host_ports(dice: &mut Dice, spec: &mut Value) {
    let ports: Vec<Value> = (0..=dice.below(2))
        .map(|at| {
            let number = dice.pick(&[8080, 8080, 8081]);
            let mut port = json!({ "containerPort": number, "hostPort": number, "name": format!("p{at}") });
            if dice.percent(30) {
                port["protocol"] = dice.pick(&["TCP", "UDP", "SCTP"]).into();
            }
            if dice.percent(50) {
                port["hostIP"] = dice.pick(&["0.0.0.0", "10.0.0.1", "10.0.0.1", "10.0.0.2"]).into();
            }
            port
        })
        .collect();
    // One pod must not claim one port twice.
    let mut seen = std::collections::BTreeSet::new();
    let ports: Vec<Value> = ports
        .into_iter()
        .filter(|port| {
            seen.insert((
                port["hostPort"].to_string(),
                port["protocol"].as_str().unwrap_or("TCP").to_owned(),
                port["hostIP"].to_string(),
            ))
        })
        .collect();
    match dice.below(6) {
        0 if spec["initContainers"].is_array() => {
            let sidecar = spec["initContainers"].as_array_mut().and_then(|list| {
                list.iter_mut()
                    .find(|container| container["restartPolicy"] == "Always")
            });
            if let Some(sidecar) = sidecar {
                sidecar["ports"] = ports.into();
            }
        }
        1 => {
            spec["hostNetwork"] = true.into();
            spec["containers"][0]["ports"] = json!([{ "containerPort": dice.pick(&[8080, 8081]) }]);
        }
        _ => spec["containers"][0]["ports"] = ports.into(),
    }
}

/// A pod that runs on some node.
pub(super) fn running(dice: &mut Dice, at: usize, nodes: &mut [Plan], volumes: &Supply) -> Value {
    let which = dice.below(nodes.len());
    let (cpu, mib) = (
        dice.pick(&[1, 100, 250, 500, 999]),
        dice.pick(&[0, 1, 128, 256, 512]),
    );
    let mut spec = json!({ "nodeName": nodes[which].name });
    containers(dice, &mut spec, cpu, mib);
    if dice.percent(2) {
        spec["nodeName"] = "node-that-is-gone".into();
    } else {
        nodes[which].free_cpu -= cpu;
        nodes[which].free_mib -= mib;
    }
    let ports = dice.percent(25);
    if ports {
        host_ports(dice, &mut spec);
    }
    if dice.percent(20) {
        let term = constraints::pod_term(dice);
        spec["affinity"] =
            json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [term] } });
    }
    let namespace = namespace(dice);
    volumes.mount(dice, &mut spec, namespace, true);
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": format!("running-{at:02}"), "namespace": namespace, "labels": constraints::labels(dice) },
        "spec": spec,
    });
    match dice.below(20) {
        // Without ports: the scheduler forgets a port with the first of two pods that claim it, and here, where it
        // has not placed them, there can be two.
        0 if !ports => pod["status"] = json!({ "phase": dice.pick(&["Succeeded", "Failed"]) }),
        1 | 2 => pod["metadata"]["deletionTimestamp"] = "after it was created".into(),
        3 => pod["status"] = json!({ "phase": "Running" }),
        _ => {}
    }
    pod
}

/// What just fits on a node, or just does not.
fn edge(dice: &mut Dice, free: i64) -> i64 {
    (free + dice.pick(&[-100, -1, 0, 0, 1])).max(1)
}

/// A pod that waits.
pub(super) fn pending(dice: &mut Dice, at: usize, nodes: &[Plan], volumes: &Supply, promises: bool) -> Value {
    let near = &nodes[dice.below(nodes.len())];
    let (mut cpu, mut mib) = (dice.pick(&[0, 1, 100, 300]), dice.pick(&[0, 1, 100, 300]));
    if dice.percent(22) {
        cpu = edge(dice, near.free_cpu);
    }
    if dice.percent(15) {
        mib = edge(dice, near.free_mib);
    }
    let mut spec = json!({});
    if dice.percent(12) {
        let (runtime, overhead) = dice.pick(&RUNTIMES);
        spec["runtimeClassName"] = runtime.into();
        if overhead.is_some() {
            (cpu, mib) = ((cpu - 150).max(0), (mib - 64).max(0));
        }
    }
    containers(dice, &mut spec, cpu, mib);
    let tolerations: Vec<Value> = match dice.below(10) {
        0..5 => Vec::new(),
        5 => vec![json!({ "operator": "Exists" })],
        _ => (0..=dice.below(3))
            .map(|_| constraints::toleration(dice))
            .collect(),
    };
    if !tolerations.is_empty() {
        spec["tolerations"] = tolerations.into();
    }
    if dice.percent(6) {
        spec["nodeSelector"] = constraints::node_selector(dice);
    }
    let mut affinity = json!({});
    if dice.percent(13) {
        let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
        affinity["nodeAffinity"] = json!({ "requiredDuringSchedulingIgnoredDuringExecution": constraints::node_affinity(dice, &names) });
    }
    for (kind, chance) in [("podAffinity", 9), ("podAntiAffinity", 20)] {
        if dice.percent(chance) {
            let terms: Vec<Value> = (0..=dice.below(2)).map(|_| constraints::pod_term(dice)).collect();
            affinity[kind] = json!({ "requiredDuringSchedulingIgnoredDuringExecution": terms });
        }
    }
    if affinity != json!({}) {
        spec["affinity"] = affinity;
    }
    if dice.percent(30) {
        spec["topologySpreadConstraints"] = constraints::spreads(dice).into();
    }
    if dice.percent(24) {
        host_ports(dice, &mut spec);
    }
    if dice.percent(25) {
        spec["priorityClassName"] = dice.pick(&PRIORITIES[1..]).0.into();
    }
    let namespace = namespace(dice);
    volumes.mount(dice, &mut spec, namespace, false);
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": format!("pending-{at:02}"), "namespace": namespace, "labels": constraints::labels(dice) },
        "spec": spec,
    });
    // The scheduler has made room for it, and others have to leave it the room.
    if dice.percent(6) && promises {
        pod["status"] = json!({ "nominatedNodeName": near.name });
    }
    pod
}
