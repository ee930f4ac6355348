//! Server-side apply: what a manager states is merged, what it no longer states is taken back, and what belongs to
//! others is left alone unless forced.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::manager_required;
use crate::call::Call;
use crate::create::{self, Writing};
use crate::error::ApiError;
use crate::fields::{self, FieldSet, item_element};
use crate::managers::{self, Entry, Tracking};
use crate::resources::ResourceType;
use crate::server::timestamp;
use crate::shape::{ListShape, Shape};
use crate::state::State;
use crate::update::{self, Written};
use crate::{metadata, view};

/// Answers a server-side apply.
pub(crate) fn from_call(state: &mut State, call: &Call, now: Timestamp) -> Result<Written, ApiError> {
    let resource = &call.resource;
    if call.query.get("fieldManager").is_none() {
        return Err(manager_required());
    }
    let mut applied = call.json()?;
    check(call, &applied)?;
    drop_nulls(&mut applied);
    let old = state.find(resource, &call.key());
    if call.subresource.is_some() && old.is_err() {
        return Err(ApiError::not_found(resource, call.name()));
    }
    let live = match &old {
        Ok(old) => view::from_stored(old.value.clone(), resource),
        Err(_) => json!({"apiVersion": resource.api_version(), "kind": resource.kind, "metadata": {}}),
    };
    if old.is_err() && !metadata::text(&applied, "uid").is_empty() {
        return Err(ApiError::conflict(
            resource,
            call.name(),
            format!(
                "uid mismatch: the provided object specified uid {}, and no existing object was found",
                metadata::text(&applied, "uid")
            ),
        ));
    }
    let version = metadata::text(&applied, "resourceVersion").to_owned();
    let (merged, entries) = settle(call, &live, &applied, now)?;
    let writing = Writing {
        tracking: Tracking::Settled(entries),
        now,
        dry_run: call.dry_run(),
    };
    let mut merged = create::normalise(resource, merged, create::is_strict(call))?;
    match old {
        Ok(old) => {
            if version.is_empty() {
                metadata::copy(&old.value["metadata"], &mut merged["metadata"], "resourceVersion");
            }
            let stored = update::update(
                state,
                resource,
                call.subresource.as_deref(),
                &old,
                merged,
                &writing,
            )?;
            Ok(Written::updated(stored))
        }
        Err(_) => {
            merged["metadata"]["name"] = json!(call.name());
            let stored = create::create(state, resource, &call.namespace, merged, &writing)?;
            Ok(Written {
                stored,
                created: true,
            })
        }
    }
}

fn check(call: &Call, applied: &Value) -> Result<(), ApiError> {
    let resource = &call.resource;
    if applied["apiVersion"] != resource.api_version().as_str() || applied["kind"] != resource.kind.as_str() {
        return Err(ApiError::bad_request(format!(
            "invalid object type: {}, Kind={}",
            applied["apiVersion"].as_str().unwrap_or_default(),
            applied["kind"].as_str().unwrap_or_default(),
        )));
    }
    if !applied["metadata"]["managedFields"].is_null() {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let name = metadata::text(applied, "name");
    if !name.is_empty() && name != call.name() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.name()
        )));
    }
    Ok(())
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Branches that a writer of this endpoint neither owns nor changes.
fn resets(resource: &ResourceType, subresource: Option<&str>, branch: &str) -> bool {
    match subresource {
        Some("status") if resource.custom.is_some() => branch != "status",
        Some("status") => branch == "spec",
        _ => resource.status && branch == "status",
    }
}

/// The merged state and the managers afterwards, or the conflicts.
fn settle(
    call: &Call,
    live: &Value,
    applied: &Value,
    now: Timestamp,
) -> Result<(Value, Vec<Entry>), ApiError> {
    let resource = &call.resource;
    let shape = Shape::of(resource);
    let mut own = Entry {
        manager: call.manager.clone(),
        operation: "Apply".to_owned(),
        api_version: resource.api_version(),
        subresource: call.subresource.clone().unwrap_or_default(),
        time: Some(timestamp(now)),
        fields: FieldSet::of(applied, shape),
    };
    own.fields
        .forget(|branch| resets(resource, call.subresource.as_deref(), branch));
    let mut others = managers::entries(live);
    let previous = others
        .iter()
        .position(|entry| entry.same_writer(&own))
        .map(|index| others.remove(index));

    let mut stated = applied.clone();
    if let Some(map) = stated.as_object_mut() {
        map.retain(|branch, _| !resets(resource, call.subresource.as_deref(), branch));
    }
    let mut merged = merge(live, &stated, shape);
    let changed = fields::difference(live, &merged, shape).changed;
    let conflicts: Vec<FieldSet> = others
        .iter()
        .map(|entry| entry.fields.intersection(&changed))
        .collect();
    if conflicts.iter().any(|set| !set.is_empty()) {
        if !call.query.flag("force") {
            return Err(conflict(&others, &conflicts));
        }
        for (entry, taken) in others.iter_mut().zip(&conflicts) {
            entry.fields.subtract(taken);
        }
    }
    if let Some(previous) = &previous {
        let mut keep = own.fields.clone();
        for entry in &others {
            keep.union(&entry.fields);
        }
        prune(&mut merged, &previous.fields, Some(&keep), shape);
        if previous.fields == own.fields && previous.api_version == own.api_version {
            own.time.clone_from(&previous.time);
        }
    }
    others.retain(|entry| !entry.fields.is_empty());
    if !own.fields.is_empty() {
        others.push(own);
    }
    Ok((merged, others))
}

