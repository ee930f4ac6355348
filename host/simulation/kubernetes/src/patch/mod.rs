//! PATCH: the four content types, each turned into a new state that goes through the one update path.

mod apply;
mod merge;
mod strategic;

use jiff::Timestamp;
use serde_json::Value;

use crate::call::Call;
use crate::create::{self, Writing};
use crate::error::{ApiError, FieldError};
use crate::managers::Tracking;
use crate::shape::Shape;
use crate::state::State;
use crate::update::{self, Written};
use crate::{metadata, view};

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

fn content_type(call: &Call) -> &str {
    call.content_type.split(';').next().unwrap_or_default().trim()
}

/// Answers a PATCH of an object or its status.
pub(crate) fn from_call(state: &mut State, call: &Call, now: Timestamp) -> Result<Written, ApiError> {
    if content_type(call) == APPLY {
        return apply::from_call(state, call, now);
    }
    let resource = &call.resource;
    let known = matches!(content_type(call), JSON | MERGE)
        || content_type(call) == STRATEGIC && resource.custom.is_none();
    if !known {
        return Err(ApiError::unsupported_media_type());
    }
    let old = state.find(resource, &call.key())?;
    let shown = view::from_stored(old.value.clone(), resource);
    let mut new = change(call, &shown)?;
    let meta = &mut new["metadata"];
    if meta["resourceVersion"].is_null() {
        metadata::copy(&shown["metadata"], meta, "resourceVersion");
    }
    for key in ["name", "namespace"] {
        if new["metadata"]
            .get(key)
            .is_some_and(|value| *value != shown["metadata"][key])
        {
            return Err(ApiError::bad_request(format!(
                "the {key} of the object ({}) does not match the {key} on the URL ({})",
                metadata::text(&new, key),
                metadata::text(&shown, key),
            )));
        }
    }
    let new = create::normalise(resource, new, create::is_strict(call)).map_err(undecodable)?;
    let writing = Writing {
        tracking: Tracking::update(call),
        now,
        dry_run: call.dry_run(),
    };
    let stored = update::update(state, resource, call.subresource.as_deref(), &old, new, &writing)?;
    Ok(Written::updated(stored))
}

/// Applies the patch in a call's body to an object.
pub(crate) fn change(call: &Call, object: &Value) -> Result<Value, ApiError> {
    let patch: Value = serde_json::from_slice(&call.body)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    match content_type(call) {
        MERGE => {
            let mut new = object.clone();
            merge::apply(&mut new, &patch);
            Ok(new)
        }
        STRATEGIC if call.resource.custom.is_none() => {
            strategic::apply(object, &patch, Shape::of(&call.resource))
        }
        JSON => json_patch(object, patch),
        _ => Err(ApiError::unsupported_media_type()),
    }
}

fn json_patch(object: &Value, patch: Value) -> Result<Value, ApiError> {
    let patch: json_patch::Patch = serde_json::from_value(patch)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    let mut new = object.clone();
    json_patch::patch(&mut new, &patch).map_err(|error| {
        // The real server does not say which operation failed.
        tracing::debug!(%error, "a JSON patch does not apply");
        let mut refused = ApiError::new(
            http::StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid",
            "the server rejected our request due to an error in our request",
        );
        refused.details = Some(Box::default());
        refused
    })?;
    Ok(new)
}

/// The result of a patch is no object of the resource's type.
fn undecodable(error: ApiError) -> ApiError {
    if error.code != http::StatusCode::BAD_REQUEST {
        return error;
    }
    let field = FieldError::invalid_shown("patch", "\"\"", &error.message);
    let mut refused = ApiError::new(
        http::StatusCode::UNPROCESSABLE_ENTITY,
        "Invalid",
        format!(" \"\" is invalid: {field}"),
    );
    refused = refused.with_cause(field.reason, field.detail, Some(field.field));
    refused
}

/// A server-side apply without a manager.
fn manager_required() -> ApiError {
    let error = FieldError::required("fieldManager", "is required for apply patch");
    let mut refused = ApiError::new(
        http::StatusCode::UNPROCESSABLE_ENTITY,
        "Invalid",
        format!("PatchOptions.meta.k8s.io \"\" is invalid: {error}"),
    )
    .with_cause(error.reason, error.detail.clone(), Some(error.field));
    if let Some(details) = &mut refused.details {
        details.group = "meta.k8s.io".to_owned();
        details.kind = "PatchOptions".to_owned();
    }
    refused
}
