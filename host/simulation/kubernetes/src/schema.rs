//! Validation of custom resources by their schemas, with the server's own wording.

use regex::Regex;
use serde_json::{Value, json};

use crate::error::FieldError;

/// Fields that every object has, whatever its schema says.
pub(crate) const ENVELOPE: [&str; 3] = ["apiVersion", "kind", "metadata"];

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Checks an object against its schema. Parts that an update leaves unchanged are not looked at again.
pub(crate) fn validate_object(schema: &Value, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, child) in schema["properties"].as_object().into_iter().flatten() {
        if ENVELOPE.contains(&key.as_str()) {
            continue;
        }
        if let Some(value) = object.get(key) {
            let before = old.and_then(|old| old.get(key));
            validate(child, value, before, key, &mut errors);
        }
    }
    required(schema, object, "", &mut errors);
    errors
}

fn required(schema: &Value, object: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for key in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if object.get(key).is_none() {
            errors.push(FieldError::required(join(path, key), ""));
        }
    }
}

/// The JSON type of a value, in the words of OpenAPI.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn validate(schema: &Value, value: &Value, old: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    if old == Some(value) || (value.is_null() && schema["nullable"] == true) {
        return;
    }
    let found = type_of(value);
    let int_or_string = schema["x-kubernetes-int-or-string"] == true;
    let fits = match schema["type"].as_str() {
        _ if int_or_string => matches!(found, "integer" | "string"),
        Some("number") => matches!(found, "integer" | "number"),
        Some("integer") => found == "integer" || value.as_f64().is_some_and(|n| n.fract() == 0.0),
        Some(expected) => expected == found,
        None => true,
    };
    if !fits {
        let expected = if int_or_string {
            "integer,string"
        } else {
            schema["type"].as_str().unwrap_or_default()
        };
        errors.push(FieldError::type_invalid(
            path,
            &json!(found).to_string(),
            format!("{path} in body must be of type {expected}: \"{found}\""),
        ));
        return;
    }
    enumeration(schema, value, path, errors);
    match value {
        Value::String(text) => string(schema, text, path, errors),
        Value::Number(_) => number(schema, value, path, errors),
        Value::Array(items) => array(schema, items, old, path, errors),
        Value::Object(map) => {
            count(schema, map.len(), path, "Properties", "properties", errors);
            for (key, child) in map {
                let known = schema["properties"].get(key);
                let schema = known.or_else(|| schema.get("additionalProperties").filter(|s| s.is_object()));
                if let Some(schema) = schema {
                    let before = old.and_then(|old| old.get(key));
                    validate(schema, child, before, &join(path, key), errors);
                }
            }
            required(schema, value, path, errors);
        }
        _ => {}
    }
    combinators(schema, value, path, errors);
}

fn enumeration(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        let shown: Vec<String> = allowed
            .iter()
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            .collect();
        errors.push(FieldError::unsupported(path, value, &shown));
    }
}

