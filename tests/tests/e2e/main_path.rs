//! The main path: pods wait, VPSie nodes come, pods run, the load goes, nodes go.

use crate::world::*;
use anyhow::{Context, Result, ensure};
use autoscaler_api::NodeGroup;
use autoscaler_tests::stage::Stage;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Pods that each need a node of their own, to learn how soon it is ordered.
const LONELY: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn pending_pods_become_running_pods_on_vpsie_nodes_and_surplus_nodes_go() -> Result<()> {
    let mut stage = Stage::set_alone(quick_cloud()).await?;
    stage.secret("demo-token").await?;
    // Nothing goes while the load comes: what is ordered can be counted.
    prepare(&stage, false).await?;
    stage
        .apply(&group("general", &["k8s-2-4", "k8s-4-8"], 30))
        .await?;
    stage.apply(&tier("batch", &["k8s-8-16"], 8)).await?;
    stage.apply(&tier("lonely", &["k8s-4-8"], 20)).await?;
    stage.start_controller(&PACE).await?;
    groups_are_ready(&stage, 3).await?;

    let waiting = watch_waiting(&stage);
    the_load_comes(&stage).await?;
    let triggered = stage.events("Pod", "TriggeredScaleUp").await?;
    ensure!(
        triggered.iter().any(|(pod, _)| pod.starts_with("plain")),
        "no pod was told that it triggered a scale-up"
    );
    the_impossible_pod_is_told_why(&stage).await?;
    let by_group = nodes_by_group(&stage).await?;
    println!("nodes by group: {by_group:?}");
    for (name, max) in [("general", 30), ("batch", 8)] {
        let count = by_group.get(name).copied().unwrap_or_default();
        ensure!((1..=max).contains(&count), "{name} has {count} nodes of {max}");
    }
    machines_nodes_and_records_agree(&stage, Duration::from_secs(30)).await?;
    burst(&stage, &waiting)?;

    reaction_time(&stage, &waiting).await?;
    surplus_goes_within_budgets(&stage).await
}

async fn groups_are_ready(stage: &Stage, wanted: usize) -> Result<()> {
    let groups: Api<NodeGroup> = Api::namespaced(stage.client.clone(), "kube-system");
    stage
        .until("all groups are ready", Duration::from_secs(60), || async {
            let all = groups.list(&ListParams::default()).await?;
            let ready = |group: &&NodeGroup| {
                group
                    .status
                    .as_ref()
                    .is_some_and(|s| autoscaler_api::conditions::is_true(&s.conditions, "Ready"))
            };
            let count = all.iter().filter(ready).count();
            Ok((count != wanted).then(|| format!("{count} of {wanted} are")))
        })
        .await
        .map(drop)
}

/// 200 pods of four kinds.
async fn the_load_comes(stage: &Stage) -> Result<()> {
    for (name, replicas, cpu, extra) in [
        ("plain", 110, "250m", json!({})),
        ("tolerant", 50, "250m", tolerates("batch")),
        ("chosen", 39, "250m", selects("batch")),
        ("impossible", 1, "64", json!({})),
    ] {
        stage.apply(&deployment(name, replicas, cpu, extra)).await?;
    }
    let wanted = [("plain", 110), ("tolerant", 50), ("chosen", 39)];
    let took = all_run(stage, &wanted, Duration::from_secs(240)).await?;
    println!("199 pods run {:.1} s after they were created", took.as_secs_f64());
    Ok(())
}

async fn the_impossible_pod_is_told_why(stage: &Stage) -> Result<()> {
    let what = "the impossible pod is told why";
    stage
        .until(what, Duration::from_secs(60), || async {
            let told = stage.events("Pod", "NotTriggerScaleUp").await?;
            let note = told.iter().find(|(pod, _)| pod.starts_with("impossible"));
            Ok(match note {
                None => Some("it has no event".to_owned()),
                Some((_, note)) if !note.contains("cpu") => {
                    Some(format!("its event does not name the cause: {note}"))
                }
                Some((_, note)) => {
                    println!("impossible pod: {note}");
                    None
                }
            })
        })
        .await?;
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let all = pods.list(&ListParams::default()).await?;
    let impossible = all
        .iter()
        .map(ResourceExt::name_any)
        .find(|name| name.starts_with("impossible"));
    let impossible = impossible.context("the impossible pod is gone")?;
    let told = stage.explain(&format!("pod/{impossible}"), NAMESPACE).await?;
    println!("explain pod/{impossible}:\n{told}");
    for part in [
        "kube-scheduler has found no node for it since",
        "not enough resources on a new node",
    ] {
        ensure!(told.contains(part), "explain does not say {part:?}:\n{told}");
    }
    Ok(())
}

/// When each waiting pod was first seen to be unschedulable.
type Waiting = Arc<Mutex<BTreeMap<String, Timestamp>>>;