fn conflict(others: &[Entry], conflicts: &[FieldSet]) -> ApiError {
    let mut causes = Vec::new();
    let mut by_manager = Vec::new();
    for (entry, set) in others.iter().zip(conflicts) {
        let paths = set.paths();
        if !paths.is_empty() {
            let name = entry.describe();
            causes.extend(
                paths
                    .iter()
                    .map(|path| (format!("conflict with {name}"), path.clone())),
            );
            by_manager.push((name, paths));
        }
    }
    let message = if let [(text, path)] = causes.as_slice() {
        format!("Apply failed with 1 conflict: {text}: {path}")
    } else {
        let mut lines = Vec::new();
        for (name, paths) in by_manager {
            lines.push(format!("conflicts with {name}:"));
            lines.extend(paths.into_iter().map(|path| format!("- {path}")));
        }
        format!(
            "Apply failed with {} conflicts: {}",
            causes.len(),
            lines.join("\n")
        )
    };
    let mut error = ApiError::new(http::StatusCode::CONFLICT, "Conflict", message);
    for (text, path) in causes {
        error = error.with_cause("FieldManagerConflict", text, Some(path));
    }
    error
}

fn merge(live: &Value, applied: &Value, shape: Shape<'_>) -> Value {
    match (live, applied) {
        (Value::Object(before), Value::Object(stated)) if !shape.is_atomic_map() => {
            let mut merged: Map<String, Value> = before.clone();
            for (key, value) in stated {
                let result = before
                    .get(key)
                    .map_or_else(|| value.clone(), |old| merge(old, value, shape.field(key)));
                merged.insert(key.clone(), result);
            }
            Value::Object(merged)
        }
        (Value::Array(before), Value::Array(stated)) => match shape.list() {
            ListShape::Atomic => applied.clone(),
            ListShape::Set => {
                let mut merged = before.clone();
                merged.extend(stated.iter().filter(|item| !before.contains(item)).cloned());
                Value::Array(merged)
            }
            ListShape::Map(keys) => Value::Array(merge_items(before, stated, &keys, shape.item())),
        },
        _ => applied.clone(),
    }
}

/// Between items that both lists have come first those of the live list alone, then those that are new.
fn merge_items(before: &[Value], stated: &[Value], keys: &[String], shape: Shape<'_>) -> Vec<Value> {
    let element = |item: &Value| item_element(item, keys);
    let wanted: Vec<String> = stated.iter().map(element).collect();
    let known: Vec<String> = before.iter().map(element).collect();
    let mut merged = Vec::new();
    let mut fresh = Vec::new();
    let mut rest = 0;
    for (item, name) in stated.iter().zip(&wanted) {
        let Some(place) = known.iter().position(|other| other == name) else {
            fresh.push(item.clone());
            continue;
        };
        while rest < place {
            if !wanted.contains(&known[rest]) {
                merged.push(before[rest].clone());
            }
            rest += 1;
        }
        merged.append(&mut fresh);
        merged.push(merge(&before[place], item, shape));
    }
    while rest < before.len() {
        if !wanted.contains(&known[rest]) {
            merged.push(before[rest].clone());
        }
        rest += 1;
    }
    merged.append(&mut fresh);
    merged
}

/// Takes out what only `last` held: fields of an earlier apply that are stated no more.
fn prune(value: &mut Value, last: &FieldSet, keep: Option<&FieldSet>, shape: Shape<'_>) {
    for (element, child) in &last.children {
        let kept = keep.and_then(|keep| keep.children.get(element));
        if let Some(name) = element.strip_prefix("f:") {
            if kept.is_none() {
                metadata::set(value, name, None);
            } else if let Some(inner) = value.get_mut(name) {
                prune(inner, child, kept, shape.field(name));
            }
            continue;
        }
        let Some(items) = value.as_array_mut() else {
            continue;
        };
        let ListShape::Map(keys) = shape.list() else {
            if kept.is_none() {
                items.retain(|item| format!("v:{item}") != *element);
            }
            continue;
        };
        if kept.is_none() {
            items.retain(|item| item_element(item, &keys) != *element);
        } else if let Some(item) = items
            .iter_mut()
            .find(|item| item_element(item, &keys) == *element)
        {
            prune(item, child, kept, shape.item());
        }
    }
}
