//! Replicas of the autoscaler in a storm: each is started again when it dies or loses the Lease.

use super::fate::Dice;
use super::gate::{Death, Gate};
use super::plan::Plan;
use super::snare::Snares;
use crate::World;
use crate::process::Process;
use autoscaler_controllers::Now;
use autoscaler_controllers::observe::Observer;
use autoscaler_controllers::runtime::metrics::Metrics;
use autoscaler_controllers::settings::Pace;
use autoscaler_policy::Engine;
use fake_vpsie::FakeVpsie;
use parking_lot::Mutex;
use simulated_kubernetes::ApiServer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// As a kubelet takes to start a container again.
const RESTART: Duration = Duration::from_secs(2);
/// A process whose gate is closed does nothing more; its tasks get this long to end.
const ENDS: Duration = Duration::from_secs(10);

/// All replicas.
pub(super) struct Replicas {
    gates: Arc<Mutex<Vec<Arc<Gate>>>>,
    ended: Arc<AtomicU32>,
}

/// What every process of a replica is made of.
struct Replica {
    number: u32,
    seed: u64,
    kubernetes: Arc<ApiServer>,
    cloud: Arc<FakeVpsie>,
    engine: Engine,
    metrics: Arc<Metrics>,
    observer: Arc<dyn Observer>,
    pace: Pace,
    now: Now,
    calm: Arc<AtomicBool>,
    snares: Arc<Snares>,
    gates: Arc<Mutex<Vec<Arc<Gate>>>>,
    ended: Arc<AtomicU32>,
}

impl Replicas {
    pub(super) fn start(
        world: &mut World,
        plan: &Plan,
        engine: &Engine,
        seed: u64,
        calm: &Arc<AtomicBool>,
        snares: &Arc<Snares>,
    ) -> Self {
        let all = Self {
            gates: Arc::default(),
            ended: Arc::default(),
        };
        for number in 0..plan.replicas {
            let replica = Replica {
                number,
                seed,
                kubernetes: world.kubernetes.clone(),
                cloud: world.cloud.clone(),
                engine: engine.clone(),
                metrics: world.metrics.clone(),
                observer: world.chronicle.clone(),
                pace: Plan::pace(),
                now: world.now.clone(),
                calm: calm.clone(),
                snares: snares.clone(),
                gates: all.gates.clone(),
                ended: all.ended.clone(),
            };
            world.tasks.spawn(replica.live(world.shutdown.clone()));
        }
        all
    }

    pub(super) fn kill(&self, death: Death) {
        for gate in self.gates.lock().iter() {
            gate.die_at(death);
        }
    }

    pub(super) fn pause(&self, time: Duration) {
        for gate in self.gates.lock().iter() {
            gate.close_for(time);
        }
    }

    /// How many processes died or gave up so far.
    pub(super) fn ended(&self) -> u32 {
        self.ended.load(Ordering::SeqCst)
    }
}

impl Replica {
    /// One process after the other, until the world ends.
    async fn live(self, world_ends: CancellationToken) {
        for generation in 0_u32.. {
            let mark = u64::from(self.number * 1000 + generation);
            let gate = Gate::new(
                Dice::new(self.seed.rotate_left(17) ^ (mark + 1)),
                self.calm.clone(),
                self.snares.clone(),
            );
            self.gates.lock().push(gate.clone());
            let process = Process {
                identity: format!("replica-{}-{generation}", self.number),
                first_id: (self.seed << 32) + (mark << 12),
                client: gate.kubernetes(&self.kubernetes),
                transport: gate.vpsie(&self.cloud),
                engine: self.engine.clone(),
                metrics: self.metrics.clone(),
                observer: self.observer.clone(),
                records: Arc::default(),
                pace: self.pace.clone(),
                now: self.now.clone(),
            };
            let autoscaler = match process.wire() {
                Ok(autoscaler) => autoscaler,
                Err(error) => return tracing::error!("a replica cannot start: {error}"),
            };
            let stop = CancellationToken::new();
            let mut run = std::pin::pin!(autoscaler.run(stop.clone()));
            tokio::select! {
                biased;
                () = world_ends.cancelled() => {
                    stop.cancel();
                    let _ = timeout(ENDS, run).await;
                    return;
                }
                () = gate.died() => {
                    tracing::info!(replica = self.number, generation, "chaos: killed");
                    stop.cancel();
                    let _ = timeout(ENDS, &mut run).await;
                }
                _ = &mut run => {}
            }
            self.ended.fetch_add(1, Ordering::SeqCst);
            self.gates.lock().retain(|known| !Arc::ptr_eq(known, &gate));
            tokio::time::sleep(RESTART).await;
        }
    }
}
