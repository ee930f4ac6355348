//! From a call to its handler.

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;

use crate::call::{Call, Verb};
use crate::error::ApiError;
use crate::server::Reply;
use crate::state::State;
use crate::store::Stored;
use crate::{create, delete, eviction, patch, reads, subresources, update, view};

/// Carries out one call under the lock.
pub(crate) fn run(state: &mut State, call: &Call, now: Timestamp) -> Result<Reply, ApiError> {
    match (call.verb, call.subresource.as_deref()) {
        (Verb::Watch, None) => Ok(Reply::Watch),
        (Verb::List, None) => reads::list(state, call).map(ok),
        (Verb::Get, Some("scale")) => subresources::get_scale(state, call).map(ok),
        (Verb::Get, _) => reads::get(state, call).map(ok),
        (Verb::Create, None) => create::from_call(state, call, now).map(|stored| created(&stored, call)),
        (Verb::Create, Some("binding")) => {
            subresources::bind(state, call, now)?;
            Ok(success(StatusCode::CREATED))
        }
        (Verb::Create, Some("eviction")) => {
            eviction::evict(state, call, now)?;
            Ok(success(StatusCode::CREATED))
        }
        (Verb::Update, Some("scale")) | (Verb::Patch, Some("scale")) => {
            subresources::set_scale(state, call, now).map(ok)
        }
        (Verb::Update, Some("finalize")) => subresources::finalize(state, call, now).map(|s| shown(&s, call)),
        (Verb::Update, _) => update::from_call(state, call, now).map(|written| {
            if written.created {
                created(&written.stored, call)
            } else {
                shown(&written.stored, call)
            }
        }),
        (Verb::Patch, _) => patch::from_call(state, call, now).map(|written| {
            if written.created {
                created(&written.stored, call)
            } else {
                shown(&written.stored, call)
            }
        }),
        (Verb::Delete, None) => delete::from_call(state, call, now),
        (Verb::DeleteCollection, None) => delete::collection(state, call, now).map(ok),
        _ => Err(ApiError::method_not_allowed(&call.resource)),
    }
}

fn ok(text: Bytes) -> Reply {
    Reply::Object(StatusCode::OK, text)
}

fn shown(stored: &Stored, call: &Call) -> Reply {
    ok(view::encode(stored, &call.resource, call.metadata_only))
}

fn created(stored: &Stored, call: &Call) -> Reply {
    let text = view::encode(stored, &call.resource, call.metadata_only);
    Reply::Object(StatusCode::CREATED, text)
}

/// The bare success of an action on a subresource.
fn success(code: StatusCode) -> Reply {
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "code": code.as_u16(),
    });
    Reply::Object(code, Bytes::from(status.to_string()))
}
