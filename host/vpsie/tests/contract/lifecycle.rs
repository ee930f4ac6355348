//! The main path: catalogue, group, order, appearance, removal.

use std::time::Duration;

use fake_vpsie::config::{Delays, HostnameCase, Shape};
use fake_vpsie::{Config, VmEvent, VmState};
use vpsie_client::settings::{AuthHeader, PathPrefixes, TokenBody};
use vpsie_client::{AddNodeReply, GroupUuid, NodeRole, NodeUuid, OfferId, RemoveNodeReply, Settings};

use crate::harness::{World, config, settings};

#[tokio::test]
async fn a_node_is_ordered_seen_and_removed_over_both_transports() {
    for (name, world) in World::both(config(), settings()).await {
        let mut events = world.fake.subscribe();
        let client = &world.client;
        let clusters = client.list_clusters().await.unwrap();
        assert_eq!(
            (clusters.len(), clusters[0].id.clone()),
            (1, world.cluster.clone()),
            "{name}"
        );
        let offers = client.list_offers(&world.datacenter).await.unwrap();
        assert_eq!(offers.len(), 5);
        assert!(
            offers
                .iter()
                .all(|offer| offer.price_hourly_derived && offer.price_hourly.unwrap() > 0.0)
        );
        assert_eq!(client.list_datacenters().await.unwrap()[0].id, world.datacenter);

        let group = world.group(12).await;
        assert_eq!(
            client.add_node(&world.cluster, group).await.unwrap(),
            AddNodeReply { hint: None }
        );
        let booted = loop {
            if let VmEvent::Booted(vm) = events.recv().await.unwrap() {
                break vm;
            }
        };
        let detail = client.get_cluster(&world.cluster).await.unwrap();
        assert_eq!(detail.nodes.len(), 2, "{name}: the master is listed too");
        let master = detail
            .nodes
            .iter()
            .find(|node| node.role == NodeRole::ControlPlane)
            .unwrap();
        assert!(master.hostname.contains("master"));
        let node = detail.node_by_name(&booted.node_name).unwrap();
        assert_ne!(
            node.hostname, booted.node_name,
            "{name}: the API spells it in mixed case"
        );
        assert_eq!(
            (node.role, node.cpu, node.memory_mib),
            (NodeRole::Worker, Some(2), Some(4096))
        );
        let groups = client.list_groups(&world.cluster).await.unwrap();
        assert_eq!((groups[0].size, groups[0].nodes_count), (OfferId(12), Some(1)));

        let machines = client.list_attachable_vms().await.unwrap();
        assert!(
            machines.iter().any(|vm| vm.hostname == node.hostname),
            "{name}: managed nodes are in this list"
        );

        let uuid = node.identifier.clone().unwrap();
        assert_eq!(
            client.remove_node(&world.cluster, &uuid).await.unwrap(),
            RemoveNodeReply::Accepted
        );
        loop {
            if let VmEvent::Removed(vm) = events.recv().await.unwrap() {
                assert_eq!(vm.identifier, uuid.as_str());
                break;
            }
        }
        assert!(world.workers().await.is_empty());
        assert_eq!(
            client.remove_node(&world.cluster, &uuid).await.unwrap(),
            RemoveNodeReply::AlreadyGone
        );

        let group = groups[0].uuid.clone().unwrap();
        client.delete_group(&group, "scale down", "").await.unwrap();
        assert!(client.list_groups(&world.cluster).await.unwrap().is_empty());
        assert_eq!(world.fake.applied("POST", "/add/slave"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_appears_joins_and_goes_in_its_time() {
    let delays = Delays {
        appear: Duration::from_secs(5),
        join: Duration::from_secs(60),
        delete: Duration::from_secs(20),
        ..Delays::NONE
    };
    let world = World::in_process(Config { delays, ..config() }, settings());
    let mut events = world.fake.subscribe();
    let begun = tokio::time::Instant::now();
    let group = world.group(11).await;
    world.client.add_node(&world.cluster, group).await.unwrap();
    assert!(world.workers().await.is_empty(), "accepted, but not listed");
    assert_eq!(
        world.client.list_groups(&world.cluster).await.unwrap()[0].nodes_count,
        Some(1)
    );

    let mut next = async || {
        let event = events.recv().await.unwrap();
        (event.vm().state, begun.elapsed().as_secs(), event)
    };
    assert_eq!(next().await.0, VmState::Accepted);
    assert!(matches!(next().await, (VmState::Listed, 5, VmEvent::Listed(_))));
    let uuid = world.workers().await[0].identifier.clone().unwrap();
    assert!(matches!(next().await, (VmState::Booted, 65, VmEvent::Booted(_))));
    world.client.remove_node(&world.cluster, &uuid).await.unwrap();
    assert!(matches!(
        next().await,
        (VmState::Deleting, 65, VmEvent::Deleting(_))
    ));
    assert_eq!(world.workers().await.len(), 1, "accepted, but still listed");
    assert!(matches!(next().await, (_, 85, VmEvent::Removed(_))));
    assert!(world.workers().await.is_empty());
    let inventory = world.fake.inventory();
    assert_eq!(
        (inventory.created, inventory.removed, inventory.price_hourly),
        (1, 1, 0.0)
    );
    let expected = 12.0 / 730.0 * 85.0 / 3600.0;
    assert!(
        (inventory.cost - expected).abs() < 1e-9,
        "{} is not {expected}",
        inventory.cost
    );
}

#[tokio::test]
async fn every_shape_of_rows_and_replies_is_understood() {
    let plain = Shape::default();
    for (name, shape) in [
        (
            "no identifier",
            Shape {
                node_identifier: false,
                ..plain
            },
        ),
        (
            "no sizes",
            Shape {
                node_sizes: false,
                ..plain
            },
        ),
        (
            "role and status",
            Shape {
                node_role: true,
                ..plain
            },
        ),
        (
            "upper case",
            Shape {
                hostname_case: HostnameCase::Upper,
                ..plain
            },
        ),
        (
            "numbers as text",
            Shape {
                numbers_as_text: true,
                ..plain
            },
        ),
        (
            "hourly price",
            Shape {
                hourly_price: true,
                ..plain
            },
        ),
        (
            "reply names the node",
            Shape {
                add_node_names_node: true,
                ..plain
            },
        ),
    ] {
        let world = World::in_process(Config { shape, ..config() }, settings());
        let mut events = world.fake.subscribe();
        let offers = world.client.list_offers(&world.datacenter).await.unwrap();
        assert_eq!(offers[1].memory_mib, 4096, "{name}");
        assert_eq!(offers[1].price_hourly_derived, !shape.hourly_price, "{name}");
        let group = world.group(12).await;
        let reply = world.client.add_node(&world.cluster, group).await.unwrap();
        assert_eq!(reply.hint.is_some(), shape.add_node_names_node, "{name}");
        while !matches!(events.recv().await.unwrap(), VmEvent::Listed(_)) {}
        let workers = world.workers().await;
        assert_eq!(workers.len(), 1, "{name}");
        assert_eq!(workers[0].identifier.is_some(), shape.node_identifier, "{name}");
        assert_eq!(workers[0].cpu.is_some(), shape.node_sizes, "{name}");
    }
}

#[tokio::test]
async fn every_setting_of_the_wire_reaches_it() {
    let prefixes = |prefix: &str| PathPrefixes {
        auth: prefix.to_owned(),
        kubernetes: prefix.to_owned(),
        catalogue: prefix.to_owned(),
        plans: prefix.to_owned(),
        vm: prefix.to_owned(),
        storage: prefix.to_owned(),
    };
    use fake_vpsie::config::{Access, Header, TokenShape};
    for (header, auth_header, token_body, token_shape, prefix, works) in [
        (
            Header::VpsieAuth,
            AuthHeader::VpsieAuth,
            TokenBody::Json,
            TokenShape::Nested,
            "/apps/v2",
            true,
        ),
        (
            Header::VpsieAuth,
            AuthHeader::Both,
            TokenBody::Form,
            TokenShape::Flat,
            "/api/v2",
            true,
        ),
        (
            Header::Bearer,
            AuthHeader::Bearer,
            TokenBody::Form,
            TokenShape::WithoutExpiry,
            "/v2",
            true,
        ),
        (
            Header::Bearer,
            AuthHeader::VpsieAuth,
            TokenBody::Json,
            TokenShape::Nested,
            "/apps/v2",
            false,
        ),
        (
            Header::VpsieAuth,
            AuthHeader::Bearer,
            TokenBody::Json,
            TokenShape::Nested,
            "/apps/v2",
            false,
        ),
    ] {
        let config = config();
        let access = Access {
            header,
            token_shape,
            ..config.access.clone()
        };
        let settings = Settings {
            auth_header,
            token_body,
            path_prefixes: prefixes(prefix),
            ..settings()
        };
        let world = World::over_a_socket(Config { access, ..config }, settings).await;
        let result = world.client.list_clusters().await;
        assert_eq!(
            result.is_ok(),
            works,
            "{header:?} {auth_header:?} {token_body:?}: {result:?}"
        );
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_in_each_of_its_faces() {
    for not_found_in_ok in [false, true] {
        let shape = Shape {
            not_found_in_ok,
            ..Shape::default()
        };
        let world = World::in_process(Config { shape, ..config() }, settings());
        let error = world
            .client
            .get_cluster(&"no-such-cluster".into())
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "NotFound", "in ok: {not_found_in_ok}");
    }
    let world = World::in_process(config(), settings());
    let group = GroupUuid::new("301");
    let error = world.client.delete_group(&group, "x", "").await.unwrap_err();
    assert_eq!(
        error.reason(),
        "NotFound",
        "a group is deleted by UUID, not by number"
    );
    let odd = NodeUuid::new("../../x?y");
    assert_eq!(
        world.client.remove_node(&world.cluster, &odd).await.unwrap(),
        RemoveNodeReply::AlreadyGone
    );
}
