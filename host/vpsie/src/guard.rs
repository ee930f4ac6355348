//! The circuit breakers, one per part of the API, and what happens by itself while one is not closed: it is probed
//! again and again until the part answers, so that nobody has to want something of VPSie first.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::breaker::{Admission, Breaker, BreakerState, Outcome, Permit, Transition};
use crate::call::Inner;
use crate::endpoint::{self, Endpoint};
use crate::error::Error;
use crate::family::Family;
use crate::settings::BreakerSettings;

/// One breaker, and whether a task looks after it.
#[derive(Debug)]
struct Guarded {
    breaker: Breaker,
    probed: bool,
}

/// The breakers of all families.
#[derive(Debug)]
pub(crate) struct Guards([Mutex<Guarded>; Family::ALL.len()]);

impl Guards {
    pub(crate) fn new(settings: &BreakerSettings) -> Self {
        Self(Family::ALL.map(|_| {
            Mutex::new(Guarded {
                breaker: Breaker::new(settings.clone()),
                probed: false,
            })
        }))
    }

    fn of(&self, family: Family) -> MutexGuard<'_, Guarded> {
        self.0[family as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self, family: Family) -> BreakerState {
        self.of(family).breaker.state()
    }
}

impl Inner {
    /// Refuses where nothing may be sent now.
    pub(crate) fn check_breaker(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let now = self.started.elapsed();
        let refuses_for = self.guards.of(endpoint.family).breaker.refuses_for(now);
        refuses_for.map_or(Ok(()), |retry_in| Err(self.circuit_open(endpoint, retry_in)))
    }

    /// Leave to send one request; what came of it is told with [`Pass::finish`].
    pub(crate) fn admit(&self, endpoint: &Endpoint) -> Result<Pass<'_>, Error> {
        let family = endpoint.family;
        let admission = self.guards.of(family).breaker.admit(self.started.elapsed());
        match admission {
            Admission::Allowed(permit, transition) => Ok(Pass {
                inner: self,
                family,
                permit,
                transition,
                outcome: Outcome::Abandoned,
            }),
            Admission::Refused(retry_in) => Err(self.circuit_open(endpoint, retry_in)),
        }
    }

    fn circuit_open(&self, endpoint: &Endpoint, retry_in: Duration) -> Error {
        let family = endpoint.family.as_str();
        tracing::warn!(call = endpoint.name, family, retry_in = ?retry_in, "VPSie call not sent: circuit breaker is open");
        let error = Error::CircuitOpen {
            doing: endpoint.doing,
            retry_in,
        };
        self.observer.error(endpoint.method_name(), error.error_type());
        error
    }

    fn report(&self, family: Family, transition: Transition) {
        let (from, to) = (transition.from.as_str(), transition.to.as_str());
        let name = family.as_str();
        match transition.to {
            BreakerState::Open => {
                tracing::warn!(
                    family = name,
                    from,
                    to,
                    "VPSie is failing: circuit breaker is open"
                );
            }
            BreakerState::HalfOpen => {
                tracing::info!(
                    family = name,
                    from,
                    to,
                    "probing VPSie: circuit breaker is half-open"
                );
            }
            BreakerState::Closed => {
                tracing::info!(
                    family = name,
                    from,
                    to,
                    "VPSie is back: circuit breaker is closed"
                );
            }
        }
        self.observer.breaker(family, transition.from, transition.to);
        self.changed();
        if transition.to == BreakerState::Open {
            self.look_after(family);
        }
    }

    /// Starts the task that probes the family until its breaker is closed, unless it runs.
    fn look_after(&self, family: Family) {
        if std::mem::replace(&mut self.guards.of(family).probed, true) {
            return;
        }
        let me = self.me.clone();
        tokio::spawn(async move {
            loop {
                let Some(wait) = me.upgrade().and_then(|inner| inner.until_probe(family)) else {
                    return;
                };
                tokio::time::sleep(wait).await;
                let Some(inner) = me.upgrade() else { return };
                // Its end is the breaker's business: it has been recorded and reported.
                let _ = inner.probe(family).await;
            }
        });
    }

    /// When the next probe is due; `None` (and the task is over) where the breaker is closed.
    fn until_probe(&self, family: Family) -> Option<Duration> {
        let mut guarded = self.guards.of(family);
        if guarded.breaker.state() == BreakerState::Closed {
            guarded.probed = false;
            return None;
        }
        let refuses_for = guarded.breaker.refuses_for(self.started.elapsed());
        // Due, and yet not sent the last time: there are no credentials, say.
        Some(refuses_for.unwrap_or(self.settings.breaker.open_for))
    }

    /// The cheapest call of the family that changes nothing.
    async fn probe(&self, family: Family) -> Result<(), Error> {
        let (endpoint, path) = match family {
            Family::Auth => return self.authorise(&endpoint::AUTHENTICATE).await.map(drop),
            Family::Kubernetes => (&endpoint::LIST_CLUSTERS, "/k8s/cluster/all"),
            Family::Catalogue => (&endpoint::LIST_DATACENTERS, "/datacenter?offset=0&limit=1"),
            Family::Plans => (&endpoint::LIST_PLAN_CATEGORIES, "/plans/category"),
            Family::Vm => (&endpoint::LIST_VMS, "/vm"),
            Family::Storage => (&endpoint::LIST_ATTACHABLE, "/storages/vms"),
        };
        self.attempt(endpoint, path, &Bytes::new(), 1).await.map(drop)
    }
}

/// A permit of a breaker that is handed back even if the call is dropped half-way.
pub(crate) struct Pass<'a> {
    inner: &'a Inner,
    family: Family,
    permit: Permit,
    transition: Option<Transition>,
    outcome: Outcome,
}

impl Pass<'_> {
    pub(crate) fn finish(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let now = self.inner.started.elapsed();
        let change = self
            .inner
            .guards
            .of(self.family)
            .breaker
            .record(&self.permit, self.outcome, now);
        for transition in self.transition.take().into_iter().chain(change) {
            self.inner.report(self.family, transition);
        }
    }
}
