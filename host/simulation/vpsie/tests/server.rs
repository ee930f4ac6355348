//! The fake provider without any client of ours: plain requests, its controls, its rules, its repeatability.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure should fail the test"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fake_vpsie::{Config, Effect, FakeVpsie, Fault, VmEvent};
use http::Request;
use jiff::Timestamp;
use serde_json::{Value, json};

const CLUSTER: &str = "f3b0c3f4-8f5e-4c1e-9f0f-2b1c7a9e49ab";

fn server(config: Config) -> Arc<FakeVpsie> {
    let (start, begun) = (
        Timestamp::from_second(1_790_000_000).unwrap(),
        tokio::time::Instant::now(),
    );
    FakeVpsie::new(config, Arc::new(move || start + begun.elapsed()))
}

async fn ask(fake: &Arc<FakeVpsie>, method: &str, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() {
        Bytes::new()
    } else {
        Bytes::from(body.to_string())
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("Vpsie-Auth", "demo-token")
        .header("content-type", "application/json")
        .body(body)
        .unwrap();
    let reply = fake.call(request).await.unwrap();
    (
        reply.status().as_u16(),
        serde_json::from_slice(reply.body()).unwrap(),
    )
}

async fn group(fake: &Arc<FakeVpsie>, size: i64) -> (u16, Value) {
    let body = json!({ "clusterIdentifier": CLUSTER, "groupName": format!("g{size}"), "KubeSizeID": size });
    ask(fake, "POST", "/apps/v2/k8s/cluster/add/group", body).await
}

#[tokio::test]
async fn the_rules_of_the_provider_hold() {
    let fake = server(Config {
        worker_limit: Some(1),
        ..Config::default()
    });
    group(&fake, 12).await;
    let groups = format!("/v2/k8s/node/groups/byClusterId/{CLUSTER}");
    let rows = ask(&fake, "GET", &groups, Value::Null).await.1;
    let (number, uuid) = (
        rows["data"][0]["id"].clone(),
        rows["data"][0]["identifier"].as_str().unwrap(),
    );
    let order = |group: &str| format!("/apps/v2/k8s/cluster/byId/{CLUSTER}/add/slave/group/{group}");
    let delete = |group: &str| format!("/apps/v2/k8s/cluster/delete/group/{group}");
    let reason = json!({ "deleteStatistic": { "reason": "done", "note": "" } });
    for (method, path, body, status, data_or_message) in [
        (
            "POST",
            order(uuid),
            Value::Null,
            400,
            json!("\"groupId\" must be a number"),
        ),
        ("POST", order("999"), Value::Null, 404, json!("Not found")),
        ("POST", order(&number.to_string()), Value::Null, 200, json!(true)),
        (
            "POST",
            order(&number.to_string()),
            Value::Null,
            500,
            json!("Worker nodes count exceeds the allowed limit 1"),
        ),
        (
            "DELETE",
            delete(uuid),
            reason.clone(),
            400,
            json!("The node group still has nodes"),
        ),
        (
            "DELETE",
            delete(uuid),
            Value::Null,
            500,
            json!("Cannot read properties of undefined (reading 'reason')"),
        ),
        (
            "DELETE",
            delete(&number.to_string()),
            reason,
            404,
            json!("Not found"),
        ),
        (
            "GET",
            "/nowhere/k8s/cluster/all".to_owned(),
            Value::Null,
            404,
            json!("Not found"),
        ),
        (
            "GET",
            "/apps/v2/nowhere".to_owned(),
            Value::Null,
            404,
            json!("Not found"),
        ),
    ] {
        let (got, reply) = ask(&fake, method, &path, body).await;
        assert_eq!(got, status, "{method} {path}: {reply}");
        let words = if status == 200 {
            &reply["data"]
        } else {
            &reply["message"]
        };
        assert_eq!(words, &data_or_message, "{method} {path}");
        assert_eq!(reply["error"], json!(status != 200), "{method} {path}");
    }
    let (status, reply) = group(&fake, 12).await;
    assert_eq!(status, 500);
    assert!(
        reply["message"].as_str().unwrap().contains("same selected Size"),
        "{reply}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_control_plane_is_never_removed_and_plain_lists_hide_nodes() {
    let fake = server(Config::default());
    let detail = format!("/apps/v2/k8s/cluster/byId/{CLUSTER}");
    let nodes = ask(&fake, "GET", &detail, Value::Null).await.1["data"]["nodes"].clone();
    let body = json!({ "identifier": nodes[0]["identifier"] });
    assert_eq!(
        ask(&fake, "DELETE", &format!("{detail}/delete/slave"), body)
            .await
            .0,
        400
    );
    let names = |rows: &Value| {
        let rows = rows["data"].as_array().unwrap().iter();
        rows.map(|row| row["hostname"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let plain = names(&ask(&fake, "GET", "/apps/v2/vm", Value::Null).await.1);
    assert_eq!(plain, ["bastion"]);
    let all = names(&ask(&fake, "GET", "/apps/v2/storages/vms", Value::Null).await.1);
    assert_eq!(all, ["bastion", "HEL-Kubernetes-49ab-master-main"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_makes_the_same_cloud_and_another_seed_another() {
    let run = async |seed| {
        let fake = server(Config {
            seed,
            ..Config::default()
        });
        let mut events = fake.subscribe();
        group(&fake, 11).await;
        group(&fake, 12).await;
        for number in [301, 302, 301] {
            let path = format!("/apps/v2/k8s/cluster/byId/{CLUSTER}/add/slave/group/{number}");
            assert_eq!(ask(&fake, "POST", &path, Value::Null).await.0, 200);
        }
        let mut story = Vec::new();
        while story
            .iter()
            .filter(|(event, _)| matches!(event, VmEvent::Booted(_)))
            .count()
            < 3
        {
            let event = events.recv().await.unwrap();
            story.push((event, fake.inventory()));
        }
        story
    };
    let first = run(7).await;
    assert_eq!(first, run(7).await);
    assert_ne!(first, run(8).await);
}

#[tokio::test]
async fn a_person_can_look_and_break_things_by_hand() {
    let fake = server(Config::default());
    let help = ask(&fake, "GET", "/_fake", Value::Null).await.1;
    assert!(help.get("POST /_fake/faults").is_some());
    let fault =
        json!({ "path": "/cluster/all", "effect": { "kind": "htmlPage", "status": 502 }, "times": 1 });
    assert_eq!(ask(&fake, "POST", "/_fake/faults", fault).await.0, 200);
    assert_eq!(
        fake.faults(),
        [Fault::once("/cluster/all", Effect::HtmlPage { status: 502 })]
    );
    ask(&fake, "DELETE", "/_fake/faults", Value::Null).await;
    assert!(fake.faults().is_empty());

    let (status, reply) = ask(
        &fake,
        "POST",
        "/_fake/faults",
        json!({ "effect": { "kind": "explode" } }),
    )
    .await;
    assert_eq!(status, 400);
    assert!(reply["message"].as_str().unwrap().contains("explode"), "{reply}");

    ask(&fake, "POST", "/_fake/down", json!({ "down": true })).await;
    assert!(fake.is_down());
    let request = Request::get("/apps/v2/k8s/cluster/all")
        .body(Bytes::new())
        .unwrap();
    assert!(!fake.call(request).await.unwrap_err().reached);
    ask(&fake, "POST", "/_fake/down", json!({ "down": false })).await;

    ask(&fake, "POST", "/_fake/worker-limit", json!({ "limit": 0 })).await;
    assert_eq!(fake.config().worker_limit, Some(0));
    ask(
        &fake,
        "POST",
        "/_fake/delays",
        json!({ "appear": "1s", "join": "2s" }),
    )
    .await;
    assert_eq!(fake.config().delays.join, Duration::from_secs(2));

    let exchange = json!({ "clientId": "demo-client", "clientSecret": "demo-secret" });
    let token = ask(&fake, "POST", "/apps/v2/auth/from/api", exchange).await.1;
    let token = token["token"]["access"]["token"].as_str().unwrap().to_owned();
    for path in ["/_fake/journal", "/_fake/inventory", "/_fake/config"] {
        let (status, shown) = ask(&fake, "GET", path, Value::Null).await;
        assert_eq!(status, 200);
        for secret in ["demo-secret", "demo-token", &token] {
            assert!(!shown.to_string().contains(secret), "{path} shows {secret}");
        }
    }
    assert_eq!(ask(&fake, "GET", "/_fake/nonsense", Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_configuration_is_read_from_a_file_and_written_the_same() {
    let config: Config = serde_json::from_value(json!({
        "workerLimit": 5,
        "delays": { "appear": "2s" },
        "shape": { "nodeIdentifier": false },
        "offers": [{ "id": 1, "name": "tiny", "cpu": 1, "ramMb": 1024, "diskGb": 20, "priceMonthly": 5 }],
    }))
    .unwrap();
    assert_eq!(config.delays.appear, Duration::from_secs(2));
    assert_eq!(config.delays.delete, Config::default().delays.delete);
    assert!(!config.shape.node_identifier && config.shape.node_sizes);
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    assert!(serde_json::from_value::<Config>(json!({ "wrokerLimit": 5 })).is_err());
}
