//! What objects begin with, whatever their authors wrote: fresh status, and the additions of a default admission chain.

use serde_json::{Value, json};

use crate::defaults::default;
use crate::error::ApiError;
use crate::metadata;
use crate::resources::ResourceType;
use crate::state::State;

/// How long a pod stays on a node that is not ready or out of reach, in seconds.
const TOLERATION_SECONDS: i64 = 300;

/// Sets what a new object begins with, whatever its author wrote: status, admission's additions.
pub(crate) fn prepare_for_create(
    state: &State,
    resource: &ResourceType,
    object: &mut Value,
) -> Result<(), ApiError> {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => {
            let quality = quality_of_service(&object["spec"]);
            object["status"] = json!({"phase": "Pending", "qosClass": quality});
            admit_pod(state, resource, object)?;
        }
        ("", "nodes") => {
            if !object["status"].is_object() {
                object["status"] = json!({});
            }
            if object["status"]["allocatable"].is_null() && object["status"]["capacity"].is_object() {
                object["status"]["allocatable"] = object["status"]["capacity"].clone();
            }
            taint_new_node(object);
        }
        ("", "namespaces") => {
            object["status"] = json!({"phase": "Active"});
            object["spec"] = json!({"finalizers": ["kubernetes"]});
        }
        ("", "persistentvolumeclaims" | "persistentvolumes") => {
            object["status"] = json!({"phase": "Pending"})
        }
        ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets") => {
            object["status"] = empty_status(&resource.plural);
        }
        ("policy", "poddisruptionbudgets") => {
            object["status"] = json!({
                "currentHealthy": 0,
                "desiredHealthy": 0,
                "disruptionsAllowed": 0,
                "expectedPods": 0,
            });
        }
        _ => {}
    }
    Ok(())
}

fn empty_status(plural: &str) -> Value {
    match plural {
        "replicasets" => json!({"replicas": 0}),
        "statefulsets" => json!({"replicas": 0, "availableReplicas": 0}),
        "daemonsets" => json!({
            "currentNumberScheduled": 0,
            "desiredNumberScheduled": 0,
            "numberMisscheduled": 0,
            "numberReady": 0,
        }),
        _ => json!({}),
    }
}

/// What the admission chain of a default cluster does to a new pod.
fn admit_pod(state: &State, resource: &ResourceType, pod: &mut Value) -> Result<(), ApiError> {
    let name = metadata::text(pod, "name").to_owned();
    let spec = &mut pod["spec"];
    default(spec, "enableServiceLinks", json!(true));
    default(spec, "serviceAccountName", json!("default"));
    let account = spec["serviceAccountName"].clone();
    default(spec, "serviceAccount", account);
    let mut priority = json!(0);
    let mut policy = json!("PreemptLowerPriority");
    if let Some(class) = spec["priorityClassName"].as_str() {
        let built_in = match class {
            "system-cluster-critical" => Some(2_000_000_000),
            "system-node-critical" => Some(2_000_001_000),
            _ => None,
        };
        if let Some(value) = built_in {
            priority = json!(value);
        } else {
            let classes = state.resource_named("scheduling.k8s.io", "priorityclasses");
            let found =
                classes.and_then(|classes| state.find(&classes, &(String::new(), class.to_owned())).ok());
            let Some(found) = found else {
                return Err(ApiError::forbidden(
                    resource,
                    &name,
                    format!("no PriorityClass with name {class} was found"),
                ));
            };
            priority = found.value["value"].clone();
            if found.value["preemptionPolicy"].is_string() {
                policy = found.value["preemptionPolicy"].clone();
            }
        }
    }
    default(spec, "priority", priority);
    default(spec, "preemptionPolicy", policy);
    if let Some(class) = spec["runtimeClassName"].as_str() {
        let classes = state.resource_named("node.k8s.io", "runtimeclasses");
        let found = classes.and_then(|classes| state.find(&classes, &(String::new(), class.to_owned())).ok());
        let Some(found) = found else {
            return Err(ApiError::forbidden(
                resource,
                &name,
                format!("pod rejected: RuntimeClass \"{class}\" not found"),
            ));
        };
        if found.value["overhead"]["podFixed"].is_object() {
            spec["overhead"] = found.value["overhead"]["podFixed"].clone();
        }
    }
    if !spec["tolerations"].is_array() {
        spec["tolerations"] = json!([]);
    }
    if let Some(list) = spec["tolerations"].as_array_mut() {
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            let covered = list.iter().any(|toleration| {
                let same = toleration["key"] == key || toleration["key"].is_null();
                let effect = &toleration["effect"];
                same && (effect.is_null() || *effect == "NoExecute")
            });
            if !covered {
                list.push(json!({
                    "effect": "NoExecute",
                    "key": key,
                    "operator": "Exists",
                    "tolerationSeconds": TOLERATION_SECONDS,
                }));
            }
        }
    }
    Ok(())
}

/// A node begins not ready: nothing is scheduled on it until its life-cycle controller has looked at it.
fn taint_new_node(node: &mut Value) {
    const NOT_READY: &str = "node.kubernetes.io/not-ready";
    if !node["spec"].is_object() {
        node["spec"] = json!({});
    }
    if !node["spec"]["taints"].is_array() {
        node["spec"]["taints"] = json!([]);
    }
    if let Some(taints) = node["spec"]["taints"].as_array_mut()
        && !taints
            .iter()
            .any(|taint| taint["key"] == NOT_READY && taint["effect"] == "NoSchedule")
    {
        taints.push(json!({"effect": "NoSchedule", "key": NOT_READY}));
    }
}

fn quality_of_service(spec: &Value) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    let lists = ["containers", "initContainers"];
    for container in lists.iter().flat_map(|list| spec[*list].as_array()).flatten() {
        let resources = &container["resources"];
        for name in ["cpu", "memory"] {
            let (request, limit) = (&resources["requests"][name], &resources["limits"][name]);
            any |= !request.is_null() || !limit.is_null();
            guaranteed &= !limit.is_null() && request == limit;
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// Rules of single kinds about what an update may carry over.
pub(crate) fn prepare_for_update(
    resource: &ResourceType,
    subresource: Option<&str>,
    old: &Value,
    new: &mut Value,
) {
    match (resource.group.as_str(), resource.plural.as_str(), subresource) {
        ("", "namespaces", None | Some("status")) => metadata::copy(old, new, "spec"),
        ("", "pods", Some("status")) if new["status"]["qosClass"].is_null() => {
            let quality = old["status"]["qosClass"].clone();
            if !quality.is_null() {
                new["status"]["qosClass"] = quality;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::quality_of_service;

    #[test]
    fn quality_of_service_classes() {
        let spec = |resources: serde_json::Value| json!({"containers": [{"resources": resources}]});
        let all = json!({"cpu": "1", "memory": "1Gi"});
        assert_eq!(quality_of_service(&spec(json!({}))), "BestEffort");
        assert_eq!(
            quality_of_service(&spec(json!({"requests": {"cpu": "1"}}))),
            "Burstable"
        );
        assert_eq!(
            quality_of_service(&spec(json!({"requests": all, "limits": all}))),
            "Guaranteed"
        );
    }
}
