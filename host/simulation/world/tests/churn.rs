//! Days of a shop: how many pods are moved, and what the nodes cost, under the built-in policy's defaults and under two
//! other rules that its configuration can be told. A test run plays one short day and holds the defaults to bounds.
//!
//! `cargo test --workspace --test churn -- --ignored --nocapture` prints the table of all days. `CHURN_DAY=sine` plays those
//! whose name has the word, `CHURN_CONFIG='{"idleSeconds":60}'` adds a rule of yours, `CHURN_POLICY=file.wasm` plays
//! a component of yours instead of the built-in one, and `CHURN_STORY=1` tells what happens. What is printed are means
//! over the seeds of the day: one node that goes a minute later changes all that follows.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::ScalingPolicy;
use autoscaler_simulation::World;
use autoscaler_simulation::clock::run_virtually;
use autoscaler_simulation::scenario::{NAMESPACE, Scenario, Workload, budget, config, node_group};
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

const STEP: Duration = Duration::from_secs(600);
const STEPS_PER_HOUR: u32 = 6;

/// A load over the hours, and what carries it.
struct Day {
    name: &'static str,
    hours: u32,
    /// It is played once with each.
    seeds: Range<u64>,
    offerings: &'static [&'static str],
    workloads: &'static [Load],
}

#[derive(Clone, Copy)]
struct Load {
    workload: Workload,
    /// Pods at an hour of the day.
    pods: fn(f64) -> f64,
    release_every_hours: u32,
}

/// From `least` at midnight to `most` at noon and back.
fn sine(least: f64, most: f64, hour: f64) -> f64 {
    least + (most - least) * (1.0 - (hour / 24.0 * std::f64::consts::TAU).cos()) / 2.0
}

const fn load(workload: Workload, pods: fn(f64) -> f64, release_every_hours: u32) -> Load {
    Load {
        workload,
        pods,
        release_every_hours,
    }
}

const SMALL_AND_MIDDLE: &[&str] = &["k8s-2-4", "k8s-4-8"];
const SHOP: Load = load(
    Workload::new("web", 6, "600m", "512Mi"),
    |hour| sine(6.0, 36.0, hour),
    4,
);

const DAYS: [Day; 5] = [
    Day {
        name: "sine 6 to 36 pods of 0.6 CPU, released every 4 h",
        hours: 24,
        seeds: 1..9,
        offerings: SMALL_AND_MIDDLE,
        workloads: &[SHOP],
    },
    Day {
        name: "low sine 16 to 28 pods of 1.1 CPU, released every 8 h",
        hours: 24,
        seeds: 1..5,
        offerings: &["k8s-2-4", "k8s-4-8", "k8s-8-16"],
        workloads: &[load(
            Workload::new("web", 16, "1100m", "1Gi"),
            |hour| sine(16.0, 28.0, hour),
            8,
        )],
    },
    Day {
        name: "office hours 8 to 60 pods of 0.25 CPU, released every 2 h",
        hours: 24,
        seeds: 1..5,
        offerings: SMALL_AND_MIDDLE,
        workloads: &[load(
            Workload::new("web", 8, "250m", "300Mi"),
            |hour| if (8.0..18.0).contains(&hour) { 60.0 } else { 8.0 },
            2,
        )],
    },
    Day {
        name: "two shops, day and night, released every 6 h and 12 h",
        hours: 24,
        seeds: 1..5,
        offerings: SMALL_AND_MIDDLE,
        workloads: &[
            load(
                Workload::new("web", 4, "600m", "512Mi"),
                |hour| sine(4.0, 24.0, hour),
                6,
            ),
            load(
                Workload::new("batch", 18, "350m", "900Mi"),
                |hour| sine(18.0, 3.0, hour),
                12,
            ),
        ],
    },
    Day {
        name: "steady 20 pods of 0.6 CPU, released once, after a peak of 36",
        hours: 24,
        seeds: 1..5,
        offerings: SMALL_AND_MIDDLE,
        workloads: &[load(
            Workload::new("web", 20, "600m", "512Mi"),
            |hour| if (2.0..4.0).contains(&hour) { 36.0 } else { 20.0 },
            24,
        )],
    },
];

/// Short enough for every test run: the end of a day, when nodes go one after the other.
const EVENING: Day = Day {
    name: "an evening, from 24 pods of 0.6 CPU to 6",
    hours: 4,
    seeds: 1..2,
    offerings: SMALL_AND_MIDDLE,
    workloads: &[load(
        Workload::new("web", 24, "600m", "512Mi"),
        |hour| (24.0 - 6.0 * hour).max(6.0),
        24,
    )],
};

/// What the rebalance policy is told, and whether the host replaces nodes.
struct Rule {
    name: &'static str,
    replaces: bool,
    config: Value,
}

fn rules() -> Vec<Rule> {
    let mut rules = vec![
        Rule {
            name: "our default",
            replaces: true,
            config: json!({}),
        },
        Rule {
            name: "remove under-used only (Cluster Autoscaler)",
            replaces: false,
            config: json!({"mostMerged": 0, "idleSeconds": 600, "evictionCostMicros": 0, "startSeconds": 0}),
        },
        Rule {
            name: "always consolidate (Karpenter)",
            replaces: true,
            config: json!({
                "idleSeconds": 15, "settleSeconds": 15, "underusedPermille": 1000, "minimumSavingPermille": 0,
                "evictionCostMicros": 0, "startSeconds": 0, "flipBackSeconds": 0,
            }),
        },
    ];
    if let Ok(config) = std::env::var("CHURN_CONFIG") {
        rules = vec![Rule {
            name: "CHURN_CONFIG",
            replaces: true,
            config: serde_json::from_str(&config).unwrap(),
        }];
    }
    rules
}

