//! VPSie refuses, fails, forgets or is not let in: what groups show, what is tried next, and that everything goes on
//! by itself.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::conditions::{self, ConditionStatus, types};
use autoscaler_api::vpsie_node::Phase;
use autoscaler_api::{Condition, NodeGroup};
use autoscaler_simulation::scenario::{NAMESPACE, SYSTEM, Scenario, Workload, node_group};
use autoscaler_simulation::{Error, World};
use fake_vpsie::{Effect, Fault};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// Six pods, three to a small node.
const HALF: Workload = Workload::new("half", 6, "600m", "256Mi");

fn scenario(offerings: &[&str], more: &Value) -> Scenario {
    let mut scenario = Scenario::default();
    scenario.groups = vec![node_group(&scenario.cloud, "small", 5, offerings, more).unwrap()];
    scenario
}

fn in_world(scenario: &Scenario, test: impl AsyncFnOnce(&World) -> Result<(), Error>) {
    autoscaler_simulation::in_world(scenario, test).unwrap();
}

async fn group(world: &World) -> NodeGroup {
    let api: Api<NodeGroup> = Api::namespaced(world.client.clone(), SYSTEM);
    api.get("small").await.unwrap()
}

async fn condition(world: &World, type_: &str) -> Condition {
    let status = group(world).await.status.unwrap();
    conditions::get(&status.conditions, type_).unwrap().clone()
}

/// Requests with this in their path, so far.
fn sent(world: &World, path: &str) -> usize {
    let journal = world.cloud.journal();
    journal.iter().filter(|entry| entry.path.contains(path)).count()
}

/// Notes of the events with this reason.
async fn told(world: &World, reason: &str) -> Vec<String> {
    let events = world.events().await.unwrap().into_iter();
    events
        .filter(|event| event.reason.as_deref() == Some(reason))
        .map(|event| event.message.unwrap_or_default())
        .collect()
}

async fn all_run(world: &World, most: Duration) -> Result<Duration, Error> {
    let pods = HALF.replicas as usize;
    world
        .settle("all run", most, |view| view.pod_counts(None).running == pods)
        .await
}

fn refusal(message: &str) -> Effect {
    Effect::Status {
        status: 500,
        message: message.to_owned(),
    }
}

#[test]
fn while_the_breaker_is_open_groups_show_it_and_only_probes_are_sent() {
    in_world(&scenario(&["k8s-2-4"], &json!({})), async |world| {
        world.advance(MINUTE).await;
        assert_eq!(
            condition(world, types::VPSIE_AVAILABLE).await.status,
            ConditionStatus::True
        );
        world.cloud.set_down(true);
        world.deploy(&HALF).await?;
        world.advance(5 * MINUTE).await;
        let shown = condition(world, types::VPSIE_AVAILABLE).await;
        assert_eq!(
            (shown.status, shown.reason.as_deref()),
            (ConditionStatus::False, Some("CircuitOpen"))
        );
        let ready = condition(world, types::READY).await;
        assert_eq!(ready.reason.as_deref(), Some("CircuitOpen"), "{ready:?}");
        assert!(
            told(world, "CircuitOpen")
                .await
                .iter()
                .any(|note| note.contains("kubernetes"))
        );
        let metrics = world.metrics.render();
        let line = r#"vpsie_api_circuit_breaker_state{family="kubernetes",state="closed"} 0"#;
        assert!(metrics.contains(line), "{metrics}");

        let (all, probes) = (world.cloud.journal().len(), sent(world, "/k8s/cluster/all"));
        world.advance(10 * MINUTE).await;
        let probes = sent(world, "/k8s/cluster/all") - probes;
        assert!((19..=21).contains(&probes), "one every 30 s: {probes}");
        assert_eq!(world.cloud.journal().len() - all, probes, "nothing else is sent");

        world.cloud.set_down(false);
        let took = all_run(world, 5 * MINUTE).await?;
        // Half a minute to the next probe, a minute for the machines: nobody waits out a pause of the outage.
        assert!(took < 2 * MINUTE, "{took:?}");
        let shown = condition(world, types::VPSIE_AVAILABLE).await;
        assert_eq!(shown.status, ConditionStatus::True, "{shown:?}");
        assert_eq!((world.cloud.inventory().created, world.leaked()), (2, 0));
        Ok(())
    });
}

