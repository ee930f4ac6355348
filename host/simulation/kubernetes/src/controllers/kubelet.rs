//! The kubelets: new nodes become ready, bound pods run, deleted pods end.

use std::time::Duration;

use serde_json::{Value, json};

use super::context::{NODES, PODS, Step, condition, is_true};
use super::timers::Due;
use crate::delete::Options;
use crate::metadata;
use crate::server::timestamp;
use crate::store::ObjectKey;
use crate::subresources::set_condition;

const MANAGER: &str = "kubelet";

fn node_name(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

/// A node that waits for its kubelet: no word yet, or the word that it is not ready yet.
fn is_starting(node: &Value) -> bool {
    match condition(node, "Ready") {
        None => true,
        Some("False") => node["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["reason"] == "KubeletNotReady"),
        Some(_) => false,
    }
}

pub(super) fn look_at_node(step: &mut Step<'_>, name: &str) {
    let Some(node) = step.named(NODES, name) else {
        return;
    };
    if is_starting(&node.value) {
        let due = Due::NodeReady {
            name: name.to_owned(),
            uid: node.uid().to_owned(),
        };
        step.after(step.delays.node_ready, due);
    } else if is_true(&node.value, "Ready") {
        for pod in step.list(PODS, "") {
            if node_name(&pod.value) == name {
                consider(step, &pod.value, pod.uid());
            }
        }
    }
}

pub(super) fn make_node_ready(step: &mut Step<'_>, name: &str, uid: &str) {
    let Some(node) = step.named(NODES, name).filter(|node| node.uid() == uid) else {
        return;
    };
    if !is_starting(&node.value) {
        return;
    }
    let mut new = node.value.clone();
    let heartbeat = timestamp(step.now);
    for (kind, status, reason, message) in [
        (
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available",
        ),
        (
            "DiskPressure",
            "False",
            "KubeletHasNoDiskPressure",
            "kubelet has no disk pressure",
        ),
        (
            "PIDPressure",
            "False",
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available",
        ),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ] {
        let condition = json!({
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": heartbeat,
        });
        set_condition(&mut new, condition, step.now);
    }
    step.write(NODES, Some("status"), &node, new, MANAGER);
}

pub(super) fn look_at_pod(step: &mut Step<'_>, key: &ObjectKey) {
    if let Some(pod) = step.get(PODS, key) {
        consider(step, &pod.value, pod.uid());
    }
}

/// Sets the timer for what a kubelet does next with a pod of its node.
fn consider(step: &mut Step<'_>, pod: &Value, uid: &str) {
    let name = node_name(pod);
    if name.is_empty() {
        return;
    }
    let Some(node) = step.named(NODES, name) else {
        return;
    };
    if !is_true(&node.value, "Ready") {
        return;
    }
    let key = crate::update::key_of(pod);
    let uid = uid.to_owned();
    if metadata::is_terminating(pod) {
        let grace = pod["metadata"]["deletionGracePeriodSeconds"]
            .as_u64()
            .unwrap_or(0);
        let delay = step.delays.pod_stop.min(Duration::from_secs(grace));
        step.after(delay, Due::PodStops { key, uid });
    } else if pod["status"]["phase"] == "Pending" || needs_ready(pod) {
        step.after(step.delays.pod_start, Due::PodStarts { key, uid });
    }
}

/// A running pod that lost its readiness with its node.
fn needs_ready(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running" && !is_true(pod, "Ready")
}

pub(super) fn start_pod(step: &mut Step<'_>, key: &ObjectKey, uid: &str) {
    let Some(pod) = step.get(PODS, key).filter(|pod| pod.uid() == uid) else {
        return;
    };
    let ready = step
        .named(NODES, node_name(&pod.value))
        .is_some_and(|node| is_true(&node.value, "Ready"));
    if metadata::is_terminating(&pod.value) || !ready {
        return;
    }
    let time = timestamp(step.now);
    let mut new = pod.value.clone();
    for kind in [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ] {
        let condition = json!({"type": kind, "status": "True", "lastProbeTime": null});
        set_condition(&mut new, condition, step.now);
    }
    let containers: Vec<Value> = pod.value["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|container| {
            json!({
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": true,
                "started": true,
                "restartCount": 0,
                "state": {"running": {"startedAt": time}},
            })
        })
        .collect();
    let address = address(pod.uid());
    let status = &mut new["status"];
    status["phase"] = json!("Running");
    status["startTime"] = json!(time);
    status["containerStatuses"] = json!(containers);
    status["podIP"] = json!(address);
    status["podIPs"] = json!([{"ip": address}]);
    step.write(PODS, Some("status"), &pod, new, MANAGER);
}

/// An address inside 10.0.0.0/8 that follows from the uid.
fn address(uid: &str) -> String {
    let number = u32::from_str_radix(uid.get(..8).unwrap_or_default(), 16).unwrap_or(0);
    format!(
        "10.{}.{}.{}",
        number >> 16 & 0xff,
        number >> 8 & 0xff,
        number & 0xff
    )
}

pub(super) fn stop_pod(step: &mut Step<'_>, key: &ObjectKey, uid: &str) {
    if step
        .get(PODS, key)
        .is_some_and(|pod| pod.uid() == uid && metadata::is_terminating(&pod.value))
    {
        let options = Options {
            grace: Some(0),
            uid: Some(uid.to_owned()),
            ..Options::default()
        };
        step.delete(PODS, key, &options);
    }
}
