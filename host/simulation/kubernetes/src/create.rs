//! Creation: decode, default, name, validate, store.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::{ApiError, FieldError};
use crate::managers::{self, Tracking};
use crate::resources::ResourceType;
use crate::server::timestamp;
use crate::state::State;
use crate::store::Stored;
use crate::{admission, custom, defaults, metadata, validation, view};

/// A generated name that is taken is drawn again this many times.
const NAME_ATTEMPTS: usize = 8;

/// Who writes, when, and whether for real.
pub(crate) struct Writing<'a> {
    pub(crate) tracking: Tracking<'a>,
    pub(crate) now: Timestamp,
    pub(crate) dry_run: bool,
}

/// Reads what a client sent into the stored form, as its type says.
pub(crate) fn decode(resource: &ResourceType, value: &Value, strict: bool) -> Result<Value, ApiError> {
    let Value::Object(object) = value else {
        return Err(ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {})",
            resource.kind
        )));
    };
    let api_version = object
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let mut sent = value.clone();
    if api_version.is_empty() && kind.is_empty() && resource.custom.is_none() {
        sent = metadata::envelope(resource, sent);
    } else if api_version != resource.api_version() {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            resource.api_version()
        )));
    } else if kind != resource.kind {
        return Err(ApiError::bad_request(format!(
            "the kind in the data ({kind}) does not match the expected kind ({})",
            resource.kind
        )));
    }
    normalise(resource, sent, strict)
}

/// Types, defaults and pruning for an object in the version of `resource`; the result is in stored form.
pub(crate) fn normalise(resource: &ResourceType, value: Value, strict: bool) -> Result<Value, ApiError> {
    let mut value = metadata::envelope(resource, value);
    if let Some(custom) = &resource.custom {
        custom::decode(custom, resource, &mut value, strict)?;
    } else if let Some(decode) = resource.decode {
        value = decode(value).map_err(|error| {
            ApiError::bad_request(format!(
                "{} in version \"{}\" cannot be handled as a {}: {error}",
                resource.kind, resource.version, resource.kind
            ))
        })?;
        value = view::to_stored(metadata::envelope(resource, value), resource);
        defaults::apply(resource, &mut value);
    }
    metadata::drop_empty(&mut value["metadata"]);
    if !value["metadata"].is_object() {
        value["metadata"] = json!({});
    }
    Ok(value)
}

/// Whether unknown fields are refused (`fieldValidation=Strict`).
pub(crate) fn is_strict(call: &Call) -> bool {
    call.query.get("fieldValidation") == Some("Strict")
}

/// Answers a POST on a collection.
pub(crate) fn from_call(state: &mut State, call: &Call, now: Timestamp) -> Result<Arc<Stored>, ApiError> {
    let value = decode(&call.resource, &call.json()?, is_strict(call))?;
    let writing = Writing {
        tracking: Tracking::update(call),
        now,
        dry_run: call.dry_run(),
    };
    create(state, &call.resource, &call.namespace, value, &writing)
}

/// Creates an object from its decoded form.
pub(crate) fn create(
    state: &mut State,
    resource: &ResourceType,
    namespace: &str,
    mut value: Value,
    writing: &Writing<'_>,
) -> Result<Arc<Stored>, ApiError> {
    place(resource, namespace, &mut value)?;
    let asked = metadata::text(&value, "name").to_owned();
    if resource.namespaced {
        state.check_namespace(resource, namespace, &asked)?;
    }
    if !metadata::text(&value, "resourceVersion").is_empty() {
        return Err(ApiError::bare(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    let base = metadata::text(&value, "generateName").to_owned();
    let mut name = asked.clone();
    if asked.is_empty() && !base.is_empty() {
        for _ in 0..NAME_ATTEMPTS {
            name = state.ids.generated_name(&base);
            if state
                .find(resource, &(namespace.to_owned(), name.clone()))
                .is_err()
            {
                break;
            }
        }
    }
    let meta = &mut value["metadata"];
    for key in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "managedFields",
    ] {
        metadata::set(meta, key, None);
    }
    if name.is_empty() {
        metadata::set(meta, "name", None);
    } else {
        meta["name"] = json!(name);
    }
    meta["uid"] = json!(state.ids.uid());
    meta["creationTimestamp"] = json!(timestamp(writing.now));
    if resource.generation {
        meta["generation"] = json!(1);
    }
    if resource.custom.is_some() && resource.status {
        metadata::set(&mut value, "status", None);
    }
    admission::prepare_for_create(state, resource, &mut value)?;

    let mut errors = validation::metadata(resource, &value);
    errors.extend(validation::object(resource, &value, None));
    if name.is_empty() {
        errors.insert(
            0,
            FieldError::required("metadata.name", "name or generateName is required"),
        );
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid(resource, &name, errors));
    }
    let key = (namespace.to_owned(), name.clone());
    if state.find(resource, &key).is_ok() {
        return Err(ApiError::already_exists(resource, &name));
    }
    managers::track(resource, None, &mut value, &writing.tracking, writing.now);
    if writing.dry_run {
        return Ok(Stored::unsaved(value));
    }
    Ok(state.put(resource, &key, value))
}

/// Settles the namespace of a new object against the one in the path.
fn place(resource: &ResourceType, namespace: &str, value: &mut Value) -> Result<(), ApiError> {
    let named = metadata::text(value, "namespace");
    if resource.namespaced && !named.is_empty() && named != namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if resource.namespaced && namespace.is_empty() {
        return Err(ApiError::bad_request(
            "an empty namespace may not be set during creation",
        ));
    }
    let namespace = resource.namespaced.then(|| json!(namespace));
    metadata::set(&mut value["metadata"], "namespace", namespace);
    Ok(())
}
