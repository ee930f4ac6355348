//! Deployments: one replica set per pod template, the newest one at full size.
//!
//! A rollout replaces all pods at once: what matters here is how many pods there are and what they ask for.

use std::sync::Arc;

use serde_json::{Value, json};

use super::context::{DEPLOYMENTS, REPLICA_SETS, Step, is_true};
use super::engine::key;
use crate::metadata;
use crate::store::{ObjectKey, Stored};
use crate::subresources::set_condition;

const MANAGER: &str = "kube-controller-manager";
const HASH_LABEL: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Brings one deployment's replica sets and status up to date.
pub(super) fn sync(step: &mut Step<'_>, place: &ObjectKey) {
    let Some(stored) = step.get(DEPLOYMENTS, place) else {
        return;
    };
    let deployment = &stored.value;
    if metadata::is_terminating(deployment) {
        return;
    }
    let hash = template_hash(&deployment["spec"]["template"]);
    let name = format!("{}-{hash}", place.1);
    let replicas = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
    let sets = step.owned(REPLICA_SETS, stored.uid());
    let current = sets.iter().find(|set| metadata::text(&set.value, "name") == name);
    match current {
        None => {
            let revision = sets.len() + 1;
            let set = replica_set(deployment, &stored, &name, &hash, replicas, revision);
            step.create(REPLICA_SETS, &place.0, set, MANAGER);
        }
        Some(set) => resize(step, set, replicas),
    }
    for set in sets
        .iter()
        .filter(|set| metadata::text(&set.value, "name") != name)
    {
        resize(step, set, 0);
    }
    update_status(step, &stored, &name);
}

fn resize(step: &mut Step<'_>, set: &Arc<Stored>, replicas: i64) {
    if set.value["spec"]["replicas"].as_i64() != Some(replicas) {
        let mut new = set.value.clone();
        new["spec"]["replicas"] = json!(replicas);
        step.write(REPLICA_SETS, None, set, new, MANAGER);
    }
}

fn replica_set(
    deployment: &Value,
    stored: &Stored,
    name: &str,
    hash: &str,
    replicas: i64,
    revision: usize,
) -> Value {
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"][HASH_LABEL] = json!(hash);
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][HASH_LABEL] = json!(hash);
    json!({
        "metadata": {
            "name": name,
            "namespace": metadata::text(deployment, "namespace"),
            "labels": template["metadata"]["labels"],
            "annotations": {
                REVISION: revision.to_string(),
                "deployment.kubernetes.io/desired-replicas": replicas.to_string(),
            },
            "ownerReferences": [{
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": metadata::text(deployment, "name"),
                "uid": stored.uid(),
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    })
}

fn update_status(step: &mut Step<'_>, stored: &Arc<Stored>, current: &str) {
    let sets = step.owned(REPLICA_SETS, stored.uid());
    let sum = |field: &str| -> i64 {
        sets.iter()
            .map(|set| set.value["status"][field].as_i64().unwrap_or(0))
            .sum()
    };
    let updated = sets
        .iter()
        .find(|set| metadata::text(&set.value, "name") == current)
        .map_or(0, |set| set.value["status"]["replicas"].as_i64().unwrap_or(0));
    let wanted = stored.value["spec"]["replicas"].as_i64().unwrap_or(1);
    let available = sum("availableReplicas");
    let mut new = stored.value.clone();
    let status = &mut new["status"];
    status["observedGeneration"] = stored.value["metadata"]["generation"].clone();
    for (field, value) in [
        ("replicas", sum("replicas")),
        ("updatedReplicas", updated),
        ("readyReplicas", sum("readyReplicas")),
        ("availableReplicas", available),
        (
            "unavailableReplicas",
            (sum("replicas").max(wanted) - available).max(0),
        ),
    ] {
        metadata::set(status, field, (value > 0).then(|| json!(value)));
    }
    let enough = available >= wanted - max_unavailable(&stored.value, wanted);
    if enough != is_true(&new, "Available") || new["status"]["conditions"].is_null() {
        let time = crate::server::timestamp(step.now);
        let (status, reason, message) = if enough {
            (
                "True",
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.",
            )
        } else {
            (
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            )
        };
        let condition = json!({
            "type": "Available",
            "status": status,
            "reason": reason,
            "message": message,
            "lastUpdateTime": time,
        });
        set_condition(&mut new, condition, step.now);
    }
    let place = key(stored);
    let Some(fresh) = step.get(DEPLOYMENTS, &place) else {
        return;
    };
    step.write(DEPLOYMENTS, Some("status"), &fresh, new, MANAGER);
}

fn max_unavailable(deployment: &Value, replicas: i64) -> i64 {
    let value = &deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"];
    match value {
        Value::Number(number) => number.as_i64().unwrap_or(0),
        Value::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            replicas * percent / 100
        }
        _ => 0,
    }
}

/// Ten characters that name a pod template.
fn template_hash(template: &Value) -> String {
    const DIGITS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    // FNV-1a, with which the real controller hashes too (over another form of the template).
    let mut hash = template
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mut text = String::new();
    for _ in 0..10 {
        text.push(char::from(DIGITS[(hash % DIGITS.len() as u64) as usize]));
        hash /= DIGITS.len() as u64;
    }
    text
}
