//! What the server fills in for built-in kinds: API defaults, and what admission and the kinds' own rules add.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::metadata;
use crate::resources::ResourceType;
use crate::state::State;

/// How long a pod stays on a node that is not ready or out of reach, in seconds.
const TOLERATION_SECONDS: i64 = 300;

fn default(object: &mut Value, key: &str, value: Value) {
    if object.get(key).is_none_or(Value::is_null) {
        metadata::set(object, key, Some(value));
    }
}

/// The times of conditions that the real server always shows, as null where unset.
fn condition_times(object: &mut Value, fields: &[&str]) {
    let conditions = object
        .get_mut("status")
        .and_then(|status| status.get_mut("conditions"));
    for condition in conditions.and_then(Value::as_array_mut).into_iter().flatten() {
        for field in fields {
            default(condition, field, Value::Null);
        }
    }
}

/// Drops the empty lists and maps that the real server never shows.
fn drop_empty(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(drop_empty);
            map.retain(|key, value| match value {
                Value::Array(items) => !items.is_empty() || key == "containers",
                Value::Object(fields) => !fields.is_empty() || !OMITTED_WHEN_EMPTY.contains(&key.as_str()),
                _ => true,
            });
        }
        Value::Array(items) => items.iter_mut().for_each(drop_empty),
        _ => {}
    }
}

/// Maps that are left out when they are empty.
const OMITTED_WHEN_EMPTY: [&str; 14] = [
    "data",
    "binaryData",
    "stringData",
    "labels",
    "annotations",
    "matchLabels",
    "nodeSelector",
    "limits",
    "requests",
    "overhead",
    "capacity",
    "allocatable",
    "parameters",
    "disruptedPods",
];

/// Fills in the API defaults of a decoded object.
pub(crate) fn apply(resource: &ResourceType, object: &mut Value) {
    drop_empty(object);
    match resource.plural.as_str() {
        "nodes" => condition_times(object, &["lastHeartbeatTime", "lastTransitionTime"]),
        "pods" => condition_times(object, &["lastProbeTime", "lastTransitionTime"]),
        "deployments" => condition_times(object, &["lastUpdateTime", "lastTransitionTime"]),
        _ => {}
    }
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => pod_spec(&mut object["spec"]),
        ("apps", "deployments") => {
            let spec = &mut object["spec"];
            default(spec, "replicas", json!(1));
            default(spec, "revisionHistoryLimit", json!(10));
            default(spec, "progressDeadlineSeconds", json!(600));
            default(spec, "strategy", json!({"type": "RollingUpdate"}));
            if spec["strategy"]["type"] == "RollingUpdate" {
                default(&mut spec["strategy"], "rollingUpdate", json!({}));
                let rolling = &mut spec["strategy"]["rollingUpdate"];
                default(rolling, "maxSurge", json!("25%"));
                default(rolling, "maxUnavailable", json!("25%"));
            }
            pod_spec(&mut spec["template"]["spec"]);
        }
        ("apps", "replicasets") => {
            let spec = &mut object["spec"];
            default(spec, "replicas", json!(1));
            if spec["template"].is_object() {
                pod_spec(&mut spec["template"]["spec"]);
            }
        }
        ("apps", "daemonsets") => {
            let spec = &mut object["spec"];
            default(spec, "revisionHistoryLimit", json!(10));
            default(spec, "updateStrategy", json!({"type": "RollingUpdate"}));
            if spec["updateStrategy"]["type"] == "RollingUpdate" {
                let rolling = json!({"maxSurge": 0, "maxUnavailable": 1});
                default(&mut spec["updateStrategy"], "rollingUpdate", rolling);
            }
            pod_spec(&mut spec["template"]["spec"]);
        }
        ("", "secrets") => {
            default(object, "type", json!("Opaque"));
            if let Some(plain) = object.as_object_mut().and_then(|map| map.remove("stringData"))
                && let Some(texts) = plain.as_object()
            {
                if !object["data"].is_object() {
                    object["data"] = json!({});
                }
                for (key, text) in texts {
                    object["data"][key.as_str()] = json!(base64(text.as_str().unwrap_or_default()));
                }
            }
        }
        ("", "persistentvolumeclaims") => default(&mut object["spec"], "volumeMode", json!("Filesystem")),
        ("", "persistentvolumes") => {
            default(&mut object["spec"], "volumeMode", json!("Filesystem"));
            default(
                &mut object["spec"],
                "persistentVolumeReclaimPolicy",
                json!("Retain"),
            );
        }
        ("", "namespaces") => {
            let name = object["metadata"]["name"].clone();
            if name.is_string() {
                object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
            }
        }
        ("storage.k8s.io", "storageclasses") => {
            default(object, "reclaimPolicy", json!("Delete"));
            default(object, "volumeBindingMode", json!("Immediate"));
        }
        ("storage.k8s.io", "csidrivers") => {
            let spec = &mut object["spec"];
            for (key, value) in [
                ("attachRequired", json!(true)),
                ("podInfoOnMount", json!(false)),
                ("storageCapacity", json!(false)),
                ("fsGroupPolicy", json!("ReadWriteOnceWithFSType")),
                ("volumeLifecycleModes", json!(["Persistent"])),
                ("requiresRepublish", json!(false)),
                ("seLinuxMount", json!(false)),
            ] {
                default(spec, key, value);
            }
        }
        ("", "services") => {
            let spec = &mut object["spec"];
            default(spec, "type", json!("ClusterIP"));
            default(spec, "sessionAffinity", json!("None"));
            for port in spec
                .get_mut("ports")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                default(port, "protocol", json!("TCP"));
                let target = port["port"].clone();
                default(port, "targetPort", target);
            }
        }
        ("apiextensions.k8s.io", "customresourcedefinitions") => crate::custom::default_definition(object),
        _ => {}
    }
}

