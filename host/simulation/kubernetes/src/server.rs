//! The server itself: requests in, answers out, one lock, no threads and no clock of its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use jiff::Timestamp;
use kube::client::Body;
use parking_lot::{Mutex, MutexGuard};

use crate::call::{Call, Query, Target, header, manager};
use crate::error::ApiError;
use crate::faults::{Effect, Fault};
use crate::pulse::{Listener, Pulse, Pulses};
use crate::state::State;
use crate::{discovery, dispatch, watch as watching};

/// Supplies the time: the wall clock in a demonstration, a virtual one in tests.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// An API server in memory.
///
/// Given the same seed, clock and sequence of requests, it answers with the same bytes.
pub struct ApiServer {
    state: Mutex<State>,
    pulse: Arc<Pulses>,
    now: Now,
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer")
            .field("pulse", &self.pulse.now())
            .finish()
    }
}

/// The body of every answer.
pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// What a handler decided; how it becomes bytes is the server's business.
pub(crate) enum Reply {
    /// A complete object.
    Object(StatusCode, Bytes),
    /// The stream of a watch.
    Watch,
}

impl ApiServer {
    /// An empty cluster with the usual four namespaces. `seed` decides uids and generated names.
    pub fn new(now: Now, seed: u64) -> Arc<Self> {
        let mut state = State::new(seed);
        state.bootstrap(&timestamp(now()));
        let revision = state.store.revision;
        Arc::new(Self {
            state: Mutex::new(state),
            pulse: Pulses::new(Pulse { revision, epoch: 0 }),
            now,
        })
    }

    /// A client of this server, with default namespace `default`. Needs a running tokio runtime.
    pub fn client(self: &Arc<Self>) -> kube::Client {
        kube::Client::new(self.service(), "default")
    }

    /// The server as a tower service, for callers who put layers around it.
    pub fn service(self: &Arc<Self>) -> ApiService {
        ApiService(Arc::clone(self))
    }

    /// Makes coming requests fail.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.add(fault);
    }

    /// Ends every open watch, as a restart of the server does.
    pub fn drop_watches(&self) {
        self.pulse.change(|pulse| pulse.epoch += 1);
    }

    /// Forgets the history: watches that resume from before now get 410 Gone.
    pub fn compact(&self) {
        self.lock().store.compact();
        self.drop_watches();
    }

    /// The current revision of the whole store.
    pub fn revision(&self) -> u64 {
        self.lock().store.revision
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn subscribe(&self) -> Listener {
        self.pulse.listen()
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// Runs `change` under the lock and wakes whoever waits for what it wrote.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State, Timestamp) -> T) -> T {
        let now = self.now();
        let mut state = self.lock();
        let before = state.store.revision;
        let result = change(&mut state, now);
        let revision = state.store.revision;
        drop(state);
        if revision != before {
            self.pulse.change(|pulse| pulse.revision = revision);
        }
        result
    }

    async fn answer(self: Arc<Self>, request: Request<Body>) -> Answer {
        let (parts, body) = request.into_parts();
        let body = match body.collect_bytes().await {
            Ok(body) => body,
            Err(error) => return refuse(&ApiError::bad_request(error.to_string())),
        };
        let call = match self.understand(&parts, body) {
            Ok(Understood::Call(call)) => call,
            Ok(Understood::Text(status, text)) => return complete(status, text),
            Err(error) => return refuse(&error),
        };
        let label = match &call.subresource {
            Some(subresource) => format!("{}/{subresource}", call.resource.plural),
            None => call.resource.plural.clone(),
        };
        tracing::trace!(verb = ?call.verb, resource = label, namespace = call.namespace, name = call.name(), "request");
        let fault = self.lock().faults.take(call.verb, &label);
        let mut lost = false;
        match fault {
            Some(Effect::Fail(code)) => return refuse(&injected(code)),
            Some(Effect::LoseAnswer) => lost = true,
            Some(Effect::Delay(time)) => tokio::time::sleep(time).await,
            None => {}
        }
        let result = self.change(|state, now| dispatch::run(state, &call, now));
        match result {
            _ if lost => refuse(&injected(504)),
            Ok(Reply::Object(status, text)) => complete(status, text),
            Ok(Reply::Watch) => {
                let state = self.lock();
                match watching::body(&self, &state, call) {
                    Ok(stream) => respond(StatusCode::OK, stream.boxed_unsync()),
                    Err(error) => refuse(&error),
                }
            }
            Err(error) => refuse(&error),
        }
    }

    fn understand(&self, parts: &Parts, body: Bytes) -> Result<Understood, ApiError> {
        let state = self.lock();
        let (group, version, namespace, plural, name, subresource) = match Target::parse(parts.uri.path()) {
            Target::Other(path) => {
                return discovery::answer(&state, &path)
                    .map(|text| Understood::Text(StatusCode::OK, text))
                    .ok_or_else(ApiError::no_such_path);
            }
            Target::Resource {
                group,
                version,
                namespace,
                plural,
                name,
                subresource,
            } => (group, version, namespace, plural, name, subresource),
        };
        let resource = state
            .resource(&group, &version, &plural)
            .ok_or_else(ApiError::no_such_path)?;
        if let Some(subresource) = &subresource
            && !resource.subresources().contains(&subresource.as_str())
        {
            return Err(ApiError::no_such_path());
        }
        if !resource.namespaced && !namespace.is_empty()
            || resource.namespaced && namespace.is_empty() && name.is_some()
        {
            return Err(ApiError::no_such_path());
        }
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let verb = Call::verb(&parts.method, name.is_some(), &query)
            .ok_or_else(|| ApiError::method_not_allowed(&resource))?;
        let accept = header(parts, &http::header::ACCEPT);
        Ok(Understood::Call(Call {
            verb,
            resource,
            namespace,
            name,
            subresource,
            manager: manager(parts, &query),
            query,
            content_type: header(parts, &http::header::CONTENT_TYPE),
            body,
            metadata_only: accept.contains("as=PartialObjectMetadata"),
        }))
    }
}

enum Understood {
    Call(Call),
    Text(StatusCode, Bytes),
}

fn injected(code: u16) -> ApiError {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let reason = match code {
        409 => "Conflict",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        403 => "Forbidden",
        _ => "InternalError",
    };
    ApiError::new(status, reason, format!("injected fault: {code}"))
}

/// A moment in the form that objects carry: whole seconds, UTC.
pub(crate) fn timestamp(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn respond(status: StatusCode, body: UnsyncBoxBody<Bytes, Infallible>) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}

fn complete(status: StatusCode, text: Bytes) -> Answer {
    respond(status, Full::new(text).boxed_unsync())
}

fn refuse(error: &ApiError) -> Answer {
    let mut response = complete(error.code, Bytes::from(error.status().to_string()));
    if let Some(seconds) = error.details.as_ref().map(|d| d.retry_after_seconds)
        && seconds > 0
    {
        response
            .headers_mut()
            .insert(http::header::RETRY_AFTER, http::HeaderValue::from(seconds));
    }
    response
}

/// The server as `kube::Client` sees it.
#[derive(Clone, Debug)]
pub struct ApiService(Arc<ApiServer>);

impl tower::Service<Request<Body>> for ApiService {
    type Response = Answer;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = Arc::clone(&self.0);
        async move { Ok(server.answer(request).await) }.boxed()
    }
}
