//! Pods whose node is gone are removed after a while.

use serde_json::json;

use super::context::{NODES, PODS, Step};
use super::timers::Due;
use crate::delete::Options;
use crate::metadata;
use crate::store::ObjectKey;
use crate::subresources::set_condition;

const MANAGER: &str = "kube-controller-manager";

pub(super) fn node_lost(step: &mut Step<'_>, name: &str) {
    for pod in step.list(PODS, "") {
        if pod.value["spec"]["nodeName"] == name {
            look_at_pod(step, &crate::update::key_of(&pod.value));
        }
    }
}

pub(super) fn look_at_pod(step: &mut Step<'_>, key: &ObjectKey) {
    if let Some(uid) = orphan(step, key) {
        step.after(
            step.delays.pod_garbage,
            Due::PodCollected {
                key: key.clone(),
                uid,
            },
        );
    }
}

/// The uid of a pod that is bound to a node which does not exist.
fn orphan(step: &Step<'_>, key: &ObjectKey) -> Option<String> {
    let pod = step.get(PODS, key)?;
    let node = pod.value["spec"]["nodeName"]
        .as_str()
        .filter(|name| !name.is_empty())?;
    step.named(NODES, node).is_none().then(|| pod.uid().to_owned())
}

pub(super) fn collect(step: &mut Step<'_>, key: &ObjectKey, uid: &str) {
    if orphan(step, key).as_deref() != Some(uid) {
        return;
    }
    if let Some(pod) = step.get(PODS, key)
        && !matches!(
            pod.value["status"]["phase"].as_str(),
            Some("Succeeded" | "Failed")
        )
        && !metadata::is_terminating(&pod.value)
    {
        let mut new = pod.value.clone();
        new["status"]["phase"] = json!("Failed");
        let condition = json!({
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists",
        });
        set_condition(&mut new, condition, step.now);
        step.write(PODS, Some("status"), &pod, new, MANAGER);
    }
    let options = Options {
        grace: Some(0),
        uid: Some(uid.to_owned()),
        ..Options::default()
    };
    step.delete(PODS, key, &options);
}
