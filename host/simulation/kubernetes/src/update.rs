//! Updates: the one way in which a stored object changes, for PUT, every patch and the subresources.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::call::Call;
use crate::create::{self, Writing};
use crate::error::{ApiError, FieldError};
use crate::managers::{self, Tracking};
use crate::resources::ResourceType;
use crate::state::State;
use crate::store::{ObjectKey, Stored};
use crate::{admission, metadata, validation};

/// What an update left behind.
pub(crate) struct Written {
    pub(crate) stored: Arc<Stored>,
    /// There was no such object before.
    pub(crate) created: bool,
}

impl Written {
    pub(crate) fn updated(stored: Arc<Stored>) -> Self {
        Self {
            stored,
            created: false,
        }
    }
}

/// Answers a PUT on an object or its status.
pub(crate) fn from_call(state: &mut State, call: &Call, now: Timestamp) -> Result<Written, ApiError> {
    let resource = &call.resource;
    let value = create::decode(resource, &call.json()?, create::is_strict(call))?;
    let named = metadata::text(&value, "name");
    if named != call.name() {
        return Err(if named.is_empty() {
            ApiError::bad_request("name must be provided")
        } else {
            ApiError::bad_request(format!(
                "the name of the object ({named}) does not match the name on the URL ({})",
                call.name()
            ))
        });
    }
    let namespace = metadata::text(&value, "namespace");
    if resource.namespaced && !namespace.is_empty() && namespace != call.namespace {
        return Err(ApiError::bad_request(format!(
            "the namespace of the object ({namespace}) does not match the namespace on the URL ({})",
            call.namespace
        )));
    }
    let writing = Writing {
        tracking: Tracking::update(call),
        now,
        dry_run: call.dry_run(),
    };
    match state.find(resource, &call.key()) {
        Ok(old) => {
            let stored = update(
                state,
                resource,
                call.subresource.as_deref(),
                &old,
                value,
                &writing,
            )?;
            Ok(Written::updated(stored))
        }
        Err(_) if resource.create_on_update && call.subresource.is_none() => {
            let mut value = value;
            metadata::set(&mut value["metadata"], "resourceVersion", None);
            let stored = create::create(state, resource, &call.namespace, value, &writing)?;
            Ok(Written {
                stored,
                created: true,
            })
        }
        Err(missing) => Err(missing),
    }
}

/// Replaces `old` by `new` (decoded, in stored form), as far as the resource's rules let it.
pub(crate) fn update(
    state: &mut State,
    resource: &ResourceType,
    subresource: Option<&str>,
    old: &Arc<Stored>,
    mut new: Value,
    writing: &Writing<'_>,
) -> Result<Arc<Stored>, ApiError> {
    let key = key_of(&old.value);
    check_preconditions(resource, old, &new)?;
    let sent_managed = new["metadata"].get("managedFields").cloned();
    metadata::restore_system_fields(&old.value, &mut new);
    for name in ["name", "namespace", "generateName"] {
        copy_meta(&old.value, &mut new, name);
    }
    metadata::drop_empty(&mut new["metadata"]);
    separate(resource, subresource, &old.value, &mut new);
    admission::prepare_for_update(resource, subresource, &old.value, &mut new);
    if subresource != Some("binding") {
        metadata::count_generation(resource, &old.value, &mut new);
    }

    let mut errors = validation::metadata(resource, &new);
    errors.extend(validation::metadata_update(&old.value, &new));
    errors.extend(validation::object(resource, &new, Some(&old.value)));
    if subresource.is_none() {
        errors.extend(validation::object_update(resource, &old.value, &new));
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid(resource, &key.1, errors));
    }
    managers::track(
        resource,
        Some(&old.value),
        &mut new,
        &writing.tracking,
        writing.now,
    );
    if sent_managed.is_some_and(|sent| sent == json!([{}])) {
        metadata::set(&mut new["metadata"], "managedFields", None);
    }

    new["metadata"]["resourceVersion"] = old.value["metadata"]["resourceVersion"].clone();
    if old.value == new {
        return Ok(Arc::clone(old));
    }
    if writing.dry_run {
        return Ok(Stored::unsaved(new));
    }
    if is_finished(resource, &new) {
        // Watchers see one removal, of the state before; the writer is shown what it wrote.
        return match state.remove(resource, &key) {
            Some(_) => Ok(Stored::unsaved(new)),
            None => Err(ApiError::not_found(resource, &key.1)),
        };
    }
    Ok(state.put(resource, &key, new))
}

/// A terminating object without finalizers and without grace left goes away with the write that made it so.
fn is_finished(resource: &ResourceType, object: &Value) -> bool {
    let waits = resource.is("", "namespaces")
        && object["spec"]["finalizers"]
            .as_array()
            .is_some_and(|list| !list.is_empty());
    metadata::is_terminating(object)
        && metadata::finalizers(object).is_empty()
        && object["metadata"]["deletionGracePeriodSeconds"]
            .as_i64()
            .unwrap_or(0)
            == 0
        && !waits
}

pub(crate) fn key_of(object: &Value) -> ObjectKey {
    (
        metadata::text(object, "namespace").to_owned(),
        metadata::text(object, "name").to_owned(),
    )
}

fn copy_meta(old: &Value, new: &mut Value, key: &str) {
    metadata::copy(&old["metadata"], &mut new["metadata"], key);
}

fn check_preconditions(resource: &ResourceType, old: &Stored, new: &Value) -> Result<(), ApiError> {
    let name = metadata::text(&old.value, "name");
    let uid = metadata::text(new, "uid");
    if !uid.is_empty() && uid != old.uid() {
        return Err(ApiError::conflict(
            resource,
            name,
            format!(
                "StorageError: invalid object, Code: 4, Key: /registry/{}/{}/{name}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                resource.plural,
                metadata::text(&old.value, "namespace"),
                old.uid()
            ),
        ));
    }
    let version = metadata::text(new, "resourceVersion");
    if version.is_empty() || version == "0" {
        if resource.unconditional_update {
            return Ok(());
        }
        return Err(ApiError::revision_required(resource, name));
    }
    match version.parse::<u64>() {
        Ok(version) if version == old.revision => Ok(()),
        Ok(_) => Err(ApiError::stale(resource, name)),
        Err(_) => Err(ApiError::invalid(
            resource,
            name,
            vec![FieldError::invalid(
                "metadata.resourceVersion",
                &json!(version),
                "strconv.ParseUint: parsing: invalid syntax",
            )],
        )),
    }
}

/// Keeps status and specification apart: each endpoint changes its own half.
fn separate(resource: &ResourceType, subresource: Option<&str>, old: &Value, new: &mut Value) {
    match subresource {
        Some("status") if resource.custom.is_some() => {
            let status = new.get("status").cloned();
            *new = old.clone();
            metadata::set(new, "status", status);
        }
        Some("status") => {
            metadata::copy(old, new, "spec");
            if resource.is("", "pods") {
                copy_meta(old, new, "ownerReferences");
            }
            if resource.is("apps", "deployments") {
                copy_meta(old, new, "labels");
            }
        }
        Some(_) => {}
        None if resource.status => metadata::copy(old, new, "status"),
        None => {}
    }
}