#[test]
fn where_stock_is_out_the_next_choice_is_ordered_without_a_new_decision() {
    in_world(&scenario(&["k8s-4-8", "k8s-4-16"], &json!({})), async |world| {
        // The first of the provider's groups is that of the first choice.
        let words = "The selected size is out of stock";
        world
            .cloud
            .inject(Fault::always("/add/slave/group/301", refusal(words)));
        world.deploy(&HALF).await?;
        let begun = world.elapsed();
        all_run(world, 3 * MINUTE).await?;
        assert!(world.elapsed() - begun < 2 * MINUTE);
        let nodes = world.view.vpsie_nodes();
        let ready = nodes.values().filter(|node| node.phase() == Phase::Ready);
        assert!(
            ready.clone().count() == 1 && ready.clone().all(|node| node.spec.instance_type == "k8s-4-16"),
            "{nodes:?}"
        );
        let decisions = world.chronicle.decisions();
        let bought = decisions.iter().filter(|decision| {
            decision
                .actions
                .iter()
                .any(|action| action.action.starts_with("buy"))
        });
        assert_eq!(bought.count(), 1, "{decisions:?}");
        let status = group(world).await.status.unwrap();
        let health = &status.offering_health[0];
        assert_eq!(
            (
                health.offering_id.as_str(),
                health.failures,
                health.message.contains(words)
            ),
            ("k8s-4-8", 1, true)
        );
        assert!(
            told(world, "Rejected")
                .await
                .iter()
                .any(|note| note.contains(words))
        );
        assert_eq!(world.leaked(), 0);
        Ok(())
    });
}

#[test]
fn a_quota_pauses_creation_longer_and_longer_and_is_tried_again_by_itself() {
    in_world(&scenario(&["k8s-2-4", "k8s-4-8"], &json!({})), async |world| {
        world.cloud.set_worker_limit(Some(0));
        world.deploy(&HALF).await?;
        world.advance(MINUTE / 6).await;
        let paused = condition(world, types::CREATION_PAUSED).await;
        assert_eq!(paused.reason.as_deref(), Some("QuotaExceeded"), "{paused:?}");
        let words = "exceeds the allowed limit 0";
        assert!(paused.message.unwrap().contains(words));
        assert!(told(world, "QuotaExceeded").await[0].contains(words));
        assert!(told(world, "CapacityLimitReached").await[0].contains(words));
        let waiting = told(world, "NotTriggerScaleUp").await;
        assert!(waiting.iter().any(|note| note.contains(words)), "{waiting:?}");
        let metrics = world.metrics.render();
        assert!(
            metrics
                .contains(r#"vpsie_autoscaler_creation_paused{namespace="kube-system",nodegroup="small"} 1"#)
        );
        let first = sent(world, "/add/slave");
        assert!(first <= 2, "both choices, once: {first}");

        // 30 s, 1, 2, 4, 8, 16, 30 min: in an hour six more tries of two choices.
        world.advance(60 * MINUTE).await;
        let orders = sent(world, "/add/slave") - first;
        assert!((8..=14).contains(&orders), "{orders}");
        let pause = group(world).await.status.unwrap().creation_pause.unwrap();
        assert!(pause.refusals >= 5, "{pause:?}");

        world.cloud.set_worker_limit(None);
        all_run(world, 35 * MINUTE).await?;
        let paused = condition(world, types::CREATION_PAUSED).await;
        assert_eq!(paused.status, ConditionStatus::False);
        assert_eq!(group(world).await.status.unwrap().creation_pause, None);
        assert_eq!(world.leaked(), 0);
        Ok(())
    });
}

#[test]
fn an_operator_ends_the_pause_of_a_quota() {
    in_world(&scenario(&["k8s-2-4"], &json!({})), async |world| {
        world.cloud.set_worker_limit(Some(0));
        world.deploy(&HALF).await?;
        world.advance(30 * MINUTE).await;
        world.cloud.set_worker_limit(None);
        let api: Api<NodeGroup> = Api::namespaced(world.client.clone(), SYSTEM);
        let trigger = json!({"metadata": {"annotations": {"reconcile-trigger": "1"}}});
        api.patch("small", &PatchParams::default(), &Patch::Merge(&trigger))
            .await
            .unwrap();
        let took = all_run(world, 10 * MINUTE).await?;
        assert!(took < 2 * MINUTE, "{took:?}");
        Ok(())
    });
}

#[test]
fn a_machine_that_never_joins_is_given_back_and_its_place_filled_at_once() {
    for floor in [0, 2] {
        let more = json!({"minNodes": floor});
        in_world(&scenario(&["k8s-2-4", "k8s-4-8"], &more), async |world| {
            world.cloud.inject(Fault::once("/add/slave", Effect::NeverJoins));
            world.deploy(&HALF).await?;
            let took = all_run(world, 20 * MINUTE).await?;
            // nodeReadyTimeoutSeconds is ten minutes; a machine takes one.
            assert!(
                took > 10 * MINUTE && took < 13 * MINUTE,
                "floor {floor}: {took:?}"
            );
            world.advance(5 * MINUTE).await;
            assert_eq!(told(world, "JoiningTimeout").await.len(), 1, "floor {floor}");
            assert_eq!(world.cloud.inventory().removed, 1, "floor {floor}");
            assert_eq!(world.leaked(), 0, "floor {floor}");
            Ok(())
        });
    }
}

/// A pod that a scheduler of another name calls unschedulable, whatever room there is.
async fn elsewhere(world: &World, name: &str) {
    let api: Api<Pod> = Api::namespaced(world.client.clone(), NAMESPACE);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "schedulerName": "elsewhere",
            "containers": [{"name": "main", "image": "app", "resources": {"requests": {"cpu": "600m"}}}],
        },
    });
    world
        .create(&api, &serde_json::from_value(pod).unwrap())
        .await
        .unwrap();
    let status = json!({"status": {"conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "not to my liking",
        "lastTransitionTime": "2027-01-04T08:00:00Z",
    }]}});
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
}

