//! The only way that a process has out into its world. Requests can fail on it, and it can close for good: to the
//! world, a process whose gate closed between two requests is one that was killed there.

use super::fate::{self, Dice};
use super::snare::{Hit, Snares};
use crate::InProcess;
use async_trait::async_trait;
use bytes::Bytes;
use fake_vpsie::{FakeVpsie, Fault};
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::json;
use simulated_kubernetes::{ApiServer, ApiService};
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use vpsie_client::{Transport, TransportError};

/// Where a process is to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// After so many more requests that change something.
    pub after: u32,
    /// Whether the last of them is carried out.
    pub applied: bool,
}

/// See the module's text.
pub(super) struct Gate {
    state: Mutex<State>,
    calm: Arc<AtomicBool>,
    snares: Arc<Snares>,
    dead: CancellationToken,
}

struct State {
    dice: Dice,
    death: Option<Death>,
    closed_until: Option<Instant>,
}

/// What the gate does with a request that changes something.
enum Passage {
    Through,
    /// Carried out, and then the process is no more.
    Last,
}

impl Gate {
    pub(super) fn new(dice: Dice, calm: Arc<AtomicBool>, snares: Arc<Snares>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                dice,
                death: None,
                closed_until: None,
            }),
            calm,
            snares,
            dead: CancellationToken::new(),
        })
    }

    /// A client of Kubernetes through this gate.
    pub(super) fn kubernetes(self: &Arc<Self>, server: &Arc<ApiServer>) -> kube::Client {
        let service = Gated {
            gate: self.clone(),
            server: server.service(),
        };
        kube::Client::new(service, "default")
    }

    /// A way to VPSie through this gate.
    pub(super) fn vpsie(self: &Arc<Self>, cloud: &Arc<FakeVpsie>) -> Arc<dyn Transport> {
        Arc::new(ToVpsie {
            gate: self.clone(),
            cloud: cloud.clone(),
        })
    }

    /// The process is to die at a request to come.
    pub(super) fn die_at(&self, death: Death) {
        self.state.lock().death = Some(death);
    }

    /// Nothing passes for a while, and what waits goes on afterwards: a process that was paused.
    pub(super) fn close_for(&self, time: Duration) {
        self.state.lock().closed_until = Some(Instant::now() + time);
    }

    /// Ends with the death of the process.
    pub(super) async fn died(&self) {
        self.dead.cancelled().await;
    }

    fn die(&self) {
        self.dead.cancel();
    }

    /// Waits until something may pass: for ever, if the process is dead.
    async fn open(&self) {
        loop {
            if self.dead.is_cancelled() {
                pending::<()>().await;
            }
            let until = self.state.lock().closed_until;
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => sleep_until(until).await,
                None => return,
            }
        }
    }

    /// What a test has prepared for this request, as far as it happens before the request is carried out.
    async fn snared(&self, request: Request<Body>) -> (Request<Body>, Option<Hit>) {
        let (head, body) = request.into_parts();
        // What is in memory already cannot fail.
        let bytes = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => Bytes::new(),
        };
        let text = String::from_utf8_lossy(&bytes);
        let hit = self
            .snares
            .of_kubernetes(head.method.as_str(), head.uri.path(), &text);
        self.before(hit).await;
        (Request::from_parts(head, Body::from(bytes.to_vec())), hit)
    }

    async fn before(&self, hit: Option<Hit>) {
        match hit {
            Some(Hit::DiesBefore) => {
                self.die();
                pending().await
            }
            Some(Hit::Paused(time)) => {
                self.close_for(time);
                self.open().await;
            }
            Some(Hit::Late(time)) => sleep(time).await,
            Some(Hit::Held) => self.snares.wait_for_release().await,
            _ => {}
        }
    }

    fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    /// Lets a request through that changes something, or ends the process right before it.
    async fn pass(&self) -> Passage {
        let dies = {
            let mut state = self.state.lock();
            match state.death.as_mut() {
                Some(death) if death.after > 0 => {
                    death.after -= 1;
                    None
                }
                death => death.map(|death| death.applied),
            }
        };
        match dies {
            None => Passage::Through,
            Some(true) => Passage::Last,
            Some(false) => {
                self.die();
                pending().await
            }
        }
    }
}

