//! An operator deletes a VPSieNode, in whatever phase: its machine goes with it, soon, and the group replaces it at once.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::VPSieNode;
use autoscaler_api::vpsie_node::Phase;
use autoscaler_cluster::ObjectKey;
use autoscaler_simulation::clock::run_virtually;
use autoscaler_simulation::scenario::{Scenario, node_group};
use autoscaler_simulation::{Error, World};
use fake_vpsie::{Effect, Fault};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// One node that is always wanted.
fn scenario() -> Scenario {
    let mut scenario = Scenario::default();
    let floor = json!({"minNodes": 1});
    scenario.groups = vec![node_group(&scenario.cloud, "floor", 3, &["k8s-2-4"], &floor).unwrap()];
    scenario
}

/// The first VPSieNode that is seen in a phase.
async fn seen_in(world: &World, phase: Phase) -> Result<ObjectKey, Error> {
    let find = || {
        let records = world.view.vpsie_nodes();
        let found = records
            .iter()
            .find(|(_, record)| record.phase() == phase && record.status.is_some());
        found.map(|(key, _)| key.clone())
    };
    for _ in 0..20_000 {
        if let Some(key) = find() {
            return Ok(key);
        }
        world.advance(Duration::from_millis(20)).await;
    }
    panic!("no VPSieNode was ever {phase}: {:?}", world.view.vpsie_nodes())
}

async fn delete(world: &World, key: &ObjectKey) {
    let api = Api::<VPSieNode>::namespaced(world.client.clone(), &key.namespace);
    api.delete(&key.name, &DeleteParams::default()).await.unwrap();
}

#[test]
fn a_record_goes_in_every_phase_with_its_machine_and_is_replaced_at_once() {
    struct Case {
        phase: Phase,
        /// VPSie does not list its groups while the record comes into the phase, and for this long after the deletion.
        off_for: Option<Duration>,
        /// No machine is allowed before the deletion.
        refused: bool,
        /// VPSie goes off with the deletion, for this long.
        goes_off: Option<Duration>,
        within: Duration,
    }
    let case = |phase, within| Case {
        phase,
        off_for: None,
        refused: false,
        goes_off: None,
        within,
    };
    let cases = [
        Case {
            refused: true,
            ..case(Phase::Failed, 5 * SECOND)
        },
        case(Phase::Provisioning, MINUTE),
        case(Phase::Provisioned, MINUTE),
        case(Phase::Joining, MINUTE),
        case(Phase::Ready, MINUTE),
        // Nothing was ordered, so nothing has to be asked of VPSie.
        Case {
            off_for: Some(3 * MINUTE),
            ..case(Phase::Pending, 5 * SECOND)
        },
        // Five minutes are the longest pause of a reconcile that keeps failing.
        Case {
            goes_off: Some(4 * MINUTE),
            ..case(Phase::Provisioning, 10 * MINUTE)
        },
        Case {
            goes_off: Some(4 * MINUTE),
            ..case(Phase::Ready, 10 * MINUTE)
        },
    ];
    for case in cases {
        let phase = case.phase;
        let done = run_virtually(async {
            let world = World::start(&scenario(), 1, None).await?;
            if case.refused {
                world.cloud.set_worker_limit(Some(0));
            }
            if case.off_for.is_some() {
                let effect = Effect::Status {
                    status: 503,
                    message: "Service Unavailable".to_owned(),
                };
                world.cloud.inject(Fault::always("/node/groups", effect));
            }
            let key = seen_in(&world, phase).await?;
            delete(&world, &key).await;
            world.cloud.set_worker_limit(None);
            if let Some(time) = case.goes_off {
                world.cloud.set_down(true);
                world.advance(time).await;
                world.cloud.set_down(false);
            } else if case.off_for.is_none() && !case.refused {
                world
                    .settle("the group replaces it at once", 2 * SECOND, |view| {
                        view.vpsie_nodes().keys().any(|other| *other != key)
                    })
                    .await?;
            }
            world
                .settle("the record goes", case.within, |view| {
                    !view.vpsie_nodes().contains_key(&key)
                })
                .await?;
            if let Some(time) = case.off_for {
                world.advance(time).await;
                world.cloud.clear_faults();
            }
            world
                .settle("one node is ready", 15 * MINUTE, |view| {
                    view.ready_nodes() == 1 && view.vpsie_nodes().len() == 1
                })
                .await?;
            assert_eq!(world.leaked(), 0, "{phase}");
            let workers = world.cloud.vms().into_iter().filter(|vm| vm.is_ordered()).count();
            assert_eq!(workers, 1, "{phase}");
            assert!(
                world.cloud.inventory().created <= 2,
                "{phase}: one machine, and one to replace it"
            );
            world.stop().await;
            Ok(())
        });
        done.unwrap_or_else(|error: Error| panic!("{phase} (goes off: {:?}): {error}", case.goes_off));
    }
}
