//! The way that every call goes: breaker, token, rate limit, breaker again, transport, reading, bookkeeping.
//!
//! Reads try again by themselves; a request that changes something is sent once and its fate reported.

use std::sync::{Arc, RwLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Now;
use crate::auth::Authenticator;
use crate::breaker::Outcome;
use crate::classify::unanswered;
use crate::decode::{DecodeError, Envelope};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::guard::Guards;
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
    /// What removing a VM asks for beside the token.
    pub(crate) account_password: RwLock<Option<SecretString>>,
    pub(crate) guards: Guards,
    pub(crate) limiter: RateLimiter,
    pub(crate) changes: watch::Sender<u64>,
    // The breakers' zero: they want a time that only goes forward.
    pub(crate) started: Instant,
    // For tasks that must not keep the client alive.
    pub(crate) me: Weak<Self>,
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
    ) -> Result<Arc<Self>, Error> {
        settings.check()?;
        let base = settings.base()?;
        Ok(Arc::new_cyclic(|me| Self {
            base: RwLock::new(base),
            transport,
            now,
            observer,
            auth: Authenticator::new(),
            account_password: RwLock::default(),
            guards: Guards::new(&settings.breaker),
            limiter: RateLimiter::new(settings.requests_per_minute, settings.burst),
            changes: watch::Sender::new(0),
            started: Instant::now(),
            me: me.clone(),
            settings,
        }))
    }

    /// Something that others may wait for has changed: a breaker, or what is known of the credentials.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// A call with everything around it; the reply is a success.
    pub(crate) async fn call(
        &self,
        endpoint: &Endpoint,
        path: &str,
        body: Option<Value>,
    ) -> Result<Envelope, Error> {
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(endpoint.encoding().write(&body)));
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
    pub(crate) async fn attempt(
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
                content_type: endpoint.encoding().content_type(),
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
        let pass = self.admit(endpoint)?;
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
        pass.finish(if failed { Outcome::Failed } else { Outcome::Healthy });
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
