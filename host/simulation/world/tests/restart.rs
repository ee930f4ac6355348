//! What a process knew when it ended, and its successor knows again: purchases that did not help, offerings that rest.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::conditions::{self, types};
use autoscaler_api::{Condition, NodeGroup};
use autoscaler_simulation::scenario::{SYSTEM, Scenario, Workload, node_group};
use autoscaler_simulation::{Error, World};
use fake_vpsie::{Effect, Fault, VmEvent};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const ONE: Workload = Workload::new("one", 1, "600m", "256Mi");

fn in_world(offerings: &[&str], test: impl AsyncFnOnce(&World) -> Result<(), Error>) {
    let mut scenario = Scenario::default();
    scenario.groups = vec![node_group(&scenario.cloud, "small", 10, offerings, &json!({})).unwrap()];
    autoscaler_simulation::in_world(&scenario, test).unwrap();
}

async fn group(world: &World) -> NodeGroup {
    let api: Api<NodeGroup> = Api::namespaced(world.client.clone(), SYSTEM);
    api.get("small").await.unwrap()
}

async fn condition(world: &World, type_: &str) -> Condition {
    let status = group(world).await.status.unwrap();
    conditions::get(&status.conditions, type_).unwrap().clone()
}

async fn trigger(world: &World, value: &str) {
    let api: Api<NodeGroup> = Api::namespaced(world.client.clone(), SYSTEM);
    let patch = json!({"metadata": {"annotations": {"reconcile-trigger": value}}});
    api.patch("small", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

/// Somebody in the cluster puts a taint on every new node that no NodeGroup knows of.
fn quarantine(world: &World) {
    let (client, mut events) = (world.client.clone(), world.cloud.subscribe());
    tokio::spawn(async move {
        let api: Api<Node> = Api::all(client);
        while let Some(event) = events.recv().await {
            let VmEvent::Booted(vm) = event else { continue };
            let taints =
                json!({"spec": {"taints": [{"key": "example.com/quarantine", "effect": "NoSchedule"}]}});
            // The kubelet registers in its own time.
            while api
                .patch(&vm.node_name, &PatchParams::default(), &Patch::Merge(&taints))
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
}

#[test]
fn nodes_that_do_not_help_are_bought_three_times_and_no_more() {
    in_world(&["k8s-2-4"], async |world| {
        quarantine(world);
        world.deploy(&ONE).await?;
        world.advance(10 * MINUTE).await;
        assert_eq!(
            world.cloud.inventory().created,
            3,
            "and then what keeps the pod is not room"
        );
        let shown = condition(world, types::PURCHASES_FUTILE).await;
        assert_eq!(shown.reason.as_deref(), Some("FutilePurchases"), "{shown:?}");
        assert!(
            shown
                .message
                .unwrap()
                .starts_with("1 pods wait although nodes came for them 3 times")
        );
        assert!(world.metrics.render().contains("vpsie_autoscaler_futile_pods 1"));
        let events = world.events().await.unwrap();
        let told = |reason: &str, words: &str| {
            events.iter().any(|event| {
                event.reason.as_deref() == Some(reason) && event.message.as_ref().unwrap().contains(words)
            })
        };
        assert!(told("FutilePurchases", "stood idle"));
        assert!(told("NotTriggerScaleUp", "3 nodes or more were bought for it"));
        assert_eq!(group(world).await.status.unwrap().futile_purchases.len(), 3);

        // The successor knows.
        for _ in 0..2 {
            world.restart_autoscaler().await?;
            world.advance(5 * MINUTE).await;
            assert_eq!(
                world.cloud.inventory().created,
                3,
                "{:?}",
                group(world).await.status
            );
            assert!(world.metrics.render().contains("vpsie_autoscaler_futile_pods 1"));
        }
        // After half an hour it is tried once more, and then not for an hour.
        world.advance(20 * MINUTE).await;
        assert_eq!(world.cloud.inventory().created, 4);
        world.restart_autoscaler().await?;
        world.advance(40 * MINUTE).await;
        assert_eq!(world.cloud.inventory().created, 4);

        // An operator asks for another try.
        trigger(world, "1").await;
        world.advance(2 * MINUTE).await;
        assert!(world.cloud.inventory().created > 4);

        // Nobody waits any more.
        world.scale(ONE.name, 0).await?;
        world.advance(2 * MINUTE).await;
        assert!(world.metrics.render().contains("vpsie_autoscaler_futile_pods 0"));
        let shown = condition(world, types::PURCHASES_FUTILE).await;
        assert_eq!(shown.reason.as_deref(), Some("PurchasesHelp"), "{shown:?}");
        assert_eq!(group(world).await.status.unwrap().futile_purchases.len(), 0);
        Ok(())
    });
}

#[test]
fn an_offering_that_rests_rests_on_after_a_restart() {
    in_world(&["k8s-2-4"], async |world| {
        let effect = Effect::Status {
            status: 500,
            message: "The selected size is out of stock".to_owned(),
        };
        world.cloud.inject(Fault::always("/add/slave", effect));
        world.deploy(&ONE).await?;
        world.advance(10 * MINUTE).await;
        let health = group(world).await.status.unwrap().offering_health.remove(0);
        assert!(health.failures >= 4, "{health:?}");
        let sent = |world: &World| {
            world
                .cloud
                .journal()
                .iter()
                .filter(|entry| entry.path.contains("/add/slave"))
                .count()
        };
        let before = sent(world);
        world.restart_autoscaler().await?;
        world.advance(Duration::from_secs(20)).await;
        assert_eq!(
            group(world).await.status.unwrap().offering_health,
            std::slice::from_ref(&health),
            "as it was"
        );
        assert_eq!(sent(world), before, "it rests until {:?}", health.rests_until);
        // And goes on where it was: the next pause is longer, not the first again.
        world.advance(20 * MINUTE).await;
        let later = group(world).await.status.unwrap().offering_health.remove(0);
        assert!(
            later.failures > health.failures && later.failures <= health.failures + 2,
            "{later:?}"
        );
        assert!(sent(world) - before <= 2, "{}", sent(world) - before);

        world.cloud.clear_faults();
        trigger(world, "1").await;
        world
            .settle("it runs", 5 * MINUTE, |view| view.pod_counts(None).running == 1)
            .await?;
        assert!(group(world).await.status.unwrap().offering_health.is_empty());
        Ok(())
    });
}
