//! Groups of plain VMs: the whole life of their machines, lost answers, doubles, quotas, passwords and user data.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::NodeGroup;
use autoscaler_api::conditions::{self, types};
use autoscaler_api::vpsie_node::Phase;
use autoscaler_simulation::scenario::{SYSTEM, Scenario, Workload, config, vm_group};
use autoscaler_simulation::{Error, World};
use fake_vpsie::{Effect, Fault};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// Six pods, three to a small machine.
const HALF: Workload = Workload::new("half", 6, "600m", "256Mi");

fn scenario(plans: &[&str], more: &Value) -> Scenario {
    let mut scenario = Scenario::default();
    scenario.cloud.plain.join_token = Some("hunter2-join-token".to_owned());
    scenario.cloud.delays.gap = Duration::from_secs(3);
    scenario.groups = vec![vm_group(&scenario.cloud, "vms", 5, plans, more).unwrap()];
    scenario
}

fn in_world(scenario: &Scenario, test: impl AsyncFnOnce(&World) -> Result<(), Error>) {
    autoscaler_simulation::in_world(scenario, test).unwrap();
}

async fn all_run(world: &World, most: Duration) -> Result<Duration, Error> {
    let pods = HALF.replicas as usize;
    world
        .settle("all run", most, |view| view.pod_counts(None).running == pods)
        .await
}

async fn all_gone(world: &World, most: Duration) -> Result<Duration, Error> {
    world
        .settle("all records are gone", most, |view| view.vpsie_nodes().is_empty())
        .await
}

async fn group(world: &World) -> NodeGroup {
    let api: Api<NodeGroup> = Api::namespaced(world.client.clone(), SYSTEM);
    api.get("vms").await.unwrap()
}

/// Notes of the events with this reason.
async fn told(world: &World, reason: &str) -> Vec<String> {
    let events = world.events().await.unwrap().into_iter();
    events
        .filter(|event| event.reason.as_deref() == Some(reason))
        .map(|event| event.message.unwrap_or_default())
        .collect()
}

async fn write_secret(world: &World, name: &str, data: Value) {
    let api: Api<Secret> = Api::namespaced(world.client.clone(), SYSTEM);
    let patch = Patch::Merge(json!({"data": null, "stringData": data}));
    api.patch(name, &PatchParams::default(), &patch).await.unwrap();
}

/// Orders that reached VPSie.
fn orders(world: &World) -> usize {
    let journal = world.cloud.journal();
    journal
        .iter()
        .filter(|entry| entry.method == "POST" && entry.path == "/vm")
        .count()
}

fn on_orders(effect: Effect) -> Fault {
    let mut fault = Fault::once("/vm", effect);
    fault.method = Some("POST".to_owned());
    fault
}

#[test]
fn pods_get_vms_that_join_and_go_again_with_the_load() {
    in_world(
        &scenario(&["vm-2-4"], &json!({"labels": {"tier": "vm"}})),
        async |world| {
            world.deploy(&HALF).await?;
            let took = all_run(world, 5 * MINUTE).await?;
            assert!(took < 2 * MINUTE, "{took:?}");
            let (machines, records) = (world.cloud.vms(), world.view.vpsie_nodes());
            let plain: Vec<_> = machines
                .iter()
                .filter_map(|vm| Some((vm, vm.plain.as_ref()?)))
                .collect();
            assert_eq!((plain.len(), orders(world), world.leaked()), (2, 2, 0));
            for (vm, plain) in &plain {
                let record = records
                    .values()
                    .find(|record| record.provider_identifier() == Some(&vm.identifier))
                    .unwrap();
                assert!(
                    vm.hostname.starts_with(&record.metadata.name.clone().unwrap()),
                    "{}",
                    vm.hostname
                );
                assert!(
                    plain
                        .notes
                        .starts_with("made by a test\nvpsie-autoscaler nodegroup="),
                    "{}",
                    plain.notes
                );
                assert_eq!(
                    (plain.tags.len(), plain.ssh_key.is_some(), plain.public_address),
                    (1, true, true)
                );
                assert!(
                    plain
                        .user_data
                        .ends_with(&format!("--token hunter2-join-token --node {}\n", vm.hostname))
                );
                let node = &world.view.nodes()[&vm.node_name];
                assert_eq!(node.labels["tier"], "vm");
            }
            let shown = format!("{:?}{:?}{}", group(world).await, records, world.metrics.render());
            assert!(!shown.contains("hunter2"));

            world.scale(HALF.name, 0).await?;
            all_gone(world, 25 * MINUTE).await?;
            let inventory = world.cloud.inventory();
            assert_eq!((inventory.created, inventory.removed, world.leaked()), (2, 2, 0));
            Ok(())
        },
    );
}

