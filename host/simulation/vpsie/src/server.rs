//! The server: lets requests in, applies faults, keeps the journal, and moves machines along when their
//! time comes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::Now;
use crate::api::{self, Done};
use crate::cloud::Cloud;
use crate::config::{Access, Config, Delays};
use crate::control;
use crate::fault::{Effect, Fault, Faults};
use crate::journal::{JournalEntry, without_secrets};
use crate::reply::{Reply, gateway_page, written};
use crate::token::Issued;
use crate::vm::{Inventory, VmEvent, VmInfo};

/// Largest body taken, in bytes.
const BODY_LIMIT: usize = 1 << 20;

/// The connection broke instead of bringing a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Whether the request had reached the server.
    pub reached: bool,
}

/// A fake VPSie. Make one with [`FakeVpsie::new`]; calls need a tokio runtime.
pub struct FakeVpsie {
    now: Now,
    inner: Mutex<Inner>,
}

struct Inner {
    cloud: Cloud,
    issued: Issued,
    faults: Faults,
    down: bool,
    journal: Vec<JournalEntry>,
    subscribers: Vec<UnboundedSender<VmEvent>>,
    // The last reply per path, for lists that lag behind.
    answered: BTreeMap<String, Reply>,
}

impl Inner {
    fn publish(&mut self, event: &VmEvent) {
        tracing::debug!(vm = event.vm().hostname, state = ?event.vm().state, "machine changed");
        self.subscribers
            .retain(|subscriber| subscriber.send(event.clone()).is_ok());
    }
}

/// Everything of a request that matters here.
struct Call<'a> {
    method: &'a str,
    path: &'a str,
    headers: &'a HeaderMap,
    body: Value,
}

impl FakeVpsie {
    /// A server with what `config` describes.
    pub fn new(config: Config, now: Now) -> Arc<Self> {
        let cloud = Cloud::new(config, now());
        Arc::new(Self {
            now,
            inner: Mutex::new(Inner {
                cloud,
                issued: Issued::default(),
                faults: Faults::default(),
                down: false,
                journal: Vec::new(),
                subscribers: Vec::new(),
                answered: BTreeMap::new(),
            }),
        })
    }

    /// Events of machines from now on, in order, none lost.
    pub fn subscribe(&self) -> UnboundedReceiver<VmEvent> {
        let (sender, receiver) = unbounded_channel();
        self.inner.lock().subscribers.push(sender);
        receiver
    }

    /// What there is and what it costs.
    pub fn inventory(&self) -> Inventory {
        self.inner.lock().cloud.inventory((self.now)())
    }

    /// Every node of managed clusters that exists, by id.
    pub fn vms(&self) -> Vec<VmInfo> {
        self.inner.lock().cloud.vms().cloned().collect()
    }

    /// Names of the groups of managed clusters, by number.
    pub fn groups(&self) -> BTreeMap<i64, String> {
        let inner = self.inner.lock();
        let named = inner.cloud.groups.values();
        named.map(|group| (group.number, group.name.clone())).collect()
    }

