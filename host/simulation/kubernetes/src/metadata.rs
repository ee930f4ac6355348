//! Object metadata: what the server fills in, what it protects, and how it is read here.

use serde_json::{Map, Value, json};

use crate::resources::ResourceType;

/// Fields of metadata that only the server writes.
const SYSTEM: [&str; 7] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
    "managedFields",
];

/// Sets or clears a field.
pub(crate) fn set(object: &mut Value, key: &str, value: Option<Value>) {
    if let Some(map) = object.as_object_mut() {
        match value {
            Some(value) => {
                map.insert(key.to_owned(), value);
            }
            None => {
                map.remove(key);
            }
        }
    }
}

/// Copies a top-level field from one object to another; absent stays absent.
pub(crate) fn copy(from: &Value, to: &mut Value, key: &str) {
    set(to, key, from.get(key).cloned());
}

pub(crate) fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"][key].as_str().unwrap_or_default()
}

pub(crate) fn is_terminating(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    object["metadata"]["finalizers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Puts the system's own fields of `old` into `new`, whatever the client sent.
pub(crate) fn restore_system_fields(old: &Value, new: &mut Value) {
    let meta = &mut new["metadata"];
    for key in SYSTEM {
        copy(&old["metadata"], meta, key);
    }
}

/// Drops what an object of metadata never keeps: empty maps and lists.
pub(crate) fn drop_empty(meta: &mut Value) {
    if let Some(map) = meta.as_object_mut() {
        map.retain(|_, value| !is_empty(value));
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// The part of an object whose changes `metadata.generation` counts.
pub(crate) fn specification<'a>(resource: &ResourceType, object: &'a Value) -> Vec<(&'a str, &'a Value)> {
    let fields = object.as_object().into_iter().flatten();
    if resource.custom.is_none() {
        return fields
            .filter(|(key, _)| *key == "spec")
            .map(|(key, value)| (key.as_str(), value))
            .collect();
    }
    fields
        .filter(|(key, _)| {
            *key != "metadata" && *key != "apiVersion" && !(resource.status && *key == "status")
        })
        .map(|(key, value)| (key.as_str(), value))
        .collect()
}

/// Raises the generation when the specification changed.
pub(crate) fn count_generation(resource: &ResourceType, old: &Value, new: &mut Value) {
    if resource.generation && specification(resource, old) != specification(resource, new) {
        raise_generation(new);
    }
}

pub(crate) fn raise_generation(object: &mut Value) {
    let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
    object["metadata"]["generation"] = json!(generation + 1);
}

/// An object of which only `kind` and `apiVersion` are sure.
pub(crate) fn envelope(resource: &ResourceType, value: Value) -> Value {
    let mut map = match value {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    map.insert("apiVersion".to_owned(), json!(resource.api_version()));
    map.insert("kind".to_owned(), json!(resource.kind));
    if !map.get("metadata").is_some_and(Value::is_object) {
        map.insert("metadata".to_owned(), json!({}));
    }
    Value::Object(map)
}