#[test]
fn a_lost_answer_is_settled_by_looking_for_the_name() {
    for (effect, sent) in [
        // Carried out: the machine is found, and nothing is sent again.
        (Effect::DropAfterApply, 2),
        (Effect::TruncatedJson, 2),
        (
            Effect::StatusAfterApply {
                status: 502,
                message: "no".to_owned(),
            },
            2,
        ),
        // Not carried out: sent again after it was looked for.
        (Effect::DropBefore, 3),
        (Effect::HtmlPage { status: 502 }, 3),
    ] {
        in_world(&scenario(&["vm-2-4"], &json!({})), async |world| {
            world.cloud.inject(on_orders(effect.clone()));
            world.deploy(&HALF).await?;
            all_run(world, 8 * MINUTE).await?;
            world.advance(5 * MINUTE).await;
            assert_eq!(
                (orders(world), world.cloud.inventory().created),
                (sent, 2),
                "{effect:?}"
            );
            assert_eq!(world.leaked(), 0, "{effect:?}");
            Ok(())
        });
    }
}

#[test]
fn of_two_machines_of_a_name_the_oldest_stays() {
    in_world(&scenario(&["vm-2-4"], &json!({})), async |world| {
        world.cloud.inject(on_orders(Effect::Duplicate));
        world.deploy(&HALF).await?;
        all_run(world, 5 * MINUTE).await?;
        world.advance(3 * MINUTE).await;
        let inventory = world.cloud.inventory();
        assert_eq!((inventory.created, inventory.removed, world.leaked()), (3, 1, 0));
        let names: BTreeSet<String> = world
            .cloud
            .vms()
            .into_iter()
            .filter(|vm| vm.is_ordered())
            .map(|vm| vm.hostname)
            .collect();
        assert_eq!(names.len(), 2);
        let doubled: Vec<i64> = world
            .cloud
            .vms()
            .iter()
            .filter(|vm| vm.is_ordered())
            .map(|vm| vm.id)
            .collect();
        let first = world.cloud.vms().iter().map(|vm| vm.id).max().unwrap() - 2;
        assert!(
            doubled.contains(&first),
            "the oldest of the two stays: {doubled:?}"
        );
        assert_eq!(told(world, "DuplicateRemoved").await.len(), 1);
        Ok(())
    });
}

#[test]
fn a_machine_too_many_that_comes_late_goes_too() {
    in_world(&scenario(&["vm-2-4"], &json!({})), async |world| {
        world.deploy(&HALF).await?;
        all_run(world, 5 * MINUTE).await?;
        // The same order once more, as a proxy that repeats requests would send it.
        let vm = world.cloud.vms().into_iter().find(|vm| vm.is_ordered()).unwrap();
        let body = json!({
            "resourceIdentifier": vm.plain.as_ref().unwrap().plan, "osIdentifier": vm.plain.as_ref().unwrap().image,
            "dcIdentifier": vm.datacenter, "hostname": vm.hostname, "notes": vm.plain.as_ref().unwrap().notes,
        });
        let request = http::Request::post("/apps/v2/vm")
            .header("Vpsie-Auth", "demo-token")
            .body(bytes::Bytes::from(body.to_string()))
            .unwrap();
        world.cloud.call(request).await.unwrap();
        world.advance(3 * MINUTE).await;
        let inventory = world.cloud.inventory();
        assert_eq!((inventory.created, inventory.removed, world.leaked()), (3, 1, 0));
        assert!(
            world
                .cloud
                .vms()
                .iter()
                .any(|known| known.identifier == vm.identifier),
            "the one that works stays"
        );
        Ok(())
    });
}

