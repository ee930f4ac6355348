//! Structural schemas at work on an object: what they do not know is pruned, what they default is filled in.

use serde_json::{Map, Value};

use crate::schema::{ENVELOPE, join};

fn preserves(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

/// Drops what the schema does not know; `dropped` gets the paths.
pub(crate) fn prune_object(schema: &Value, object: &mut Value, dropped: &mut Vec<String>) {
    let Some(map) = object.as_object_mut() else { return };
    let mut envelope = Map::new();
    for key in ENVELOPE {
        if let Some(value) = map.remove(key) {
            envelope.insert(key.to_owned(), value);
        }
    }
    prune(schema, object, "", dropped);
    if let Some(map) = object.as_object_mut() {
        map.extend(envelope);
    }
}

fn prune(schema: &Value, value: &mut Value, path: &str, dropped: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let embedded = schema["x-kubernetes-embedded-resource"] == true;
            let properties = schema["properties"].as_object();
            let additional = schema.get("additionalProperties");
            let mut unknown = Vec::new();
            for (key, child) in map.iter_mut() {
                if let Some(known) = properties.and_then(|properties| properties.get(key)) {
                    prune(known, child, &join(path, key), dropped);
                } else if embedded && ENVELOPE.contains(&key.as_str()) {
                    // An object inside an object keeps its envelope.
                } else if let Some(additional) = additional.filter(|schema| schema.is_object()) {
                    prune(additional, child, &join(path, key), dropped);
                } else if !preserves(schema) && additional != Some(&Value::Bool(true)) {
                    unknown.push(key.clone());
                }
            }
            for key in unknown {
                map.remove(&key);
                dropped.push(join(path, &key));
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter_mut().enumerate() {
                    prune(schema, item, &format!("{path}[{index}]"), dropped);
                }
            }
        }
        _ => {}
    }
}

/// Fills in defaults, deepest last: a defaulted structure gets the defaults of its fields.
pub(crate) fn default_object(schema: &Value, object: &mut Value) {
    fill(schema, object);
}

fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, child) in schema["properties"].as_object().into_iter().flatten() {
                let missing = match map.get(key) {
                    None => true,
                    // A null where null is not allowed counts as absent.
                    Some(Value::Null) => child["nullable"] != true,
                    Some(_) => false,
                };
                if missing && let Some(default) = child.get("default") {
                    map.insert(key.clone(), default.clone());
                } else if missing && map.get(key).is_some() && child["nullable"] != true {
                    map.remove(key);
                }
                if let Some(value) = map.get_mut(key) {
                    fill(child, value);
                }
            }
            if let Some(additional) = schema
                .get("additionalProperties")
                .filter(|schema| schema.is_object())
            {
                let known = schema["properties"].as_object();
                for (key, value) in map.iter_mut() {
                    if known.is_none_or(|known| !known.contains_key(key)) {
                        fill(additional, value);
                    }
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    fill(schema, item);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{default_object, prune_object};

    fn schema(spec: &serde_json::Value) -> serde_json::Value {
        json!({"type": "object", "properties": {"spec": spec}})
    }

    #[test]
    fn unknown_fields_are_pruned() {
        let schema = schema(&json!({"type": "object", "properties": {
            "known": {"type": "string"},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "integer"}}}},
        }}));
        let mut object = json!({"kind": "X", "spec": {"known": "a", "other": 1, "free": {"b": 1}, "map": {"k": {"a": 1, "b": 2}}}});
        let mut dropped = Vec::new();
        prune_object(&schema, &mut object, &mut dropped);
        assert_eq!(
            object,
            json!({"kind": "X", "spec": {"known": "a", "free": {"b": 1}, "map": {"k": {"a": 1}}}})
        );
        dropped.sort();
        assert_eq!(dropped, ["spec.map.k.b", "spec.other"]);
    }

    #[test]
    fn defaults_reach_into_defaulted_structures_and_replace_null() {
        let schema = schema(&json!({"type": "object", "default": {}, "properties": {
            "count": {"type": "integer", "default": 3},
            "flag": {"type": "boolean", "default": true},
        }}));
        let mut object = json!({});
        default_object(&schema, &mut object);
        assert_eq!(object, json!({"spec": {"count": 3, "flag": true}}));
        let mut object = json!({"spec": {"count": 0, "flag": null}});
        default_object(&schema, &mut object);
        assert_eq!(object, json!({"spec": {"count": 0, "flag": true}}));
    }
}
