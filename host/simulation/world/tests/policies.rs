//! Policies that are useless, greedy, broken or hostile, in the whole system: limits hold and no decision is lost.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::conditions::{is_true, types};
use autoscaler_api::scaling_policy::Pair;
use autoscaler_api::{ScalingPolicy, ScalingPolicyStatus};
use autoscaler_cluster::ObjectKey;
use autoscaler_controllers::explain::Subject;
use autoscaler_simulation::clock::run_virtually;
use autoscaler_simulation::scenario::{Scenario, Workload, node_group};
use autoscaler_simulation::{Error, World};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const MAX_NODES: i32 = 3;
const MINUTE: Duration = Duration::from_secs(60);
const PODS: usize = 6;

/// A component that `cargo xtask policies` built from `tests/guests`.
fn guest(name: &str) -> Vec<u8> {
    let file = format!(
        "{}/../../../target/policies/test/{name}.wasm",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read(&file).unwrap_or_else(|error| panic!("{file}: {error}; run `cargo xtask policies` first"))
}

/// Six pods that need two small nodes, and this guest in charge of `kind`, with `extra` in its spec.
fn scenario(guest_name: &str, kind: &str, extra: &Value) -> Scenario {
    let mut scenario = Scenario::default();
    scenario.groups =
        vec![node_group(&scenario.cloud, "small", MAX_NODES, &["k8s-2-4"], &json!({})).unwrap()];
    let mut config_map = ConfigMap::default();
    config_map.metadata.name = Some(guest_name.to_owned());
    config_map.metadata.namespace = Some("kube-system".to_owned());
    config_map.binary_data = Some(BTreeMap::from([(
        "policy.wasm".to_owned(),
        ByteString(guest(guest_name)),
    )]));
    let mut spec =
        json!({"kinds": [kind], "source": {"configMap": {"name": guest_name, "key": "policy.wasm"}}});
    for (name, value) in extra.as_object().unwrap() {
        spec[name.as_str()] = value.clone();
    }
    let policy: ScalingPolicy = serde_json::from_value(json!({
        "apiVersion": autoscaler_api::API_VERSION,
        "kind": "ScalingPolicy",
        "metadata": {"name": guest_name},
        "spec": spec,
    }))
    .unwrap();
    scenario.config_maps = vec![config_map];
    scenario.policies = vec![policy];
    scenario
}

/// Runs the guest for ten minutes of virtual time and returns the world's last state to `check`.
fn run(guest_name: &str, kind: &str, check: impl AsyncFnOnce(&World) -> Result<(), Error>) {
    run_with(guest_name, kind, &json!({}), check);
}

fn run_with(
    guest_name: &str,
    kind: &str,
    extra: &Value,
    check: impl AsyncFnOnce(&World) -> Result<(), Error>,
) {
    let scenario = scenario(guest_name, kind, extra);
    let done = run_virtually(async move {
        let world = World::start(&scenario, 1, None).await?;
        // The policy is loaded before there is anything to decide.
        world.advance(MINUTE).await;
        world
            .deploy(&Workload::new("half", PODS as i32, "600m", "256Mi"))
            .await?;
        world.advance(9 * MINUTE).await;
        let done = check(&world).await;
        world.stop().await;
        done
    });
    done.unwrap();
}

#[test]
fn one_that_proposes_nothing_gets_no_node() {
    run("nothing", "scale-up", async |world| {
        assert_eq!(world.cloud.inventory().created, 0);
        assert_eq!(world.view.pod_counts(None).pending, PODS);
        Ok(())
    });
}

#[test]
fn one_that_proposes_a_thousand_stops_at_the_limit() {
    run("thousand", "node-selection", async |world| {
        assert_eq!(world.cloud.inventory().created, MAX_NODES as u64);
        assert_eq!(world.view.most_nodes()["small"], MAX_NODES as usize);
        assert_eq!(world.view.pod_counts(None).running, PODS);
        Ok(())
    });
}

#[test]
fn where_one_fails_the_built_in_decides_in_the_same_loop() {
    for (guest_name, reasons) in [
        ("trap", &["Trap"][..]),
        // Whichever of the two limits is met first on this machine.
        ("spin", &["OutOfFuel", "Deadline"]),
        ("hog", &["MemoryLimit"]),
        ("garbage", &["Garbage", "OutputLimit"]),
    ] {
        run(guest_name, "scale-up", async |world| {
            assert_eq!(world.view.pod_counts(None).running, PODS, "{guest_name}");
            assert_eq!(world.cloud.inventory().created, 2, "{guest_name}");
            let decisions = world.chronicle.decisions();
            let record = decisions.iter().find(|record| !record.failed.is_empty());
            let record = record.unwrap_or_else(|| panic!("{guest_name}: {decisions:?}"));
            assert!(
                !record.actions.is_empty() || record.rejections.is_empty(),
                "{guest_name}: {record:?}"
            );
            let reason = record.failed[0].reason;
            assert!(reasons.contains(&reason), "{guest_name}: {reason}");
            let metrics = world.metrics.render();
            let counted = metrics.lines().any(|line| {
                line.starts_with("vpsie_autoscaler_policy_fallbacks_total{")
                    && line.contains(&format!("reason=\"{reason}\""))
                    && !line.ends_with(" 0")
            });
            assert!(counted, "{guest_name}: {metrics}");
            let events = world.events().await?;
            let said = events.iter().any(|event| {
                event.reason.as_deref() == Some("PolicyFailed")
                    && event.involved_object.name.as_deref() == Some(guest_name)
            });
            assert!(said, "{guest_name}: {events:?}");
            Ok(())
        });
    }
}

fn policies(world: &World) -> Api<ScalingPolicy> {
    Api::all(world.client.clone())
}

async fn status(world: &World, name: &str) -> ScalingPolicyStatus {
    policies(world).get(name).await.unwrap().status.unwrap()
}

async fn reasons(world: &World) -> Result<Vec<String>, Error> {
    let events = world.events().await?;
    Ok(events.into_iter().filter_map(|event| event.reason).collect())
}

#[test]
fn a_shadow_sees_every_decision_and_can_do_nothing() {
    run_with(
        "thousand",
        "node-selection",
        &json!({"mode": "Shadow"}),
        async |world| {
            // As if it were not there.
            assert_eq!(world.cloud.inventory().created, 2);
            assert_eq!(world.view.pod_counts(None).running, PODS);
            let decisions = world.chronicle.decisions();
            assert!(
                decisions.iter().all(|record| record.policy.name == "built-in"),
                "{decisions:?}"
            );
            let status = status(world, "thousand").await;
            let ready = is_true(&status.conditions, types::READY);
            let shadow = status.shadow.clone().unwrap_or_else(|| panic!("{status:?}"));
            assert!(ready && shadow.different >= 1 && shadow.failed == 0, "{shadow:?}");
            // The checker trims its thousand to what the group may have.
            assert_eq!(shadow.nodes, Pair { active: 2, shadow: 3 });
            assert!(
                shadow.hourly_micros.shadow > shadow.hourly_micros.active,
                "{shadow:?}"
            );
            let said = shadow.last_difference.clone().unwrap();
            assert!(
                said.starts_with("it would buy 3 nodes for ") && said.contains("instead of 2 nodes"),
                "{said}"
            );
            let usage = status.usage.unwrap();
            assert_eq!(usage.calls, shadow.decisions, "it was asked at every decision");
            let metrics = world.metrics.render();
            for line in [
                r#"vpsie_autoscaler_shadow_nodes_total{policy="thousand",side="active"} 2"#,
                r#"vpsie_autoscaler_shadow_nodes_total{policy="thousand",side="shadow"} 3"#,
            ] {
                assert!(metrics.contains(line), "{line} is not in\n{metrics}");
            }
            let (record, _) = world.view.vpsie_nodes().into_iter().next().unwrap();
            let group = Subject::NodeGroup(ObjectKey::new(record.namespace, "small"));
            let explained = world.explain(&group).unwrap().unwrap().text();
            for line in [
                "\nWhat shadows would have done\n  thousand  ",
                " decisions otherwise, 0 without an answer\n",
                "  thousand  nodes 3 instead of 2, 0.",
                ", pods left waiting 0 instead of 0\n",
                "  thousand  the last time: it would buy 3 nodes for ",
            ] {
                assert!(explained.contains(line), "{line:?} is not in\n{explained}");
            }
            Ok(())
        },
    );
}

#[test]
fn a_shadow_that_fails_trips_and_nobody_else_notices() {
    let extra = json!({"mode": "Shadow", "tripAfter": {"failures": 2, "within": "5m"}});
    run_with("trap", "rebalance", &extra, async |world| {
        assert_eq!(world.view.pod_counts(None).running, PODS);
        let decisions = world.chronicle.decisions();
        assert!(
            decisions.iter().all(|record| record.failed.is_empty()),
            "{decisions:?}"
        );
        let status = status(world, "trap").await;
        assert_eq!(status.trip.map(|trip| trip.failures), Some(2));
        assert_eq!(
            status.usage.map(|usage| usage.calls),
            Some(2),
            "it is not asked any more"
        );
        assert!(!reasons(world).await?.contains(&"PolicyFailed".to_owned()));
        Ok(())
    });
}

#[test]
fn one_that_fails_too_often_is_asked_again_when_somebody_acknowledges_it() {
    let extra = json!({"tripAfter": {"failures": 3, "within": "10m"}});
    run_with("trap", "rebalance", &extra, async |world| {
        let first = status(world, "trap").await;
        let trip = first.trip.clone().unwrap_or_else(|| panic!("{first:?}"));
        assert_eq!((trip.failures, trip.reason.as_str()), (3, "Trap"));
        assert!(is_true(&first.conditions, types::TRIPPED) && !is_true(&first.conditions, types::READY));
        assert_eq!(first.usage.unwrap().traps, 3, "it is not asked any more");
        let line = r#"vpsie_autoscaler_policy_tripped{policy="trap"} 1"#;
        assert!(world.metrics.render().contains(line));
        assert_eq!(
            reasons(world)
                .await?
                .iter()
                .filter(|reason| *reason == "PolicyTripped")
                .count(),
            1
        );

        let at = serde_json::to_value(&trip.at).unwrap();
        let patch = json!({"metadata": {"annotations": {"autoscaler.vpsie.com/acknowledge-trip": at}}});
        policies(world)
            .patch("trap", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
        world.advance(Duration::from_secs(15)).await;
        let second = status(world, "trap").await;
        assert_eq!(second.trip, None, "{second:?}");
        assert!(is_true(&second.conditions, types::READY));
        assert!(
            reasons(world)
                .await?
                .contains(&"PolicyTripAcknowledged".to_owned())
        );
        // It is no better than before.
        world.advance(MINUTE).await;
        let third = status(world, "trap").await.trip.unwrap();
        assert!(
            third.at.0 > trip.at.0,
            "the acknowledgement was for the first trip only"
        );
        Ok(())
    });
}