/// Kubernetes behind a gate.
#[derive(Clone)]
struct Gated {
    gate: Arc<Gate>,
    server: ApiService,
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

impl tower::Service<Request<Body>> for Gated {
    type Response = Answer;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { gate, mut server } = self.clone();
        Box::pin(async move {
            gate.open().await;
            let (request, hit) = gate.snared(request).await;
            if let Some(Hit::Refused(code, _)) = hit {
                return Ok(refused(code));
            }
            let path = request.uri().path();
            // Renewals of the Lease and events are no steps of the work: nothing depends on a death there, and
            // they would use up the count.
            let aside = path.contains("/leases") || path.contains("/events");
            let changes = request.method() != Method::GET && !aside;
            let fate = if gate.is_calm() || aside {
                None
            } else {
                let creates = request.method() == Method::POST;
                fate::of_kubernetes(&mut gate.state.lock().dice, changes, creates)
            };
            let mut lost = false;
            match fate {
                Some(fate::Kubernetes::Refused(code)) => return Ok(refused(code)),
                Some(fate::Kubernetes::Late(time)) => {
                    sleep(time).await;
                    gate.open().await;
                }
                Some(fate::Kubernetes::AnswerLost) => lost = true,
                None => {}
            }
            let passage = if changes {
                gate.pass().await
            } else {
                Passage::Through
            };
            let answer = server.call(request).await;
            if matches!(passage, Passage::Last) || hit == Some(Hit::DiesAfter) {
                gate.die();
            }
            gate.open().await;
            if lost || hit == Some(Hit::AnswerLost) {
                Ok(refused(504))
            } else {
                answer
            }
        })
    }
}

fn refused(code: u16) -> Answer {
    let reason = match code {
        409 => "Conflict",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "the storm", "reason": reason, "code": code,
    });
    let mut answer = Response::new(Full::new(Bytes::from(status.to_string())).boxed_unsync());
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
}

/// VPSie behind a gate.
struct ToVpsie {
    gate: Arc<Gate>,
    cloud: Arc<FakeVpsie>,
}

#[async_trait]
impl Transport for ToVpsie {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let gate = &self.gate;
        gate.open().await;
        let path = request.uri().path().to_owned();
        let hit = gate.snares.of_vpsie(request.method().as_str(), &path);
        gate.before(hit).await;
        if let Some(Hit::Refused(..)) = hit {
            return Err(TransportError::new("the snare", false, false));
        }
        // Asking for offers or plans is a POST that changes nothing.
        let changes =
            request.method() != Method::GET && !path.ends_with("/offers") && !path.ends_with("/resources");
        if !gate.is_calm() {
            let orders = path.contains("/add/slave") || (changes && path.ends_with("/vm"));
            let effect = fate::of_vpsie(&mut gate.state.lock().dice, changes, orders);
            if let Some(effect) = effect {
                // The prefix is the version's; faults are told by what follows it.
                let route = path.splitn(4, '/').last().unwrap_or_default();
                let mut fault = Fault::once(route, effect);
                fault.method = Some(request.method().to_string());
                self.cloud.inject(fault);
            }
        }
        let passage = if changes {
            gate.pass().await
        } else {
            Passage::Through
        };
        let answer = InProcess(self.cloud.clone()).send(request).await;
        if matches!(passage, Passage::Last) || hit == Some(Hit::DiesAfter) {
            gate.die();
        }
        gate.open().await;
        if hit == Some(Hit::AnswerLost) {
            return Err(TransportError::new("the snare", true, true));
        }
        answer
    }
}
