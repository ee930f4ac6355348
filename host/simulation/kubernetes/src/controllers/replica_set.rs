//! Replica sets: as many pods as wanted, the least useful ones go first.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::context::{PODS, REPLICA_SETS, Step, is_true};
use super::engine::key;
use crate::delete::Options;
use crate::metadata;
use crate::store::{ObjectKey, Stored};

const MANAGER: &str = "kube-controller-manager";

/// Pods with a higher cost in this annotation are kept longer.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

fn is_active(pod: &Value) -> bool {
    !metadata::is_terminating(pod) && !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// Creates or deletes pods of one replica set and counts them in its status.
pub(super) fn sync(step: &mut Step<'_>, place: &ObjectKey) {
    let Some(stored) = step.get(REPLICA_SETS, place) else {
        return;
    };
    let set = &stored.value;
    let mut active: Vec<Arc<Stored>> = step
        .owned(PODS, stored.uid())
        .into_iter()
        .filter(|pod| is_active(&pod.value))
        .collect();
    if !metadata::is_terminating(set) {
        let wanted = usize::try_from(set["spec"]["replicas"].as_i64().unwrap_or(1)).unwrap_or(0);
        for _ in active.len()..wanted {
            step.create(PODS, &place.0, pod_of(set, &stored), MANAGER);
        }
        if active.len() > wanted {
            let surplus = active.len() - wanted;
            for pod in least_useful(&active).into_iter().take(surplus) {
                step.delete(PODS, &key(&pod), &Options::default());
            }
        }
        active = step
            .owned(PODS, stored.uid())
            .into_iter()
            .filter(|pod| is_active(&pod.value))
            .collect();
    }
    update_status(step, &stored, &active);
}

fn pod_of(set: &Value, stored: &Stored) -> Value {
    let template = &set["spec"]["template"];
    let name = metadata::text(set, "name");
    let mut meta = json!({
        "generateName": format!("{name}-"),
        "namespace": metadata::text(set, "namespace"),
        "ownerReferences": [{
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": name,
            "uid": stored.uid(),
            "controller": true,
            "blockOwnerDeletion": true,
        }],
    });
    for field in ["labels", "annotations", "finalizers"] {
        metadata::copy(&template["metadata"], &mut meta, field);
    }
    json!({"metadata": meta, "spec": template["spec"]})
}

/// Unassigned before assigned, pending before running, unready before ready, crowded before lone, young before old.
fn least_useful(pods: &[Arc<Stored>]) -> Vec<Arc<Stored>> {
    let node = |pod: &Stored| {
        pod.value["spec"]["nodeName"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let mut crowd: BTreeMap<String, usize> = BTreeMap::new();
    for pod in pods {
        *crowd.entry(node(pod)).or_default() += 1;
    }
    let mut ranked: Vec<Arc<Stored>> = pods.to_vec();
    ranked.sort_by_cached_key(|pod| {
        let value = &pod.value;
        let home = node(pod);
        let phase = match value["status"]["phase"].as_str() {
            Some("Running") => 2,
            Some("Pending") => 0,
            _ => 1,
        };
        let cost: i64 = value["metadata"]["annotations"][DELETION_COST]
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        (
            !home.is_empty(),
            phase,
            is_true(value, "Ready"),
            cost,
            std::cmp::Reverse(crowd.get(&home).copied().unwrap_or(0)),
            std::cmp::Reverse(metadata::text(value, "creationTimestamp").to_owned()),
            metadata::text(value, "name").to_owned(),
        )
    });
    ranked
}

fn update_status(step: &mut Step<'_>, stored: &Arc<Stored>, active: &[Arc<Stored>]) {
    let ready = active.iter().filter(|pod| is_true(&pod.value, "Ready")).count();
    let mut new = stored.value.clone();
    let status = &mut new["status"];
    status["replicas"] = json!(active.len());
    status["observedGeneration"] = stored.value["metadata"]["generation"].clone();
    for (field, count) in [
        ("fullyLabeledReplicas", active.len()),
        ("readyReplicas", ready),
        ("availableReplicas", ready),
    ] {
        metadata::set(status, field, (count > 0).then(|| json!(count)));
    }
    step.write(REPLICA_SETS, Some("status"), stored, new, MANAGER);
}
