//! Circuit breaker and rate limit around real calls, and what the observer is told.

use std::time::Duration;

use fake_vpsie::{Effect, Fault};
use tokio::time::Instant;
use vpsie_client::settings::BreakerSettings;
use vpsie_client::{BreakerState, Family, Settings};

use crate::harness::{World, config, settings};

/// What the observer was told of breakers.
fn transitions(world: &World) -> Vec<String> {
    let told = world.seen.take().into_iter();
    told.filter(|line| line.starts_with("breaker")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_left_alone_and_found_again_without_anybody_calling() {
    let settings = Settings {
        breaker: BreakerSettings::default(),
        ..settings()
    };
    let world = World::in_process(config(), settings);
    world.client.list_clusters().await.unwrap();
    world.fake.set_down(true);
    for _ in 0..5 {
        assert_eq!(
            world.client.list_clusters().await.unwrap_err().reason(),
            "Transient"
        );
    }
    assert_eq!(world.client.breaker_state(Family::Kubernetes), BreakerState::Open);
    let sent = world.fake.journal().len();
    for _ in 0..100 {
        let error = world.client.list_clusters().await.unwrap_err();
        assert_eq!(
            (error.reason(), error.error_type()),
            ("CircuitOpen", "circuit_open")
        );
        assert!(
            error.to_string().contains("circuit breaker is open"),
            "the words that the runbook looks for"
        );
    }
    assert_eq!(
        world.fake.journal().len(),
        sent,
        "nothing is sent while it is open"
    );

    // From here on nobody calls: the client looks by itself, once every 30 s.
    let mut changes = world.client.changes();
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(world.fake.journal().len(), sent + 1, "one probe");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.fake.journal().len(), sent + 2, "and one more");
    assert_eq!(world.client.broken(), [Family::Kubernetes]);
    world.fake.set_down(false);
    changes.mark_unchanged();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(world.client.broken().is_empty());
    assert!(changes.has_changed().unwrap(), "those who wait are told");
    assert_eq!(
        transitions(&world),
        [
            "breaker kubernetes closed open",
            "breaker kubernetes open half-open",
            "breaker kubernetes half-open open",
            "breaker kubernetes open half-open",
            "breaker kubernetes half-open open",
            "breaker kubernetes open half-open",
            "breaker kubernetes half-open closed",
        ]
    );
    let quiet = world.fake.journal().len();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(
        world.fake.journal().len(),
        quiet,
        "a closed breaker is not probed"
    );
}

#[tokio::test(start_paused = true)]
async fn one_part_of_the_api_that_fails_leaves_the_others_alone() {
    let settings = Settings {
        breaker: BreakerSettings::default(),
        ..settings()
    };
    let world = World::in_process(config(), settings);
    world.client.list_clusters().await.unwrap();
    world
        .fake
        .inject(Fault::always("/storages", Effect::HtmlPage { status: 502 }));
    for _ in 0..5 {
        world.client.list_attachable_vms().await.unwrap_err();
    }
    assert_eq!(world.client.broken(), [Family::Storage]);
    world.client.list_clusters().await.unwrap();
    world.client.list_datacenters().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn both_conditions_of_the_breaker_can_be_set() {
    // consecutive, rate, minimum -> calls (f fails, s succeeds), whether the last one opens it
    for (consecutive, rate, minimum, calls, opens) in [
        (2, 2.0, 1, "ff", true),
        (2, 2.0, 1, "fsfsfs", false),
        (0, 0.5, 6, "fsfsf", false),
        (0, 0.5, 6, "fsfsff", true),
        (0, 0.9, 6, "fsfsff", false),
    ] {
        let settings = Settings {
            breaker: BreakerSettings {
                consecutive_failures: consecutive,
                failure_rate: rate,
                minimum_calls: minimum,
                ..BreakerSettings::default()
            },
            ..settings()
        };
        let world = World::in_process(config(), settings);
        // The exchange belongs to another family.
        world.client.authenticate().await.unwrap();
        for call in calls.chars() {
            if call == 'f' {
                world
                    .fake
                    .inject(Fault::once("/all", Effect::HtmlPage { status: 502 }));
            }
            let _ = world.client.list_clusters().await;
        }
        assert_eq!(!world.client.broken().is_empty(), opens, "{calls}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_did_wrong_never_opens_the_breaker() {
    let settings = Settings {
        breaker: BreakerSettings {
            consecutive_failures: 1,
            ..BreakerSettings::default()
        },
        ..settings()
    };
    for (status, message) in [
        (401, ""),
        (403, ""),
        (404, ""),
        (429, ""),
        (500, "quota exceeded"),
        (400, ""),
    ] {
        let world = World::in_process(config(), settings.clone());
        let group = world.group(12).await;
        let effect = Effect::Status {
            status,
            message: message.to_owned(),
        };
        world.fake.inject(Fault::always("/add/slave", effect));
        for _ in 0..30 {
            world.client.add_node(&world.cluster, group).await.unwrap_err();
        }
        assert_eq!(world.client.broken(), [], "{status} {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_or_is_given_up_does_not_block_the_next() {
    let settings = Settings {
        breaker: BreakerSettings {
            consecutive_failures: 1,
            ..BreakerSettings::default()
        },
        ..settings()
    };
    let hang = Effect::Delay {
        duration: Duration::from_secs(3600),
    };
    let world = World::in_process(config(), settings);
    world.client.list_clusters().await.unwrap();
    world
        .fake
        .inject(Fault::once("/all", Effect::HtmlPage { status: 502 }));
    world.client.list_clusters().await.unwrap_err();
    world.fake.inject(Fault::once("/all", hang));
    // The probe of second 30 ends with its deadline at 60; the next one goes at 90.
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(world.client.broken(), [Family::Kubernetes]);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(world.client.broken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_client_keeps_its_own_rate_and_honours_what_the_server_asks_for() {
    let settings = Settings {
        requests_per_minute: 60,
        burst: 10,
        ..settings()
    };
    let world = World::in_process(config(), settings);
    let begun = Instant::now();
    for _ in 0..19 {
        world.client.list_clusters().await.unwrap();
    }
    // Twenty requests with the exchange: ten at once, ten at one per second.
    assert_eq!(begun.elapsed().as_secs_f64().round(), 10.0);

    world.fake.inject(Fault::once(
        "/all",
        Effect::RateLimited {
            retry_after: Some(45),
        },
    ));
    world.client.list_clusters().await.unwrap_err();
    let begun = Instant::now();
    world.client.list_datacenters().await.unwrap();
    assert_eq!(begun.elapsed().as_secs_f64().round(), 45.0);
}

#[tokio::test]
async fn the_observer_sees_each_request_with_its_route_and_no_identifier() {
    let world = World::in_process(config(), settings());
    world.client.get_cluster(&world.cluster).await.unwrap();
    world.client.get_cluster(&"nowhere".into()).await.unwrap_err();
    assert_eq!(
        world.seen.take(),
        [
            "credentials present=true valid=None",
            "request POST auth 200",
            "credentials present=true valid=Some(true)",
            "request GET cluster_detail 200",
            "request GET cluster_detail 404",
            "error GET not_found",
        ]
    );
}
