//! A trial: one operation that replaces a node, one step of it, and one thing that goes wrong there.
//!
//! Two small nodes carry five pods; a budget wants four of them to run. The first node is to make way for a new one.
//! The world looks on: how few pods ever ran is counted by it, and in the end machines, records, Nodes, marks and the
//! record of the operation must agree.

mod checks;

use super::plan::Plan;
use super::replica::Replicas;
use super::snare::{Hit, Snares, Target};
use crate::scenario::{NAMESPACE, SYSTEM, Scenario, Workload, budget, config, node_group};
use crate::{Error, World};
use autoscaler_api::autoscaler_config::Strategy;
use autoscaler_api::rebalance::{RebalanceKind, RebalancePhase, RebalanceSpec};
use autoscaler_api::{Rebalance, VPSieNode, labels};
use autoscaler_controllers::rebalance::{Arrival, Removal, Unit, plan};
use autoscaler_policy::Engine;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, EvictParams, ListParams, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::time::{Instant, timeout};

const WEB: Workload = Workload::new("web", 5, "600m", "256Mi");
/// Of five.
const AT_LEAST: usize = 4;
const OPERATION: &str = "trial";
const NEW: &str = "pool-new";
const PATIENCE: Duration = Duration::from_secs(3 * 3600);
const STEADY: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(2);

/// Names that a trial's targets and operators speak of.
#[derive(Clone, Debug, Default)]
struct Names {
    /// The node that is to go, and its VPSieNode.
    node: String,
    record: String,
}

/// What an operator does while the request is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interference {
    UncordonsNode,
    ClearsLabels,
    DeletesOldRecord,
    DeletesNewRecord,
    DeletesNode,
    DrainsByHand,
    ClosesBudget,
    AsksForRollback,
    DeletesOperation,
    /// The record and its finalizer.
    ForcesOperationAway,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Hit(Hit),
    Operator(Interference),
    /// VPSie is off for this long.
    VpsieDown(Duration),
}

/// Where, what, and whether somebody has asked for a rollback by then.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    pub target: Target,
    pub failure: Failure,
    /// The operation is told to roll back in the middle of its drain.
    pub rolls_back: bool,
}

/// How a trial ended.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What does not hold, in words.
    pub broken: Vec<String>,
    /// Whether the request came that the trial is about.
    pub met: bool,
    /// Phase of the operation in the end; none where it is gone.
    pub phase: Option<RebalancePhase>,
    pub message: String,
    pub took: Duration,
}

/// Plays a trial.
///
/// # Errors
/// When the world cannot be built.
pub fn play(trial: &Trial, engine: &Engine) -> Result<Verdict, Error> {
    crate::clock::run_virtually(run(trial, engine))
}

fn scenario() -> Result<Scenario, Error> {
    let mut scenario = Scenario::default();
    let more = json!({"minNodes": 0});
    let group = node_group(&scenario.cloud, "pool", 4, &["k8s-2-4"], &more).map_err(Error::Scenario)?;
    scenario.groups = vec![group];
    scenario.budgets = vec![budget(WEB.name, AT_LEAST as i32).map_err(Error::Scenario)?];
    let settings = json!({
        "globalSettings": {"nodeReadyTimeoutSeconds": 300},
        "rebalancer": {"drainTimeout": "60s", "readyNodesPercent": 50},
    });
    scenario.config = Some(config(&settings).map_err(Error::Scenario)?);
    Ok(scenario)
}

