//! What an operator's settings let an operation do, and when: budgets, pause, maintenance windows, the quiet after growth
//! and the history, each changed in the middle as well.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::autoscaler_config::Strategy;
use autoscaler_api::rebalance::{RebalanceKind, RebalancePhase, RebalanceSpec, RebalanceStatus, StepState};
use autoscaler_api::{AutoscalerConfig, Rebalance};
use autoscaler_controllers::rebalance::{Arrival, Removal, Unit, plan, removal_plan};
use autoscaler_simulation::scenario::{SYSTEM, Scenario, Workload, config, node_group};
use autoscaler_simulation::{Error, World, in_world};
use jiff::Timestamp;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
/// Two of it fill a node of the one group.
const WEB: Workload = Workload::new("web", 6, "900m", "256Mi");
const OLD: usize = 3;

fn scenario(rebalancer: &Value) -> Scenario {
    let mut scenario = Scenario::default();
    // What is proposed here is proposed by the test.
    let more = json!({"scaleDownPolicy": {"enabled": false}});
    scenario.groups = vec![node_group(&scenario.cloud, "pool", 8, &["k8s-2-4"], &more).unwrap()];
    scenario.config = Some(config(&json!({"rebalancer": rebalancer})).unwrap());
    scenario
}

fn rebalances(world: &World) -> Api<Rebalance> {
    Api::namespaced(world.client.clone(), SYSTEM)
}

async fn status(world: &World, name: &str) -> RebalanceStatus {
    let read = rebalances(world).get(name).await.unwrap();
    read.status.unwrap_or_default()
}

