//! A day of a shop: load like a sine, a new version every four hours. How many pods are moved, and what the nodes cost,
//! under the built-in policy's defaults and under two other rules that its configuration can be told.
//!
//! `cargo test --workspace --test churn -- --ignored --nocapture` prints the table; it takes minutes.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::ScalingPolicy;
use autoscaler_simulation::World;
use autoscaler_simulation::clock::run_virtually;
use autoscaler_simulation::scenario::{NAMESPACE, Scenario, Workload, budget, config, node_group};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;

const WEB: Workload = Workload::new("web", 6, "600m", "512Mi");
const STEP: Duration = Duration::from_secs(600);
const STEPS_PER_DAY: u32 = 144;
const STEPS_PER_RELEASE: u32 = 24;
const LEAST: f64 = 6.0;
const MOST: f64 = 36.0;

struct Day {
    evictions: u64,
    cost: f64,
    machines: u64,
    waited: usize,
}

fn scenario(replaces: bool, policy: &Value) -> Scenario {
    let mut scenario = Scenario::default();
    let offerings = ["k8s-2-4", "k8s-4-8"];
    scenario.groups = vec![node_group(&scenario.cloud, "shop", 30, &offerings, &json!({})).unwrap()];
    scenario.budgets = vec![budget(WEB.name, 5).unwrap()];
    scenario.config = Some(config(&json!({"rebalancer": {"enabled": replaces}})).unwrap());
    let policy: ScalingPolicy = serde_json::from_value(json!({
        "apiVersion": autoscaler_api::API_VERSION, "kind": "ScalingPolicy", "metadata": {"name": "rule"},
        "spec": {"kinds": ["rebalance"], "mode": "Active", "source": {"builtIn": "rebalance"}, "config": policy},
    }))
    .unwrap();
    scenario.policies = vec![policy];
    scenario.pace.rebalance_every = Duration::from_secs(30);
    scenario
}

fn day(replaces: bool, policy: &Value) -> Day {
    let scenario = scenario(replaces, policy);
    run_virtually(async move {
        let world = World::start(&scenario, 1, None).await?;
        world.deploy(&WEB).await?;
        let deployments = Api::<Deployment>::namespaced(world.client.clone(), NAMESPACE);
        let mut waited = 0;
        for step in 0..STEPS_PER_DAY {
            let angle = f64::from(step) / f64::from(STEPS_PER_DAY) * std::f64::consts::TAU;
            let pods = LEAST + (MOST - LEAST) * (1.0 - angle.cos()) / 2.0;
            world.scale(WEB.name, pods.round() as i32).await?;
            if step % STEPS_PER_RELEASE == STEPS_PER_RELEASE - 1 {
                let release = json!({"spec": {"template": {"metadata": {"annotations": {"release": step.to_string()}}}}});
                let changed = deployments.patch(WEB.name, &PatchParams::default(), &Patch::Merge(&release)).await;
                changed.unwrap();
            }
            world.advance(STEP).await;
            waited += world.view.pod_counts(None).pending;
        }
        let inventory = world.cloud.inventory();
        let metrics = world.metrics.render();
        let line = "vpsie_autoscaler_evictions_total{result=\"evicted\"} ";
        let evictions = metrics.lines().find_map(|text| text.strip_prefix(line)).unwrap();
        let day = Day {
            evictions: evictions.parse().unwrap(),
            cost: inventory.cost,
            machines: inventory.created,
            waited,
        };
        assert_eq!(world.leaked(), 0);
        world.stop().await;
        Ok(day)
    })
    .unwrap()
}

#[test]
#[ignore = "three days of virtual time take minutes: a measurement, not a check"]
fn a_day_under_three_rules() {
    let rules = [
        ("our default", true, json!({})),
        (
            "remove under-used only (Cluster Autoscaler)",
            false,
            json!({"mostMerged": 0}),
        ),
        (
            "always consolidate (Karpenter)",
            true,
            json!({
                "idleSeconds": 15, "settleSeconds": 15, "underusedPermille": 1000, "minimumSavingPermille": 0,
                "evictionCostMicros": 0, "startSeconds": 0, "flipBackSeconds": 0,
            }),
        ),
    ];
    println!(
        "| rule | evictions/day | cost/day | machines bought | pods that waited at a look |\n|---|---|---|---|---|"
    );
    for (name, replaces, policy) in rules {
        let day = day(replaces, &policy);
        println!(
            "| {name} | {} | {:.3} | {} | {} |",
            day.evictions, day.cost, day.machines, day.waited
        );
    }
}
