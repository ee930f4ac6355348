//! What a drain does with some pods, as the settings say: those that something would be lost with, and the only pod of a
//! Deployment, which may have its successor first.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::autoscaler_config::Strategy;
use autoscaler_api::rebalance::{RebalanceKind, RebalancePhase, RebalanceSpec, RebalanceStatus};
use autoscaler_api::{NodeGroup, Rebalance, labels};
use autoscaler_controllers::explain::Subject;
use autoscaler_controllers::rebalance::{Arrival, Removal, Unit, plan};
use autoscaler_simulation::scenario::{NAMESPACE, SYSTEM, Scenario, Workload, config, node_group};
use autoscaler_simulation::{Error, World, in_world};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const ONE: Workload = Workload::new("one", 1, "600m", "256Mi");

fn scenario(drain: &Value) -> Scenario {
    let mut scenario = Scenario::default();
    // What is proposed here is proposed by the test; there is room for the node and its successor.
    let more = json!({"scaleDownPolicy": {"enabled": false}});
    scenario.groups = vec![node_group(&scenario.cloud, "pool", 2, &["k8s-2-4"], &more).unwrap()];
    let settings = json!({"rebalancer": {"drainTimeout": "120s", "readyNodesPercent": 0, "drain": drain}});
    scenario.config = Some(config(&settings).unwrap());
    scenario
}

fn operations(world: &World) -> Api<Rebalance> {
    Api::namespaced(world.client.clone(), SYSTEM)
}

async fn status(world: &World) -> RebalanceStatus {
    let read = operations(world).get("op").await.unwrap();
    read.status.unwrap_or_default()
}

/// The one node, with the name of its VPSieNode.
fn the_node(world: &World) -> (String, String) {
    let records = world.view.vpsie_nodes();
    let (key, record) = records.iter().next().unwrap();
    (record.node_name().unwrap().to_owned(), key.name.clone())
}

/// An operation that replaces the one node by a new one.
async fn replace(world: &World) -> Result<String, Error> {
    let (node, vpsie_node) = the_node(world);
    let unit = Unit {
        arrivals: vec![Arrival {
            vpsie_node: "pool-new".to_owned(),
            group: "pool".to_owned(),
            offering: "k8s-2-4".to_owned(),
            size: 12,
        }],
        removals: vec![Removal {
            node: node.clone(),
            vpsie_node,
            group: None,
            offering: None,
            reason: "the test".to_owned(),
        }],
    };
    let plan = plan(RebalanceKind::Drift, Strategy::Rolling, &[unit]);
    let mut object = Rebalance::new("op", RebalanceSpec { plan });
    object.metadata.namespace = Some(SYSTEM.to_owned());
    world.create(&operations(world), &object).await?;
    Ok(node)
}

async fn runs(world: &World) -> Result<(), Error> {
    let settled = world.settle("the pod runs", 30 * MINUTE, |view| {
        view.pod_counts(None).running == 1 && view.pod_counts(None).total == 1
    });
    settled.await.map(drop)
}

async fn over(world: &World) -> RebalanceStatus {
    for _ in 0..900 {
        let status = status(world).await;
        if status.phase.is_final() {
            return status;
        }
        world.advance(Duration::from_secs(2)).await;
    }
    panic!("still going on: {:#?}", status(world).await);
}

async fn deployment(world: &World) -> Deployment {
    let api = Api::<Deployment>::namespaced(world.client.clone(), NAMESPACE);
    api.get(ONE.name).await.unwrap()
}

/// Whether the template of the Deployment says that it was restarted for a drain.
async fn restarted(world: &World) -> bool {
    let deployment = serde_json::to_value(deployment(world).await).unwrap();
    let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
    !annotations[labels::RESTARTED_FOR].is_null()
}

