//! Every fault of the fake and the error that the client makes of it, and whether it was carried out.

use std::time::Duration;

use fake_vpsie::config::Shape;
use fake_vpsie::{Config, Effect, Fault};
use vpsie_client::{Error, OfferId, Settings};

use crate::harness::{World, config, settings};

fn words(text: &str) -> String {
    text.to_owned()
}

#[tokio::test]
async fn each_fault_has_its_error_for_orders_and_for_reads() {
    let status = |status, message: &str| Effect::Status {
        status,
        message: words(message),
    };
    let quota = "Worker nodes count exceeds the allowed limit 5";
    // effect, what an order makes of it, whether the order happened, what a read makes of it
    let cases = [
        (Effect::DropBefore, "OutcomeUnknown", 0, "Transient"),
        (Effect::DropAfterApply, "OutcomeUnknown", 1, "Transient"),
        (
            Effect::Delay {
                duration: Duration::from_secs(3600),
            },
            "OutcomeUnknown",
            0,
            "Transient",
        ),
        (status(500, "Internal error"), "OutcomeUnknown", 0, "Transient"),
        (status(503, ""), "OutcomeUnknown", 0, "Transient"),
        (
            Effect::StatusAfterApply {
                status: 500,
                message: words("oops"),
            },
            "OutcomeUnknown",
            1,
            "Transient",
        ),
        (Effect::HtmlPage { status: 502 }, "OutcomeUnknown", 0, "Transient"),
        (Effect::HtmlPage { status: 200 }, "OutcomeUnknown", 0, "Transient"),
        (Effect::TruncatedJson, "OutcomeUnknown", 1, "Decode"),
        (status(500, quota), "LimitReached", 0, "LimitReached"),
        (
            Effect::ErrorInOk {
                message: words(quota),
            },
            "LimitReached",
            0,
            "LimitReached",
        ),
        (
            Effect::ErrorInOk { message: words("No") },
            "Rejected",
            0,
            "Rejected",
        ),
        (status(400, "bad"), "Rejected", 0, "Rejected"),
        (
            status(401, "Please authenticate"),
            "Unauthorized",
            0,
            "Unauthorized",
        ),
        (status(403, "no"), "Forbidden", 0, "Forbidden"),
        (status(404, "Not found"), "NotFound", 0, "NotFound"),
        (status(409, "busy"), "Conflict", 0, "Conflict"),
        (
            Effect::RateLimited { retry_after: Some(0) },
            "RateLimited",
            0,
            "RateLimited",
        ),
    ];
    let settings = Settings {
        request_timeout: Duration::from_millis(500),
        ..settings()
    };
    for (effect, order, happened, read) in cases {
        for (name, world) in World::both(config(), settings.clone()).await {
            let group = world.group(12).await;
            world.fake.inject(Fault::always("/add/slave", effect.clone()));
            let error = world.client.add_node(&world.cluster, group).await.unwrap_err();
            assert_eq!(error.reason(), order, "{name}: {effect:?} of an order: {error}");
            assert_eq!(world.fake.inventory().created, happened, "{name}: {effect:?}");

            world.fake.clear_faults();
            world.fake.inject(Fault::always("/cluster/byId", effect.clone()));
            let error = world.client.get_cluster(&world.cluster).await.unwrap_err();
            assert_eq!(error.reason(), read, "{name}: {effect:?} of a read: {error}");
        }
    }
}

