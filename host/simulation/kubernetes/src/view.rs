//! How a stored object is shown: in the version that was asked for, or as metadata only.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::resources::ResourceType;
use crate::store::Stored;

/// The object as JSON text for one reader.
pub(crate) fn encode(stored: &Stored, resource: &ResourceType, metadata_only: bool) -> Bytes {
    if metadata_only {
        let partial = json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": stored.value["metadata"],
        });
        return Bytes::from(partial.to_string());
    }
    if resource.is_new_event() {
        return Bytes::from(event_from_core(stored.value.clone()).to_string());
    }
    let api_version = resource.api_version();
    if stored.value["apiVersion"] == api_version.as_str() {
        return stored.json();
    }
    let mut value = stored.value.clone();
    value["apiVersion"] = Value::String(api_version);
    Bytes::from(value.to_string())
}

/// The stored form of what a client sent.
pub(crate) fn to_stored(value: Value, resource: &ResourceType) -> Value {
    if resource.is_new_event() {
        event_to_core(value)
    } else {
        value
    }
}

/// The form in which clients of this resource see a stored value.
pub(crate) fn from_stored(value: Value, resource: &ResourceType) -> Value {
    if resource.is_new_event() {
        event_from_core(value)
    } else {
        value
    }
}

/// Field names of one event: in `v1`, and in `events.k8s.io/v1`.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

fn event_to_core(value: Value) -> Value {
    let mut value = renamed(value, |key| {
        EVENT_FIELDS
            .iter()
            .find(|(_, new)| *new == key)
            .map(|(core, _)| *core)
    });
    value["apiVersion"] = json!("v1");
    value
}

fn event_from_core(value: Value) -> Value {
    let mut value = renamed(value, |key| {
        EVENT_FIELDS
            .iter()
            .find(|(core, _)| *core == key)
            .map(|(_, new)| *new)
    });
    value["apiVersion"] = json!("events.k8s.io/v1");
    value
}

fn renamed<'a>(value: Value, name: impl Fn(&str) -> Option<&'a str>) -> Value {
    match value {
        Value::Object(object) => {
            let fields: Map<String, Value> = object
                .into_iter()
                .map(|(key, field)| (name(&key).map_or(key, str::to_owned), field))
                .collect();
            Value::Object(fields)
        }
        other => other,
    }
}
