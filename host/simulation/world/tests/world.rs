//! The real controllers in a world of their own: what users count on, checked object by object.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::labels;
use autoscaler_api::vpsie_node::Phase;
use autoscaler_simulation::scenario::{Scenario, Workload, budget, node_group};
use autoscaler_simulation::{Error, World, demo};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// One group of small nodes, each with room for three of [`HALF`].
fn small(max: i32) -> Scenario {
    let mut scenario = Scenario::default();
    scenario.groups = vec![node_group(&scenario.cloud, "small", max, &["k8s-2-4"], &json!({})).unwrap()];
    scenario
}

const HALF: Workload = Workload::new("half", 6, "600m", "256Mi");

fn in_world(scenario: &Scenario, test: impl AsyncFnOnce(&World) -> Result<(), Error>) {
    autoscaler_simulation::in_world(scenario, test).unwrap();
}

#[test]
fn a_waiting_pod_becomes_a_node_with_the_labels_and_taints_of_its_group() {
    in_world(&demo::scenario().unwrap(), async |world| {
        world.deploy(&demo::JOBS).await?;
        let replicas = demo::JOBS.replicas as usize;
        world
            .settle("the jobs run", 10 * MINUTE, |view| {
                view.pod_counts(Some("jobs")).running == replicas
            })
            .await?;
        let (nodes, vpsie_nodes) = (world.view.nodes(), world.view.vpsie_nodes());
        assert!(!vpsie_nodes.is_empty());
        let mut names = BTreeSet::new();
        for (key, vpsie_node) in &vpsie_nodes {
            assert_eq!(vpsie_node.phase(), Phase::Ready, "{key}");
            assert_eq!(
                vpsie_node.spec.node_group_name, "batch",
                "the group that they select"
            );
            let name = vpsie_node.node_name().unwrap();
            assert!(names.insert(name.to_owned()), "{name} belongs to two");
            let node = &nodes[name];
            assert!(node.ready);
            assert_eq!(node.labels["pool"], "batch");
            assert_eq!(node.labels[labels::NODE_GROUP], "batch");
            assert_eq!(node.labels[labels::VPSIE_NODE], key.name);
            assert!(node.taints.contains("pool=batch:NoSchedule"), "{:?}", node.taints);
        }
        let machines: BTreeSet<_> = world
            .cloud
            .vms()
            .into_iter()
            .filter(|vm| !vm.master)
            .map(|vm| vm.node_name)
            .collect();
        assert_eq!(machines, names);
        assert_eq!(world.leaked(), 0);
        Ok(())
    });
}

#[test]
fn a_pod_that_fits_nowhere_is_told_why_and_buys_nothing() {
    in_world(&small(5), async |world| {
        world
            .deploy(&Workload {
                replicas: 1,
                ..demo::GIANT
            })
            .await?;
        world.advance(5 * MINUTE).await;
        assert_eq!(world.cloud.inventory().created, 0);
        let events = world.events().await?;
        let told: Vec<_> = events
            .iter()
            .filter(|event| event.reason.as_deref() == Some("NotTriggerScaleUp"))
            .collect();
        assert_eq!(told.len(), 1, "{events:?}");
        assert_eq!(told[0].involved_object.kind.as_deref(), Some("Pod"));
        let note = told[0].message.clone().unwrap_or_default();
        assert!(
            note.to_lowercase().contains("cpu") || note.to_lowercase().contains("resource"),
            "{note}"
        );
        Ok(())
    });
}

#[test]
fn no_group_grows_beyond_its_limit() {
    in_world(&small(2), async |world| {
        world.deploy(&Workload { replicas: 40, ..HALF }).await?;
        world.advance(10 * MINUTE).await;
        assert_eq!(world.cloud.inventory().created, 2);
        assert_eq!(world.view.most_nodes()["small"], 2);
        assert_eq!(world.view.pod_counts(None).running, 6);
        Ok(())
    });
}

#[test]
fn a_budget_is_kept_while_nodes_go() {
    let mut scenario = small(8);
    scenario.budgets = vec![budget("half", 4).unwrap()];
    in_world(&scenario, async |world| {
        // One large pod fills a node but for the room of one small pod: so the small ones end up apart.
        let large = Workload::new("large", 5, "1300m", "256Mi");
        world.deploy(&large).await?;
        world
            .settle("the large ones run", 10 * MINUTE, |view| {
                view.pod_counts(None).running == 5
            })
            .await?;
        world.deploy(&Workload { replicas: 5, ..HALF }).await?;
        world
            .settle("all run", 10 * MINUTE, |view| view.pod_counts(None).running == 10)
            .await?;
        world.view.watch_fewest("half");
        let before = world.view.ready_nodes();
        world.scale("large", 0).await?;
        world.settle_nodes(15 * MINUTE, 120 * MINUTE).await?;
        assert!(
            world.view.ready_nodes() < before,
            "{before} nodes before and after"
        );
        assert_eq!(world.view.pod_counts(Some("half")).running, 5);
        // One at a time was evicted: fewer would break the budget, more would mean that none had to move.
        assert_eq!(world.view.fewest("half"), Some(4));
        assert_eq!(world.leaked(), 0);
        Ok(())
    });
}

#[test]
fn vpsie_is_down_at_first_and_everything_recovers_by_itself() {
    in_world(&small(3), async |world| {
        world.cloud.set_down(true);
        world.deploy(&HALF).await?;
        world.advance(5 * MINUTE).await;
        assert_eq!(world.cloud.inventory().created, 0);
        world.cloud.set_down(false);
        world
            .settle("all run", 15 * MINUTE, |view| view.pod_counts(None).running == 6)
            .await?;
        assert_eq!((world.cloud.inventory().created, world.leaked()), (2, 0));
        Ok(())
    });
}