/// What a day came to.
struct Tally {
    evictions: u64,
    cost: f64,
    machines: u64,
    waited: usize,
}

fn scenario(day: &Day, rule: &Rule) -> Scenario {
    let mut scenario = Scenario::default();
    scenario.groups = vec![node_group(&scenario.cloud, "shop", 30, day.offerings, &json!({})).unwrap()];
    // One pod may be away when the load is least.
    let budgets = day.workloads.iter().map(|load| {
        let hours = (0..24).map(|hour| (load.pods)(f64::from(hour)) as i32);
        budget(load.workload.name, hours.min().unwrap_or(0) - 1).unwrap()
    });
    scenario.budgets = budgets.collect();
    scenario.config = Some(config(&json!({"rebalancer": {"enabled": rule.replaces}})).unwrap());
    let mut source = json!({"builtIn": "rebalance"});
    if let Ok(file) = std::env::var("CHURN_POLICY") {
        let mut component = ConfigMap::default();
        component.metadata.name = Some("rule".to_owned());
        component.metadata.namespace = Some("kube-system".to_owned());
        let bytes = ByteString(std::fs::read(file).unwrap());
        component.binary_data = Some(BTreeMap::from([("policy.wasm".to_owned(), bytes)]));
        scenario.config_maps = vec![component];
        source = json!({"configMap": {"name": "rule", "key": "policy.wasm"}});
    }
    let policy: ScalingPolicy = serde_json::from_value(json!({
        "apiVersion": autoscaler_api::API_VERSION, "kind": "ScalingPolicy", "metadata": {"name": "rule"},
        "spec": {"kinds": ["rebalance"], "mode": "Active", "source": source, "config": rule.config},
    }))
    .unwrap();
    scenario.policies = vec![policy];
    scenario.pace.rebalance_every = Duration::from_secs(30);
    scenario
}

fn play(day: &Day, seed: u64, rule: &Rule) -> Tally {
    let scenario = scenario(day, rule);
    let told = std::env::var("CHURN_STORY").is_ok();
    let sink = told.then(|| -> autoscaler_simulation::narrator::Sink { Box::new(|line| println!("{line}")) });
    run_virtually(async move {
        let world = World::start(&scenario, seed, sink).await?;
        for load in day.workloads {
            world.deploy(&load.workload).await?;
        }
        let deployments = Api::<Deployment>::namespaced(world.client.clone(), NAMESPACE);
        let mut waited = 0;
        for step in 0..day.hours * STEPS_PER_HOUR {
            let hour = f64::from(step) / f64::from(STEPS_PER_HOUR);
            for load in day.workloads {
                let name = load.workload.name;
                world.scale(name, (load.pods)(hour).round() as i32).await?;
                let steps = load.release_every_hours * STEPS_PER_HOUR;
                if step % steps == steps - 1 {
                    let release = json!({"spec": {"template": {"metadata": {"annotations": {"release": step.to_string()}}}}});
                    let changed = deployments.patch(name, &PatchParams::default(), &Patch::Merge(&release)).await;
                    changed.unwrap();
                }
            }
            world.advance(STEP).await;
            let pods = world.view.pod_counts(None);
            waited += pods.pending;
            world.say(&format!("== {hour:.1} h: {} pods, {} nodes", pods.total, world.view.ready_nodes()));
        }
        let inventory = world.cloud.inventory();
        let metrics = world.metrics.render();
        let line = "vpsie_autoscaler_evictions_total{result=\"evicted\"} ";
        let evictions = metrics.lines().find_map(|text| text.strip_prefix(line)).unwrap();
        let tally = Tally {
            evictions: evictions.parse().unwrap(),
            cost: inventory.cost,
            machines: inventory.created,
            waited,
        };
        assert_eq!(world.leaked(), 0);
        world.stop().await;
        Ok(tally)
    })
    .unwrap()
}

/// The mean over some days, with as many decimals.
fn mean(tallies: &[Tally], decimals: usize, of: impl Fn(&Tally) -> f64) -> String {
    let sum: f64 = tallies.iter().map(of).sum();
    format!("{:.decimals$}", sum / tallies.len() as f64)
}

#[test]
#[ignore = "days of virtual time take minutes: a measurement, not a check"]
fn days_under_three_rules() {
    println!(
        "| day | rule | evictions | cost | machines bought | pods that waited at a look |\n|---|---|---|---|---|---|"
    );
    let chosen = std::env::var("CHURN_DAY").unwrap_or_default();
    for day in DAYS.iter().filter(|day| day.name.contains(&chosen)) {
        for rule in rules() {
            let began = std::time::Instant::now();
            let tallies = day.seeds.clone().map(|seed| play(day, seed, &rule));
            let tallies: Vec<Tally> = tallies.collect();
            println!(
                "| {} | {} | {} | {} | {} | {} |",
                day.name,
                rule.name,
                mean(&tallies, 1, |tally| tally.evictions as f64),
                mean(&tallies, 3, |tally| tally.cost),
                mean(&tallies, 1, |tally| tally.machines as f64),
                mean(&tallies, 1, |tally| tally.waited as f64),
            );
            eprintln!("{:.1} s", began.elapsed().as_secs_f64());
        }
    }
}

#[test]
fn an_evening_costs_little_and_moves_few_pods() {
    let tally = play(&EVENING, EVENING.seeds.start, &rules()[0]);
    let (evictions, cost) = (tally.evictions, tally.cost);
    println!("{}: {evictions} evictions, cost {cost:.3}", EVENING.name);
    assert_eq!(tally.waited, 0);
    assert!(evictions <= 9, "{evictions} pods were moved");
    assert!(cost <= 0.72, "it cost {cost:.3}");
}
