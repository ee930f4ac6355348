//! Discovery: version, groups and resources, in the plain form that every client reads.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::resources::ResourceType;
use crate::state::State;

/// The Kubernetes release whose behaviour this server follows.
const MINOR: &str = "35";

/// The answer at a path that is no resource; `None` where the server has nothing.
pub(crate) fn answer(state: &State, path: &str) -> Option<Bytes> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let value = match segments.as_slice() {
        ["healthz" | "livez" | "readyz"] => return Some(Bytes::from_static(b"ok")),
        ["version"] => json!({
            "major": "1",
            "minor": MINOR,
            "gitVersion": format!("v1.{MINOR}.0"),
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "",
            "compiler": "",
            "platform": "memory",
        }),
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        ["apis"] => {
            let groups: Vec<Value> = group_names(state)
                .iter()
                .filter_map(|name| group(state, name))
                .collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        ["apis", name] => {
            let mut value = group(state, name)?;
            value["kind"] = json!("APIGroup");
            value["apiVersion"] = json!("v1");
            value
        }
        ["api", version] => resources(state, "", version)?,
        ["apis", group, version] => resources(state, group, version)?,
        _ => return None,
    };
    Some(Bytes::from(value.to_string()))
}

fn group_names(state: &State) -> BTreeSet<String> {
    state
        .resources()
        .map(|resource| resource.group.clone())
        .filter(|group| !group.is_empty())
        .collect()
}

fn group(state: &State, name: &str) -> Option<Value> {
    let versions: BTreeSet<&str> = state
        .resources()
        .filter(|resource| !name.is_empty() && resource.group == name)
        .map(|resource| resource.version.as_str())
        .collect();
    let shown: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    // A stable version sorts before `v1alpha1` and `v1beta1`, as preference demands.
    let preferred = shown.first()?.clone();
    Some(json!({"name": name, "versions": shown, "preferredVersion": preferred}))
}

fn resources(state: &State, group: &str, version: &str) -> Option<Value> {
    let mut list = Vec::new();
    let mut group_version = None;
    for resource in state.resources() {
        if resource.group != group || resource.version != version {
            continue;
        }
        group_version = Some(resource.api_version());
        list.push(entry(resource));
        list.extend(
            resource
                .subresources()
                .into_iter()
                .map(|name| subresource(resource, name)),
        );
    }
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version?,
        "resources": list,
    }))
}

fn entry(resource: &ResourceType) -> Value {
    let mut value = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    });
    if !resource.short_names.is_empty() {
        value["shortNames"] = json!(resource.short_names);
    }
    value
}

fn subresource(resource: &ResourceType, name: &str) -> Value {
    let (kind, verbs): (&str, &[&str]) = match name {
        "scale" => ("Scale", &["get", "patch", "update"]),
        "eviction" => ("Eviction", &["create"]),
        "binding" => ("Binding", &["create"]),
        "finalize" => (&resource.kind, &["update"]),
        _ => (&resource.kind, &["get", "patch", "update"]),
    };
    let mut value = json!({
        "name": format!("{}/{name}", resource.plural),
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": kind,
        "verbs": verbs,
    });
    let foreign = match name {
        "scale" => Some(("autoscaling", "v1")),
        "eviction" => Some(("policy", "v1")),
        _ => None,
    };
    if let Some((group, version)) = foreign {
        value["group"] = json!(group);
        value["version"] = json!(version);
    }
    value
}
