//! Strategic merge patch: lists of named things are merged by their key, directives delete and replace.

use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::shape::{ListShape, Shape};

/// The state after `patch`.
pub(crate) fn apply(object: &Value, patch: &Value, shape: Shape<'_>) -> Result<Value, ApiError> {
    let Value::Object(fields) = patch else {
        return Err(ApiError::bad_request(
            "error decoding patch: a strategic merge patch is an object",
        ));
    };
    let base = object.as_object().cloned().unwrap_or_default();
    merge(base, fields, shape).map(Value::Object)
}

fn merge(
    mut target: Map<String, Value>,
    patch: &Map<String, Value>,
    shape: Shape<'_>,
) -> Result<Map<String, Value>, ApiError> {
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            let mut replaced = patch.clone();
            replaced.remove("$patch");
            return Ok(replaced);
        }
        Some("delete") => return Ok(Map::new()),
        Some("merge") | None => {}
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "Unknown patch type found: {other}"
            )));
        }
    }
    if let Some(kept) = patch.get("$retainKeys").and_then(Value::as_array) {
        target.retain(|key, _| kept.iter().any(|name| name == key));
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = value.as_array().map(Vec::as_slice).unwrap_or_default();
            if let Some(items) = target.get_mut(list).and_then(Value::as_array_mut) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if key.starts_with('$') {
            continue;
        }
        let inner = shape.field(key);
        match value {
            Value::Null => {
                target.remove(key);
            }
            Value::Object(fields) => {
                let base = match target.remove(key) {
                    Some(Value::Object(base)) => base,
                    _ => Map::new(),
                };
                target.insert(key.clone(), Value::Object(merge(base, fields, inner)?));
            }
            Value::Array(items) => {
                let base = match target.remove(key) {
                    Some(Value::Array(base)) => base,
                    _ => Vec::new(),
                };
                target.insert(key.clone(), Value::Array(merge_list(&base, items, inner)?));
            }
            scalar => {
                target.insert(key.clone(), scalar.clone());
            }
        }
    }
    order(&mut target, patch, shape);
    Ok(target)
}

/// The key by which strategic merge identifies items: the first of apply's keys.
fn merge_key(shape: Shape<'_>) -> Option<String> {
    match shape.list() {
        ListShape::Map(keys) => keys.into_iter().next(),
        _ => None,
    }
}

fn merge_list(base: &[Value], patch: &[Value], shape: Shape<'_>) -> Result<Vec<Value>, ApiError> {
    if patch.iter().any(|item| item["$patch"] == "replace") {
        return Ok(patch
            .iter()
            .filter(|item| item.get("$patch").is_none())
            .cloned()
            .collect());
    }
    match shape.list() {
        ListShape::Atomic => Ok(patch.to_vec()),
        ListShape::Set => {
            let kept: Vec<Value> = base
                .iter()
                .filter(|item| !patch.contains(item))
                .cloned()
                .collect();
            Ok(interleave(kept, patch.to_vec(), &|item| {
                base.iter().position(|known| known == item)
            }))
        }
        ListShape::Map(_) => {
            let key = merge_key(shape).unwrap_or_default();
            let mut kept = base.to_vec();
            let mut stated = Vec::new();
            for item in patch {
                let Some(identity) = item.get(&key) else {
                    return Err(ApiError::bad_request(format!(
                        "map: {item} does not contain declared merge key: {key}"
                    )));
                };
                let known = base.iter().find(|known| known.get(&key) == Some(identity));
                kept.retain(|known| known.get(&key) != Some(identity));
                if item["$patch"] == "delete" {
                    continue;
                }
                let fields = item.as_object().cloned().unwrap_or_default();
                let before = known.and_then(Value::as_object).cloned().unwrap_or_default();
                stated.push(Value::Object(merge(before, &fields, shape.item())?));
            }
            let place = |item: &Value| base.iter().position(|known| known.get(&key) == item.get(&key));
            Ok(interleave(kept, stated, &place))
        }
    }
}

/// Joins the items that a patch leaves alone and those that it states: the stated come first wherever the order of the
/// list before does not say otherwise.
fn interleave(kept: Vec<Value>, stated: Vec<Value>, place: &dyn Fn(&Value) -> Option<usize>) -> Vec<Value> {
    let mut joined = Vec::with_capacity(kept.len() + stated.len());
    let mut kept = kept.into_iter().peekable();
    for item in stated {
        while let Some(next) = kept.peek() {
            let before = place(&item)
                .zip(place(next))
                .is_some_and(|(item, next)| next < item);
            if !before {
                break;
            }
            joined.extend(kept.next());
        }
        joined.push(item);
    }
    joined.extend(kept);
    joined
}

/// Puts list items into the order that `$setElementOrder/LIST` asks for; items it does not name stay behind.
fn order(target: &mut Map<String, Value>, patch: &Map<String, Value>, shape: Shape<'_>) {
    for (directive, wanted) in patch {
        let Some(list) = directive.strip_prefix("$setElementOrder/") else {
            continue;
        };
        let key = merge_key(shape.field(list));
        let wanted = wanted.as_array().map(Vec::as_slice).unwrap_or_default();
        let rank = |item: &Value| {
            wanted
                .iter()
                .position(|entry| match &key {
                    Some(key) => entry.get(key) == item.get(key),
                    None => entry == item,
                })
                .unwrap_or(wanted.len())
        };
        if let Some(items) = target.get_mut(list).and_then(Value::as_array_mut) {
            items.sort_by_key(rank);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::shape::Shape;

    #[test]
    fn lists_merge_by_key_and_directives_work() {
        let shape = Shape::BuiltIn {
            field: "",
            parent: "",
        };
        for (object, patch, expected) in [
            (
                json!({"status": {"conditions": [{"type": "A", "status": "True"}, {"type": "B", "status": "True"}]}}),
                json!({"status": {"conditions": [{"type": "B", "status": "False"}, {"type": "C", "status": "True"}]}}),
                json!({"status": {"conditions": [
                    {"type": "A", "status": "True"}, {"type": "B", "status": "False"}, {"type": "C", "status": "True"},
                ]}}),
            ),
            (
                json!({"spec": {"taints": [{"key": "a"}]}}),
                json!({"spec": {"taints": [{"key": "b"}]}}),
                json!({"spec": {"taints": [{"key": "b"}]}}),
            ),
            (
                json!({"metadata": {"finalizers": ["a/a", "a/b"]}}),
                json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/a"], "finalizers": ["a/c"]}}),
                json!({"metadata": {"finalizers": ["a/c", "a/b"]}}),
            ),
            (
                json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}),
                json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}),
                json!({"spec": {"containers": [{"name": "b"}]}}),
            ),
            (
                json!({"spec": {"unschedulable": true, "podCIDR": "x"}}),
                json!({"spec": {"unschedulable": null}}),
                json!({"spec": {"podCIDR": "x"}}),
            ),
        ] {
            assert_eq!(super::apply(&object, &patch, shape).unwrap(), expected);
        }
    }
}