async fn run(trial: &Trial, engine: &Engine) -> Result<Verdict, Error> {
    let scenario = scenario()?;
    let mut world = World::without_autoscaler(&scenario, 1, None).await?;
    let snares = Arc::new(Snares::default());
    // Two replicas and no dice: the only thing that goes wrong is the trial's.
    let plan = Plan {
        replicas: 2,
        ..Plan::of(0)
    };
    let calm = Arc::new(AtomicBool::new(true));
    let _replicas = Replicas::start(&mut world, &plan, engine, 1, &calm, &snares);
    world.deploy(&WEB).await?;
    let all = WEB.replicas as usize;
    world
        .settle("the pods run", PATIENCE, |view| {
            view.pod_counts(Some(WEB.name)).running == all
        })
        .await?;
    let names = fullest(&world);
    world.view.watch_fewest(WEB.name);
    if trial.rolls_back {
        begin(&world, &names).await?;
        a_pod_has_moved(&world).await?;
        // Not before: the way forward evicts and marks too.
        snares.set(trial.target, held(trial.failure));
        let asked = json!({"metadata": {"annotations": {labels::ROLLBACK: "requested"}}});
        change(&api::<Rebalance>(&world, SYSTEM), OPERATION, &asked).await;
    } else {
        snares.set(trial.target, held(trial.failure));
        begin(&world, &names).await?;
    }
    let met = timeout(Duration::from_secs(900), snares.caught()).await.is_ok();
    if met {
        act(&world, trial.failure, &names).await?;
        snares.release();
    }
    let mut verdict = settle(&world, trial, &names).await?;
    verdict.met = met;
    world.stop().await;
    Ok(verdict)
}

/// Where the test has to do something itself, the request waits for it.
fn held(failure: Failure) -> Hit {
    match failure {
        Failure::Hit(hit) => hit,
        Failure::Operator(_) | Failure::VpsieDown(_) => Hit::Held,
    }
}

/// The node with most pods.
fn fullest(world: &World) -> Names {
    let pods = world.view.pods();
    let load = |node: &str| {
        pods.values()
            .filter(|pod| pod.node.as_deref() == Some(node))
            .count()
    };
    let records = world.view.vpsie_nodes();
    let most = records
        .iter()
        .max_by_key(|(key, record)| (load(record.node_name().unwrap_or_default()), (*key).clone()));
    most.map_or_else(Names::default, |(key, record)| Names {
        node: record.node_name().unwrap_or_default().to_owned(),
        record: key.name.clone(),
    })
}

async fn begin(world: &World, names: &Names) -> Result<(), Error> {
    let unit = Unit {
        arrivals: vec![Arrival {
            vpsie_node: NEW.to_owned(),
            group: "pool".to_owned(),
            offering: "k8s-2-4".to_owned(),
            size: 12,
        }],
        removals: vec![Removal {
            node: names.node.clone(),
            vpsie_node: names.record.clone(),
            group: None,
            offering: None,
            reason: "the trial".to_owned(),
        }],
    };
    let spec = RebalanceSpec {
        plan: plan(RebalanceKind::Drift, Strategy::Rolling, &[unit]),
    };
    let mut object = Rebalance::new(OPERATION, spec);
    object.metadata.namespace = Some(SYSTEM.to_owned());
    world.create(&api::<Rebalance>(world, SYSTEM), &object).await
}

fn api<K>(world: &World, namespace: &str) -> Api<K>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(world.client.clone(), namespace)
}

async fn operation(world: &World) -> Result<Option<Rebalance>, Error> {
    let read = api::<Rebalance>(world, SYSTEM).get_opt(OPERATION).await;
    read.map_err(Error::kubernetes("reading the operation"))
}

/// The middle of the drain: a pod has moved to the new node, and others have not.
async fn a_pod_has_moved(world: &World) -> Result<(), Error> {
    let moved = |view: &crate::view::View| {
        let records = view.vpsie_nodes();
        let new = records.iter().find(|(key, _)| key.name == NEW);
        let node = new.and_then(|(_, record)| record.node_name());
        node.is_some()
            && view
                .pods()
                .values()
                .any(|pod| pod.node.as_deref() == node && pod.app == WEB.name)
    };
    world.settle("a pod has moved", PATIENCE, moved).await?;
    Ok(())
}