async fn set(world: &World, rebalancer: &Value) {
    let api = Api::<AutoscalerConfig>::all(world.client.clone());
    let patch = json!({"spec": {"rebalancer": rebalancer}});
    api.patch("default", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

/// Three full nodes; their names with those of their VPSieNodes, in order.
async fn three_nodes(world: &World) -> Result<Vec<(String, String)>, Error> {
    world.deploy(&WEB).await?;
    world
        .settle("the pods run", 30 * MINUTE, |view| {
            view.pod_counts(None).running == WEB.replicas as usize
        })
        .await?;
    let records = world.view.vpsie_nodes();
    assert_eq!(records.len(), OLD);
    let named = records.iter().map(|(key, record)| {
        let node = record.node_name().unwrap().to_owned();
        (node, key.name.clone())
    });
    Ok(named.collect())
}

/// An operation that replaces each of the nodes by a new one.
async fn replace(
    world: &World,
    name: &str,
    strategy: Strategy,
    nodes: &[(String, String)],
) -> Result<(), Error> {
    let units = nodes.iter().map(|(node, vpsie_node)| Unit {
        arrivals: vec![Arrival {
            vpsie_node: format!("new-{vpsie_node}"),
            group: "pool".to_owned(),
            offering: "k8s-2-4".to_owned(),
            size: 12,
        }],
        removals: vec![Removal {
            node: node.clone(),
            vpsie_node: vpsie_node.clone(),
            group: None,
            offering: None,
            reason: "the test".to_owned(),
        }],
    });
    let units: Vec<Unit> = units.collect();
    let plan = plan(RebalanceKind::Drift, strategy, &units);
    begin(world, name, RebalanceSpec { plan }).await
}

async fn begin(world: &World, name: &str, spec: RebalanceSpec) -> Result<(), Error> {
    let mut object = Rebalance::new(name, spec);
    object.meta_mut().namespace = Some(SYSTEM.to_owned());
    world.create(&rebalances(world), &object).await
}

/// Nodes that operations keep out of service now.
fn out_of_service(world: &World) -> usize {
    let nodes = world.view.nodes();
    let drains = |taint: &String| taint.starts_with("autoscaler.vpsie.com/rebalancing");
    nodes
        .values()
        .filter(|node| node.taints.iter().any(drains))
        .count()
}

/// Lets time pass until the operation is over, or for so long; the most nodes that were out of service at once.
async fn play(world: &World, name: &str, most: Duration) -> usize {
    let mut seen = 0;
    let begun = world.elapsed();
    while world.elapsed() - begun < most && !status(world, name).await.phase.is_final() {
        // More often than the operation is looked at: a node is out of service for some seconds at least.
        for _ in 0..10 {
            world.advance(SECOND).await;
            seen = seen.max(out_of_service(world));
        }
    }
    seen
}

async fn until_a_node_is_cordoned(world: &World) {
    for _ in 0..3600 {
        if out_of_service(world) > 0 {
            return;
        }
        world.advance(SECOND).await;
    }
    panic!("no node is ever cordoned");
}

fn holds_together(world: &World, name: &str, nodes: usize) {
    assert_eq!(world.leaked(), 0, "{name}");
    assert_eq!(world.view.vpsie_nodes().len(), nodes, "{name}");
    assert_eq!(
        world.view.pod_counts(None).running,
        WEB.replicas as usize,
        "{name}"
    );
}

#[test]
fn a_budget_is_how_many_nodes_are_out_of_service_at_most() {
    use Strategy::{BlueGreen, Rolling, Surge};
    // Budgets, strategy, most nodes at once, and what keeps the operation from beginning.
    let cases = [
        (json!([]), Surge, 3, None),
        (json!([{"nodes": "2"}]), Surge, 2, None),
        (json!([{"nodes": "1"}]), Surge, 1, None),
        (json!([{"nodes": "10%"}]), Surge, 1, None),
        (
            json!([{"nodes": "2"}, {"nodes": "1", "reasons": ["drift"]}]),
            Surge,
            1,
            None,
        ),
        (json!([{"nodes": "0", "reasons": ["expire"]}]), Surge, 3, None),
        // The world begins on a Monday at eight.
        (
            json!([{"nodes": "0", "schedule": "0 2 * * 6", "duration": "3h"}]),
            Surge,
            3,
            None,
        ),
        (
            json!([{"nodes": "0", "schedule": "0 8 * * 1", "duration": "20h"}]),
            Surge,
            0,
            Some("allows 0 nodes out of service, 1 would be"),
        ),
        (json!([{"nodes": "1"}]), Rolling, 1, None),
        (json!([{"nodes": "3"}]), BlueGreen, 3, None),
        // It cordons all of them at once: so it needs room for all of them before it begins.
        (
            json!([{"nodes": "2"}]),
            BlueGreen,
            0,
            Some("allows 2 nodes out of service, 3 would be"),
        ),
    ];
    for (budgets, strategy, most, waits) in cases {
        let name = format!("{budgets} {strategy:?}");
        let settings = json!({"maxConcurrent": 3, "readyNodesPercent": 0, "budgets": budgets});
        in_world(&scenario(&settings), async |world| {
            let nodes = three_nodes(world).await?;
            replace(world, "op", strategy, &nodes).await?;
            let seen = play(world, "op", if waits.is_some() { 10 } else { 90 } * MINUTE).await;
            let status = status(world, "op").await;
            let message = status.message.unwrap();
            assert_eq!(seen, most, "{name}: {message}");
            match waits {
                None => assert_eq!(status.phase, RebalancePhase::Completed, "{name}: {message}"),
                Some(why) => {
                    assert_eq!(status.phase, RebalancePhase::Pending, "{name}: {message}");
                    assert!(message.contains(why), "{name}: {message}");
                }
            }
            world.advance(MINUTE).await;
            holds_together(world, &name, OLD);
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn operations_side_by_side_share_the_budget() {
    for (nodes, most) in [("1", 1), ("2", 2)] {
        let settings = json!({"maxConcurrent": 3, "readyNodesPercent": 0, "budgets": [{"nodes": nodes}]});
        in_world(&scenario(&settings), async |world| {
            let all = three_nodes(world).await?;
            for (number, node) in all.iter().enumerate() {
                let node = std::slice::from_ref(node);
                replace(world, &format!("op-{number}"), Strategy::Rolling, node).await?;
            }
            let mut seen = 0;
            for number in 0..all.len() {
                seen = seen.max(play(world, &format!("op-{number}"), 90 * MINUTE).await);
            }
            assert_eq!(seen, most, "a budget of {nodes}");
            for number in 0..all.len() {
                let status = status(world, &format!("op-{number}")).await;
                assert_eq!(status.phase, RebalancePhase::Completed, "{:?}", status.message);
            }
            holds_together(world, nodes, OLD);
            Ok(())
        })
        .unwrap();
    }
}

/// How an operation goes on whose settings change when its first node is cordoned.
enum Then {
    /// It finishes that node and waits, in these words; with the settings as before it goes on to its end.
    Waits(&'static str),
    /// It finishes that node and leaves the others.
    EndsEarly,
    /// It finishes that node; the new nodes of the others are given back.
    GivesBack,
}

#[test]
fn what_changes_in_the_middle_holds_from_the_next_node_on() {
    let elsewhen = json!([{"schedule": "0 2 * * 6", "duration": "1h"}]);
    let cases = [
        (
            "paused",
            json!({"paused": true}),
            Strategy::Rolling,
            Then::Waits("held: spec.rebalancer.paused is true"),
        ),
        (
            "paused",
            json!({"paused": true}),
            Strategy::Surge,
            Then::Waits("held: spec.rebalancer.paused is true"),
        ),
        (
            "a lower budget",
            json!({"budgets": [{"nodes": "0"}]}),
            Strategy::Rolling,
            Then::Waits("held: the disruption budget allows 0 nodes out of service, 1 would be"),
        ),
        (
            "a lower budget",
            json!({"budgets": [{"nodes": "0"}]}),
            Strategy::Surge,
            Then::Waits("held: the disruption budget allows 0 nodes out of service, 1 would be"),
        ),
        (
            "a window that closes",
            json!({"maintenanceWindows": elsewhen}),
            Strategy::Rolling,
            Then::EndsEarly,
        ),
        (
            "a window that closes",
            json!({"maintenanceWindows": elsewhen}),
            Strategy::Surge,
            Then::GivesBack,
        ),
    ];
    for (name, change, strategy, then) in cases {
        let before = json!({"paused": false, "budgets": [{"nodes": "3"}], "maintenanceWindows": []});
        in_world(&scenario(&before), async |world| {
            let nodes = three_nodes(world).await?;
            replace(world, "op", strategy, &nodes).await?;
            until_a_node_is_cordoned(world).await;
            set(world, &change).await;
            let seen = play(world, "op", 20 * MINUTE).await;
            assert!(seen <= 1, "{name}: {seen} nodes were cordoned");
            let found = status(world, "op").await;
            let message = found.message.clone().unwrap();
            let done = |status: &RebalanceStatus| {
                let removed = status.steps.iter().filter(|step| step.id.ends_with("-remove"));
                removed.filter(|step| step.state == StepState::Done).count()
            };
            assert_eq!(done(&found), 1, "{name}: {message}");
            match then {
                Then::Waits(words) => {
                    assert_eq!(found.phase, RebalancePhase::Running, "{name}");
                    assert_eq!(message, words, "{name}");
                    assert_eq!(out_of_service(world), 0, "{name}");
                    // An operation that its operator holds is not one that hangs.
                    let oldest = "rebalancer_oldest_operation_seconds{operation=\"execute\"} ";
                    let metrics = world.metrics.render();
                    let oldest = metrics.lines().find_map(|line| Some(line.split_once(oldest)?.1));
                    assert_eq!(oldest, Some("0"), "{name}");
                    set(world, &before).await;
                    play(world, "op", 90 * MINUTE).await;
                    let found = status(world, "op").await;
                    assert_eq!(
                        found.phase,
                        RebalancePhase::Completed,
                        "{name}: {:?}",
                        found.message
                    );
                    assert_eq!(done(&found), OLD, "{name}");
                }
                Then::EndsEarly => {
                    assert_eq!(found.phase, RebalancePhase::Completed, "{name}: {message}");
                    let left = format!("left as they are: {}, {}", nodes[1].0, nodes[2].0);
                    assert!(message.contains(&left), "{name}: {message}");
                }
                Then::GivesBack => {
                    assert_eq!(found.phase, RebalancePhase::RolledBack, "{name}: {message}");
                    assert!(
                        message.contains("the maintenance window closed"),
                        "{name}: {message}"
                    );
                }
            }
            world.advance(MINUTE).await;
            holds_together(world, name, OLD);
            Ok(())
        })
        .unwrap();
    }
}

/// The operation waits in Pending, says why, and begins at its time.
#[test]
fn an_operation_begins_when_it_may() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let cases = [
        (
            "a window",
            json!({"maintenanceWindows": [{"schedule": "30 11 * * *", "duration": "2h", "timeZone": "Europe/Helsinki"}]}),
            "waits for the maintenance window of 2027-01-04T09:30:00Z",
            at("2027-01-04T09:30:00Z"),
        ),
        (
            "a budget that lifts",
            json!({"budgets": [{"nodes": "0", "schedule": "0 8 * * *", "duration": "1h"}]}),
            "the disruption budget allows 0 nodes out of service, 1 would be",
            at("2027-01-04T09:00:00Z"),
        ),
        (
            "the quiet after growth",
            json!({"quietPeriodAfterScaleUp": "50m"}),
            "a group grew less than 3000 s ago",
            at("2027-01-04T08:50:00Z"),
        ),
    ];
    for (name, settings, why, from) in cases {
        in_world(&scenario(&settings), async |world| {
            let nodes = three_nodes(world).await?;
            replace(world, "op", Strategy::Rolling, &nodes[..1]).await?;
            world.advance(MINUTE).await;
            let waiting = status(world, "op").await;
            assert_eq!(waiting.phase, RebalancePhase::Pending, "{name}");
            assert_eq!(waiting.message.as_deref(), Some(why), "{name}");
            play(world, "op", 180 * MINUTE).await;
            let found = status(world, "op").await;
            assert_eq!(
                found.phase,
                RebalancePhase::Completed,
                "{name}: {:?}",
                found.message
            );
            let began = found.started_at.unwrap().0;
            // The longest time between two looks, and some seconds of the world's own.
            let late = began.duration_since(from);
            assert!((0..=330).contains(&late.as_secs()), "{name}: began at {began}");
            holds_together(world, name, OLD);
            Ok(())
        })
        .unwrap();
    }
}

/// An operation of which nothing is there any more: every step is done at once.
fn of_nothing(name: &str) -> RebalanceSpec {
    let removal = Removal {
        node: name.to_owned(),
        vpsie_node: name.to_owned(),
        group: None,
        offering: None,
        reason: String::new(),
    };
    RebalanceSpec {
        plan: removal_plan(RebalanceKind::RemoveEmpty, Strategy::Rolling, &[removal]),
    }
}

#[test]
fn of_finished_operations_the_newest_are_kept() {
    in_world(&scenario(&json!({"historyLimit": 2})), async |world| {
        for number in 0..5 {
            let name = format!("op-{number}");
            begin(world, &name, of_nothing(&name)).await?;
            world.advance(MINUTE / 2).await;
        }
        set(world, &json!({"paused": true})).await;
        begin(world, "a-waits", of_nothing("a-waits")).await?;
        world.advance(5 * MINUTE).await;
        let listed = rebalances(world).list(&ListParams::default()).await.unwrap();
        let names: Vec<String> = listed.iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, ["a-waits", "op-3", "op-4"]);
        Ok(())
    })
    .unwrap();
}
