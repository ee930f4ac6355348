//! A very small API server for this crate's unit tests: objects by resource, namespace and name, with
//! conflicts, status writes, merge patches, finalizers and evictions. No watches, no schemas: the
//! controllers as a whole are tested on the in-memory Kubernetes and on the real one.

use crate::context::Now;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::Instant;

type Key = (String, String, String);

#[derive(Clone, Default)]
pub(crate) struct FakeApi(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Value>,
    version: u64,
    failure: Option<u16>,
    /// Writes that still work; the process dies after them.
    writes_left: Option<usize>,
    blocked: BTreeMap<String, String>,
    writes: Vec<String>,
    stuck: BTreeSet<String>,
}

/// An answer that is no object.
struct Refusal(u16, &'static str, String);

impl FakeApi {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn client(&self) -> kube::Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move {
                let (head, body) = request.into_parts();
                let bytes = body.collect().await.map_err(tower::BoxError::from)?.to_bytes();
                let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
                let (status, answer) = match api.answer(&head.method, head.uri.path(), body) {
                    Ok(object) => (200, object),
                    Err(Refusal(code, reason, message)) => (
                        code,
                        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                               "reason": reason, "message": message}),
                    ),
                };
                let body = Body::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, tower::BoxError>(Response::builder().status(status).body(body).unwrap())
            }
        });
        kube::Client::new(service, "default")
    }

    /// A wall clock that follows tokio's.
    pub(crate) fn now(&self) -> Now {
        let begin = Instant::now();
        Arc::new(move || {
            let epoch = jiff::Timestamp::from_second(1_800_000_000).unwrap();
            epoch + jiff::SignedDuration::try_from(begin.elapsed()).unwrap()
        })
    }

    /// Every request fails with this status.
    pub(crate) fn fail_with(&self, status: Option<u16>) {
        let mut state = self.0.lock();
        state.failure = status;
        state.writes_left = None;
    }

    /// After `writes` more writes every request fails, until [`FakeApi::fail_with`] says otherwise.
    pub(crate) fn fail_after(&self, writes: usize) {
        self.0.lock().writes_left = Some(writes);
    }

    /// Evictions of this pod are refused in the name of a PodDisruptionBudget, or no longer.
    pub(crate) fn block(&self, pod: &str, budget: Option<&str>) {
        let mut state = self.0.lock();
        match budget {
            Some(budget) => state.blocked.insert(pod.to_owned(), budget.to_owned()),
            None => state.blocked.remove(pod),
        };
    }

    /// The pod stays after its eviction, as with a long grace period.
    pub(crate) fn linger(&self, pod: &str) {
        self.0.lock().stuck.insert(pod.to_owned());
    }

    pub(crate) fn put(&self, resource: &str, object: Value) {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let key = (resource.to_owned(), text("namespace"), text("name"));
        self.0.lock().store(key, object);
    }

    pub(crate) fn remove(&self, resource: &str, name: &str) {
        self.0
            .lock()
            .objects
            .retain(|key, _| key.0 != resource || key.2 != name);
    }

    pub(crate) fn object(&self, resource: &str, name: &str) -> Option<Value> {
        let state = self.0.lock();
        state
            .objects
            .iter()
            .find(|(key, _)| key.0 == resource && key.2 == name)
            .map(|(_, value)| value.clone())
    }

    pub(crate) fn objects(&self, resource: &str) -> Vec<Value> {
        let state = self.0.lock();
        state
            .objects
            .iter()
            .filter(|(key, _)| key.0 == resource)
            .map(|(_, value)| value.clone())
            .collect()
    }

    pub(crate) fn edit(&self, resource: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.0.lock();
        let key = state
            .objects
            .keys()
            .find(|key| key.0 == resource && key.2 == name)
            .unwrap()
            .clone();
        let mut object = state.objects[&key].clone();
        change(&mut object);
        state.store(key, object);
    }

    /// Every request that changed something, as `METHOD resource/name[/subresource]`.
    pub(crate) fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().writes)
    }

    fn answer(&self, method: &Method, path: &str, body: Value) -> Result<Value, Refusal> {
        let mut state = self.0.lock();
        if let Some(code) = state.failure {
            return Err(Refusal(code, "Failure", "out of order".to_owned()));
        }
        let (namespace, resource, name, sub) = parts(path);
        if state.writes_left == Some(0) {
            return Err(Refusal(500, "Failure", "out of order".to_owned()));
        }
        if method != Method::GET {
            state.writes_left = state.writes_left.map(|left| left - 1);
            let names = [resource, name, sub]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>();
            state.writes.push(format!("{method} {}", names.join("/")));
        }
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        match (method.as_str(), name, sub) {
            ("GET", "", _) => {
                let items: Vec<&Value> = state
                    .objects
                    .iter()
                    .filter(|(key, _)| key.0 == resource && (namespace.is_empty() || key.1 == namespace))
                    .map(|(_, value)| value)
                    .collect();
                Ok(json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}))
            }
            ("POST", _, "eviction") => state.evict(&key),
            ("POST", ..) => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let key = (key.0, key.1, name);
                if state.objects.contains_key(&key) {
                    return Err(Refusal(409, "AlreadyExists", "there is one".to_owned()));
                }
                Ok(state.store(key, body))
            }
            _ => {
                let Some(present) = state.objects.get(&key).cloned() else {
                    return Err(Refusal(404, "NotFound", format!("{resource} {name:?} not found")));
                };
                match method.as_str() {
                    "GET" => Ok(present),
                    "DELETE" => Ok(state.delete(&key, present)),
                    _ => state.change(method, key, sub, present, body),
                }
            }
        }
    }
}

