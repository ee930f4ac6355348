//! The controllers of the world around the API server, as one task that works off changes in a fixed order.
//!
//! They stand for kube-controller-manager and for the kubelets. Each is a step over the state under the server's lock,
//! so that a run depends on nothing but the order of requests and the clock. Waiting (a pod that starts, a node that
//! becomes ready) is done with tokio's timers, and so on virtual time where the clock is paused.

mod context;
mod deployment;
mod disruption;
mod engine;
mod kubelet;
mod node_lifecycle;
mod pod_garbage;
mod replica_set;
mod timers;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::server::ApiServer;
use engine::Engine;

/// How long the world takes for what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delays {
    /// From the registration of a node to its `Ready` condition.
    pub node_ready: Duration,
    /// From the binding of a pod to a ready node until it runs.
    pub pod_start: Duration,
    /// How long the containers of a deleted pod take to end; never more than the pod's grace.
    pub pod_stop: Duration,
    /// From the disappearance of a node to the removal of its pods.
    pub pod_garbage: Duration,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            node_ready: Duration::from_secs(5),
            pod_start: Duration::from_secs(2),
            pod_stop: Duration::from_secs(1),
            pod_garbage: Duration::from_secs(20),
        }
    }
}

/// The running controllers; they end when this is dropped.
#[derive(Debug)]
pub struct Controllers {
    task: JoinHandle<()>,
}

impl Controllers {
    /// Starts all controllers on the current tokio runtime.
    pub fn spawn(server: &Arc<ApiServer>, delays: Delays) -> Self {
        let server = Arc::clone(server);
        let task = tokio::spawn(run(server, delays));
        Self { task }
    }
}

impl Drop for Controllers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(server: Arc<ApiServer>, delays: Delays) {
    let mut engine = Engine::new(delays);
    let mut pulse = server.subscribe();
    loop {
        pulse.look();
        server.change(|state, now| engine.settle(state, now));
        let wake = engine.next_due();
        tokio::select! {
            biased;
            () = pulse.changed() => {}
            () = tokio::time::sleep_until(wake.unwrap_or_else(tokio::time::Instant::now)), if wake.is_some() => {}
        }
    }
}
