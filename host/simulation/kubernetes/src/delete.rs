//! Deletion: preconditions, grace, finalizers and what happens to dependents.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::{ApiError, FieldError};
use crate::reads::{Filter, encode_list};
use crate::resources::ResourceType;
use crate::server::{Reply, timestamp};
use crate::state::State;
use crate::store::{ObjectKey, Stored};
use crate::{metadata, view};

/// Finalizer of an owner that waits until its dependents are gone.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";

/// Finalizer of an owner whose dependents are to lose their reference to it.
pub(crate) const ORPHAN: &str = "orphan";

/// The grace of a pod that states none, in seconds.
const POD_GRACE: i64 = 30;

/// `DeleteOptions`, from the body or the query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) grace: Option<i64>,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) propagation: Option<String>,
    pub(crate) dry_run: bool,
}

impl Options {
    /// Reads a `DeleteOptions` object; `null` stands for none.
    pub(crate) fn from_object(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let preconditions = &object["preconditions"];
        let orphan = match object["orphanDependents"].as_bool() {
            Some(true) => Some("Orphan".to_owned()),
            Some(false) => Some("Background".to_owned()),
            None => None,
        };
        Self {
            grace: object["gracePeriodSeconds"].as_i64(),
            uid: text(&preconditions["uid"]),
            resource_version: text(&preconditions["resourceVersion"]),
            propagation: text(&object["propagationPolicy"]).or(orphan),
            dry_run: object["dryRun"].as_array().is_some_and(|list| !list.is_empty()),
        }
    }

    fn of(call: &Call) -> Result<Self, ApiError> {
        let mut options = Self::from_object(&call.json()?);
        if call.body.is_empty() {
            options.grace = call
                .query
                .number("gracePeriodSeconds")?
                .and_then(|n| i64::try_from(n).ok());
            options.propagation = call.query.get("propagationPolicy").map(str::to_owned);
        }
        options.dry_run |= call.dry_run();
        if let Some(policy) = &options.propagation
            && !matches!(policy.as_str(), "Background" | "Foreground" | "Orphan")
        {
            let supported = ["Foreground", "Background", "Orphan", "nil"].map(str::to_owned);
            return Err(options_invalid(FieldError::unsupported(
                "propagationPolicy",
                &json!(policy),
                &supported,
            )));
        }
        Ok(options)
    }
}

fn options_invalid(error: FieldError) -> ApiError {
    let mut refused = ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "Invalid",
        format!("DeleteOptions.meta.k8s.io \"\" is invalid: {error}"),
    );
    let message = error.detail.clone();
    refused = refused.with_cause(error.reason, message, Some(error.field));
    if let Some(details) = &mut refused.details {
        details.group = "meta.k8s.io".to_owned();
        details.kind = "DeleteOptions".to_owned();
    }
    refused
}

/// What a deletion did.
pub(crate) struct Deleted {
    pub(crate) stored: Arc<Stored>,
    /// The object is gone; otherwise it waits for grace or finalizers.
    pub(crate) gone: bool,
}

/// Answers a DELETE on one object.
pub(crate) fn from_call(state: &mut State, call: &Call, now: Timestamp) -> Result<Reply, ApiError> {
    let options = Options::of(call)?;
    let resource = &call.resource;
    let deleted = delete(state, resource, &call.key(), &options, now)?;
    if !deleted.gone || resource.returns_deleted {
        let text = view::encode(&deleted.stored, resource, call.metadata_only);
        return Ok(Reply::Object(StatusCode::OK, text));
    }
    let mut details = json!({
        "name": call.name(),
        "kind": resource.plural,
        "uid": deleted.stored.uid(),
    });
    if !resource.group.is_empty() {
        details["group"] = json!(resource.group);
    }
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    });
    Ok(Reply::Object(StatusCode::OK, Bytes::from(status.to_string())))
}

/// Answers a DELETE on a collection with the list of what it hit.
pub(crate) fn collection(state: &mut State, call: &Call, now: Timestamp) -> Result<Bytes, ApiError> {
    let options = Options::of(call)?;
    let filter = Filter::of(call)?;
    let resource = &call.resource;
    if resource.namespaced && call.namespace.is_empty() {
        return Err(ApiError::method_not_allowed(resource));
    }
    let keys: Vec<ObjectKey> = state
        .store
        .list(&resource.key(), &call.namespace)
        .filter(|(_, stored)| filter.matches(&stored.value))
        .map(|(key, _)| key.clone())
        .collect();
    let mut items = Vec::with_capacity(keys.len());
    for key in keys {
        let deleted = delete(state, resource, &key, &options, now)?;
        items.push(view::encode(&deleted.stored, resource, call.metadata_only));
    }
    let metadata = json!({"resourceVersion": state.store.revision.to_string()});
    Ok(encode_list(resource, &metadata, &items, call.metadata_only))
}