#[test]
fn a_quota_of_vms_pauses_and_is_tried_again() {
    in_world(&scenario(&["vm-2-4", "vm-4-8"], &json!({})), async |world| {
        world.cloud.set_vm_limit(Some(0));
        world.deploy(&HALF).await?;
        world.advance(2 * MINUTE).await;
        let status = group(world).await.status.unwrap();
        let paused = conditions::get(&status.conditions, types::CREATION_PAUSED)
            .unwrap()
            .clone();
        assert_eq!(paused.reason.as_deref(), Some("QuotaExceeded"), "{paused:?}");
        assert!(paused.message.unwrap().contains("exceeds the allowed limit 0"));
        world.cloud.set_vm_limit(None);
        all_run(world, 10 * MINUTE).await?;
        assert_eq!(world.leaked(), 0);
        Ok(())
    });
}

#[test]
fn a_vm_that_never_joins_is_given_back_and_replaced() {
    in_world(&scenario(&["vm-2-4"], &json!({})), async |world| {
        world.cloud.inject(on_orders(Effect::NeverJoins));
        world.deploy(&HALF).await?;
        let took = all_run(world, 20 * MINUTE).await?;
        assert!(took > 10 * MINUTE, "{took:?}");
        world.advance(2 * MINUTE).await;
        let inventory = world.cloud.inventory();
        assert_eq!((inventory.created, inventory.removed, world.leaked()), (3, 1, 0));
        Ok(())
    });
}

#[test]
fn without_the_account_password_nothing_is_removed_and_it_is_told() {
    for (password, words) in [(None, "accountPassword"), (Some("hunter3"), "wrong password")] {
        in_world(&scenario(&["vm-2-4"], &json!({})), async |world| {
            world.deploy(&HALF).await?;
            all_run(world, 5 * MINUTE).await?;
            let mut data = json!({"token": "demo-token"});
            if let Some(password) = password {
                data["accountPassword"] = json!(password);
            }
            write_secret(world, "vpsie-secret", data).await;
            world.scale(HALF.name, 0).await?;
            world.advance(20 * MINUTE).await;
            assert_eq!(world.cloud.inventory().removed, 0, "VPSie asks for it");
            let records = world.view.vpsie_nodes();
            let deleting: Vec<_> = records
                .values()
                .filter(|record| record.phase() == Phase::Deleting)
                .collect();
            let status = deleting.first().unwrap().status.clone().unwrap();
            let error = conditions::get(&status.conditions, types::PROVISION_ERROR).unwrap();
            assert!(error.message.as_ref().unwrap().contains(words), "{error:?}");
            assert!(told(world, "VPSDeleteFailed").await[0].contains(words));

            let data = json!({"token": "demo-token", "accountPassword": "demo-password"});
            write_secret(world, "vpsie-secret", data).await;
            all_gone(world, 25 * MINUTE).await?;
            assert_eq!(world.leaked(), 0);
            Ok(())
        });
    }
}

#[test]
fn user_data_that_cannot_be_made_orders_nothing_and_is_told() {
    let unknown = json!({"userData": {"template": "{{ secret.token }} {{ nodegruop }}"}});
    let no_key = json!({"userData": {"template": "{{ secret.tokne }}"}});
    let no_secret = json!({"userData": {"template": "{{ secret.token }}", "secretName": "elsewhere"}});
    for (more, words) in [
        (unknown, "there is no variable \"nodegruop\""),
        (no_key, "the Secret has no key \"tokne\""),
        (no_secret, "there is no Secret kube-system/elsewhere"),
    ] {
        in_world(&scenario(&["vm-2-4"], &more), async |world| {
            world.deploy(&HALF).await?;
            world.advance(3 * MINUTE).await;
            assert_eq!(orders(world), 0, "{words}");
            let status = group(world).await.status.unwrap();
            let ready = conditions::get(&status.conditions, types::READY).unwrap();
            assert_eq!(ready.reason.as_deref(), Some("UserDataInvalid"), "{ready:?}");
            assert!(ready.message.as_ref().unwrap().contains(words), "{ready:?}");
            let api: Api<NodeGroup> = Api::namespaced(world.client.clone(), SYSTEM);
            let template = "{{ secret.token }} {{ nodeGroup }}";
            let patch = json!({"spec": {"userData": {"template": template, "secretName": "vpsie-join"}}});
            api.patch("vms", &PatchParams::default(), &Patch::Merge(&patch))
                .await
                .unwrap();
            all_run(world, 5 * MINUTE).await?;
            Ok(())
        });
    }
}

