//! Plain VMs: plans with prices, orders and what is listed of them, removal with the account's password.

use std::time::Duration;

use fake_vpsie::config::{Delays, OrderReply, PlainConfig};
use fake_vpsie::{Config, Effect, Fault};
use vpsie_client::settings::{FlagStyle, PathPrefixes, ProjectStyle, VmSettings};
use vpsie_client::{
    FirewallGroupId, ImageId, NewVm, Plan, ProjectNumber, RemoveNodeReply, Settings, SshKeyId, Vm, VmState,
    VmUuid, VpcNumber,
};

use crate::harness::{World, config, settings};

const PASSWORD: &str = "hunter2-account-password";
const JOIN_TOKEN: &str = "hunter2-join-token";

fn cloud(change: impl FnOnce(&mut PlainConfig)) -> Config {
    let mut config = config();
    config.plain.account_password = Some(PASSWORD.to_owned());
    config.plain.join_token = Some(JOIN_TOKEN.to_owned());
    change(&mut config.plain);
    config
}

async fn plans(world: &World) -> Vec<Plan> {
    let image = ImageId::new(&*world.fake.config().plain.images[0]);
    let mut plans = Vec::new();
    for category in world.client.list_plan_categories().await.unwrap() {
        plans.extend(
            world
                .client
                .list_plans(&world.datacenter, &image, &category.id)
                .await
                .unwrap(),
        );
    }
    plans
}

async fn order(world: &World, hostname: &str) -> NewVm {
    let sold = world.fake.config().plain;
    let plan = plans(world)
        .await
        .into_iter()
        .find(|plan| plan.name == "vm-2-4")
        .unwrap();
    NewVm {
        plan: plan.id,
        image: ImageId::new(&*sold.images[0]),
        datacenter: world.datacenter.clone(),
        hostname: hostname.to_owned(),
        project: Some(sold.projects[0].identifier.as_str().into()),
        ssh_key: Some(SshKeyId::new(&*sold.ssh_keys[0])),
        notes: "whose it is".to_owned(),
        tags: vec!["a".to_owned()],
        user_data: Some(format!("join {JOIN_TOKEN} überall").into()),
        process_id: Some("0f3c9a7e-1111-4000-8000-000000000000".to_owned()),
    }
}

/// The machines of the name.
async fn named(world: &World, hostname: &str) -> Vec<Vm> {
    let mut vms = world.client.list_vms(None).await.unwrap();
    vms.retain(|vm| vm.name_key() == hostname);
    vms
}