#[tokio::test]
async fn an_order_is_never_sent_twice_but_a_read_is() {
    let settings = Settings {
        read_attempts: 3,
        ..settings()
    };
    let world = World::in_process(config(), settings);
    let group = world.group(12).await;
    for effect in [
        Effect::HtmlPage { status: 502 },
        Effect::TruncatedJson,
        Effect::DropBefore,
    ] {
        let sent = |path: &str| {
            world
                .fake
                .journal()
                .iter()
                .filter(|entry| entry.path.contains(path))
                .count()
        };
        let before = (sent("/add/slave"), sent("/cluster/all"));
        world.fake.inject(Fault {
            times: Some(2),
            ..Fault::always("/add/slave", effect.clone())
        });
        world.client.add_node(&world.cluster, group).await.unwrap_err();
        assert_eq!(sent("/add/slave"), before.0 + 1, "{effect:?}");
        world.fake.clear_faults();
        world.fake.inject(Fault {
            times: Some(2),
            ..Fault::always("/cluster/all", effect.clone())
        });
        world.client.list_clusters().await.unwrap();
        assert_eq!(sent("/cluster/all"), before.1 + 3, "{effect:?}");
    }
}

#[tokio::test]
async fn an_order_that_surely_did_not_arrive_is_left_to_the_caller_too() {
    let settings = Settings {
        read_attempts: 3,
        ..settings()
    };
    let world = World::in_process(config(), settings);
    let group = world.group(12).await;
    world.fake.set_down(true);
    let before = world.fake.journal().len();
    let error = world.client.add_node(&world.cluster, group).await.unwrap_err();
    assert_eq!(
        error.reason(),
        "Transient",
        "nothing was sent, so nothing is unknown: {error}"
    );
    assert_eq!(world.fake.journal().len(), before + 1);
    world.client.list_clusters().await.unwrap_err();
    assert_eq!(world.fake.journal().len(), before + 4, "a read tries three times");
}

#[tokio::test]
async fn the_providers_own_rules_are_told_apart_in_both_styles_of_failure() {
    for errors_in_ok in [false, true] {
        let shape = Shape {
            errors_in_ok,
            ..Shape::default()
        };
        let world = World::in_process(
            Config {
                shape,
                worker_limit: Some(1),
                ..config()
            },
            settings(),
        );
        let group = world.group(12).await;
        world.client.add_node(&world.cluster, group).await.unwrap();
        let error = world.client.add_node(&world.cluster, group).await.unwrap_err();
        assert_eq!(error.reason(), "LimitReached", "{error}");
        assert_eq!(
            error.provider_message(),
            Some("Worker nodes count exceeds the allowed limit 1")
        );
        assert!(
            error.to_string().contains("quota exceeded"),
            "the words that the runbook looks for: {error}"
        );

        let error = world
            .client
            .create_group(&world.cluster, "second", OfferId(12))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
        assert!(error.provider_message().unwrap().contains("group-12"), "{error}");
        assert!(
            world
                .client
                .create_group(&world.cluster, "third", OfferId(13))
                .await
                .is_ok()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn accepted_orders_may_still_come_to_nothing() {
    for (effect, listed, booted, created) in [
        (Effect::NeverListed, 0, 0, 1),
        (Effect::NeverJoins, 1, 0, 1),
        (Effect::Duplicate, 2, 2, 2),
    ] {
        let world = World::in_process(config(), settings());
        let group = world.group(12).await;
        world.fake.inject(Fault::once("/add/slave", effect.clone()));
        world.client.add_node(&world.cluster, group).await.unwrap();
        // Under the paused clock this returns when nothing else is left to do.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let vms = world.fake.vms();
        let running = |vm: &&fake_vpsie::VmInfo| !vm.master && vm.state == fake_vpsie::VmState::Booted;
        assert_eq!(world.workers().await.len(), listed, "{effect:?}");
        assert_eq!(vms.iter().filter(running).count(), booted, "{effect:?}");
        assert_eq!(world.fake.inventory().created, created, "{effect:?}");
    }
}

#[tokio::test]
async fn a_stale_list_shows_the_past_once() {
    let world = World::in_process(config(), settings());
    world.group(12).await;
    world
        .client
        .create_group(&world.cluster, "second", OfferId(13))
        .await
        .unwrap();
    world.fake.inject(Fault::once("/node/groups", Effect::Stale));
    assert_eq!(world.client.list_groups(&world.cluster).await.unwrap().len(), 1);
    assert_eq!(world.client.list_groups(&world.cluster).await.unwrap().len(), 2);
}
