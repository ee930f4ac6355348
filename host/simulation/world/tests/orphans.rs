//! Machines without a record and records without a machine: found in time, reported, and removed where that is allowed.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::{AutoscalerConfig, VPSieNode};
use autoscaler_cluster::ObjectKey;
use autoscaler_simulation::clock::run_virtually;
use autoscaler_simulation::scenario::{Scenario, Workload, config, node_group};
use autoscaler_simulation::{Error, World};
use bytes::Bytes;
use fake_vpsie::config::ForeignNode;
use http::Request;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// What the runbook promises.
const FOUND_WITHIN: Duration = Duration::from_secs(4 * 60);
const WEB: Workload = Workload::new("web", 6, "600m", "256Mi");

/// Two nodes full of pods, beside a worker that is not ours.
fn with_two_nodes(test: impl AsyncFnOnce(&World) -> Result<(), Error>) {
    let mut scenario = Scenario::default();
    scenario.cloud.clusters[0].nodes.push(ForeignNode {
        hostname: "HEL-Kubernetes-49ab-slave-by-hand".to_owned(),
        master: false,
        offer: 12,
    });
    scenario.groups = vec![node_group(&scenario.cloud, "web", 4, &["k8s-2-4"], &json!({})).unwrap()];
    // The stranger would take pods.
    scenario.config = Some(config(&json!({})).unwrap());
    let done = run_virtually(async move {
        let world = World::start(&scenario, 1, None).await?;
        world.deploy(&WEB).await?;
        world
            .settle("the pods run", 10 * MINUTE, |view| {
                view.pod_counts(None).running == 6
            })
            .await?;
        let done = test(&world).await;
        world.stop().await;
        done
    });
    done.unwrap();
}

fn count(world: &World, kind: &str) -> String {
    let series = format!("vpsie_autoscaler_orphans{{kind=\"{kind}\"}} ");
    let text = world.metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap().to_owned()
}

async fn told(world: &World, reason: &str) -> Result<usize, Error> {
    let events = world.events().await?;
    Ok(events
        .iter()
        .filter(|event| event.reason.as_deref() == Some(reason))
        .count())
}

fn first_record(world: &World) -> (ObjectKey, String) {
    let records = world.view.vpsie_nodes();
    let (key, record) = records.iter().next().unwrap();
    (key.clone(), record.provider_identifier().unwrap().to_owned())
}

async fn allow_removal(world: &World) {
    let api = Api::<AutoscalerConfig>::all(world.client.clone());
    let patch = json!({"spec": {"globalSettings": {"removeOrphans": true}}});
    api.patch("default", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

#[test]
fn a_machine_without_its_record_is_told_and_goes_when_allowed() {
    with_two_nodes(async |world| {
        let (key, machine) = first_record(world);
        let api = Api::<VPSieNode>::namespaced(world.client.clone(), &key.namespace);
        api.delete(&key.name, &DeleteParams::default()).await.unwrap();
        // What operators do who lose their patience.
        let patch = json!({"metadata": {"finalizers": null}});
        api.patch(&key.name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
        let exists = || world.cloud.vms().iter().any(|vm| vm.identifier == machine);
        assert!(exists(), "the record went before its machine was given back");

        world.advance(FOUND_WITHIN).await;
        assert_eq!(
            (count(world, "machine").as_str(), count(world, "record").as_str()),
            ("1", "0")
        );
        assert_eq!(told(world, "OrphanedMachine").await?, 1);
        world.advance(30 * MINUTE).await;
        assert!(exists(), "nobody allowed its removal");

        allow_removal(world).await;
        world
            .settle("the machine goes", 10 * MINUTE, |_| !exists())
            .await?;
        world
            .settle("the pods run", 15 * MINUTE, |view| {
                view.pod_counts(None).running == 6
            })
            .await?;
        world.settle_nodes(5 * MINUTE, 60 * MINUTE).await?;
        assert_eq!((world.leaked(), count(world, "machine").as_str()), (0, "0"));
        let strangers = world.cloud.vms().iter().filter(|vm| !vm.is_ordered()).count();
        assert_eq!(strangers, 2, "control plane and the worker by hand stay");
        Ok(())
    });
}

#[test]
fn a_record_without_its_machine_is_told_and_goes_when_allowed() {
    with_two_nodes(async |world| {
        let (key, machine) = first_record(world);
        let cluster = world.cloud.config().clusters[0].identifier.clone();
        let removal = Request::delete(format!("/apps/v2/k8s/cluster/byId/{cluster}/delete/slave"))
            .header("Vpsie-Auth", "demo-token")
            .body(Bytes::from(json!({"identifier": machine}).to_string()))
            .unwrap();
        world.cloud.call(removal).await.unwrap();
        // The fake needs its time to remove it.
        world.advance(MINUTE / 2 + FOUND_WITHIN).await;
        assert_eq!(
            (count(world, "record").as_str(), count(world, "machine").as_str()),
            ("1", "0")
        );
        assert_eq!(told(world, "OrphanedRecord").await?, 1);
        assert!(
            world.view.vpsie_nodes().contains_key(&key),
            "nobody allowed its removal"
        );

        allow_removal(world).await;
        world
            .settle("the record goes", 15 * MINUTE, |view| {
                !view.vpsie_nodes().contains_key(&key)
            })
            .await?;
        world
            .settle("the pods run", 15 * MINUTE, |view| {
                view.pod_counts(None).running == 6
            })
            .await?;
        world.settle_nodes(5 * MINUTE, 60 * MINUTE).await?;
        assert_eq!((world.leaked(), count(world, "record").as_str()), (0, "0"));
        Ok(())
    });
}

#[test]
fn an_order_that_vpsie_carried_out_twice_is_told() {
    let mut scenario = Scenario::default();
    scenario.groups = vec![node_group(&scenario.cloud, "web", 4, &["k8s-2-4"], &json!({})).unwrap()];
    scenario.config = Some(config(&json!({"globalSettings": {"removeOrphans": true}})).unwrap());
    let done = run_virtually(async move {
        let world = World::start(&scenario, 1, None).await?;
        world.cloud.inject(fake_vpsie::Fault::once(
            "/add/slave",
            fake_vpsie::Effect::Duplicate,
        ));
        world.deploy(&Workload { replicas: 1, ..WEB }).await?;
        world
            .settle("the pod runs", 10 * MINUTE, |view| {
                view.pod_counts(None).running == 1
            })
            .await?;
        world.advance(FOUND_WITHIN).await;
        assert_eq!(
            (
                count(&world, "surplus").as_str(),
                told(&world, "SurplusMachines").await?
            ),
            ("1", 1)
        );
        world.advance(10 * MINUTE).await;
        // Which of the two it is cannot be told, so it is not removed even where removal is allowed. (The one with a
        // record may go, should the pod have found its place on the other.)
        assert_eq!(count(&world, "surplus"), "1");
        let records = world.view.vpsie_nodes().len();
        let ours = |vm: &fake_vpsie::VmInfo| vm.is_ordered();
        assert_eq!(
            world.cloud.vms().iter().filter(|vm| ours(vm)).count(),
            records + 1
        );
        world.stop().await;
        Ok(())
    });
    done.unwrap();
}
