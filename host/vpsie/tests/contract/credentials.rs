//! Tokens: exchange, renewal, refusal, replacement.

use std::sync::Arc;
use std::time::Duration;

use fake_vpsie::config::Access;
use fake_vpsie::{Config, Effect, Fault};
use vpsie_client::{Credentials, Settings};

use crate::harness::{CLIENT_SECRET, STATIC_TOKEN, World, config, pair, settings};

fn exchanges(world: &World) -> usize {
    world
        .fake
        .journal()
        .iter()
        .filter(|entry| entry.path == "/auth/from/api")
        .count()
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let world = World::in_process(config(), settings());
    world.client.set_credentials(None);
    let error = world.client.list_clusters().await.unwrap_err();
    assert_eq!(
        (error.reason(), error.error_type()),
        ("CredentialsMissing", "unauthorized")
    );
    assert!(world.fake.journal().is_empty());
    assert!(!world.client.credentials_status().present);
}

#[tokio::test]
async fn a_static_token_is_used_as_it_is() {
    let world = World::over_a_socket(config(), settings()).await;
    world
        .client
        .set_credentials(Some(Credentials::Token(STATIC_TOKEN.into())));
    world.client.list_clusters().await.unwrap();
    assert_eq!(exchanges(&world), 0);
    assert_eq!(world.client.credentials_status().valid, Some(true));
    world
        .client
        .set_credentials(Some(Credentials::Token("wrong".into())));
    assert_eq!(world.client.credentials_status().valid, None);
    assert_eq!(
        world.client.list_clusters().await.unwrap_err().reason(),
        "Unauthorized"
    );
    let status = world.client.credentials_status();
    assert_eq!(
        (status.valid, status.problem),
        (Some(false), Some("Unauthorized"))
    );
}

#[tokio::test(start_paused = true)]
async fn many_callers_share_one_exchange_and_it_is_renewed_five_minutes_ahead() {
    let world = World::in_process(config(), settings());
    world.fake.inject(Fault::once(
        "/auth",
        Effect::Delay {
            duration: Duration::from_secs(2),
        },
    ));
    let world = Arc::new(world);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let world = world.clone();
        calls.spawn(async move { world.client.list_clusters().await.unwrap() });
    }
    calls.join_all().await;
    assert_eq!(exchanges(&world), 1);
    let expires = world.client.credentials_status().expires_at.unwrap();

    tokio::time::sleep(Duration::from_secs(54 * 60)).await;
    world.client.list_clusters().await.unwrap();
    assert_eq!(exchanges(&world), 1);
    tokio::time::sleep(Duration::from_secs(60 + 2)).await;
    world.client.list_clusters().await.unwrap();
    assert_eq!(exchanges(&world), 2);
    assert!(world.client.credentials_status().expires_at.unwrap() > expires);
}

#[tokio::test]
async fn a_revoked_token_is_exchanged_again_and_the_order_sent_once_more_and_only_once() {
    let world = World::in_process(config(), settings());
    let group = world.group(12).await;
    world.fake.revoke_tokens();
    world.client.add_node(&world.cluster, group).await.unwrap();
    assert_eq!(exchanges(&world), 2);
    assert_eq!(world.fake.inventory().created, 1);

    world.fake.inject(Fault::always(
        "/add/slave",
        Effect::Status {
            status: 401,
            message: String::new(),
        },
    ));
    let before = world.fake.journal().len();
    assert_eq!(
        world
            .client
            .add_node(&world.cluster, group)
            .await
            .unwrap_err()
            .reason(),
        "Unauthorized"
    );
    let sent = world.fake.journal()[before..]
        .iter()
        .map(|entry| entry.path.clone())
        .collect::<Vec<_>>();
    assert_eq!(sent.len(), 3, "order, exchange, order: {sent:?}");
    assert_eq!(world.client.credentials_status().problem, Some("Unauthorized"));
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_rest_and_new_ones_work_at_once() {
    let world = World::in_process(config(), settings());
    let good = world.fake.config().access;
    world.fake.set_access(Access {
        clients: Vec::new(),
        ..good.clone()
    });
    for _ in 0..10 {
        assert_eq!(
            world.client.list_clusters().await.unwrap_err().reason(),
            "Unauthorized"
        );
    }
    assert_eq!(
        exchanges(&world),
        1,
        "a refused secret is not sent with every call"
    );
    assert_eq!(world.client.credentials_status().valid, Some(false));

    world.fake.set_access(good);
    assert!(world.client.list_clusters().await.is_err(), "still resting");
    world.client.set_credentials(Some(pair()));
    world.client.list_clusters().await.unwrap();
    assert_eq!(world.client.credentials_status().valid, Some(true));

    // And without anyone doing anything, the pause ends.
    world.fake.set_access(Access {
        clients: Vec::new(),
        ..world.fake.config().access
    });
    world.fake.revoke_tokens();
    world.client.list_clusters().await.unwrap_err();
    world.fake.set_access(config().access);
    tokio::time::sleep(Settings::default().refused_credentials_pause).await;
    world.client.list_clusters().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_short_token_life_does_not_mean_an_exchange_for_every_call() {
    let config = config();
    let access = Access {
        token_lifetime: Duration::from_secs(60),
        ..config.access.clone()
    };
    let world = World::in_process(Config { access, ..config }, settings());
    for _ in 0..29 {
        world.client.list_clusters().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(exchanges(&world), 1);
}

#[tokio::test]
async fn a_failing_exchange_is_not_an_unknown_outcome_of_the_order() {
    let world = World::in_process(config(), settings());
    let group = world.group(12).await;
    world.fake.revoke_tokens();
    world
        .fake
        .inject(Fault::always("/auth", Effect::HtmlPage { status: 502 }));
    let error = world.client.add_node(&world.cluster, group).await.unwrap_err();
    assert_eq!(error.reason(), "Transient", "{error}");
    assert_eq!(
        world.client.credentials_status().problem,
        None,
        "a failing server says nothing about them"
    );
    assert!(!CLIENT_SECRET.is_empty() && !error.to_string().contains(CLIENT_SECRET));
}
