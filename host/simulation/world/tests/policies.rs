//! Policies that are useless, greedy, broken or hostile, in the whole system: limits hold and no decision is lost.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::ScalingPolicy;
use autoscaler_simulation::clock::run_virtually;
use autoscaler_simulation::scenario::{Scenario, Workload, node_group};
use autoscaler_simulation::{Error, World};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;
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

/// Six pods that need two small nodes, and this guest in charge of `kind`.
fn scenario(guest_name: &str, kind: &str) -> Scenario {
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
    let policy: ScalingPolicy = serde_json::from_value(json!({
        "apiVersion": autoscaler_api::API_VERSION,
        "kind": "ScalingPolicy",
        "metadata": {"name": guest_name},
        "spec": {"kinds": [kind], "source": {"configMap": {"name": guest_name, "key": "policy.wasm"}}},
    }))
    .unwrap();
    scenario.config_maps = vec![config_map];
    scenario.policies = vec![policy];
    scenario
}

/// Runs the guest for ten minutes of virtual time and returns the world's last state to `check`.
fn run(guest_name: &str, kind: &str, check: impl AsyncFnOnce(&World) -> Result<(), Error>) {
    let scenario = scenario(guest_name, kind);
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