impl State {
    fn store(&mut self, key: Key, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = format!("uid-{}-{}", key.0, key.2).into();
        }
        if !object["metadata"]["namespace"].is_string() && !key.1.is_empty() {
            object["metadata"]["namespace"] = key.1.clone().into();
        }
        let leaves = !object["metadata"]["deletionTimestamp"].is_null()
            && object["metadata"]["finalizers"]
                .as_array()
                .is_none_or(Vec::is_empty);
        if leaves {
            self.objects.remove(&key);
        } else {
            self.objects.insert(key, object.clone());
        }
        object
    }

    fn delete(&mut self, key: &Key, mut object: Value) -> Value {
        object["metadata"]["deletionTimestamp"] = "2027-01-15T08:00:00Z".into();
        self.store(key.clone(), object)
    }

    fn change(
        &mut self,
        method: &Method,
        key: Key,
        sub: &str,
        present: Value,
        body: Value,
    ) -> Result<Value, Refusal> {
        let sent = &body["metadata"]["resourceVersion"];
        if sent.is_string() && *sent != present["metadata"]["resourceVersion"] {
            return Err(Refusal(
                409,
                "Conflict",
                "the object has been modified".to_owned(),
            ));
        }
        let mut next = if method == Method::PUT {
            body
        } else {
            let mut next = present.clone();
            merge(&mut next, &body);
            next
        };
        if sub == "status" {
            let status = next["status"].take();
            next = present;
            next["status"] = status;
        }
        Ok(self.store(key, next))
    }

    fn evict(&mut self, key: &Key) -> Result<Value, Refusal> {
        if let Some(budget) = self.blocked.get(&key.2) {
            let message = format!(
                "Cannot evict pod as it would violate the pod's disruption budget. The disruption budget {budget} needs 1 healthy pods"
            );
            return Err(Refusal(429, "TooManyRequests", message));
        }
        if self.stuck.contains(&key.2) {
            return Ok(json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}));
        }
        match self.objects.remove(key) {
            Some(_) => Ok(json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})),
            None => Err(Refusal(404, "NotFound", "no such pod".to_owned())),
        }
    }
}

/// Namespace, resource, name and subresource of a path.
fn parts(path: &str) -> (&str, &str, &str, &str) {
    let mut parts = path
        .trim_start_matches('/')
        .split('/')
        .skip(if path.starts_with("/api/") { 2 } else { 3 });
    let mut first = parts.next().unwrap_or_default();
    let mut namespace = "";
    if first == "namespaces" {
        namespace = parts.next().unwrap_or_default();
        first = parts.next().unwrap_or_default();
    }
    (
        namespace,
        first,
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    )
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name.as_str()], value);
        }
    }
}

/// A VPSie client whose every request fails: the unit tests of this crate never get as far as VPSie.
pub(crate) fn unreachable_vpsie() -> vpsie_client::Client {
    struct Nowhere;

    #[async_trait::async_trait]
    impl vpsie_client::Transport for Nowhere {
        async fn send(
            &self,
            _: Request<bytes::Bytes>,
        ) -> Result<Response<bytes::Bytes>, vpsie_client::TransportError> {
            panic!("no test of this crate asks VPSie");
        }
    }

    let now = Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
    vpsie_client::Client::new(
        vpsie_client::Settings::default(),
        Arc::new(Nowhere),
        now,
        Arc::new(vpsie_client::Silent),
    )
    .expect("default settings are valid")
}
