//! The part of OpenAPI that structural schemas use: types, ranges, patterns, required and unknown
//! fields, and list types.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::{Map, Value};

use super::Violation;

/// Drops nulls from fields that do not allow them, as the API server does.
pub(super) fn prune_nulls(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, field| {
                !field.is_null()
                    || property(schema, key).is_none_or(|s| s.get("nullable") == Some(&Value::Bool(true)))
            });
            for (key, field) in map.iter_mut() {
                if let Some(schema) = property(schema, key) {
                    prune_nulls(schema, field);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = schema.get("items") {
                list.iter_mut().for_each(|item| prune_nulls(items, item));
            }
        }
        _ => {}
    }
}

/// Checks an object against a root schema; metadata belongs to the API server and is passed over.
pub(super) fn check(schema: &Value, object: &Value, violations: &mut Vec<Violation>) {
    let Value::Object(map) = object else {
        violations.push(Violation {
            path: String::new(),
            message: "must be an object".to_owned(),
        });
        return;
    };
    let rest: Map<String, Value> = map
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind" | "metadata"))
        .map(|(key, field)| (key.clone(), field.clone()))
        .collect();
    visit(schema, &Value::Object(rest), "", violations);
}

fn property<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    schema
        .get("properties")
        .and_then(|properties| properties.get(key))
        .or_else(|| schema.get("additionalProperties").filter(|s| s.is_object()))
}

fn visit(schema: &Value, value: &Value, path: &str, violations: &mut Vec<Violation>) {
    let mut refuse = |message: String| {
        violations.push(Violation {
            path: path.to_owned(),
            message,
        })
    };
    if let Some(expected) = schema.get("type").and_then(Value::as_str)
        && !has_type(value, expected)
    {
        refuse(format!("must be of type {expected}"));
        return;
    }
    if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true))
        && !(value.is_i64() || value.is_string())
    {
        refuse("must be a whole number or a string".to_owned());
        return;
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let names: Vec<String> = allowed.iter().map(Value::to_string).collect();
        refuse(format!("must be one of {}", names.join(", ")));
    }
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
            if let Some(minimum) = bound("minimum").filter(|minimum| number < *minimum) {
                refuse(format!("must not be below {minimum}"));
            }
            if let Some(maximum) = bound("maximum").filter(|maximum| number > *maximum) {
                refuse(format!("must not be above {maximum}"));
            }
        }
        Value::String(text) => {
            within(schema, "Length", text.chars().count(), "characters", &mut refuse);
            if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
                && !Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
            {
                refuse(format!("must match {pattern}"));
            }
            if schema.get("format").and_then(Value::as_str) == Some("date-time")
                && text.parse::<jiff::Timestamp>().is_err()
            {
                refuse("must be a time such as 2026-01-31T12:00:00Z".to_owned());
            }
        }
        Value::Array(list) => {
            within(schema, "Items", list.len(), "items", &mut refuse);
            if let Some((index, key)) = duplicate(schema, list) {
                violations.push(Violation {
                    path: format!("{path}[{index}]"),
                    message: format!("Duplicate value: {key}"),
                });
            }
            if let Some(items) = schema.get("items") {
                for (index, item) in list.iter().enumerate() {
                    visit(items, item, &format!("{path}[{index}]"), violations);
                }
            }
        }
        Value::Object(map) => {
            within(schema, "Properties", map.len(), "entries", &mut refuse);
            visit_fields(schema, map, path, violations);
        }
        _ => {}
    }
}

fn visit_fields(schema: &Value, map: &Map<String, Value>, path: &str, violations: &mut Vec<Violation>) {
    let child = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    for required in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !map.contains_key(required) {
            violations.push(Violation {
                path: child(required),
                message: "required".to_owned(),
            });
        }
    }
    let free = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    for (key, field) in map {
        match property(schema, key) {
            Some(schema) => visit(schema, field, &child(key), violations),
            None if free => {}
            None => violations.push(Violation {
                path: child(key),
                message: "unknown field".to_owned(),
            }),
        }
    }
}

fn within(schema: &Value, of: &str, size: usize, unit: &str, refuse: &mut impl FnMut(String)) {
    let bound = |prefix: &str| schema.get(format!("{prefix}{of}")).and_then(Value::as_u64);
    if let Some(minimum) = bound("min").filter(|minimum| (size as u64) < *minimum) {
        refuse(format!("must have at least {minimum} {unit}"));
    }
    if let Some(maximum) = bound("max").filter(|maximum| size as u64 > *maximum) {
        refuse(format!("must have at most {maximum} {unit}"));
    }
}

fn has_type(value: &Value, expected: &str) -> bool {
    match expected {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

/// The place and the key of an item that a list of type `map` or `set` has for the second time.
fn duplicate(schema: &Value, list: &[Value]) -> Option<(usize, String)> {
    let list_type = schema.get("x-kubernetes-list-type").and_then(Value::as_str)?;
    let keys: Vec<&str> = schema
        .get("x-kubernetes-list-map-keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let key = |item: &Value| match list_type {
        "map" => {
            let parts: Vec<String> = keys
                .iter()
                .map(|key| item.get(*key).unwrap_or(&Value::Null).to_string())
                .collect();
            parts.join(",")
        }
        _ => item.to_string(),
    };
    let mut seen = BTreeSet::new();
    list.iter()
        .map(key)
        .enumerate()
        .filter(|_| list_type != "atomic")
        .find(|(_, key)| !seen.insert(key.clone()))
}