    /// Every request so far.
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.inner.lock().journal.clone()
    }

    /// How many requests of a method with `path` in their path were carried out.
    pub fn applied(&self, method: &str, path: &str) -> usize {
        let inner = self.inner.lock();
        let fits =
            |entry: &&JournalEntry| entry.applied && entry.method == method && entry.path.contains(path);
        inner.journal.iter().filter(fits).count()
    }

    /// Adds a fault behind those that are there.
    pub fn inject(&self, fault: Fault) {
        self.inner.lock().faults.inject(fault);
    }

    /// The faults that still wait for requests.
    pub fn faults(&self) -> Vec<Fault> {
        self.inner.lock().faults.all().to_vec()
    }

    /// Takes every fault away.
    pub fn clear_faults(&self) {
        self.inner.lock().faults.clear();
    }

    /// Switches the whole API off or on. Machines live on.
    pub fn set_down(&self, down: bool) {
        self.inner.lock().down = down;
    }

    /// Whether the API is off.
    pub fn is_down(&self) -> bool {
        self.inner.lock().down
    }

    /// Replaces who may call; tokens already given out stay good.
    pub fn set_access(&self, access: Access) {
        self.inner.lock().cloud.config.access = access;
    }

    /// Ends every token given out.
    pub fn revoke_tokens(&self) {
        self.inner.lock().issued.revoke_all();
    }

    /// Changes the number of workers that a cluster may have.
    pub fn set_worker_limit(&self, limit: Option<u32>) {
        self.inner.lock().cloud.config.worker_limit = limit;
    }

    /// Changes the number of plain VMs that the account may have.
    pub fn set_vm_limit(&self, limit: Option<u32>) {
        self.inner.lock().cloud.config.plain.limit = limit;
    }

    /// Changes the account's password, which removing a VM takes.
    pub fn set_account_password(&self, password: Option<String>) {
        self.inner.lock().cloud.config.plain.account_password = password;
    }

    /// Changes how long things take from now on.
    pub fn set_delays(&self, delays: Delays) {
        self.inner.lock().cloud.config.delays = delays;
    }

    /// The configuration as it is now.
    pub fn config(&self) -> Config {
        self.inner.lock().cloud.config.clone()
    }

    /// A router that serves every path, over any number of connections.
    pub fn router(self: &Arc<Self>) -> Router {
        let fake = Arc::clone(self);
        Router::new().fallback(move |request: axum::extract::Request| {
            let fake = Arc::clone(&fake);
            async move {
                let (parts, body) = request.into_parts();
                let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
                    return Reply::error(413, "Payload too large")
                        .write()
                        .map(axum::body::Body::from);
                };
                match fake.call(Request::from_parts(parts, body)).await {
                    Ok(response) => response.map(axum::body::Body::from),
                    Err(Dropped { .. }) => broken(),
                }
            }
        })
    }

    /// Serves over a socket until the listener fails.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> std::io::Result<()> {
        axum::serve(listener, self.router()).await
    }

    /// Answers one request in process.
    pub async fn call(self: &Arc<Self>, request: Request<Bytes>) -> Result<Response<Bytes>, Dropped> {
        let (parts, body) = request.into_parts();
        let method = parts.method.as_str();
        let path = parts.uri.path();
        let body = read_body(&parts.headers, &body);
        if let Some(rest) = path.strip_prefix("/_fake") {
            return Ok(control::answer(self, method, rest, body));
        }
        let Some(path) = api::without_prefix(path) else {
            return Ok(Reply::error(404, "Not found").write());
        };
        let call = Call {
            method,
            path,
            headers: &parts.headers,
            body,
        };
        let at = (self.now)();
        let reply_delay = self.inner.lock().cloud.config.delays.reply;
        if reply_delay > Duration::ZERO {
            tokio::time::sleep(reply_delay).await;
        }
        let (answer, applied) = self.answer(&call).await;
        let entry = JournalEntry {
            at,
            method: call.method.to_owned(),
            path: call.path.to_owned(),
            body: without_secrets(&call.body),
            status: answer.as_ref().ok().map(|response| response.status().as_u16()),
            applied,
        };
        self.inner.lock().journal.push(entry);
        answer
    }

    /// The answer, and whether the request was carried out.
    async fn answer(self: &Arc<Self>, call: &Call<'_>) -> (Result<Response<Bytes>, Dropped>, bool) {
        let effects = {
            let mut inner = self.inner.lock();
            if inner.down {
                return (Err(Dropped { reached: false }), false);
            }
            inner.faults.take(call.method, call.path)
        };
        let mut fault = None;
        for effect in effects {
            match effect {
                Effect::Delay { duration } => tokio::time::sleep(duration).await,
                other => fault = Some(other),
            }
        }
        let refuse = |reply: Reply| (Ok(reply.write()), false);
        match &fault {
            Some(Effect::DropBefore) => return (Err(Dropped { reached: true }), false),
            Some(Effect::Status { status, message }) => return refuse(Reply::error(*status, message)),
            Some(Effect::ErrorInOk { message }) => {
                return refuse(Reply {
                    status: 200,
                    ..Reply::error(500, message)
                });
            }
            Some(Effect::HtmlPage { status }) => return (Ok(gateway_page(*status)), false),
            Some(Effect::RateLimited { retry_after }) => {
                return refuse(Reply {
                    retry_after: *retry_after,
                    ..Reply::error(429, "Too many requests")
                });
            }
            _ => {}
        }
        if fault == Some(Effect::Duplicate) {
            self.apply(call, fault.as_ref());
        }
        let previous = self.inner.lock().answered.get(call.path).cloned();
        let reply = self.apply(call, fault.as_ref());
        let applied = reply.status == 200 && reply.body.get("error") != Some(&Value::Bool(true));
        let answer = match fault {
            Some(Effect::DropAfterApply) => Err(Dropped { reached: true }),
            Some(Effect::StatusAfterApply { status, message }) => Ok(Reply::error(status, &message).write()),
            Some(Effect::TruncatedJson) => {
                let whole = reply.body.to_string();
                let half = whole.get(..whole.len() / 2).unwrap_or("{").to_owned();
                Ok(written(reply.status, "application/json", Bytes::from(half)))
            }
            Some(Effect::Stale) => Ok(previous.unwrap_or(reply).write()),
            _ => Ok(reply.write()),
        };
        (answer, applied)
    }

    /// Carries a request out and starts what it brings about.
    fn apply(self: &Arc<Self>, call: &Call<'_>, fault: Option<&Effect>) -> Reply {
        let now = (self.now)();
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let shape = inner.cloud.config.shape;
        if call.path == "/auth/from/api" && call.method == "POST" {
            let token = format!("token-{}", inner.cloud.uuid());
            let reply = inner
                .issued
                .exchange(&inner.cloud.config.access, &call.body, token, now);
            let refused = || Reply::error(401, "The API client is not valid").hidden_in_ok(&shape);
            return reply.map_or_else(refused, Reply::plain);
        }
        if !inner.issued.admits(&inner.cloud.config.access, call.headers, now) {
            return Reply::error(401, "Please authenticate").hidden_in_ok(&shape);
        }
        let Done { reply, events } =
            api::carry_out(&mut inner.cloud, call.method, call.path, &call.body, now);
        for event in &events {
            inner.publish(event);
            match event {
                VmEvent::Accepted(vm) => self.raise(inner, vm.id, fault),
                VmEvent::Deleting(vm) => self.take_down(inner, vm.id),
                VmEvent::Listed(_) | VmEvent::Booted(_) | VmEvent::Removed(_) => {}
            }
        }
        let reply = reply.hidden_in_ok(&shape);
        inner.answered.insert(call.path.to_owned(), reply.clone());
        reply
    }

    /// Lets an ordered machine appear and run in its time.
    fn raise(self: &Arc<Self>, inner: &mut Inner, id: i64, fault: Option<&Effect>) {
        let delays = inner.cloud.config.delays;
        let join = delays.join + delays.join_spread.mul_f64(inner.cloud.fraction());
        let joins = fault != Some(&Effect::NeverJoins) && inner.cloud.may_join(id);
        if fault == Some(&Effect::NeverListed) {
            inner.cloud.not_pending(id);
            return;
        }
        let fake = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(delays.appear).await;
            fake.inner.lock().cloud.not_pending(id);
            if delays.gap > Duration::ZERO {
                tokio::time::sleep(delays.gap).await;
            }
            if !fake.advance(|cloud| cloud.list(id)) || !joins {
                return;
            }
            tokio::time::sleep(join).await;
            fake.advance(|cloud| cloud.boot(id));
        });
    }

    fn take_down(self: &Arc<Self>, inner: &Inner, id: i64) {
        let delay = inner.cloud.config.delays.delete;
        let fake = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let now = (fake.now)();
            fake.advance(|cloud| cloud.vanish(id, now));
        });
    }

    fn advance(&self, step: impl FnOnce(&mut Cloud) -> Option<VmEvent>) -> bool {
        let mut inner = self.inner.lock();
        let event = step(&mut inner.cloud);
        if let Some(event) = &event {
            inner.publish(event);
        }
        event.is_some()
    }
}

/// Reads JSON and forms alike; what is neither is no body.
fn read_body(headers: &HeaderMap, body: &Bytes) -> Value {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if kind.starts_with("application/x-www-form-urlencoded") {
        let uri = http::Uri::builder()
            .path_and_query(format!("/?{}", String::from_utf8_lossy(body)))
            .build();
        let fields: Option<axum::extract::Query<BTreeMap<String, String>>> = uri
            .ok()
            .and_then(|uri| axum::extract::Query::try_from_uri(&uri).ok());
        return fields.map_or(Value::Null, |fields| {
            fields
                .0
                .into_iter()
                .map(|(name, value)| (name, Value::from(value)))
                .collect()
        });
    }
    serde_json::from_slice(body).unwrap_or(Value::Null)
}

/// A response whose body fails at once: the connection closes before a byte of it is sent.
fn broken() -> Response<axum::body::Body> {
    let failure = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "dropped on purpose");
    Response::new(axum::body::Body::from_stream(futures::stream::iter([Err::<
        Bytes,
        _,
    >(
        failure
    )])))
}