/// The node that came for it counts as its place for as long as it stands there.
#[test]
fn a_pod_that_does_not_take_its_node_gets_no_other() {
    in_world(&scenario(&["k8s-2-4"], &json!({})), async |world| {
        elsewhere(world, "choosy").await;
        world.advance(90 * MINUTE).await;
        assert_eq!(world.cloud.inventory().created, 1);
        Ok(())
    });
}

#[test]
fn new_credentials_are_used_at_once_and_a_conflict_is_told() {
    in_world(&scenario(&["k8s-2-4"], &json!({})), async |world| {
        let api: Api<Secret> = Api::namespaced(world.client.clone(), SYSTEM);
        let write = async |data: Value| {
            let patch = json!({"stringData": data});
            api.patch("vpsie-secret", &PatchParams::default(), &Patch::Merge(&patch))
                .await
                .unwrap();
        };
        write(json!({"token": "wrong"})).await;
        world.deploy(&HALF).await?;
        world.advance(5 * MINUTE).await;
        let shown = condition(world, types::CREDENTIALS_VALID).await;
        assert_eq!(
            (shown.status, shown.reason.as_deref()),
            (ConditionStatus::False, Some("Unauthorized"))
        );
        assert!(world.metrics.render().contains("credential_valid 0"));
        assert_eq!(world.cloud.inventory().created, 0);

        // The wrong token stays beside a good pair: the pair is used, and the conflict is told.
        write(json!({"clientId": "demo-client", "clientSecret": "demo-secret"})).await;
        let took = all_run(world, 5 * MINUTE).await?;
        assert!(took < Duration::from_secs(90), "{took:?}");
        assert_eq!(told(world, "CredentialConflict").await.len(), 1);
        assert!(world.metrics.render().contains("credential_conflict 1"));
        let shown = condition(world, types::CREDENTIALS_VALID).await;
        assert_eq!(shown.status, ConditionStatus::True);
        assert!(
            shown.message.unwrap().contains("ends at 2027-01-04T09:0"),
            "an hour from the exchange"
        );
        Ok(())
    });
}

#[test]
fn few_calls_are_made_for_a_decision_and_hardly_any_in_quiet() {
    let mut scenario = scenario(&["k8s-2-4"], &json!({"maxNodes": 20}));
    scenario.cloud.delays.join = MINUTE;
    in_world(&scenario, async |world| {
        world.advance(MINUTE).await;
        let before = world.cloud.journal().len();
        world.deploy(&Workload { replicas: 30, ..HALF }).await?;
        let begun = world.elapsed();
        world
            .settle("ten nodes are ordered", MINUTE, |view| {
                view.vpsie_nodes().len() == 10
            })
            .await?;
        world
            .settle("all run", 10 * MINUTE, |view| view.pod_counts(None).running == 30)
            .await?;
        let calls = world.cloud.journal().len() - before;
        let seconds = (world.elapsed() - begun).as_secs() as usize;
        let (orders, lists) = (
            sent(world, "/add/slave"),
            sent(world, "/byId/") - sent(world, "/add/slave"),
        );
        println!("{calls} calls for 10 nodes in {seconds} s: {orders} orders, {lists} lists of the cluster");
        assert_eq!(orders, 10);
        // One list every two seconds serves all orders while machines are looked for; then nobody asks.
        assert!(calls <= 10 + 12, "{calls} calls for ten nodes");

        // An idle hour: the catalogue every five minutes, the cluster and its groups once a minute.
        let before = world.cloud.journal().len();
        world.advance(60 * MINUTE).await;
        let calls = world.cloud.journal().len() - before;
        println!("{calls} calls in a quiet hour");
        assert!(calls <= 140, "{calls} calls in a quiet hour");
        Ok(())
    });
}