fn string(schema: &Value, text: &str, path: &str, errors: &mut Vec<FieldError>) {
    let length = text.chars().count() as u64;
    if let Some(max) = schema["maxLength"].as_u64().filter(|max| length > *max) {
        errors.push(FieldError::too_long(path, max));
    }
    if let Some(min) = schema["minLength"].as_u64().filter(|min| length < *min) {
        errors.push(FieldError::invalid(
            path,
            &json!(text),
            format!("{path} in body should be at least {min} chars long"),
        ));
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && !Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
    {
        errors.push(FieldError::invalid(
            path,
            &json!(text),
            format!("{path} in body should match '{pattern}'"),
        ));
    }
    let well_formed = match schema["format"].as_str() {
        Some("date-time") => text.parse::<jiff::Timestamp>().is_ok(),
        Some("date") => text.parse::<jiff::civil::Date>().is_ok(),
        _ => true,
    };
    if !well_formed {
        let format = schema["format"].as_str().unwrap_or_default();
        errors.push(FieldError::type_invalid(
            path,
            &json!(text).to_string(),
            format!("{path} in body must be of type {format}: \"{text}\""),
        ));
    }
}

fn number(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(actual) = value.as_f64() else { return };
    if let Some(max) = schema["maximum"].as_f64() {
        let exclusive = schema["exclusiveMaximum"] == true;
        if actual > max || (exclusive && actual == max) {
            let words = if exclusive {
                "less than"
            } else {
                "less than or equal to"
            };
            errors.push(FieldError::invalid(
                path,
                value,
                format!("{path} in body should be {words} {max}"),
            ));
        }
    }
    if let Some(min) = schema["minimum"].as_f64() {
        let exclusive = schema["exclusiveMinimum"] == true;
        if actual < min || (exclusive && actual == min) {
            let words = if exclusive {
                "greater than"
            } else {
                "greater than or equal to"
            };
            errors.push(FieldError::invalid(
                path,
                value,
                format!("{path} in body should be {words} {min}"),
            ));
        }
    }
    if let Some(factor) = schema["multipleOf"].as_f64()
        && (actual / factor).fract() != 0.0
    {
        errors.push(FieldError::invalid(
            path,
            value,
            format!("{path} in body should be a multiple of {factor}"),
        ));
    }
    let range = match schema["format"].as_str() {
        Some("int32") => Some((f64::from(i32::MIN), f64::from(i32::MAX))),
        _ => None,
    };
    if let Some((low, high)) = range
        && !(low..=high).contains(&actual)
    {
        errors.push(FieldError::type_invalid(
            path,
            "\"number\"",
            format!("{path} in body must be of type int32: \"number\""),
        ));
    }
}

fn array(schema: &Value, items: &[Value], old: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    count(schema, items.len(), path, "Items", "items", errors);
    if schema["uniqueItems"] == true && has_duplicate(items).is_some() {
        errors.push(FieldError::invalid(
            path,
            &json!(items),
            format!("{path} in body shouldn't contain duplicates"),
        ));
    }
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => {
            if let Some(index) = has_duplicate(items) {
                errors.push(FieldError::duplicate(format!("{path}[{index}]"), &items[index]));
            }
        }
        Some("map") => {
            let keys: Vec<&str> = schema["x-kubernetes-list-map-keys"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let identities: Vec<Value> = items
                .iter()
                .map(|item| Value::Object(keys.iter().map(|&k| (k.to_owned(), item[k].clone())).collect()))
                .collect();
            if let Some(index) = has_duplicate(&identities) {
                errors.push(FieldError::duplicate(
                    format!("{path}[{index}]"),
                    &identities[index],
                ));
            }
        }
        _ => {}
    }
    if let Some(schema) = schema.get("items") {
        for (index, item) in items.iter().enumerate() {
            let before = old.and_then(|old| old.get(index));
            validate(schema, item, before, &format!("{path}[{index}]"), errors);
        }
    }
}

/// The index of the first item that is there before.
fn has_duplicate(items: &[Value]) -> Option<usize> {
    (0..items.len()).find(|&index| items[..index].contains(&items[index]))
}

fn count(schema: &Value, actual: usize, path: &str, suffix: &str, noun: &str, errors: &mut Vec<FieldError>) {
    if let Some(max) = schema[format!("max{suffix}")]
        .as_u64()
        .filter(|max| actual as u64 > *max)
    {
        errors.push(FieldError::too_many(path, actual, max));
    }
    if let Some(min) = schema[format!("min{suffix}")]
        .as_u64()
        .filter(|min| (actual as u64) < *min)
    {
        errors.push(FieldError::invalid(
            path,
            &json!(actual),
            format!("{path} in body should have at least {min} {noun}"),
        ));
    }
}

fn combinators(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let holds = |schema: &Value| {
        let mut inner = Vec::new();
        validate(schema, value, None, path, &mut inner);
        inner.is_empty()
    };
    let matching = |keyword: &str| {
        schema[keyword]
            .as_array()
            .map(|branches| branches.iter().filter(|branch| holds(branch)).count())
    };
    let mut refuse = |what: &str| {
        errors.push(FieldError::invalid_shown(
            path,
            "\"\"",
            format!("\"{path}\" must validate {what}"),
        ));
    };
    if matching("anyOf") == Some(0) {
        refuse("at least one schema (anyOf)");
    }
    if let Some(matches) = matching("oneOf").filter(|matches| *matches != 1) {
        let found = if matches == 0 {
            "Found none valid"
        } else {
            "Found more than one valid"
        };
        refuse(&format!("one and only one schema (oneOf). {found}"));
    }
    if schema.get("not").is_some_and(holds) {
        errors.push(FieldError::invalid_shown(
            path,
            "\"\"",
            format!("\"{path}\" must not validate the schema (not)"),
        ));
    }
    for branch in schema["allOf"].as_array().into_iter().flatten() {
        validate(branch, value, None, path, errors);
    }
}

/// The value at a path such as `spec.groups[2].name`.
pub(crate) fn at_path<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = object;
    for segment in path.split('.').filter(|segment| !segment.is_empty()) {
        let (name, indices) = segment.split_once('[').unwrap_or((segment, ""));
        if !name.is_empty() {
            value = value.get(name)?;
        }
        for index in indices.split('[').filter(|index| !index.is_empty()) {
            let index = index.trim_end_matches(']');
            value = match index.parse::<usize>() {
                Ok(index) => value.get(index)?,
                Err(_) => value.get(index.trim_matches('"'))?,
            };
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{at_path, validate_object};

    fn schema(spec: &serde_json::Value) -> serde_json::Value {
        json!({"type": "object", "properties": {"spec": spec}})
    }

    #[test]
    fn violations_read_as_the_server_words_them() {
        for (rule, value, expected) in [
            (
                json!({"type": "integer"}),
                json!("a"),
                "spec.x: Invalid value: \"string\": spec.x in body must be of type integer: \"string\"",
            ),
            (
                json!({"type": "integer", "minimum": 1}),
                json!(0),
                "spec.x: Invalid value: 0: spec.x in body should be greater than or equal to 1",
            ),
            (
                json!({"type": "string", "enum": ["a", "b"]}),
                json!("c"),
                "spec.x: Unsupported value: \"c\": supported values: \"a\", \"b\"",
            ),
            (
                json!({"type": "string", "pattern": "^a$"}),
                json!("b"),
                "spec.x: Invalid value: \"b\": spec.x in body should match '^a$'",
            ),
            (
                json!({"type": "string", "maxLength": 1}),
                json!("bb"),
                "spec.x: Too long: may not be more than 1 bytes",
            ),
            (
                json!({"type": "array", "maxItems": 1}),
                json!([1, 2]),
                "spec.x: Too many: 2: must have at most 1 items",
            ),
            (
                json!({"type": "array", "x-kubernetes-list-type": "set"}),
                json!(["a", "a"]),
                "spec.x[1]: Duplicate value: \"a\"",
            ),
            (
                json!({"type": "object", "required": ["y"]}),
                json!({}),
                "spec.x.y: Required value",
            ),
        ] {
            let schema = schema(&json!({"type": "object", "properties": {"x": rule}}));
            let errors = validate_object(&schema, &json!({"spec": {"x": value}}), None);
            let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(text, [expected]);
        }
    }

    #[test]
    fn unchanged_parts_are_not_judged_again() {
        let schema = schema(
            &json!({"type": "object", "properties": {"x": {"type": "integer", "minimum": 1}, "y": {"type": "integer"}}}),
        );
        let old = json!({"spec": {"x": 0, "y": 1}});
        let new = json!({"spec": {"x": 0, "y": 2}});
        assert!(validate_object(&schema, &new, Some(&old)).is_empty());
        assert_eq!(validate_object(&schema, &new, None).len(), 1);
    }

    #[test]
    fn paths_reach_into_lists() {
        let object = json!({"spec": {"a": [{"b": 1}]}});
        assert_eq!(at_path(&object, "spec.a[0].b"), Some(&json!(1)));
        assert_eq!(at_path(&object, "spec.a[1].b"), None);
    }
}
