//! Get and list: consistent pages, exact and "not older than" reads, selectors.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::ApiError;
use crate::resources::ResourceType;
use crate::selector::{FieldSelector, LabelSelector};
use crate::state::State;
use crate::store::{ObjectKey, Stored};
use crate::view;

/// Both selectors of a request.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Filter {
    pub(crate) fn of(call: &Call) -> Result<Self, ApiError> {
        let labels = LabelSelector::parse(call.query.get("labelSelector").unwrap_or_default())?;
        let fields = FieldSelector::parse(
            call.query.get("fieldSelector").unwrap_or_default(),
            &call.resource,
        )?;
        Ok(Self { labels, fields })
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }

    fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

/// Answers a GET of one object.
pub(crate) fn get(state: &State, call: &Call) -> Result<Bytes, ApiError> {
    if let Some(wanted) = call.query.number("resourceVersion")?
        && wanted > state.store.revision
    {
        return Err(too_new(wanted, state.store.revision));
    }
    let stored = state.find(&call.resource, &call.key())?;
    Ok(view::encode(&stored, &call.resource, call.metadata_only))
}

/// A position in a list: the revision it was begun at and the last key that was shown.
struct Continue {
    revision: u64,
    after: ObjectKey,
}

impl Continue {
    fn encode(&self) -> String {
        let text = json!({"rv": self.revision, "ns": self.after.0, "name": self.after.1}).to_string();
        text.bytes().map(|byte| format!("{byte:02x}")).collect()
    }

    fn decode(token: &str) -> Option<Self> {
        let bytes: Vec<u8> = token
            .as_bytes()
            .chunks(2)
            .map(|pair| {
                std::str::from_utf8(pair)
                    .ok()
                    .and_then(|t| u8::from_str_radix(t, 16).ok())
            })
            .collect::<Option<_>>()?;
        let value: Value = serde_json::from_slice(&bytes).ok()?;
        Some(Self {
            revision: value["rv"].as_u64()?,
            after: (
                value["ns"].as_str()?.to_owned(),
                value["name"].as_str()?.to_owned(),
            ),
        })
    }
}

fn too_new(wanted: u64, current: u64) -> ApiError {
    let mut error = ApiError::new(
        http::StatusCode::GATEWAY_TIMEOUT,
        "Timeout",
        format!("Too large resource version: {wanted}, current: {current}"),
    )
    .with_cause("ResourceVersionTooLarge", "Too large resource version", None);
    if let Some(details) = &mut error.details {
        details.retry_after_seconds = 1;
    }
    error
}

fn expired_page() -> ApiError {
    ApiError::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.",
    )
}

/// Answers a GET of a collection.
pub(crate) fn list(state: &State, call: &Call) -> Result<Bytes, ApiError> {
    let filter = Filter::of(call)?;
    let resource = &call.resource;
    let key = resource.key();
    let limit = call.query.number("limit")?.unwrap_or(0) as usize;
    let token = call.query.get("continue");
    let wanted = call.query.number("resourceVersion")?;
    let exact = call.query.get("resourceVersionMatch") == Some("Exact");
    if wanted.is_none() && call.query.get("resourceVersionMatch").is_some() {
        return Err(ApiError::bad_request(
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ));
    }
    if token.is_some() && wanted.is_some_and(|revision| revision != 0) {
        return Err(ApiError::bad_request(
            "specifying resource version is not allowed when using continue",
        ));
    }
    if let Some(wanted) = wanted
        && wanted > state.store.revision
    {
        return Err(too_new(wanted, state.store.revision));
    }

    let position = token
        .map(|token| {
            Continue::decode(token).ok_or_else(|| ApiError::bad_request("continue key is not valid"))
        })
        .transpose()?;
    let past = match (&position, wanted) {
        (Some(position), _) => Some(position.revision),
        (None, Some(wanted)) if exact => Some(wanted),
        _ => None,
    };
    let revision = past.unwrap_or(state.store.revision);
    let objects: Vec<(ObjectKey, Arc<Stored>)> = match past.filter(|&past| past != state.store.revision) {
        Some(past) => state
            .store
            .list_at(&key, &call.namespace, past)
            .ok_or_else(|| {
                if position.is_some() {
                    expired_page()
                } else {
                    ApiError::expired("The resourceVersion for the provided list is too old.")
                }
            })?
            .into_iter()
            .collect(),
        None => state
            .store
            .list(&key, &call.namespace)
            .map(|(key, stored)| (key.clone(), Arc::clone(stored)))
            .collect(),
    };

    let mut remaining = objects
        .into_iter()
        .filter(|(key, _)| position.as_ref().is_none_or(|position| *key > position.after))
        .filter(|(_, stored)| filter.matches(&stored.value))
        .peekable();
    let mut items = Vec::new();
    let mut last = None;
    while limit == 0 || items.len() < limit {
        let Some((key, stored)) = remaining.next() else {
            break;
        };
        items.push(view::encode(&stored, resource, call.metadata_only));
        last = Some(key);
    }
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if remaining.peek().is_some()
        && let Some(after) = last
    {
        metadata["continue"] = json!(Continue { revision, after }.encode());
        if filter.is_empty() {
            metadata["remainingItemCount"] = json!(remaining.count());
        }
    }
    Ok(encode_list(resource, &metadata, &items, call.metadata_only))
}

/// Joins already encoded objects into a list object.
pub(crate) fn encode_list(
    resource: &ResourceType,
    metadata: &Value,
    items: &[Bytes],
    metadata_only: bool,
) -> Bytes {
    let (kind, api_version) = if metadata_only {
        (
            "PartialObjectMetadataList".to_owned(),
            "meta.k8s.io/v1".to_owned(),
        )
    } else {
        (resource.list_kind.clone(), resource.api_version())
    };
    let size: usize = items.iter().map(|item| item.len() + 1).sum();
    let mut text = Vec::with_capacity(size + 200);
    text.extend_from_slice(
        format!(
            "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{metadata},\"items\":[",
            Value::String(kind),
            Value::String(api_version),
        )
        .as_bytes(),
    );
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        text.extend_from_slice(item);
    }
    text.extend_from_slice(b"]}");
    Bytes::from(text)
}