#[test]
fn a_record_that_is_deleted_in_any_phase_leaves_no_machine() {
    for wait in [0, 2, 6, 12, 30, 90] {
        in_world(&scenario(&["vm-2-4"], &json!({"minNodes": 1})), async |world| {
            world
                .settle("a record", MINUTE, |view| !view.vpsie_nodes().is_empty())
                .await?;
            world.advance(Duration::from_secs(wait)).await;
            let (key, record) = world.view.vpsie_nodes().into_iter().next().unwrap();
            let api = Api::<autoscaler_api::VPSieNode>::namespaced(world.client.clone(), &key.namespace);
            api.delete(&key.name, &DeleteParams::default()).await.unwrap();
            let uid = record.metadata.uid.clone();
            world
                .settle("it is gone and replaced", 12 * MINUTE, |view| {
                    let records = view.vpsie_nodes();
                    records.len() == 1
                        && records
                            .values()
                            .all(|record| record.metadata.uid != uid && record.phase() == Phase::Ready)
                })
                .await?;
            assert_eq!(world.leaked(), 0, "after {wait} s");
            Ok(())
        });
    }
}

#[test]
fn a_group_goes_with_its_vms_and_orphans_are_proven_by_their_notes() {
    let mut scenario = scenario(&["vm-2-4"], &json!({"minNodes": 2}));
    scenario.config = Some(config(&json!({"globalSettings": {"removeOrphans": true}})).unwrap());
    in_world(&scenario, async |world| {
        world
            .settle("two nodes", 5 * MINUTE, |view| view.ready_nodes() == 2)
            .await?;
        // A record that is lost with its finalizer, as a restored backup loses it.
        let (key, _) = world.view.vpsie_nodes().into_iter().next().unwrap();
        let api = Api::<autoscaler_api::VPSieNode>::namespaced(world.client.clone(), &key.namespace);
        let patch = json!({"metadata": {"finalizers": null}});
        api.delete(&key.name, &DeleteParams::default()).await.unwrap();
        api.patch(&key.name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
        world.advance(10 * MINUTE).await;
        assert_eq!(told(world, "OrphanedMachine").await.len(), 1);
        let inventory = world.cloud.inventory();
        assert_eq!((inventory.created, inventory.removed, world.leaked()), (3, 1, 0));

        let groups: Api<NodeGroup> = Api::namespaced(world.client.clone(), SYSTEM);
        groups.delete("vms", &DeleteParams::default()).await.unwrap();
        all_gone(world, 25 * MINUTE).await?;
        world.advance(MINUTE).await;
        assert!(groups.get_opt("vms").await.unwrap().is_none());
        let inventory = world.cloud.inventory();
        assert_eq!((inventory.created, inventory.removed), (3, 3));
        Ok(())
    });
}

#[test]
fn the_cheapest_plan_is_bought_by_its_price() {
    in_world(
        &scenario(&["vm-4-16", "vm-4-8", "vm-1-2"], &json!({})),
        async |world| {
            world.deploy(&HALF).await?;
            all_run(world, 5 * MINUTE).await?;
            let bought: BTreeSet<String> = world
                .view
                .vpsie_nodes()
                .values()
                .map(|node| node.spec.instance_type.clone())
                .collect();
            assert_eq!(bought, ["vm-4-8".to_owned()].into());
            Ok(())
        },
    );
}
