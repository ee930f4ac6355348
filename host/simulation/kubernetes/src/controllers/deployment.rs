//! Deployments: one replica set per pod template. A new template is rolled out as its strategy says: `maxSurge` new pods
//! come first, and old ones go as new ones become available; or all old ones go before the first new one comes.

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
    let sets = step.owned(REPLICA_SETS, stored.uid());
    let is_new = |set: &Arc<Stored>| metadata::text(&set.value, "name") == name;
    let (new, old): (Vec<_>, Vec<_>) = sets.iter().cloned().partition(is_new);
    let rollout = Rollout::of(deployment, new.first(), &old);
    match new.first() {
        None => {
            let revision = sets.len() + 1;
            let set = replica_set(deployment, &stored, &name, &hash, rollout.new_size(), revision);
            step.create(REPLICA_SETS, &place.0, set, MANAGER);
        }
        Some(set) => resize(step, set, rollout.new_size()),
    }
    let mut surplus = rollout.surplus();
    // Those of whom fewest are available first: broken pods serve nobody.
    let mut old = old;
    old.sort_by_cached_key(|set| (number(&set.value, "status", "availableReplicas"), key(set)));
    for set in &old {
        let size = number(&set.value, "spec", "replicas");
        let going = surplus.min(size);
        surplus -= going;
        resize(step, set, size - going);
    }
    update_status(step, &stored, &name);
}

/// Where a rollout stands.
struct Rollout {
    recreates: bool,
    wanted: i64,
    /// Pods beyond `wanted` that there may be, and pods of `wanted` that may be missing.
    surge: i64,
    missing: i64,
    /// Pods that the sets are to have: the new one, and all old ones.
    new: i64,
    old: i64,
    /// Of these, available ones.
    new_available: i64,
    old_available: i64,
    /// Pods of old sets that are there.
    old_present: i64,
}

impl Rollout {
    fn of(deployment: &Value, new: Option<&Arc<Stored>>, old: &[Arc<Stored>]) -> Self {
        let wanted = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
        let strategy = &deployment["spec"]["strategy"];
        let rolling = &strategy["rollingUpdate"];
        let surge = share(&rolling["maxSurge"], wanted, true);
        let missing = max_unavailable(deployment, wanted);
        let sum = |part, field| -> i64 { old.iter().map(|set| number(&set.value, part, field)).sum() };
        let of_new = |part, field| new.map_or(0, |set| number(&set.value, part, field));
        Self {
            recreates: strategy["type"] == "Recreate",
            wanted,
            surge,
            // One of the two has to move.
            missing: if surge == 0 { missing.max(1) } else { missing },
            new: of_new("spec", "replicas"),
            old: sum("spec", "replicas"),
            new_available: of_new("status", "availableReplicas"),
            old_available: sum("status", "availableReplicas"),
            old_present: sum("status", "replicas"),
        }
    }

    /// How many pods the new set is to have now.
    fn new_size(&self) -> i64 {
        let is_first = self.old == 0 && (!self.recreates || self.old_present == 0);
        if is_first || self.new > self.wanted {
            return self.wanted;
        }
        if self.recreates {
            return self.new;
        }
        let room = self.wanted + self.surge - self.new - self.old;
        self.wanted.min(self.new + room.max(0))
    }

    /// How many pods of old sets are to go now.
    fn surplus(&self) -> i64 {
        if self.recreates {
            return self.old;
        }
        let least = self.wanted - self.missing;
        let starting = (self.new - self.new_available).max(0);
        let most = (self.new + self.old - least - starting).max(0);
        let broken = (self.old - self.old_available).max(0);
        let available = (self.new_available + self.old_available - least).max(0);
        most.min(broken + available)
    }
}

fn number(object: &Value, part: &str, field: &str) -> i64 {
    object[part][field].as_i64().unwrap_or(0)
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
    share(value, replicas, false)
}

/// A number, or a percentage of the replicas.
fn share(value: &Value, replicas: i64, rounds_up: bool) -> i64 {
    match value {
        Value::Number(number) => number.as_i64().unwrap_or(0),
        Value::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let hundredths = replicas * percent;
            if rounds_up {
                (hundredths + 99) / 100
            } else {
                hundredths / 100
            }
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
