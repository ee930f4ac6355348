//! A group that keeps room free: pods find it at once, and it is neither given back nor bought twice.

use autoscaler_simulation::in_world;
use autoscaler_simulation::scenario::{Scenario, Workload, node_group};
use serde_json::json;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// A node has room for three.
const HALF: Workload = Workload::new("half", 3, "600m", "256Mi");

#[test]
fn room_is_kept_taken_and_kept_anew() {
    let mut scenario = Scenario::default();
    let headroom = json!({"headroom": {"pods": 3, "cpu": "600m", "memory": "256Mi"}});
    scenario.groups = vec![node_group(&scenario.cloud, "small", 4, &["k8s-2-4"], &headroom).unwrap()];
    in_world(&scenario, async |world| {
        world
            .settle("a node is there before any pod", 15 * MINUTE, |view| {
                view.ready_nodes() == 1
            })
            .await?;
        // It has no pod for longer than empty nodes are kept, and stays; nor does another come.
        world.advance(45 * MINUTE).await;
        assert_eq!(
            (world.view.ready_nodes(), world.cloud.inventory().created),
            (1, 1)
        );

        world.deploy(&HALF).await?;
        world
            .settle("the pods run at once", MINUTE / 4, |view| {
                view.pod_counts(None).running == 3
            })
            .await?;
        assert_eq!(world.view.ready_nodes(), 1);
        world
            .settle("there is room again", 15 * MINUTE, |view| view.ready_nodes() == 2)
            .await?;
        world.advance(20 * MINUTE).await;
        assert_eq!(
            (world.view.ready_nodes(), world.cloud.inventory().created),
            (2, 2)
        );

        world.scale("half", 0).await?;
        world.settle_nodes(15 * MINUTE, 120 * MINUTE).await?;
        assert_eq!(
            (world.view.ready_nodes(), world.cloud.inventory().created),
            (1, 2)
        );
        assert_eq!(world.leaked(), 0);
        let events = world.events().await?;
        let of_pods = events
            .iter()
            .filter(|event| event.involved_object.kind.as_deref() == Some("Pod"));
        let strangers = of_pods.filter(|event| {
            let name = event.involved_object.name.as_deref();
            name.is_some_and(|name| name.contains("headroom"))
        });
        assert_eq!(strangers.count(), 0, "nothing is said to pods that do not exist");
        Ok(())
    })
    .unwrap();
}
