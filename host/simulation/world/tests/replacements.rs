//! Replacements that the built-in policy proposes by itself: a cheaper offering, a spec that changed, a maximum age, a
//! node that does not work. Each ends Completed, no budget is violated meanwhile, and what is to cost less does.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::rebalance::{RebalanceKind, RebalancePhase};
use autoscaler_api::{NodeGroup, Rebalance, ScalingPolicy};
use autoscaler_simulation::scenario::{SYSTEM, Scenario, Workload, budget, config, node_group};
use autoscaler_simulation::{Error, World, in_world};
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// Three of it fill a small node.
const WEB: Workload = Workload::new("web", 6, "600m", "256Mi");
const AT_LEAST: i32 = 5;

fn scenario(offerings: &[&str], policy: Option<Value>) -> Scenario {
    let mut scenario = Scenario::default();
    let more = json!({"kubernetesVersion": "v1.34.1"});
    scenario.groups = vec![node_group(&scenario.cloud, "shop", 6, offerings, &more).unwrap()];
    scenario.budgets = vec![budget(WEB.name, AT_LEAST).unwrap()];
    scenario.config = Some(config(&json!({"rebalancer": {"enabled": true}})).unwrap());
    let policies = policy.map(|config| {
        serde_json::from_value::<ScalingPolicy>(json!({
            "apiVersion": autoscaler_api::API_VERSION, "kind": "ScalingPolicy", "metadata": {"name": "rule"},
            "spec": {"kinds": ["rebalance"], "mode": "Active", "source": {"builtIn": "rebalance"}, "config": config},
        }))
        .unwrap()
    });
    scenario.policies = policies.into_iter().collect();
    scenario
}

async fn change_group(world: &World, spec: &Value) {
    let api = Api::<NodeGroup>::namespaced(world.client.clone(), SYSTEM);
    let patch = json!({"spec": spec});
    api.patch("shop", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

async fn operations(world: &World) -> Vec<Rebalance> {
    let api = Api::<Rebalance>::namespaced(world.client.clone(), SYSTEM);
    api.list(&ListParams::default()).await.unwrap().items
}

fn offerings(world: &World) -> BTreeSet<String> {
    let records = world.view.vpsie_nodes();
    records
        .values()
        .map(|record| record.spec.instance_type.clone())
        .collect()
}

fn names(world: &World) -> BTreeSet<String> {
    let records = world.view.vpsie_nodes();
    records.keys().map(|key| key.name.clone()).collect()
}

/// What the policy is moved by.
enum Cause {
    /// The group may have a cheaper offering from now on.
    Cheaper,
    /// The group's spec asks for something else.
    Spec(Value),
    /// Time passes.
    Age,
}

#[test]
fn the_policy_replaces_nodes_and_nobody_loses_a_place() {
    let cases = [
        (
            "a cheaper offering",
            vec!["k8s-8-16"],
            None,
            Cause::Cheaper,
            &[RebalanceKind::Replace, RebalanceKind::Consolidate][..],
        ),
        (
            "drift: an offering that the group has no more",
            vec!["k8s-2-4"],
            None,
            Cause::Spec(json!({"offeringIDs": ["k8s-4-8"]})),
            &[RebalanceKind::Drift][..],
        ),
        (
            "drift: another version",
            vec!["k8s-2-4"],
            None,
            Cause::Spec(json!({"kubernetesVersion": "v1.35.0"})),
            &[RebalanceKind::Drift][..],
        ),
        (
            "a maximum age",
            vec!["k8s-2-4"],
            Some(json!({"maxAgeSeconds": 7200})),
            Cause::Age,
            &[RebalanceKind::Expire][..],
        ),
    ];
    for (name, offered, policy, cause, kinds) in cases {
        in_world(&scenario(&offered, policy), async |world| {
            world.deploy(&WEB).await?;
            world
                .settle("the pods run", 30 * MINUTE, |view| {
                    view.pod_counts(None).running == WEB.replicas as usize
                })
                .await?;
            world.view.watch_fewest(WEB.name);
            let (before, cost) = (names(world), world.cloud.inventory().price_hourly);
            match &cause {
                Cause::Cheaper => change_group(world, &json!({"offeringIDs": ["k8s-8-16", "k8s-2-4"]})).await,
                Cause::Spec(spec) => change_group(world, spec).await,
                Cause::Age => {}
            }
            replaced(world, name, &before).await?;
            let all = operations(world).await;
            assert!(!all.is_empty(), "{name}: nothing was proposed");
            for operation in &all {
                let status = operation.status.clone().unwrap_or_default();
                let message = status.message.unwrap_or_default();
                assert_eq!(status.phase, RebalancePhase::Completed, "{name}: {message}");
                let by = operation.spec.plan.requested_by.clone().unwrap_or_default();
                assert!(!by.is_empty(), "{name}: a policy asked for it");
            }
            // Beside them surplus nodes may go as they always do.
            let is_of_kind = |operation: &&Rebalance| kinds.contains(&operation.spec.plan.kind);
            let of_kind: Vec<&Rebalance> = all.iter().filter(is_of_kind).collect();
            let found: Vec<RebalanceKind> = all.iter().map(|operation| operation.spec.plan.kind).collect();
            assert!(!of_kind.is_empty(), "{name}: {found:?}");
            let fewest = world.view.fewest(WEB.name).unwrap();
            assert!(fewest >= AT_LEAST as usize, "{name}: only {fewest} pods ran");
            let running = world.view.pod_counts(Some(WEB.name)).running;
            assert_eq!(running, WEB.replicas as usize, "{name}");
            assert_eq!(world.leaked(), 0, "{name}");
            let now = world.cloud.inventory().price_hourly;
            match &cause {
                Cause::Cheaper => {
                    assert!(now < cost, "{name}: {now} an hour after {cost}");
                    assert_eq!(offerings(world), BTreeSet::from(["k8s-2-4".to_owned()]), "{name}");
                    let saving = all
                        .iter()
                        .all(|operation| operation.spec.plan.monthly_saving.is_some());
                    assert!(saving, "{name}: the record tells what it saves");
                }
                Cause::Spec(spec) if spec["offeringIDs"].is_array() => {
                    assert_eq!(offerings(world), BTreeSet::from(["k8s-4-8".to_owned()]), "{name}");
                }
                Cause::Spec(_) | Cause::Age => {
                    assert!((now - cost).abs() < 1e-9, "{name}: {now} an hour after {cost}")
                }
            }
            Ok(())
        })
        .unwrap();
    }
}

/// Waits until none of these nodes is left and no operation is under way.
async fn replaced(world: &World, name: &str, before: &BTreeSet<String>) -> Result<(), Error> {
    for _ in 0..1440 {
        world.advance(MINUTE / 3).await;
        let left = names(world).intersection(before).count();
        let over = |operation: &Rebalance| {
            let status = operation.status.as_ref();
            status.is_some_and(|status| status.phase.is_final())
        };
        if left == 0 && operations(world).await.iter().all(over) {
            return Ok(());
        }
    }
    let operations = operations(world).await;
    panic!(
        "{name}: after {:?} there are {:?}; {operations:#?}",
        8 * HOUR,
        names(world)
    );
}
