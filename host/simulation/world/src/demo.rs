//! The story that `vpsie-autoscaler demo` tells: load comes, nodes come; load goes, nodes go.

use crate::narrator::Sink;
use crate::scenario::{Scenario, Workload, budget, config, node_group};
use crate::{Error, Summary, World};
use serde_json::json;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// Taint and label of the second group.
const POOL: &str = "pool";
const BATCH: &str = "batch";
const GENERAL: &str = "general";

/// Anybody's pods: they may run wherever no taint keeps them away.
pub const WEB: Workload = Workload::new("web", 100, "250m", "256Mi");
/// Much memory, on nodes of their own: a toleration lets them in there, a selector keeps them out of elsewhere.
pub const JOBS: Workload = Workload {
    tolerates: Some((POOL, BATCH)),
    node_selector: Some((POOL, BATCH)),
    ..Workload::new("jobs", 48, "500m", "2Gi")
};
/// Bound to one group by a selector, and protected by a budget.
pub const SHOP: Workload = Workload {
    node_selector: Some((POOL, GENERAL)),
    ..Workload::new("shop", 28, "500m", "512Mi")
};
/// Larger than anything that can be bought.
pub const GIANT: Workload = Workload::new("giant", 4, "64", "8Gi");
/// Of [`SHOP`], at least this many stay up while nodes go.
pub const SHOP_MINIMUM: i32 = 6;
/// The most nodes of [`node groups`](crate::demo::scenario), by name.
pub const LIMITS: [(&str, i32); 2] = [(BATCH, 8), (GENERAL, 12)];

/// The cluster of the demo: two groups with different offerings, labels and taints.
///
/// # Errors
/// Never; see [`Workload::deployment`].
pub fn scenario() -> Result<Scenario, Error> {
    let mut scenario = Scenario::default();
    let [(batch, batch_max), (general, general_max)] = LIMITS;
    let build = || {
        Ok(vec![
            node_group(
                &scenario.cloud,
                general,
                general_max,
                &["k8s-4-8", "k8s-8-16"],
                &json!({"labels": {POOL: GENERAL}}),
            )?,
            node_group(
                &scenario.cloud,
                batch,
                batch_max,
                &["k8s-4-16"],
                &json!({
                    "labels": {POOL: BATCH},
                    "taints": [{"key": POOL, "value": BATCH, "effect": "NoSchedule"}],
                }),
            )?,
        ])
    };
    scenario.groups = build().map_err(Error::Scenario)?;
    scenario.budgets = vec![budget(SHOP.name, SHOP_MINIMUM).map_err(Error::Scenario)?];
    let settings = json!({
        "globalSettings": {"maxClusterWorkers": 40, "unschedulablePodGracePeriodSeconds": 0},
        "rebalancer": {"maxConcurrent": 3},
    });
    scenario.config = Some(config(&settings).map_err(Error::Scenario)?);
    Ok(scenario)
}

/// Runs the demo in virtual time and tells its story to `sink`.
///
/// # Errors
/// When something that must happen does not.
pub fn run(seed: u64, sink: Option<Sink>) -> Result<Summary, Error> {
    crate::clock::run_virtually(async move {
        let world = World::start(&scenario()?, seed, sink).await?;
        let summary = story(&world).await;
        world.stop().await;
        summary
    })
}

async fn story(world: &World) -> Result<Summary, Error> {
    world
        .say("An empty cluster. Two node groups: general (k8s-4-8, k8s-8-16) and batch (k8s-4-16, tainted).");
    world.advance(Duration::from_secs(5)).await;
    let fitting = [WEB, JOBS, SHOP];
    let wanted: i32 = fitting.iter().map(|workload| workload.replicas).sum();
    world.say(&format!(
        "The load comes: {wanted} pods (web: plain, jobs: tolerate and select batch, shop: select general), and {} that fit nowhere.",
        GIANT.replicas
    ));
    for workload in fitting.iter().chain([&GIANT]) {
        world.deploy(workload).await?;
    }
    let took = world
        .settle("every pod that can fit runs", 30 * MINUTE, |view| {
            fitting
                .iter()
                .all(|workload| runs_whole(view, workload, workload.replicas))
        })
        .await?;
    world.say(&format!(
        "Every pod that can fit runs, {} s after the load came.",
        took.as_secs()
    ));
    world.advance(MINUTE).await;

    world.say(&format!(
        "The load goes: a quarter of the pods stays. A budget keeps {SHOP_MINIMUM} of shop's {} pods up meanwhile.",
        SHOP.replicas / 4
    ));
    for workload in &fitting {
        world.scale(workload.name, workload.replicas / 4).await?;
    }
    world
        .settle("the load is down", 5 * MINUTE, |view| {
            fitting
                .iter()
                .all(|workload| runs_whole(view, workload, workload.replicas / 4))
        })
        .await?;
    world.view.watch_fewest(SHOP.name);
    world.settle_nodes(15 * MINUTE, 240 * MINUTE).await?;
    world
        .settle("every pod that can fit runs again", 10 * MINUTE, |view| {
            fitting
                .iter()
                .all(|workload| runs_whole(view, workload, workload.replicas / 4))
        })
        .await?;
    let fewest = world.view.fewest(SHOP.name).unwrap_or_default();
    world.say(&format!(
        "The nodes have settled. Of shop, never fewer than {fewest} pods ran."
    ));
    world.summary().await
}

/// Whether exactly `replicas` pods of the workload are there, all of them running.
fn runs_whole(view: &crate::view::View, workload: &Workload, replicas: i32) -> bool {
    let counts = view.pod_counts(Some(workload.name));
    let replicas = usize::try_from(replicas).unwrap_or(0);
    counts.total == replicas && counts.running == replicas
}
