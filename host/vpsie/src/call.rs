//! The way that every call goes: breaker, token, rate limit, breaker again, transport, reading, bookkeeping.
//!
//! Reads try again by themselves; a request that changes something is sent once and its fate reported.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::Instant;

use crate::Now;
use crate::auth::Authenticator;
use crate::breaker::{Admission, Breaker, BreakerState, Outcome, Permit, Transition};
use crate::classify::unanswered;
use crate::decode::{DecodeError, Envelope};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::observe::Observer;
use crate::rate_limit::RateLimiter;
use crate::settings::{Base, Settings};
use crate::transport::{Transport, TransportError};

/// Waited after a 429 that does not say how long.
const PAUSE_WHEN_LIMITED: Duration = Duration::from_secs(1);
/// A server that asks for more is asked again after this.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What clones of a client share.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) base: RwLock<Base>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) now: Now,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) auth: Authenticator,
    pub(crate) breaker: Mutex<Breaker>,
    pub(crate) limiter: RateLimiter,
    // The breaker's zero: it wants a time that only goes forward.
    pub(crate) started: Instant,
}

/// What one sending is made of.
pub(crate) struct Sending<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) path: &'a str,
    pub(crate) body: Bytes,
    pub(crate) content_type: &'static str,
    pub(crate) token: Option<&'a SecretString>,
    pub(crate) attempt: u32,
}

