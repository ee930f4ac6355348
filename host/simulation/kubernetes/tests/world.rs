//! The server and its controllers as their users meet them: through a client, on a paused clock.

#![expect(clippy::unwrap_used, reason = "in a test the panic is the report")]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use simulated_kubernetes::{ApiServer, Controllers, Delays, Effect, Fault, Verb};

fn server(seed: u64) -> Arc<ApiServer> {
    let start = jiff::Timestamp::from_second(1_767_225_600).unwrap();
    let begun = tokio::time::Instant::now();
    let now = move || start + jiff::SignedDuration::try_from(begun.elapsed()).unwrap();
    ApiServer::new(Arc::new(now), seed)
}

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

async fn create_node(client: &Client, name: &str) {
    let node: Node =
        object(json!({"metadata": {"name": name}, "status": {"capacity": {"cpu": "4", "pods": "110"}}}));
    let nodes: Api<Node> = Api::all(client.clone());
    nodes.create(&PostParams::default(), &node).await.unwrap();
}

/// A deployment whose pods are put on a node without a scheduler.
async fn deploy(client: &Client, replicas: i32, node: &str) {
    let deployment: Deployment = object(json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i:1"}]},
            },
        },
    }));
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    deployments
        .create(&PostParams::default(), &deployment)
        .await
        .unwrap();
}

async fn pods(client: &Client) -> Vec<Pod> {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    pods.list(&ListParams::default()).await.unwrap().items
}

fn running(pods: &[Pod]) -> usize {
    pods.iter()
        .filter(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running"))
        .count()
}

async fn story(seed: u64) -> String {
    let server = server(seed);
    let _controllers = Controllers::spawn(&server, Delays::default());
    let client = server.client();
    create_node(&client, "n1").await;
    deploy(&client, 3, "n1").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let pods = pods(&client).await;
    assert_eq!(running(&pods), 3);
    serde_json::to_string(&pods).unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_seed_tells_one_story() {
    let first = story(7).await;
    assert_eq!(first, story(7).await);
    assert_ne!(first, story(8).await);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_follows_its_size_and_status_counts() {
    let server = server(1);
    let _controllers = Controllers::spawn(&server, Delays::default());
    let client = server.client();
    create_node(&client, "n1").await;
    deploy(&client, 2, "n1").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let patch = json!({"spec": {"replicas": 5}});
    for (replicas, patch) in [(5, patch), (1, json!({"spec": {"replicas": 1}}))] {
        deployments
            .patch("web", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(running(&pods(&client).await), replicas);
        let status = deployments.get("web").await.unwrap().status.unwrap();
        assert_eq!(status.available_replicas, i32::try_from(replicas).ok());
    }
    deployments.delete("web", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(pods(&client).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_new_node_is_tainted_until_it_is_ready() {
    let server = server(1);
    let _controllers = Controllers::spawn(&server, Delays::default());
    let client = server.client();
    create_node(&client, "n1").await;
    let nodes: Api<Node> = Api::all(client.clone());
    let taints = |node: &Node| {
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone());
        taints
            .unwrap_or_default()
            .into_iter()
            .map(|taint| taint.key)
            .collect::<Vec<_>>()
    };
    let new = nodes.get("n1").await.unwrap();
    assert!(taints(&new).contains(&"node.kubernetes.io/not-ready".to_owned()));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(taints(&nodes.get("n1").await.unwrap()).is_empty());
    let cordon = json!({"spec": {"unschedulable": true}});
    nodes
        .patch("n1", &PatchParams::default(), &Patch::Merge(&cordon))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        taints(&nodes.get("n1").await.unwrap()),
        ["node.kubernetes.io/unschedulable"]
    );
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_lost_node_are_replaced_and_those_of_a_silent_one_leave_after_their_patience() {
    for (lost, patience) in [(true, 60), (false, 330)] {
        let server = server(1);
        let _controllers = Controllers::spawn(&server, Delays::default());
        let client = server.client();
        create_node(&client, "n1").await;
        deploy(&client, 2, "n1").await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let before: Vec<String> = pods(&client).await.iter().filter_map(|pod| pod.uid()).collect();
        let nodes: Api<Node> = Api::all(client.clone());
        if lost {
            nodes.delete("n1", &DeleteParams::default()).await.unwrap();
        } else {
            let status = json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}});
            nodes
                .patch_status("n1", &PatchParams::default(), &Patch::Strategic(&status))
                .await
                .unwrap();
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        let still: Vec<String> = pods(&client).await.iter().filter_map(|pod| pod.uid()).collect();
        assert_eq!(before, still, "too early, lost: {lost}");
        tokio::time::sleep(Duration::from_secs(patience)).await;
        let marked = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
        let kept = pods(&client)
            .await
            .iter()
            .filter(|pod| !marked(pod) && pod.uid().is_some_and(|uid| before.contains(&uid)))
            .count();
        assert_eq!(kept, 0, "lost: {lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn faults_hit_what_they_name() {
    let server = server(1);
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
    let fault = |effect| Fault {
        verb: Some(Verb::Create),
        resource: Some("configmaps".to_owned()),
        times: 1,
        effect,
    };
    let map = |name: &str| object::<ConfigMap>(json!({"metadata": {"name": name}}));
    let code = |result: kube::Result<ConfigMap>| match result {
        Ok(_) => 0,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
    };
    for (name, effect, expected, exists) in [
        ("refused", Effect::Fail(500), 500, false),
        ("busy", Effect::Fail(429), 429, false),
        ("lost", Effect::LoseAnswer, 504, true),
        ("late", Effect::Delay(Duration::from_secs(5)), 0, true),
    ] {
        server.inject(fault(effect));
        assert_eq!(
            code(maps.create(&PostParams::default(), &map(name)).await),
            expected,
            "{name}"
        );
        assert_eq!(maps.get_opt(name).await.unwrap().is_some(), exists, "{name}");
    }
    assert_eq!(code(maps.create(&PostParams::default(), &map("fine")).await), 0);
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_before_a_compaction_is_told_to_start_again() {
    let server = server(1);
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
    let params = PostParams::default();
    let first = maps
        .create(&params, &object(json!({"metadata": {"name": "a"}})))
        .await
        .unwrap();
    maps.create(&params, &object(json!({"metadata": {"name": "b"}})))
        .await
        .unwrap();
    server.compact();
    let version = first.resource_version().unwrap();
    let mut events = maps
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap()
        .boxed();
    let Some(Ok(WatchEvent::Error(status))) = events.next().await else {
        panic!("no error");
    };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
}

#[tokio::test(start_paused = true)]
async fn watches_end_on_order_and_send_bookmarks() {
    let server = server(1);
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
    let mut events = maps.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    let Some(Ok(WatchEvent::Bookmark(bookmark))) = events.next().await else {
        panic!("no bookmark");
    };
    assert_eq!(bookmark.metadata.resource_version, server.revision().to_string());
    server.drop_watches();
    assert!(events.next().await.is_none());
}
