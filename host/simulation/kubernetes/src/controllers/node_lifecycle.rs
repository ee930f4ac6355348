//! Node life cycle: taints that follow from conditions, pods that are not ready because their node is not, and the
//! eviction of those that do not tolerate it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::context::{NODES, PODS, Step, condition, is_true};
use super::timers::Due;
use crate::delete::Options;
use crate::metadata;
use crate::server::timestamp;
use crate::store::{ObjectKey, Stored};
use crate::subresources::set_condition;

const MANAGER: &str = "kube-controller-manager";
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Which of this controller's taints a node should have.
fn wanted(node: &Value) -> Vec<(&'static str, &'static str)> {
    let mut taints = match condition(node, "Ready") {
        Some("True") => Vec::new(),
        Some("Unknown") => vec![(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")],
        _ => vec![(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")],
    };
    if node["spec"]["unschedulable"] == true {
        taints.push((UNSCHEDULABLE, "NoSchedule"));
    }
    taints
}

/// Brings a node's taints, and what follows for its pods, up to date.
pub(super) fn sync(step: &mut Step<'_>, name: &str) {
    let Some(node) = step.named(NODES, name) else {
        return;
    };
    let wanted = wanted(&node.value);
    let mut taints: Vec<Value> = node.value["spec"]["taints"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    taints.retain(|taint| {
        let key = taint["key"].as_str().unwrap_or_default();
        let ours = matches!(key, NOT_READY | UNREACHABLE | UNSCHEDULABLE);
        !ours
            || wanted
                .iter()
                .any(|(k, effect)| *k == key && taint["effect"] == *effect)
    });
    for (key, effect) in &wanted {
        let there = taints
            .iter()
            .any(|taint| taint["key"] == *key && taint["effect"] == *effect);
        if !there {
            taints.push(json!({"key": key, "effect": effect, "timeAdded": timestamp(step.now)}));
        }
    }
    let mut new = node.value.clone();
    metadata::set(
        &mut new["spec"],
        "taints",
        (!taints.is_empty()).then(|| json!(taints)),
    );
    step.write(NODES, None, &node, new, MANAGER);

    let ready = is_true(&node.value, "Ready");
    for pod in step.list(PODS, "") {
        if pod.value["spec"]["nodeName"] != name {
            continue;
        }
        if !ready && is_true(&pod.value, "Ready") {
            let mut new = pod.value.clone();
            let condition = json!({"type": "Ready", "status": "False", "lastProbeTime": null});
            set_condition(&mut new, condition, step.now);
            step.write(PODS, Some("status"), &pod, new, MANAGER);
        }
        plan_eviction(step, &pod);
    }
}

pub(super) fn look_at_pod(step: &mut Step<'_>, key: &ObjectKey) {
    if let Some(pod) = step.get(PODS, key) {
        plan_eviction(step, &pod);
    }
}

/// Sets or clears the timer after which a pod has to leave its node.
fn plan_eviction(step: &mut Step<'_>, pod: &Arc<Stored>) {
    let key = crate::update::key_of(&pod.value);
    let due = Due::PodEvicted {
        key,
        uid: pod.uid().to_owned(),
    };
    match patience(step, &pod.value) {
        Some(patience) => step.after(patience, due),
        None => step.timers.cancel(&due),
    }
}

/// How long a pod may stay on its node; `None` for as long as it likes.
fn patience(step: &Step<'_>, pod: &Value) -> Option<Duration> {
    let name = pod["spec"]["nodeName"].as_str().filter(|name| !name.is_empty())?;
    if metadata::is_terminating(pod) {
        return None;
    }
    let node = step.named(NODES, name)?;
    let tolerations = pod["spec"]["tolerations"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    node.value["spec"]["taints"]
        .as_array()?
        .iter()
        .filter(|taint| taint["effect"] == "NoExecute")
        .filter_map(|taint| stay(taint, tolerations))
        .min()
}

/// How long the tolerations bear one taint; `None` for ever.
fn stay(taint: &Value, tolerations: &[Value]) -> Option<Duration> {
    let mut longest = Some(Duration::ZERO);
    for toleration in tolerations
        .iter()
        .filter(|toleration| tolerates(toleration, taint))
    {
        match toleration["tolerationSeconds"].as_i64() {
            None => return None,
            Some(seconds) => {
                let time = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                longest = longest.max(Some(time));
            }
        }
    }
    longest
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let effect = toleration["effect"].as_str().unwrap_or_default();
    let key = toleration["key"].as_str().unwrap_or_default();
    if !effect.is_empty() && taint["effect"] != effect || !key.is_empty() && taint["key"] != key {
        return false;
    }
    match toleration["operator"].as_str() {
        Some("Exists") => true,
        _ => {
            toleration["value"].as_str().unwrap_or_default() == taint["value"].as_str().unwrap_or_default()
                && !key.is_empty()
        }
    }
}

pub(super) fn evict(step: &mut Step<'_>, key: &ObjectKey, uid: &str) {
    let Some(pod) = step.get(PODS, key).filter(|pod| pod.uid() == uid) else {
        return;
    };
    if patience(step, &pod.value).is_none() {
        return;
    }
    let mut new = pod.value.clone();
    let condition = json!({
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
    });
    set_condition(&mut new, condition, step.now);
    step.write(PODS, Some("status"), &pod, new, MANAGER);
    step.delete(PODS, key, &Options::default());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::stay;

    #[test]
    fn tolerations_decide_how_long_a_pod_stays() {
        let taint = json!({"key": "a", "value": "b", "effect": "NoExecute"});
        for (tolerations, expected) in [
            (json!([]), Some(0)),
            (
                json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 300}]),
                Some(300),
            ),
            (json!([{"key": "a", "value": "b"}]), None),
            (json!([{"key": "a", "value": "c"}]), Some(0)),
            (json!([{"operator": "Exists"}]), None),
            (
                json!([{"key": "a", "operator": "Exists", "effect": "NoSchedule"}]),
                Some(0),
            ),
        ] {
            let found = stay(&taint, tolerations.as_array().unwrap());
            assert_eq!(found, expected.map(Duration::from_secs), "{tolerations}");
        }
    }
}
