//! Scale, binding and the finalisation of namespaces.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::call::{Call, Verb};
use crate::create::Writing;
use crate::error::{ApiError, FieldError};
use crate::managers::Tracking;
use crate::resources::{ResourceType, ScalePaths};
use crate::server::timestamp;
use crate::state::State;
use crate::store::Stored;
use crate::{metadata, patch, update};

/// The `Scale` of an object.
pub(crate) fn get_scale(state: &State, call: &Call) -> Result<Bytes, ApiError> {
    let stored = state.find(&call.resource, &call.key())?;
    let paths = paths(&call.resource)?;
    Ok(Bytes::from(scale_of(&stored.value, paths).to_string()))
}

/// Changes the replica count through the `Scale` of an object.
pub(crate) fn set_scale(state: &mut State, call: &Call, now: Timestamp) -> Result<Bytes, ApiError> {
    let resource = &call.resource;
    let old = state.find(resource, &call.key())?;
    let paths = paths(resource)?;
    let shown = scale_of(&old.value, paths);
    let sent = if call.verb == Verb::Patch {
        patch::change(call, &shown)?
    } else {
        call.json()?
    };
    let version = metadata::text(&sent, "resourceVersion");
    if !version.is_empty() && version != metadata::text(&shown, "resourceVersion") {
        return Err(ApiError::stale(resource, call.name()));
    }
    let replicas = sent["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        let error = FieldError::invalid(
            "spec.replicas",
            &json!(replicas),
            "must be greater than or equal to 0",
        );
        let mut refused = ApiError::invalid(resource, call.name(), vec![error]);
        refused.message = refused.message.replacen(
            &refused.message.split(' ').next().unwrap_or_default().to_owned(),
            "Scale.autoscaling",
            1,
        );
        return Err(refused);
    }
    let mut new = old.value.clone();
    set_path(&mut new, &paths.spec, json!(replicas));
    let writing = Writing {
        tracking: Tracking::update(call),
        now,
        dry_run: call.dry_run(),
    };
    let stored = update::update(state, resource, Some("scale"), &old, new, &writing)?;
    Ok(Bytes::from(scale_of(&stored.value, paths).to_string()))
}

fn paths(resource: &ResourceType) -> Result<&ScalePaths, ApiError> {
    resource.scale.as_ref().ok_or_else(ApiError::no_such_path)
}

fn scale_of(object: &Value, paths: &ScalePaths) -> Value {
    let meta = &object["metadata"];
    let mut scale_meta = json!({});
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        metadata::copy(meta, &mut scale_meta, key);
    }
    let spec = match path(object, &paths.spec).as_i64() {
        Some(replicas) if replicas != 0 => json!({"replicas": replicas}),
        _ => json!({}),
    };
    let mut status = json!({"replicas": path(object, &paths.status).as_i64().unwrap_or(0)});
    let selector = match &paths.selector {
        Some(selector) => path(object, selector).as_str().map(str::to_owned),
        None => label_text(&object["spec"]["selector"]),
    };
    if let Some(selector) = selector {
        status["selector"] = json!(selector);
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": scale_meta,
        "spec": spec,
        "status": status,
    })
}

/// A simple selector in the syntax of queries.
fn label_text(selector: &Value) -> Option<String> {
    let labels = selector["matchLabels"].as_object()?;
    let parts: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    Some(parts.join(","))
}

fn path<'a>(object: &'a Value, dotted: &str) -> &'a Value {
    dotted.split('.').fold(object, |value, key| &value[key])
}

fn set_path(object: &mut Value, dotted: &str, value: Value) {
    let mut place = object;
    for key in dotted.split('.') {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[key];
    }
    *place = value;
}

/// Binds a pod to a node: what a scheduler does.
pub(crate) fn bind(state: &mut State, call: &Call, now: Timestamp) -> Result<(), ApiError> {
    let resource = &call.resource;
    let binding = call.json()?;
    let kind = binding["target"]["kind"].as_str().unwrap_or_default();
    let node = binding["target"]["name"].as_str().unwrap_or_default();
    let named = metadata::text(&binding, "name");
    if !named.is_empty() && named != call.name() {
        return Err(ApiError::bad_request(
            "name in URL does not match name in Binding object",
        ));
    }
    if !matches!(kind, "" | "Node") {
        let supported = ["Node", "<empty>"].map(str::to_owned);
        let error = FieldError::unsupported("target.kind", &json!(kind), &supported);
        return Err(ApiError::bare(error.to_string()));
    }
    if node.is_empty() {
        return Err(ApiError::bare(
            FieldError::required("target.name", "").to_string(),
        ));
    }
    let old = state.find(resource, &call.key())?;
    let refuse = |why: String| {
        let mut error = ApiError::conflict(resource, call.name(), why);
        error.message = error.message.replacen("on pods ", "on pods/binding ", 1);
        if let Some(details) = &mut error.details {
            details.kind = "pods/binding".to_owned();
        }
        error
    };
    if metadata::is_terminating(&old.value) {
        return Err(refuse(format!(
            "pod {} is being deleted, cannot be assigned to a host",
            call.name()
        )));
    }
    if let Some(current) = old.value["spec"]["nodeName"]
        .as_str()
        .filter(|name| !name.is_empty())
    {
        return Err(refuse(format!(
            "pod {} is already assigned to node \"{current}\"",
            call.name()
        )));
    }
    let mut new = old.value.clone();
    new["spec"]["nodeName"] = json!(node);
    let condition = json!({"type": "PodScheduled", "status": "True"});
    set_condition(&mut new, condition, now);
    if let Some(annotations) = binding["metadata"]["annotations"].as_object() {
        for (key, value) in annotations {
            new["metadata"]["annotations"][key.as_str()] = value.clone();
        }
    }
    let writing = Writing {
        tracking: Tracking::update(call),
        now,
        dry_run: call.dry_run(),
    };
    update::update(state, resource, Some("binding"), &old, new, &writing)?;
    Ok(())
}

/// Sets a condition by type; the transition time moves only with the status.
pub(crate) fn set_condition(object: &mut Value, mut condition: Value, now: Timestamp) {
    let time = json!(timestamp(now));
    let kind = condition["type"].clone();
    if !object["status"]["conditions"].is_array() {
        object["status"]["conditions"] = json!([]);
    }
    let Some(list) = object["status"]["conditions"].as_array_mut() else {
        return;
    };
    match list.iter_mut().find(|known| known["type"] == kind) {
        Some(known) => {
            condition["lastTransitionTime"] = if known["status"] == condition["status"] {
                known["lastTransitionTime"].clone()
            } else {
                time
            };
            if known.get("lastProbeTime").is_some() && condition.get("lastProbeTime").is_none() {
                condition["lastProbeTime"] = Value::Null;
            }
            *known = condition;
        }
        None => {
            condition["lastTransitionTime"] = time;
            list.push(condition);
        }
    }
}

/// Replaces the finalizers of a namespace, which removes it when none is left.
pub(crate) fn finalize(state: &mut State, call: &Call, now: Timestamp) -> Result<Arc<Stored>, ApiError> {
    let sent = call.json()?;
    let old = state.find(&call.resource, &call.key())?;
    let mut new = old.value.clone();
    let finalizers = sent["spec"]["finalizers"]
        .as_array()
        .filter(|list| !list.is_empty());
    metadata::set(&mut new["spec"], "finalizers", finalizers.map(|list| json!(list)));
    let writing = Writing {
        tracking: Tracking::update(call),
        now,
        dry_run: false,
    };
    update::update(state, &call.resource, Some("finalize"), &old, new, &writing)
}
