//! What an operator is told who asks why: the text, in worlds where something waits, runs, or stands in the way.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_cluster::ObjectKey;
use autoscaler_controllers::explain::Subject;
use autoscaler_simulation::scenario::{Scenario, Workload, budget, node_group};
use autoscaler_simulation::{Error, World};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use serde_json::json;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Room for three of it on a node of the one group, which may have two.
const HALF: Workload = Workload::new("half", 6, "600m", "256Mi");

fn in_world(test: impl AsyncFnOnce(&World) -> Result<(), Error>) {
    let mut scenario = Scenario::default();
    scenario.groups = vec![node_group(&scenario.cloud, "small", 2, &["k8s-2-4"], &json!({})).unwrap()];
    autoscaler_simulation::in_world(&scenario, test).unwrap();
}

fn told(world: &World, subject: &Subject) -> String {
    let explanation = world.explain(subject).unwrap().unwrap();
    // What programs get says the same.
    let json = serde_json::to_string(&explanation).unwrap();
    assert_eq!(
        serde_json::from_str::<autoscaler_controllers::explain::Explanation>(&json).unwrap(),
        explanation
    );
    explanation.text()
}

fn holds(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
}

async fn half_runs(world: &World, running: usize) -> Result<(), Error> {
    world.deploy(&HALF).await?;
    world
        .settle("what has room runs", 15 * MINUTE, |view| {
            view.pod_counts(Some("half")).running == running
        })
        .await?;
    Ok(())
}

fn pod(world: &World, waits: bool) -> Subject {
    let pods = world.view.pods();
    let of_half = pods.iter().filter(|(key, _)| key.name.starts_with("half"));
    let mut found = of_half.filter(|(_, pod)| pod.node.is_none() == waits);
    Subject::Pod(found.next().unwrap().0.clone())
}

#[test]
fn a_group_at_its_maximum_is_why_a_pod_waits() {
    in_world(async |world| {
        half_runs(world, 6).await?;
        world.scale("half", 9).await?;
        world.advance(MINUTE).await;
        holds(
            &told(world, &pod(world, true)),
            &[
                "waits: kube-scheduler has found no node for it since",
                "nothing  no node below can be bought that it fits on",
                "\nNodes that are there\n  Resources",
                "\nA new node of\n",
                "would fit, but its group is at maxNodes (2)",
            ],
        );
        let (record, _) = world.view.vpsie_nodes().into_iter().next().unwrap();
        let group = ObjectKey::new(record.namespace, "small");
        holds(
            &told(world, &Subject::NodeGroup(group)),
            &[
                "has 2 nodes, 0 of them on their way (min 0, max 2)",
                "grow             no: at maxNodes (2)",
                "shrink           by 2 nodes",
                "waiting pods     3 would fit on a new node of it",
                "scale-up        built-in (sha256:",
                "its group is at maxNodes (2)",
            ],
        );
        Ok(())
    });
}

#[test]
fn what_keeps_a_node_and_a_pod() {
    in_world(async |world| {
        half_runs(world, 6).await?;
        let budget = budget("half", 6).unwrap();
        let namespace = budget.metadata.namespace.clone().unwrap();
        let budgets = Api::<PodDisruptionBudget>::namespaced(world.client.clone(), &namespace);
        world.create(&budgets, &budget).await?;
        world.advance(MINUTE).await;
        holds(
            &told(world, &pod(world, false)),
            &[
                " runs on ",
                "now  is evicted when its node goes, and needs another place",
                "PodDisruptionBudget half  lets 0 more of its pods go now",
            ],
        );
        let (_, record) = world.view.vpsie_nodes().into_iter().next().unwrap();
        let node = Subject::Node(record.node_name().unwrap().to_owned());
        let text = told(world, &node);
        println!("{text}\n{}", told(world, &pod(world, false)));
        holds(
            &text,
            &[
                "is ready\n",
                "NodeGroup  ",
                "3 of them need another place when it goes",
                "3 pods find no other place: not enough resources",
            ],
        );
        assert!(!text.contains("allowed"), "{text}");
        // The VPSieNode's name leads to the same node.
        let record = Subject::Node(record.metadata.name.clone().unwrap());
        assert_eq!(told(world, &record), text);
        Ok(())
    });
}

#[test]
fn what_is_not_there() {
    in_world(async |world| {
        world.advance(MINUTE).await;
        for (subject, error) in [
            (
                Subject::Pod(ObjectKey::new("shop", "web")),
                "explaining pod shop/web: no such pod waits or runs; finished pods are not kept",
            ),
            (
                Subject::Node("web".to_owned()),
                "explaining node web: there is no such Node or VPSieNode",
            ),
            (
                Subject::NodeGroup(ObjectKey::new("shop", "web")),
                "explaining node group shop/web: there is no such NodeGroup",
            ),
        ] {
            assert_eq!(world.explain(&subject).unwrap_err().to_string(), error);
        }
        Ok(())
    });
}
