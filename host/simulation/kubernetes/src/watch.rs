//! Watches: the log of a collection as a stream of events, with bookmarks, streaming lists and an end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::Stream;
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::call::Call;
use crate::error::ApiError;
use crate::pulse::Listener;
use crate::reads::Filter;
use crate::server::ApiServer;
use crate::state::State;
use crate::store::{Change, Stored};
use crate::view;

/// Bookmarks come about once a minute.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// A watch without a timeout ends after this time: the lower bound that the real server draws from.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);

/// The stream of one watch.
struct Watch {
    server: Arc<ApiServer>,
    call: Call,
    filter: Filter,
    pulse: Listener,
    epoch: u64,
    cursor: u64,
    /// The first events of a watch without a revision: what there is.
    initial: Option<Bytes>,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    ended: bool,
}

/// The body of a watch's answer.
pub(crate) fn body(
    server: &Arc<ApiServer>,
    state: &State,
    call: Call,
) -> Result<StreamBody<impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + use<>>, ApiError> {
    let filter = Filter::of(&call)?;
    let timeout = call
        .query
        .number("timeoutSeconds")?
        .map_or(DEFAULT_TIMEOUT, Duration::from_secs);
    let bookmarks = call.query.flag("allowWatchBookmarks");
    let streaming = call.query.flag("sendInitialEvents");
    if streaming && call.query.get("resourceVersionMatch") != Some("NotOlderThan") {
        return Err(ApiError::bad_request(
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    let from = call.query.number("resourceVersion")?.unwrap_or(0);
    let (cursor, initial) = if from == 0 || streaming {
        let mut text = BytesMut::new();
        for (_, stored) in state.store.list(&call.resource.key(), &call.namespace) {
            if filter.matches(&stored.value) && selected(&call, stored) {
                append(
                    &mut text,
                    "ADDED",
                    &view::encode(stored, &call.resource, call.metadata_only),
                );
            }
        }
        if streaming && bookmarks {
            let end = bookmark(&call, state.store.revision, true);
            append(&mut text, "BOOKMARK", &Bytes::from(end.to_string()));
        }
        (state.store.revision, Some(text.freeze()))
    } else {
        (from, None)
    };
    let mut pulse = server.subscribe();
    let epoch = pulse.look().epoch;
    let now = Instant::now();
    let watch = Watch {
        server: Arc::clone(server),
        call,
        filter,
        pulse,
        epoch,
        cursor,
        initial,
        bookmarks,
        next_bookmark: now + BOOKMARK_EVERY,
        deadline: now + timeout,
        ended: false,
    };
    Ok(StreamBody::new(futures::stream::unfold(
        watch,
        |mut watch| async move {
            let frame = watch.next().await?;
            Some((Ok(Frame::data(frame)), watch))
        },
    )))
}

/// A watch of one named object sees only that one.
fn selected(call: &Call, stored: &Stored) -> bool {
    call.name
        .as_deref()
        .is_none_or(|name| stored.value["metadata"]["name"] == name)
}

fn bookmark(call: &Call, revision: u64, initial_events_end: bool) -> Value {
    let mut object = json!({
        "kind": call.resource.kind,
        "apiVersion": call.resource.api_version(),
        "metadata": {"resourceVersion": revision.to_string(), "creationTimestamp": null},
    });
    if call.metadata_only {
        object["kind"] = json!("PartialObjectMetadata");
        object["apiVersion"] = json!("meta.k8s.io/v1");
    }
    if initial_events_end {
        object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    object
}

fn append(text: &mut BytesMut, kind: &str, object: &Bytes) {
    text.extend_from_slice(b"{\"type\":\"");
    text.extend_from_slice(kind.as_bytes());
    text.extend_from_slice(b"\",\"object\":");
    text.extend_from_slice(object);
    text.extend_from_slice(b"}\n");
}

impl Watch {
    /// The next events as lines of JSON; `None` at the end of the watch.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(initial) = self.initial.take().filter(|text| !text.is_empty()) {
            return Some(initial);
        }
        loop {
            if self.ended {
                return None;
            }
            if self.pulse.look().epoch != self.epoch {
                return None;
            }
            if let Some(events) = self.pending() {
                return Some(events);
            }
            tokio::select! {
                biased;
                () = self.pulse.changed() => {}
                () = tokio::time::sleep_until(self.deadline) => return None,
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.next_bookmark += BOOKMARK_EVERY;
                    let mut text = BytesMut::new();
                    let object = bookmark(&self.call, self.cursor, false);
                    append(&mut text, "BOOKMARK", &Bytes::from(object.to_string()));
                    return Some(text.freeze());
                }
            }
        }
    }

    /// Events since the cursor, which moves on.
    fn pending(&mut self) -> Option<Bytes> {
        let server = Arc::clone(&self.server);
        let state = server.lock();
        let Some(changes) = state.store.changes_after(&self.call.resource.key(), self.cursor) else {
            self.ended = true;
            let gone = ApiError::expired(format!(
                "too old resource version: {} ({})",
                self.cursor, state.store.revision
            ));
            let mut text = BytesMut::new();
            append(&mut text, "ERROR", &Bytes::from(gone.status().to_string()));
            return Some(text.freeze());
        };
        self.cursor = self.cursor.max(state.store.revision);
        drop(state);
        let mut text = BytesMut::new();
        for change in &changes {
            self.append_change(&mut text, change);
        }
        (!text.is_empty()).then(|| text.freeze())
    }

    fn append_change(&self, text: &mut BytesMut, change: &Change) {
        let in_scope = self.call.namespace.is_empty() || change.key.0 == self.call.namespace;
        if !in_scope || self.call.name.as_deref().is_some_and(|name| name != change.key.1) {
            return;
        }
        let resource = &self.call.resource;
        let seen = |stored: &Option<Arc<Stored>>| {
            stored
                .as_ref()
                .filter(|stored| self.filter.matches(&stored.value))
                .cloned()
        };
        let encode = |stored: &Stored| view::encode(stored, resource, self.call.metadata_only);
        match (seen(&change.before), seen(&change.after)) {
            (None, Some(after)) => append(text, "ADDED", &encode(&after)),
            (Some(_), Some(after)) => append(text, "MODIFIED", &encode(&after)),
            (Some(before), None) => match &change.removed {
                Some(removed) => append(text, "DELETED", &encode(removed)),
                // It left the selection: its last selected state, at the revision of the change.
                None => {
                    let left = before.at(change.revision);
                    append(text, "DELETED", &encode(&left));
                }
            },
            (None, None) => {}
        }
    }
}