fn pod_spec(spec: &mut Value) {
    if !spec.is_object() {
        *spec = json!({});
    }
    for (key, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
    ] {
        default(spec, key, value);
    }
    for list in ["containers", "initContainers"] {
        for container in spec
            .get_mut(list)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            container_defaults(container);
        }
    }
}

fn container_defaults(container: &mut Value) {
    default(container, "resources", json!({}));
    default(container, "terminationMessagePath", json!("/dev/termination-log"));
    default(container, "terminationMessagePolicy", json!("File"));
    let image = container["image"].as_str().unwrap_or_default();
    let tag = image.rsplit('/').next().unwrap_or_default();
    let floating = !image.contains('@') && (!tag.contains(':') || tag.ends_with(":latest"));
    default(
        container,
        "imagePullPolicy",
        json!(if floating { "Always" } else { "IfNotPresent" }),
    );
    for port in container
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        default(port, "protocol", json!("TCP"));
    }
    // A container that states limits but no requests requests its limits.
    let limits = container["resources"]["limits"].clone();
    for (name, limit) in limits.as_object().into_iter().flatten() {
        let resources = &mut container["resources"];
        default(resources, "requests", json!({}));
        default(&mut resources["requests"], name, limit.clone());
    }
}

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

/// Standard base64, for `stringData`.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().enumerate().fold(0_u32, |bits, (index, byte)| {
            bits | u32::from(*byte) << (16 - 8 * index)
        });
        for index in 0..4 {
            if index <= chunk.len() {
                let digit = (bits >> (18 - 6 * index)) & 63;
                encoded.push(char::from(DIGITS[digit as usize]));
            } else {
                encoded.push('=');
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{base64, container_defaults, quality_of_service};

    #[test]
    fn base64_pads() {
        for (text, expected) in [
            ("", ""),
            ("a", "YQ=="),
            ("ab", "YWI="),
            ("abc", "YWJj"),
            ("token", "dG9rZW4="),
        ] {
            assert_eq!(base64(text), expected);
        }
    }

    #[test]
    fn pull_policy_follows_the_tag() {
        for (image, expected) in [
            ("web", "Always"),
            ("host:5000/web", "Always"),
            ("web:latest", "Always"),
            ("web:1.2", "IfNotPresent"),
            ("web@sha256:00", "IfNotPresent"),
        ] {
            let mut container = json!({"name": "c", "image": image});
            container_defaults(&mut container);
            assert_eq!(container["imagePullPolicy"], expected, "{image}");
        }
    }

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