#[test]
fn the_only_pod_of_a_deployment_has_its_successor_first_where_that_is_asked_for() {
    let cases = [
        // Without the setting nobody serves for a moment.
        ("evicted", json!({}), json!({}), 0, false),
        ("surge", json!({"singleReplica": "Surge"}), json!({}), 1, true),
        // Its author wants no two of it at a time.
        (
            "recreated",
            json!({"singleReplica": "Surge"}),
            json!({"strategy": {"type": "Recreate", "rollingUpdate": null}}),
            0,
            false,
        ),
    ];
    for (name, drain, deployed, fewest, restarts) in cases {
        in_world(&scenario(&drain), async |world| {
            world.deploy(&ONE).await?;
            let api = Api::<Deployment>::namespaced(world.client.clone(), NAMESPACE);
            let patch = Patch::Merge(json!({"spec": deployed}));
            api.patch(ONE.name, &PatchParams::default(), &patch)
                .await
                .unwrap();
            runs(world).await?;
            world.view.watch_fewest(ONE.name);
            let old = replace(world).await?;
            let status = over(world).await;
            assert_eq!(
                status.phase,
                RebalancePhase::Completed,
                "{name}: {:?}",
                status.message
            );
            runs(world).await?;
            assert_eq!(world.view.fewest(ONE.name), Some(fewest), "{name}");
            assert_eq!(restarted(world).await, restarts, "{name}");
            assert!(!world.view.nodes().contains_key(&old), "{name}");
            assert_eq!(world.leaked(), 0, "{name}");
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn a_successor_that_never_gets_ready_costs_the_pod_nothing() {
    in_world(&scenario(&json!({"singleReplica": "Surge"})), async |world| {
        world.deploy(&ONE).await?;
        runs(world).await?;
        world.view.watch_fewest(ONE.name);
        let old = replace(world).await?;
        let nodes = Api::<Node>::all(world.client.clone());
        // As soon as the old node is cordoned somebody cordons the new one, too: the successor has no place.
        loop {
            world.advance(Duration::from_millis(250)).await;
            let spec = nodes.get(&old).await.unwrap().spec.unwrap_or_default();
            if spec.unschedulable == Some(true) {
                break;
            }
        }
        let new = world.view.nodes().into_keys().find(|name| {
            let records = world.view.vpsie_nodes();
            let of = |record: &autoscaler_api::VPSieNode| record.node_name() == Some(name);
            records
                .iter()
                .any(|(key, record)| key.name == "pool-new" && of(record))
        });
        let patch = Patch::Merge(json!({"spec": {"unschedulable": true}}));
        nodes
            .patch(&new.unwrap(), &PatchParams::default(), &patch)
            .await
            .unwrap();
        let status = over(world).await;
        assert_eq!(status.phase, RebalancePhase::RolledBack, "{:?}", status.message);
        let message = status.message.unwrap();
        assert!(message.contains("drain timeout of 120s"), "{message}");
        runs(world).await?;
        let pods = world.view.pods();
        let pod = pods.values().find(|pod| pod.app == ONE.name).unwrap();
        assert_eq!(pod.node.as_deref(), Some(old.as_str()), "it never left");
        assert_eq!(world.view.fewest(ONE.name), Some(1));
        assert!(!restarted(world).await, "the template is as it was");
        assert_eq!(world.leaked(), 0);
        Ok(())
    })
    .unwrap();
}

#[test]
fn pods_that_something_would_be_lost_with_are_treated_as_the_settings_say() {
    let scratch = json!([{"name": "scratch", "emptyDir": {}}]);
    let files = json!([{"name": "files", "hostPath": {"path": "/data"}}]);
    // The setting of the installation, that of the group, the volumes, and why the operation does not begin.
    let cases = [
        (json!({}), json!({}), &scratch, None),
        (
            json!({"emptyDir": "Keep"}),
            json!({}),
            &scratch,
            Some("(emptyDir), and drain.emptyDir is Keep"),
        ),
        (
            json!({"emptyDir": "Keep"}),
            json!({"emptyDir": "Evict"}),
            &scratch,
            None,
        ),
        (
            json!({}),
            json!({}),
            &files,
            Some("keeps data of the node (volume files)"),
        ),
        (json!({"hostPath": "Evict"}), json!({}), &files, None),
        (
            json!({"hostPath": "Evict"}),
            json!({"hostPath": "Keep"}),
            &files,
            Some("keeps data of the node (volume files)"),
        ),
    ];
    for (installation, group, volumes, why) in cases {
        let name = format!("{installation} {group} {volumes}");
        in_world(&scenario(&installation), async |world| {
            let groups = Api::<NodeGroup>::namespaced(world.client.clone(), SYSTEM);
            let patch = Patch::Merge(json!({"spec": {"scaleDownPolicy": {"drain": group}}}));
            groups
                .patch("pool", &PatchParams::default(), &patch)
                .await
                .unwrap();
            world.deploy(&ONE).await?;
            let api = Api::<Deployment>::namespaced(world.client.clone(), NAMESPACE);
            let patch = Patch::Merge(json!({"spec": {"template": {"spec": {"volumes": volumes}}}}));
            api.patch(ONE.name, &PatchParams::default(), &patch)
                .await
                .unwrap();
            runs(world).await?;
            let (node, _) = the_node(world);
            // Who asks is told the same.
            let text = world.explain(&Subject::Node(node)).unwrap().unwrap().text();
            assert_eq!(
                text.contains("LocalStorageRequested"),
                why.is_some(),
                "{name}: {text}"
            );
            assert!(why.is_none_or(|why| text.contains(why)), "{name}: {text}");
            replace(world).await?;
            let status = over(world).await;
            let message = status.message.unwrap();
            match why {
                None => assert_eq!(status.phase, RebalancePhase::Completed, "{name}: {message}"),
                Some(why) => {
                    assert_eq!(status.phase, RebalancePhase::Failed, "{name}: {message}");
                    assert!(message.starts_with("not begun"), "{name}: {message}");
                    assert!(message.contains(why), "{name}: {message}");
                }
            }
            runs(world).await?;
            assert_eq!(world.leaked(), 0, "{name}");
            Ok(())
        })
        .unwrap();
    }
}