impl Inner {
    pub(crate) fn new(
        settings: Settings,
        transport: Arc<dyn Transport>,
        now: Now,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, Error> {
        Ok(Self {
            base: RwLock::new(settings.base()?),
            transport,
            now,
            observer,
            auth: Authenticator::new(),
            breaker: Mutex::new(Breaker::new(settings.breaker.clone())),
            limiter: RateLimiter::new(settings.requests_per_minute, settings.burst),
            started: Instant::now(),
            settings,
        })
    }

    pub(crate) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call with everything around it; the reply is a success.
    pub(crate) async fn call(
        &self,
        endpoint: &Endpoint,
        path: &str,
        body: Option<Value>,
    ) -> Result<Envelope, Error> {
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let attempts = if endpoint.mutating {
            1
        } else {
            self.settings.read_attempts.max(1)
        };
        let mut pause = self.settings.read_backoff;
        let mut attempt = 1;
        loop {
            match self.attempt(endpoint, path, &body, attempt).await {
                Err(Error::Transient { .. } | Error::Decode { .. }) if attempt < attempts => {
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2);
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// One attempt, or two where the first ends with a token that VPSie no longer takes: such a request
    /// has done nothing, so this holds for changes too.
    async fn attempt(
        &self,
        endpoint: &Endpoint,
        path: &str,
        body: &Bytes,
        attempt: u32,
    ) -> Result<Envelope, Error> {
        let mut grant = self.authorise(endpoint).await?;
        let mut first = true;
        loop {
            let sending = Sending {
                endpoint,
                path,
                body: body.clone(),
                content_type: "application/json",
                token: Some(&grant.token),
                attempt,
            };
            let result = self.send(sending).await;
            match &result {
                Err(error @ Error::Unauthorized { .. }) => {
                    let another = self.watch_credentials(|auth| auth.refused(&grant, error, !first));
                    if !(first && another) {
                        return result;
                    }
                }
                // Only an answer of the API itself shows that the token is good.
                Ok(_) | Err(Error::LimitReached { .. } | Error::Conflict { .. }) => {
                    self.watch_credentials(|auth| auth.accepted(&grant));
                    return result;
                }
                Err(_) => return result,
            }
            first = false;
            grant = self.authorise(endpoint).await?;
        }
    }

    pub(crate) fn check_breaker(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let refuses_for = self.breaker().refuses_for(self.started.elapsed());
        refuses_for.map_or(Ok(()), |retry_in| Err(self.circuit_open(endpoint, retry_in)))
    }

    pub(crate) fn circuit_open(&self, endpoint: &Endpoint, retry_in: Duration) -> Error {
        tracing::warn!(call = endpoint.name, retry_in = ?retry_in, "VPSie call not sent: circuit breaker is open");
        let error = Error::CircuitOpen {
            doing: endpoint.doing,
            retry_in,
        };
        self.observer.error(endpoint.method_name(), error.error_type());
        error
    }

    /// Sends one request under rate limit, breaker and deadline, and reads its reply.
    pub(crate) async fn send(&self, sending: Sending<'_>) -> Result<Envelope, Error> {
        let Sending {
            endpoint,
            path,
            attempt,
            ..
        } = sending;
        let method = endpoint.method_name();
        let waited = self.limiter.acquire(endpoint.priority).await;
        if waited > Duration::ZERO {
            self.observer.rate_limit_wait(method, waited);
        }
        let request = self.request(sending)?;
        let probe = match self.breaker().admit(self.started.elapsed()) {
            Admission::Allowed(permit, transition) => Probe {
                inner: self,
                permit,
                transition,
                outcome: Outcome::Abandoned,
            },
            Admission::Refused(retry_in) => return Err(self.circuit_open(endpoint, retry_in)),
        };
        let begun = Instant::now();
        let reply =
            match tokio::time::timeout(self.settings.request_timeout, self.transport.send(request)).await {
                Ok(reply) => reply,
                Err(elapsed) => Err(TransportError::new(elapsed, true, true)),
            };
        let took = begun.elapsed();
        let status = reply.as_ref().ok().map(|reply| reply.status().as_u16());
        let result = match reply {
            Ok(reply) => self.interpret(endpoint, &reply),
            Err(error) => Err(unanswered(endpoint, error)),
        };
        self.observer.request(method, endpoint.name, status, took);
        match &result {
            Ok(_) => tracing::debug!(method, path, status, attempt, took = ?took, "VPSie call"),
            Err(error) => {
                self.observer.error(method, error.error_type());
                tracing::warn!(
                    method,
                    path,
                    status,
                    class = error.reason(),
                    attempt,
                    took = ?took,
                    error = %Causes(error),
                    "VPSie call failed"
                );
                if let Error::RateLimited { retry_after, .. } = error {
                    self.limiter
                        .pause(retry_after.unwrap_or(PAUSE_WHEN_LIMITED).min(LONGEST_PAUSE));
                }
            }
        }
        let failed = result.as_ref().is_err_and(Error::is_server_failure);
        probe.finish(if failed { Outcome::Failed } else { Outcome::Healthy });
        result
    }

    pub(crate) fn unreadable(&self, endpoint: &Endpoint, source: DecodeError) -> Error {
        let error = Error::Decode {
            doing: endpoint.doing,
            source,
        };
        self.observer.error(endpoint.method_name(), error.error_type());
        tracing::warn!(call = endpoint.name, class = error.reason(), error = %Causes(&error), "VPSie call failed");
        error
    }

    fn report(&self, transition: Transition) {
        let (from, to) = (transition.from.as_str(), transition.to.as_str());
        match transition.to {
            BreakerState::Open => tracing::warn!(from, to, "VPSie is failing: circuit breaker is open"),
            BreakerState::HalfOpen => tracing::info!(from, to, "probing VPSie: circuit breaker is half-open"),
            BreakerState::Closed => tracing::info!(from, to, "VPSie is back: circuit breaker is closed"),
        }
        self.observer.breaker(transition.from, transition.to);
    }
}

/// A permit of the breaker that is handed back even if the call is dropped half-way.
struct Probe<'a> {
    inner: &'a Inner,
    permit: Permit,
    transition: Option<Transition>,
    outcome: Outcome,
}

impl Probe<'_> {
    fn finish(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        let change = self
            .inner
            .breaker()
            .record(&self.permit, self.outcome, self.inner.started.elapsed());
        for transition in self.transition.take().into_iter().chain(change) {
            self.inner.report(transition);
        }
    }
}

/// An error with its causes on one line, for a log.
struct Causes<'a>(&'a Error);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = std::error::Error::source(self.0);
        while let Some(next) = cause {
            write!(f, ": {next}")?;
            cause = next.source();
        }
        Ok(())
    }
}