#[tokio::test]
async fn a_vm_is_ordered_seen_and_removed_over_both_transports() {
    for (name, world) in World::both(cloud(|_| ()), settings()).await {
        let client = &world.client;
        client.set_account_password(Some(PASSWORD.into()));
        let plans = plans(&world).await;
        assert_eq!(plans.len(), 4, "{name}: of all categories");
        assert!(
            plans
                .iter()
                .all(|plan| plan.price_hourly.unwrap() * 730.0 - plan.price_monthly.unwrap() < 1e-9)
        );
        let project = client.list_projects().await.unwrap().remove(0);
        assert!(project.is_default);

        client.create_vm(&order(&world, "web-1").await).await.unwrap();
        let vm = loop {
            if let Some(vm) = named(&world, "web-1")
                .await
                .into_iter()
                .find(|vm| vm.state == VmState::Running)
            {
                break vm;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(
            (vm.cpu, vm.memory_mib, vm.notes.as_str()),
            (Some(2), Some(4096), "whose it is"),
            "{name}"
        );
        assert_eq!(vm.project, project.number);
        assert!(
            vm.address.is_some(),
            "{name}: it has the public address that was asked for"
        );
        assert_eq!(client.get_vm(&vm.identifier).await.unwrap(), vm);
        assert_eq!(
            client.list_vms(project.number).await.unwrap(),
            client.list_vms(Some(ProjectNumber(71))).await.unwrap()
        );
        client.add_tags(&vm.identifier, &["b".to_owned()]).await.unwrap();
        client.stop_vm(&vm.identifier).await.unwrap();
        client.start_vm(&vm.identifier).await.unwrap();
        client
            .attach_firewall_group(&vm.identifier, &FirewallGroupId::new("f"))
            .await
            .unwrap();
        let members = client.list_vpc_members(VpcNumber(3)).await.unwrap();
        assert!(
            members
                .iter()
                .any(|member| member.vm == vm.identifier && member.address.is_some())
        );
        let machines = client.list_attachable_vms().await.unwrap();
        assert!(machines.iter().any(|machine| machine.identifier == vm.identifier));

        let removed = client.delete_vm(&vm.identifier, "not needed", "").await.unwrap();
        assert_eq!(removed, RemoveNodeReply::Accepted);
        while !named(&world, "web-1").await.is_empty() {
            tokio::task::yield_now().await;
        }
        let removed = client.delete_vm(&vm.identifier, "not needed", "").await.unwrap();
        assert_eq!(removed, RemoveNodeReply::AlreadyGone, "{name}");
        assert_eq!(
            client.get_vm(&vm.identifier).await.unwrap_err().reason(),
            "NotFound"
        );
        assert!(
            client
                .list_vms(None)
                .await
                .unwrap()
                .iter()
                .any(|vm| vm.hostname == "bastion"),
            "{name}: untouched"
        );

        let journal = format!("{:?}", world.fake.journal());
        assert!(
            !journal.contains(PASSWORD) && !journal.contains(JOIN_TOKEN),
            "{journal}"
        );
        assert!(!format!("{:?}", order(&world, "x").await).contains(JOIN_TOKEN));
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_is_pending_then_nowhere_then_listed_and_then_runs() {
    let mut config = cloud(|_| ());
    let second = Duration::from_secs(1);
    config.delays = Delays {
        appear: 10 * second,
        gap: 5 * second,
        join: 20 * second,
        ..Delays::NONE
    };
    let world = World::in_process(config, settings());
    world
        .client
        .create_vm(&order(&world, "web-1").await)
        .await
        .unwrap();
    let mut seen = Vec::new();
    for _ in 0..40 {
        let pending = world.client.list_pending_vms().await.unwrap();
        let listed = named(&world, "web-1").await;
        let state = match (pending.first(), listed.first()) {
            (Some(order), None) if order.hostname == "web-1" && order.process_id.is_some() => "pending",
            (None, None) => "nowhere",
            (None, Some(vm)) => vm.state.as_str(),
            other => panic!("{other:?}"),
        };
        if seen.last() != Some(&state) {
            seen.push(state);
        }
        tokio::time::sleep(second).await;
    }
    assert_eq!(seen, ["pending", "nowhere", "creating", "running"]);
}

#[tokio::test]
async fn what_clients_disagree_on_is_a_setting() {
    let vm = |change: fn(&mut VmSettings)| {
        let mut settings = settings();
        change(&mut settings.vm);
        settings
    };
    let api_v2 = Settings {
        path_prefixes: PathPrefixes {
            vm: "/api/v2".to_owned(),
            ..PathPrefixes::default()
        },
        ..settings()
    };
    let strict = |plain: &mut PlainConfig| plain.text_flags_only = true;
    type Change = fn(&mut PlainConfig);
    let table: [(&str, Settings, Change, &str); 10] = [
        ("as it is", settings(), |_| (), "address"),
        ("numbers on a strict server", settings(), strict, "no address"),
        (
            "text on a strict server",
            vm(|vm| vm.flags = FlagStyle::Text),
            strict,
            "address",
        ),
        ("text by the prefix", api_v2, strict, "address"),
        (
            "booleans",
            vm(|vm| vm.flags = FlagStyle::Boolean),
            |_| (),
            "address",
        ),
        (
            "no public address",
            vm(|vm| vm.public_ipv4 = false),
            |_| (),
            "no address",
        ),
        (
            "an object as reply",
            settings(),
            |plain| plain.reply = OrderReply::Identifier,
            "address",
        ),
        (
            "an empty reply",
            settings(),
            |plain| plain.reply = OrderReply::Empty,
            "address",
        ),
        (
            "a project by number",
            vm(|vm| vm.project_id = ProjectStyle::Number),
            |_| (),
            "Configuration",
        ),
        (
            "names are unique",
            settings(),
            |plain| plain.unique_hostnames = true,
            "address",
        ),
    ];
    for (name, settings, change, expected) in table {
        let world = World::in_process(cloud(change), settings);
        let order = order(&world, "web-1").await;
        let got = match world.client.create_vm(&order).await {
            Err(error) => error.reason(),
            Ok(()) => loop {
                if let Some(vm) = named(&world, "web-1").await.first() {
                    break if vm.address.is_some() {
                        "address"
                    } else {
                        "no address"
                    };
                }
                tokio::task::yield_now().await;
            },
        };
        assert_eq!(got, expected, "{name}");
    }
    // A number is taken where the server wants one; this one does not.
    let world = World::in_process(cloud(|_| ()), vm(|vm| vm.project_id = ProjectStyle::Number));
    let mut order = order(&world, "web-1").await;
    order.project = Some("71".into());
    assert_eq!(
        world.client.create_vm(&order).await.unwrap_err().reason(),
        "Rejected"
    );
}

#[tokio::test]
async fn a_removal_that_is_no_removal_is_told() {
    let no_password: fn(&mut PlainConfig) = |plain| plain.account_password = None;
    let silent: fn(&mut PlainConfig) = |plain| plain.wrong_password_is_error = false;
    let unsent = || {
        let mut settings = settings();
        settings.vm.send_account_password = false;
        settings
    };
    for (name, change, settings, password, expected) in [
        (
            "the right one",
            (|_| ()) as fn(&mut PlainConfig),
            settings(),
            Some(PASSWORD),
            "Accepted",
        ),
        ("none given", |_| (), settings(), None, "AccountPasswordMissing"),
        (
            "a wrong one",
            |_| (),
            settings(),
            Some("wrong-hunter2"),
            "Rejected",
        ),
        (
            "a wrong one under error: false",
            silent,
            settings(),
            Some("wrong-hunter2"),
            "Rejected",
        ),
        (
            "none sent to a server that asks",
            |_| (),
            unsent(),
            None,
            "Rejected",
        ),
        (
            "none sent to a server that does not ask",
            no_password,
            unsent(),
            None,
            "Accepted",
        ),
    ] {
        let world = World::in_process(cloud(change), settings);
        world.client.set_account_password(password.map(Into::into));
        world
            .client
            .create_vm(&order(&world, "web-1").await)
            .await
            .unwrap();
        let vm = loop {
            if let Some(vm) = named(&world, "web-1").await.first() {
                break vm.identifier.clone();
            }
            tokio::task::yield_now().await;
        };
        let result = world.client.delete_vm(&vm, "not needed", "").await;
        let got = match &result {
            Ok(_) => "Accepted",
            Err(error) => error.reason(),
        };
        assert_eq!(got, expected, "{name}");
        let text = format!("{result:?} {:?}", world.fake.journal());
        assert!(
            !text.contains("hunter2-account") && !text.contains("wrong-hunter2"),
            "{name}: {text}"
        );
        if expected != "Accepted" {
            assert_eq!(named(&world, "web-1").await.len(), 1, "{name}: it is still there");
        }
    }
}

#[tokio::test]
async fn orders_are_refused_in_words_and_lost_answers_are_unknown() {
    let limit: fn(&mut PlainConfig) = |plain| plain.limit = Some(0);
    let world = World::in_process(cloud(limit), settings());
    let error = world
        .client
        .create_vm(&order(&world, "a").await)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "LimitReached");
    let world = World::in_process(cloud(|plain| plain.unique_hostnames = true), settings());
    world.client.create_vm(&order(&world, "a").await).await.unwrap();
    let error = world
        .client
        .create_vm(&order(&world, "A").await)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "Conflict");

    let world = World::in_process(cloud(|plain| plain.unique_processes = true), settings());
    for _ in 0..2 {
        world.client.create_vm(&order(&world, "a").await).await.unwrap();
    }
    assert_eq!(
        world.fake.inventory().created,
        1,
        "this server knows the order again"
    );

    let world = World::in_process(cloud(|_| ()), settings());
    let order = order(&world, "a").await;
    for (effect, created) in [
        (Effect::DropBefore, 0),
        (Effect::DropAfterApply, 1),
        (Effect::TruncatedJson, 2),
        (Effect::HtmlPage { status: 502 }, 2),
        (
            Effect::StatusAfterApply {
                status: 500,
                message: "Internal Server Error".to_owned(),
            },
            3,
        ),
        (Effect::Duplicate, 5),
    ] {
        let unknown = !matches!(effect, Effect::Duplicate);
        let mut fault = Fault::once("/vm", effect.clone());
        fault.method = Some("POST".to_owned());
        world.fake.inject(fault);
        let result = world.client.create_vm(&order).await;
        assert_eq!(
            result.is_err_and(|error| error.is_outcome_unknown()),
            unknown,
            "{effect:?}"
        );
        assert_eq!(world.fake.inventory().created, created, "{effect:?}: sent once");
    }
    assert_eq!(
        world
            .client
            .delete_vm(&VmUuid::new("x"), "r", "")
            .await
            .unwrap_err()
            .reason(),
        "AccountPasswordMissing"
    );
}
