//! Machines without a record and records without a machine: found in time, reported, and removed where that is allowed.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::{AutoscalerConfig, VPSieNode};
use autoscaler_cluster::ObjectKey;
use autoscaler_simulation::clock::run_virtually;
use autoscaler_simulation::scenario::{Scenario, Workload, config, node_group};
use autoscaler_simulation::view::View;
use autoscaler_simulation::{Error, World};
use bytes::Bytes;
use fake_vpsie::config::{ForeignNode, Shape};
use fake_vpsie::{Effect, Fault};
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
    // Otherwise a node without its machine would go as an idle one before the search for orphans believes what it sees.
    let keeps = json!({"scaleDownPolicy": {"enabled": false}});
    scenario.groups = vec![node_group(&scenario.cloud, "web", 4, &["k8s-2-4"], &keeps).unwrap()];
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

/// One machine for one pod, and one too many in its group, which `removeOrphans` allows to remove.
fn with_surplus(shape: impl Fn(&mut Shape), doubled: bool, goes: bool) {
    let mut scenario = Scenario::default();
    shape(&mut scenario.cloud.shape);
    // Otherwise the pod may have moved to the other machine, and the one with the record gone.
    let keeps = json!({"scaleDownPolicy": {"enabled": false}});
    scenario.groups = vec![node_group(&scenario.cloud, "web", 4, &["k8s-2-4"], &keeps).unwrap()];
    let settings = json!({"globalSettings": {"removeOrphans": true}});
    scenario.config = Some(config(&settings).unwrap());
    let done = run_virtually(async move {
        let world = World::start(&scenario, 1, None).await?;
        if doubled {
            world.cloud.inject(Fault::once("/add/slave", Effect::Duplicate));
        }
        world.deploy(&Workload { replicas: 1, ..WEB }).await?;
        let runs = |view: &View| view.pod_counts(None).running == 1;
        world.settle("the pod runs", 10 * MINUTE, runs).await?;
        if !doubled {
            world.advance(30 * MINUTE).await;
            let cluster = world.cloud.config().clusters[0].identifier.clone();
            let group = *world.cloud.groups().keys().next().unwrap();
            let by_hand = Request::post(format!(
                "/apps/v2/k8s/cluster/byId/{cluster}/add/slave/group/{group}"
            ))
            .header("Vpsie-Auth", "demo-token")
            .body(Bytes::new());
            world.cloud.call(by_hand.unwrap()).await.unwrap();
            world.advance(2 * MINUTE).await;
        }
        world.advance(FOUND_WITHIN).await;
        let told = told(&world, "SurplusMachines").await?;
        assert_eq!(told, 1, "reported, whatever comes of it");
        world.advance(20 * MINUTE).await;
        let ordered = world.cloud.vms().iter().filter(|vm| vm.is_ordered()).count();
        let surplus = usize::from(!goes);
        assert_eq!(
            (ordered, count(&world, "surplus")),
            (1 + surplus, surplus.to_string())
        );
        assert_eq!(world.view.vpsie_nodes().len(), 1);
        assert!(runs(&world.view), "the pod has moved if it had to");
        world.stop().await;
        Ok(())
    });
    done.unwrap();
}

#[test]
fn of_an_order_that_vpsie_carried_out_twice_one_machine_stays() {
    with_surplus(|_| {}, true, true);
}

#[test]
fn its_twin_is_told_where_rows_tell_no_size_if_all_workers_are_in_one_group() {
    with_surplus(|shape| shape.node_sizes = false, true, true);
}

#[test]
fn its_twin_stays_where_rows_tell_no_identifier_to_remove_it_by() {
    with_surplus(|shape| shape.node_identifier = false, true, false);
}

#[test]
fn a_machine_that_somebody_adds_to_our_group_stays() {
    with_surplus(|_| {}, false, false);
}
