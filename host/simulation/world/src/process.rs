//! The autoscaler as one process: what `vpsie-autoscaler run` wires to sockets, wired to a world in memory.

use crate::Error;
use crate::scenario::SYSTEM;
use autoscaler_controllers::observe::Observer;
use autoscaler_controllers::runtime::metrics::Metrics;
use autoscaler_controllers::settings::Pace;
use autoscaler_controllers::{Autoscaler, Ids, Now, Options};
use autoscaler_policy::record::Records;
use autoscaler_policy::{Engine, PolicySet};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use vpsie_client::Transport;

/// The engine of all worlds, with the built-in policies compiled: a process ends with what it has compiled, and worlds
/// in which many processes end would do little else than compile.
///
/// # Errors
/// Where the machine has no WebAssembly support, or a built-in policy does not load.
pub fn engine() -> Result<Engine, Error> {
    static KEPT: Mutex<Option<(Engine, PolicySet)>> = Mutex::new(None);
    let mut kept = KEPT.lock();
    if let Some((engine, _)) = &*kept {
        return Ok(engine.clone());
    }
    let engine = Engine::new().map_err(Error::Policies)?;
    let policies = PolicySet::built_in(&engine).map_err(Error::Policies)?;
    *kept = Some((engine.clone(), policies));
    Ok(engine)
}

/// Numbers from a first one upwards.
struct Sequence(AtomicU64);

impl Ids for Sequence {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// What tells one process from another.
pub(crate) struct Process {
    /// Its name in the Lease.
    pub(crate) identity: String,
    /// Its first id; the ids of two processes must not meet.
    pub(crate) first_id: u64,
    /// Its way to Kubernetes.
    pub(crate) client: kube::Client,
    /// Its way to VPSie.
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) engine: Engine,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) records: Arc<Records>,
    pub(crate) pace: Pace,
    pub(crate) now: Now,
}

impl Process {
    /// Wires it; nothing runs yet.
    pub(crate) fn wire(self) -> Result<Autoscaler, Error> {
        let vpsie = vpsie_client::Client::new(
            vpsie_client::Settings::default(),
            self.transport,
            self.now.clone(),
            self.metrics.clone(),
        )
        .map_err(Error::Vpsie)?;
        let policies = Arc::new(PolicySet::built_in(&self.engine).map_err(Error::Policies)?);
        let options = Options {
            namespace: SYSTEM.to_owned(),
            identity: self.identity,
            leader_election: true,
            secret: (SYSTEM.to_owned(), "vpsie-secret".to_owned()),
            policy_cache: None,
            pace: self.pace,
            now: self.now,
            ids: Arc::new(Sequence(AtomicU64::new(self.first_id))),
            observer: self.observer,
            records: self.records,
        };
        Ok(Autoscaler::new(
            self.client.clone(),
            self.client,
            vpsie,
            self.engine,
            policies,
            self.metrics,
            options,
        ))
    }
}
