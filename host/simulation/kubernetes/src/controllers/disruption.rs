//! Disruption budgets: how many of the selected pods are healthy, and how many may go.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::context::{BUDGETS, DEPLOYMENTS, PODS, REPLICA_SETS, Step, controller, is_true};
use crate::metadata;
use crate::selector::LabelSelector;
use crate::store::Stored;
use crate::subresources::set_condition;

const MANAGER: &str = "kube-controller-manager";

/// An eviction that did not lead to a deletion within this time no longer counts.
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_secs(120);

/// Counts all budgets of a namespace anew.
pub(super) fn sync(step: &mut Step<'_>, namespace: &str) {
    for budget in step.list(BUDGETS, namespace) {
        count(step, namespace, &budget);
    }
}

fn count(step: &mut Step<'_>, namespace: &str, budget: &Arc<Stored>) {
    let Some(selector) = LabelSelector::from_object(budget.value["spec"].get("selector")) else {
        return;
    };
    let pods: Vec<Arc<Stored>> = step
        .list(PODS, namespace)
        .into_iter()
        .filter(|pod| selector.matches(&pod.value))
        .filter(|pod| {
            !matches!(
                pod.value["status"]["phase"].as_str(),
                Some("Succeeded" | "Failed")
            )
        })
        .collect();
    let (expected, desired) = expectation(step, namespace, &budget.value["spec"], &pods);
    let disrupted = still_disrupted(&budget.value, &pods, step.now);
    let healthy = pods
        .iter()
        .filter(|pod| !metadata::is_terminating(&pod.value))
        .filter(|pod| !disrupted.contains_key(metadata::text(&pod.value, "name")))
        .filter(|pod| is_true(&pod.value, "Ready"))
        .count();
    let healthy = i64::try_from(healthy).unwrap_or(i64::MAX);
    let allowed = if expected <= 0 {
        0
    } else {
        (healthy - desired).max(0)
    };

    let mut new = budget.value.clone();
    let status = &mut new["status"];
    status["currentHealthy"] = json!(healthy);
    status["desiredHealthy"] = json!(desired);
    status["expectedPods"] = json!(expected);
    status["disruptionsAllowed"] = json!(allowed);
    let generation = budget.value["metadata"]["generation"].clone();
    status["observedGeneration"] = generation.clone();
    metadata::set(
        status,
        "disruptedPods",
        (!disrupted.is_empty()).then_some(Value::Object(disrupted)),
    );
    let (condition, reason) = if allowed > 0 {
        ("True", "SufficientPods")
    } else {
        ("False", "InsufficientPods")
    };
    let condition = json!({
        "type": "DisruptionAllowed",
        "status": condition,
        "reason": reason,
        "message": "",
        "observedGeneration": generation,
    });
    set_condition(&mut new, condition, step.now);
    step.write(BUDGETS, Some("status"), budget, new, MANAGER);
}

/// How many pods there should be, and how many of them healthy.
fn expectation(step: &Step<'_>, namespace: &str, spec: &Value, pods: &[Arc<Stored>]) -> (i64, i64) {
    if !spec["maxUnavailable"].is_null() {
        let expected = scale_of_controllers(step, namespace, pods);
        return (
            expected,
            (expected - scaled(&spec["maxUnavailable"], expected)).max(0),
        );
    }
    match &spec["minAvailable"] {
        Value::Number(number) => {
            let count = i64::try_from(pods.len()).unwrap_or(i64::MAX);
            (count, number.as_i64().unwrap_or(0))
        }
        share @ Value::String(_) => {
            let expected = scale_of_controllers(step, namespace, pods);
            (expected, scaled(share, expected))
        }
        _ => (0, 0),
    }
}

/// A number, or a percentage of `total` rounded up.
fn scaled(value: &Value, total: i64) -> i64 {
    match value {
        Value::Number(number) => number.as_i64().unwrap_or(0),
        Value::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            (total * percent + 99) / 100
        }
        _ => 0,
    }
}

/// The sizes of all controllers of these pods together.
fn scale_of_controllers(step: &Step<'_>, namespace: &str, pods: &[Arc<Stored>]) -> i64 {
    let mut scales: BTreeMap<String, i64> = BTreeMap::new();
    let key = |reference: &Value| {
        (
            namespace.to_owned(),
            reference["name"].as_str().unwrap_or_default().to_owned(),
        )
    };
    for pod in pods {
        let Some(owner) = controller(&pod.value).filter(|owner| owner["kind"] == "ReplicaSet") else {
            continue;
        };
        let Some(set) = step.get(REPLICA_SETS, &key(owner)) else {
            continue;
        };
        let deployment = controller(&set.value)
            .filter(|owner| owner["kind"] == "Deployment")
            .and_then(|owner| step.get(DEPLOYMENTS, &key(owner)));
        let top = deployment.unwrap_or(set);
        scales.insert(
            top.uid().to_owned(),
            top.value["spec"]["replicas"].as_i64().unwrap_or(0),
        );
    }
    scales.values().sum()
}

/// The evicted pods that are not gone yet and may still go.
fn still_disrupted(budget: &Value, pods: &[Arc<Stored>], now: Timestamp) -> Map<String, Value> {
    let known = budget["status"]["disruptedPods"].as_object();
    known
        .into_iter()
        .flatten()
        .filter(|(name, time)| {
            let since: Option<Timestamp> = time.as_str().and_then(|time| time.parse().ok());
            let fresh = since.is_some_and(|since| now.duration_since(since) < DELETION_TIMEOUT);
            let waiting = pods.iter().any(|pod| {
                metadata::text(&pod.value, "name") == *name && !metadata::is_terminating(&pod.value)
            });
            fresh && waiting
        })
        .map(|(name, time)| (name.clone(), time.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::scaled;

    #[test]
    fn percentages_round_up() {
        for (value, total, expected) in [
            (json!(3), 10, 3),
            (json!("50%"), 5, 3),
            (json!("0%"), 5, 0),
            (json!("100%"), 7, 7),
        ] {
            assert_eq!(scaled(&value, total), expected, "{value} of {total}");
        }
    }
}
