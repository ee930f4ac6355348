//! Storms: whole worlds in which requests fail, processes die and watches break, by a seed; and what must hold
//! when the storm is over.
//!
//! ```text
//!   Plan (of a seed) ─▶ World ◀─ operator: scales, deletes records, asks for a reconcile
//!                         ▲
//!                       Gate ◀─ replicas of the autoscaler, killed, paused and started again
//! ```
//!
//! The plan and every fault come from the seed, and tasks are woken in a fixed order, so a seed that fails fails again, to
//! the last request to VPSie.

mod fate;
mod gate;
mod invariants;
mod plan;
mod replica;
mod snare;
pub mod trial;

pub use gate::Death;
pub use plan::{Action, Plan};
pub use snare::{Hit, Target};

use crate::{Error, World};
use autoscaler_api::{NodeGroup, VPSieNode, labels};
use autoscaler_policy::Engine;
use fate::Dice;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use replica::Replicas;
use serde_json::json;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Virtual time for everything to be as it should once nothing fails any more. Back-offs that grew in the storm
/// are part of it.
const PATIENCE: Duration = Duration::from_secs(2 * 3600);
/// It must stay so for this long.
const STEADY: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_secs(5);

/// What a storm came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What does not hold, in words; empty if all is well.
    pub broken: Vec<String>,
    /// Virtual time from the end of the storm until everything held.
    pub settled_after: Duration,
    /// Machines that were ordered.
    pub ordered: u64,
    /// Processes of the autoscaler that died or gave up.
    pub ended: u32,
    /// Requests to VPSie.
    pub requests: usize,
    /// A number that stands for all of them, with their times and what became of them.
    pub digest: u64,
}

/// Plays the storm of a seed.
///
/// # Errors
/// When the world cannot be built.
pub fn play(seed: u64, engine: &Engine) -> Result<Outcome, Error> {
    let plan = Plan::of(seed);
    crate::clock::run_virtually(storm(seed, &plan, engine))
}

async fn storm(seed: u64, plan: &Plan, engine: &Engine) -> Result<Outcome, Error> {
    let mut world = World::without_autoscaler(&plan.scenario()?, seed, None).await?;
    let calm = Arc::new(AtomicBool::new(false));
    let replicas = Replicas::start(&mut world, plan, engine, seed, &calm, &Arc::default());
    world.deploy(&plan::WEB).await?;
    let mut dice = Dice::new(seed ^ 0x0be7_a70b);
    let begin = Instant::now();
    for (at, action) in &plan.actions {
        tokio::time::sleep_until(begin + *at).await;
        tracing::info!(?action, "chaos");
        act(&world, &replicas, action, &mut dice).await?;
    }
    tokio::time::sleep_until(begin + plan.storm).await;
    tracing::info!("chaos: the storm is over");
    calm.store(true, Ordering::SeqCst);
    world.cloud.set_down(false);
    world.cloud.clear_faults();
    world.cloud.set_worker_limit(None);
    world.cloud.set_vm_limit(None);
    world.scale(plan::WEB.name, plan.in_the_end).await?;
    if plan.groups_go {
        delete_groups(&world).await?;
    }
    let outcome = settle(&world, plan, &replicas).await?;
    world.stop().await;
    Ok(outcome)
}

async fn act(world: &World, replicas: &Replicas, action: &Action, dice: &mut Dice) -> Result<(), Error> {
    match action {
        Action::Scale(pods) => world.scale(plan::WEB.name, *pods).await?,
        Action::DeleteRecord => {
            let records = world.view.vpsie_nodes();
            let alive: Vec<_> = records
                .iter()
                .filter(|(_, record)| record.metadata.deletion_timestamp.is_none())
                .collect();
            if let Ok(count) = u32::try_from(alive.len())
                && count > 0
            {
                let (key, record) = alive[dice.below(count) as usize];
                tracing::info!(
                    record = key.name,
                    phase = record.phase().as_str(),
                    "chaos: deleted by hand"
                );
                let api = Api::<VPSieNode>::namespaced(world.client.clone(), &key.namespace);
                // It may be gone since the view saw it.
                let _ = api.delete(&key.name, &DeleteParams::default()).await;
            }
        }
        Action::Trigger => {
            let patch = json!({"metadata": {"annotations": {
                labels::RECONCILE_TRIGGER: world.elapsed().as_secs().to_string(),
            }}});
            for group in groups(world).await? {
                let api = groups_api(world);
                let _ = api
                    .patch(&group.name_any(), &PatchParams::default(), &Patch::Merge(&patch))
                    .await;
            }
        }
        Action::Kill(death) => replicas.kill(*death),
        Action::Pause(time) => replicas.pause(*time),
        Action::DropWatches => world.kubernetes.drop_watches(),
        Action::Compact => world.kubernetes.compact(),
        Action::Down(down) => world.cloud.set_down(*down),
        Action::WorkerLimit(limit) => {
            world.cloud.set_worker_limit(*limit);
            world.cloud.set_vm_limit(*limit);
        }
    }
    Ok(())
}

fn groups_api(world: &World) -> Api<NodeGroup> {
    Api::namespaced(world.client.clone(), crate::scenario::SYSTEM)
}

async fn groups(world: &World) -> Result<Vec<NodeGroup>, Error> {
    let listed = groups_api(world).list(&kube::api::ListParams::default()).await;
    Ok(listed.map_err(Error::kubernetes("listing node groups"))?.items)
}

async fn delete_groups(world: &World) -> Result<(), Error> {
    for group in groups(world).await? {
        let deleted = groups_api(world)
            .delete(&group.name_any(), &DeleteParams::default())
            .await;
        deleted.map_err(Error::kubernetes("deleting a node group"))?;
    }
    Ok(())
}

/// Lets time pass until everything holds and has held for a while.
async fn settle(world: &World, plan: &Plan, replicas: &Replicas) -> Result<Outcome, Error> {
    let calm_since = Instant::now();
    let mut steady_since = None;
    let mut broken;
    loop {
        broken = invariants::broken(world, plan).await?;
        let since = if broken.is_empty() {
            *steady_since.get_or_insert_with(Instant::now)
        } else {
            steady_since = None;
            Instant::now()
        };
        if since.elapsed() >= STEADY || calm_since.elapsed() >= PATIENCE {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    let journal = world.cloud.journal();
    let mut digest = DefaultHasher::new();
    format!("{journal:?}").hash(&mut digest);
    Ok(Outcome {
        digest: digest.finish(),
        broken,
        settled_after: calm_since.elapsed().saturating_sub(STEADY),
        ordered: world.cloud.inventory().created,
        ended: replicas.ended(),
        requests: journal.len(),
    })
}