fn watch_waiting(stage: &Stage) -> Waiting {
    let seen = Waiting::default();
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let (told, stop) = (seen.clone(), stage.stop());
    tokio::spawn(async move {
        let mut events = std::pin::pin!(watcher(pods, watcher::Config::default()).default_backoff());
        while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
            let Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) = event else {
                continue;
            };
            let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
            let waits = conditions
                .into_iter()
                .flatten()
                .any(|c| c.type_ == "PodScheduled" && c.reason.as_deref() == Some("Unschedulable"));
            if waits && let Ok(mut seen) = told.lock() {
                seen.entry(pod.name_any()).or_insert_with(Timestamp::now);
            }
        }
    });
    seen
}

/// Says how soon the nodes of the whole load were ordered.
fn burst(stage: &Stage, waiting: &Waiting) -> Result<()> {
    let first = waiting
        .lock()
        .ok()
        .and_then(|seen| seen.values().min().copied())
        .context("no pod was seen waiting")?;
    let mut reactions: Vec<f64> = orders(stage)
        .iter()
        .map(|at| at.duration_since(first).as_secs_f64())
        .collect();
    reactions.sort_by(f64::total_cmp);
    println!(
        "burst of 200 pods: {} nodes ordered, the first {:.3} s, the last {:.3} s after the first Unschedulable condition",
        reactions.len(),
        reactions.first().unwrap_or(&0.0),
        reactions.last().unwrap_or(&0.0)
    );
    Ok(())
}

/// Pods come one after the other; each takes most of a node of its tier, and the next comes when it runs: then no node of
/// the tier is free, and a new one has to be ordered.
async fn reaction_time(stage: &Stage, waiting: &Waiting) -> Result<()> {
    let mut reactions = Vec::new();
    for trial in 0..LONELY {
        let name = format!("lonely-{trial}");
        let before = orders(stage).len();
        stage
            .apply(&deployment(&name, 1, "3500m", selects("lonely")))
            .await?;
        stage
            .until("its node is ordered", Duration::from_secs(60), || async {
                Ok((orders(stage).len() == before).then(|| "no order".to_owned()))
            })
            .await?;
        let ordered = orders(stage)[before];
        // Our watch may be told later than the controller's.
        let mut seen = None;
        stage
            .until("the pod is seen to wait", Duration::from_secs(60), || {
                seen = waiting.lock().ok().and_then(|all| {
                    let pod = all.iter().find(|(pod, _)| pod.starts_with(&name));
                    pod.map(|(_, at)| *at)
                });
                let missing = seen.is_none().then(|| "it is not".to_owned());
                async move { Ok(missing) }
            })
            .await?;
        let seen = seen.context("the pod was not seen waiting")?;
        reactions.push(ordered.duration_since(seen).as_secs_f64());
        all_run(stage, &[(&name, 1)], Duration::from_secs(60)).await?;
    }
    reactions.sort_by(f64::total_cmp);
    let middle = LONELY / 2;
    let median = f64::midpoint(reactions[middle - 1], reactions[middle]);
    println!(
        "reaction from Unschedulable to the add-node request: median {median:.3} s, maximum {:.3} s of {LONELY}",
        reactions[LONELY - 1],
    );
    // A machine that stands still for a second once says nothing of the controller; half of the trials do.
    ensure!(median < 1.0, "reactions: {reactions:?}");
    Ok(())
}

async fn surplus_goes_within_budgets(stage: &Stage) -> Result<()> {
    stage
        .apply(&json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": "plain", "namespace": NAMESPACE},
            "spec": {"minAvailable": 26, "selector": {"matchLabels": {"app": "plain"}}},
        }))
        .await?;
    let created = stage.cloud.inventory().created;
    let stays = [("plain", 28), ("tolerant", 4), ("chosen", 4)];
    for (name, replicas) in stays {
        scale(stage, name, replicas).await?;
    }
    for trial in 0..LONELY {
        scale(stage, &format!("lonely-{trial}"), 0).await?;
    }
    all_run(stage, &stays, Duration::from_secs(120)).await?;
    rebalancer(stage, true).await?;
    // From here on the budget must hold at every look.
    let lowest = AtomicUsize::new(usize::MAX);
    let took = stage
        .until("surplus nodes go", Duration::from_secs(300), || async {
            let plain = running(stage, "plain").await?;
            lowest.fetch_min(plain, Ordering::Relaxed);
            let alive = machines(stage).len();
            let settled = alive <= 7 && plain == 28;
            Ok((!settled).then(|| format!("{alive} machines are left, {plain} plain pods run")))
        })
        .await?;
    let lowest = lowest.into_inner();
    println!(
        "{created} machines were created; surplus gone after {:.1} s; at least {lowest} of 28 plain pods ran, 26 must",
        took.as_secs_f64()
    );
    ensure!(lowest >= 26, "the budget was broken: {lowest} plain pods ran");
    machines_nodes_and_records_agree(stage, Duration::from_secs(120)).await?;
    all_run(stage, &stays, Duration::from_secs(60)).await.map(drop)
}