/// What is not there any more needs no change.
async fn change<K>(api: &Api<K>, name: &str, patch: &Value)
where
    K: Clone + DeserializeOwned + Debug,
{
    let _ = api
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
}

async fn act(world: &World, failure: Failure, names: &Names) -> Result<(), Error> {
    match failure {
        Failure::Hit(_) => {}
        Failure::VpsieDown(time) => {
            world.cloud.set_down(true);
            let cloud = world.cloud.clone();
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                cloud.set_down(false);
            });
        }
        Failure::Operator(what) => interfere(world, what, names).await?,
    }
    Ok(())
}

async fn interfere(world: &World, what: Interference, names: &Names) -> Result<(), Error> {
    use Interference::{
        AsksForRollback, ClearsLabels, ClosesBudget, DeletesNewRecord, DeletesNode, DeletesOldRecord,
        DeletesOperation, DrainsByHand, ForcesOperationAway, UncordonsNode,
    };
    let nodes = Api::<Node>::all(world.client.clone());
    let records = api::<VPSieNode>(world, SYSTEM);
    let operations = api::<Rebalance>(world, SYSTEM);
    let none = DeleteParams::default();
    match what {
        UncordonsNode => change(&nodes, &names.node, &json!({"spec": {"unschedulable": null}})).await,
        ClearsLabels => {
            let patch = json!({"metadata": {"labels": {labels::REBALANCE_OPERATION: null}}});
            change(&nodes, &names.node, &patch).await;
            change(&records, &names.record, &patch).await;
            change(&records, NEW, &patch).await;
        }
        DeletesOldRecord => drop(records.delete(&names.record, &none).await),
        DeletesNewRecord => drop(records.delete(NEW, &none).await),
        DeletesNode => drop(nodes.delete(&names.node, &none).await),
        DrainsByHand => {
            change(&nodes, &names.node, &json!({"spec": {"unschedulable": true}})).await;
            let pods = api::<Pod>(world, NAMESPACE);
            let here = ListParams::default().fields(&format!("spec.nodeName={}", names.node));
            let listed = pods
                .list(&here)
                .await
                .map_err(Error::kubernetes("listing pods"))?;
            for pod in listed {
                let _ = pods.evict(&pod.name_any(), &EvictParams::default()).await;
            }
        }
        ClosesBudget => {
            let patch = json!({"spec": {"minAvailable": WEB.replicas}});
            change(&api::<PodDisruptionBudget>(world, NAMESPACE), WEB.name, &patch).await;
            // Long after the drain's time, so that rollbacks that need room get it in the end.
            let api = api::<PodDisruptionBudget>(world, NAMESPACE);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(1200)).await;
                change(&api, WEB.name, &json!({"spec": {"minAvailable": AT_LEAST}})).await;
            });
        }
        AsksForRollback => {
            let patch = json!({"metadata": {"annotations": {labels::ROLLBACK: "requested"}}});
            change(&operations, OPERATION, &patch).await;
        }
        DeletesOperation => drop(operations.delete(OPERATION, &none).await),
        ForcesOperationAway => {
            change(&operations, OPERATION, &json!({"metadata": {"finalizers": null}})).await;
            drop(operations.delete(OPERATION, &none).await);
        }
    }
    Ok(())
}

/// Lets time pass until everything holds and has held for a while.
async fn settle(world: &World, trial: &Trial, names: &Names) -> Result<Verdict, Error> {
    let begin = Instant::now();
    let mut steady: Option<Instant> = None;
    loop {
        let verdict = checks::look(world, trial, names).await?;
        if verdict.broken.is_empty() {
            let since = *steady.get_or_insert_with(Instant::now);
            if since.elapsed() >= STEADY {
                return Ok(Verdict {
                    took: begin.elapsed().saturating_sub(STEADY),
                    ..verdict
                });
            }
        } else {
            steady = None;
        }
        if begin.elapsed() >= PATIENCE {
            return Ok(verdict);
        }
        tokio::time::sleep(LOOK).await;
    }
}