/// Deletes one object, at once or in steps.
pub(crate) fn delete(
    state: &mut State,
    resource: &ResourceType,
    key: &ObjectKey,
    options: &Options,
    now: Timestamp,
) -> Result<Deleted, ApiError> {
    let old = state.find(resource, key)?;
    check(resource, &old, options)?;
    if resource.is("", "namespaces") && matches!(key.1.as_str(), "default" | "kube-system" | "kube-public") {
        return Err(ApiError::forbidden(
            resource,
            &key.1,
            "this namespace may not be deleted",
        ));
    }
    let mut object = old.value.clone();
    settle_finalizers(&mut object, options);
    let grace = grace_of(resource, &object, options);
    let waits = !metadata::finalizers(&object).is_empty() || resource.is("", "namespaces");
    mark(&mut object, grace, now);
    if grace.unwrap_or(0) == 0 && !waits {
        if options.dry_run {
            return Ok(Deleted {
                stored: old,
                gone: true,
            });
        }
        let removed = state
            .remove(resource, key)
            .ok_or_else(|| ApiError::not_found(resource, &key.1))?;
        let stored = if resource.is("", "pods") {
            Stored::unsaved(object)
        } else {
            removed
        };
        return Ok(Deleted { stored, gone: true });
    }
    if resource.is("", "namespaces") {
        object["status"]["phase"] = json!("Terminating");
    }
    if object == old.value || options.dry_run {
        return Ok(Deleted {
            stored: old,
            gone: false,
        });
    }
    let stored = state.put(resource, key, object);
    Ok(Deleted { stored, gone: false })
}

fn check(resource: &ResourceType, old: &Stored, options: &Options) -> Result<(), ApiError> {
    let name = metadata::text(&old.value, "name");
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != old.uid()) {
        return Err(ApiError::precondition(
            resource,
            name,
            format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                old.uid()
            ),
        ));
    }
    let version = old.revision.to_string();
    if let Some(wanted) = options
        .resource_version
        .as_deref()
        .filter(|wanted| *wanted != version)
    {
        return Err(ApiError::precondition(
            resource,
            name,
            format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). The object might have been modified"
            ),
        ));
    }
    Ok(())
}

/// Adds or removes the finalizers through which a propagation policy works.
fn settle_finalizers(object: &mut Value, options: &Options) {
    let Some(policy) = options.propagation.as_deref() else {
        return;
    };
    let mut finalizers: Vec<String> = metadata::finalizers(object)
        .into_iter()
        .filter(|finalizer| !matches!(*finalizer, FOREGROUND | ORPHAN))
        .map(str::to_owned)
        .collect();
    match policy {
        "Foreground" => finalizers.push(FOREGROUND.to_owned()),
        "Orphan" => finalizers.push(ORPHAN.to_owned()),
        _ => {}
    }
    let value = (!finalizers.is_empty()).then(|| json!(finalizers));
    metadata::set(&mut object["metadata"], "finalizers", value);
}

/// The grace that applies: only pods have any.
fn grace_of(resource: &ResourceType, object: &Value, options: &Options) -> Option<i64> {
    if !resource.is("", "pods") {
        return None;
    }
    let meta = &object["metadata"];
    if metadata::is_terminating(object) {
        // Grace can only become shorter.
        let current = meta["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
        return Some(options.grace.map_or(current, |asked| asked.clamp(0, current)));
    }
    let unscheduled = object["spec"]["nodeName"].as_str().unwrap_or_default().is_empty();
    let finished = matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if unscheduled || finished {
        return Some(0);
    }
    let stated = object["spec"]["terminationGracePeriodSeconds"]
        .as_i64()
        .unwrap_or(POD_GRACE);
    let grace = options.grace.unwrap_or(stated);
    Some(if grace < 0 { 1 } else { grace })
}

/// Sets the deletion timestamp, or moves it forward when grace became shorter.
fn mark(object: &mut Value, grace: Option<i64>, now: Timestamp) {
    let meta = &object["metadata"];
    let seconds = grace.unwrap_or(0);
    let begun = meta["deletionTimestamp"]
        .as_str()
        .and_then(|t| t.parse::<Timestamp>().ok());
    let previous = meta["deletionGracePeriodSeconds"].as_i64();
    let start = match (begun, previous) {
        (Some(_), Some(previous)) if seconds >= previous => return,
        (Some(_), None) => return,
        (Some(end), Some(previous)) => shift(end, -previous),
        (None, _) => now,
    };
    object["metadata"]["deletionTimestamp"] = json!(timestamp(shift(start, seconds)));
    object["metadata"]["deletionGracePeriodSeconds"] = json!(seconds);
    if begun.is_none() && object["metadata"]["generation"].is_i64() {
        metadata::raise_generation(object);
    }
}

fn shift(time: Timestamp, seconds: i64) -> Timestamp {
    time.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(time)
}
