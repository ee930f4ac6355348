//! The API defaults of built-in kinds.

use serde_json::{Value, json};

use crate::metadata;
use crate::resources::ResourceType;

pub(crate) fn default(object: &mut Value, key: &str, value: Value) {
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

    use super::{base64, container_defaults};

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
}
