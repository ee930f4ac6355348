//! Circuit breaker and rate limit around real calls, and what the observer is told.

use std::time::Duration;

use fake_vpsie::{Effect, Fault};
use tokio::time::Instant;
use vpsie_client::settings::BreakerSettings;
use vpsie_client::{BreakerState, Settings};

use crate::harness::{World, config, settings};

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_left_alone_and_found_again_by_one_probe() {
    let settings = Settings {
        breaker: BreakerSettings::default(),
        ..settings()
    };
    let world = World::in_process(config(), settings);
    world.fake.set_down(true);
    for _ in 0..5 {
        assert_eq!(
            world.client.list_clusters().await.unwrap_err().reason(),
            "Transient"
        );
    }
    assert_eq!(world.client.breaker_state(), BreakerState::Open);
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

    tokio::time::sleep(Duration::from_secs(30)).await;
    world.client.list_clusters().await.unwrap_err();
    assert_eq!(world.fake.journal().len(), sent + 1, "one probe");
    world.fake.set_down(false);
    tokio::time::sleep(Duration::from_secs(30)).await;
    world.seen.take();
    world.client.list_clusters().await.unwrap();
    assert_eq!(world.client.breaker_state(), BreakerState::Closed);
    let changes: Vec<_> = world
        .seen
        .take()
        .into_iter()
        .filter(|line| line.starts_with("breaker"))
        .collect();
    assert_eq!(changes, ["breaker open half-open", "breaker half-open closed"]);
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
        assert_eq!(
            world.client.breaker_state(),
            BreakerState::Closed,
            "{status} {message}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_given_up_does_not_block_the_next() {
    let settings = Settings {
        breaker: BreakerSettings {
            consecutive_failures: 1,
            ..BreakerSettings::default()
        },
        ..settings()
    };
    let world = World::in_process(config(), settings);
    world.client.list_clusters().await.unwrap();
    world
        .fake
        .inject(Fault::once("/all", Effect::HtmlPage { status: 502 }));
    world.client.list_clusters().await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(30)).await;
    world.fake.inject(Fault::once(
        "/all",
        Effect::Delay {
            duration: Duration::from_secs(20),
        },
    ));
    let hasty = tokio::time::timeout(Duration::from_secs(1), world.client.list_clusters()).await;
    assert!(hasty.is_err());
    world.client.list_clusters().await.unwrap();
    assert_eq!(world.client.breaker_state(), BreakerState::Closed);
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
