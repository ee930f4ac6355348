//! The real control plane does what the other tests count on.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use autoscaler_tests::control_plane::{ControlPlane, Options};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Node, Pod},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams},
    runtime::wait::{Condition, await_condition},
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Mutex,
    time::{sleep, timeout},
};

const LIMIT: Duration = Duration::from_secs(60);

/// Waits for a condition of one object by watching it.
async fn until<K>(api: Api<K>, name: &str, condition: impl Condition<K>) -> Result<K>
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
{
    let waiting = await_condition(api, name, condition);
    let found = timeout(LIMIT, waiting)
        .await
        .with_context(|| format!("waiting for {name}"))??;
    found.with_context(|| format!("{name} is gone"))
}

fn pod_condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a k8s_openapi::api::core::v1::PodCondition> {
    pod.status
        .as_ref()?
        .conditions
        .as_ref()?
        .iter()
        .find(|condition| condition.type_ == kind)
}

fn pod(name: &str, spec: &Value) -> Result<Pod> {
    Ok(serde_json::from_value(
        json!({ "metadata": { "name": name }, "spec": spec }),
    )?)
}

async fn ready_node(cluster: &ControlPlane, client: &Client, name: &str) -> Result<Node> {
    cluster
        .create_node(
            name,
            &[("test", name)],
            &[("cpu", "4"), ("memory", "8Gi"), ("pods", "110")],
        )
        .await?;
    until(Api::all(client.clone()), name, |node: Option<&Node>| {
        let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
    })
    .await
}

#[tokio::test]
async fn pods_of_a_deployment_run_on_a_node_that_kwok_plays() -> Result<()> {
    let cluster = ControlPlane::shared().await?;
    let client = cluster.client()?;
    let node = ready_node(cluster, &client, "runs-pods").await?;
    let capacity = node
        .status
        .and_then(|status| status.capacity)
        .context("a node has a capacity")?;
    assert_eq!(
        capacity["cpu"].0, "4",
        "kwok keeps the capacity that the node was created with"
    );

    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "default");
    let deployment = serde_json::from_value(json!({
        "metadata": { "name": "three" },
        "spec": {
            "replicas": 3,
            "selector": { "matchLabels": { "app": "three" } },
            "template": {
                "metadata": { "labels": { "app": "three" } },
                "spec": {
                    "nodeSelector": { "test": "runs-pods" },
                    "containers": [{ "name": "main", "image": "none", "resources": { "requests": { "cpu": "1" } } }],
                },
            },
        },
    }))?;
    deployments.create(&PostParams::default(), &deployment).await?;
    until(deployments, "three", |deployment: Option<&Deployment>| {
        deployment.and_then(|deployment| deployment.status.as_ref()?.ready_replicas) == Some(3)
    })
    .await?;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    for pod in pods.list(&ListParams::default().labels("app=three")).await? {
        assert_eq!(
            pod.spec.and_then(|spec| spec.node_name).as_deref(),
            Some("runs-pods")
        );
        assert_eq!(
            pod.status.and_then(|status| status.phase).as_deref(),
            Some("Running")
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_scheduler_marks_a_pod_that_fits_nowhere() -> Result<()> {
    let cluster = ControlPlane::shared().await?;
    let pods: Api<Pod> = Api::namespaced(cluster.client()?, "default");
    let spec = json!({
        "nodeSelector": { "test": "no-such-node" },
        "containers": [{ "name": "main", "image": "none" }],
    });
    pods.create(&PostParams::default(), &pod("fits-nowhere", &spec)?)
        .await?;
    let marked = until(pods, "fits-nowhere", |pod: Option<&Pod>| {
        pod.and_then(|pod| pod_condition(pod, "PodScheduled"))
            .is_some_and(|condition| condition.status == "False")
    })
    .await?;
    let reason = pod_condition(&marked, "PodScheduled").and_then(|condition| condition.reason.as_deref());
    assert_eq!(reason, Some("Unschedulable"));
    Ok(())
}

#[tokio::test]
async fn kwok_leaves_nodes_without_its_annotation_alone() -> Result<()> {
    let cluster = ControlPlane::shared().await?;
    let client = cluster.client()?;
    let nodes: Api<Node> = Api::all(client.clone());
    let foreign: Node = serde_json::from_value(json!({ "metadata": { "name": "foreign" } }))?;
    nodes.create(&PostParams::default(), &foreign).await?;
    // Once a node created later is ready, the foreign one has had its chance.
    ready_node(cluster, &client, "created-later").await?;
    let conditions = nodes
        .get("foreign")
        .await?
        .status
        .and_then(|status| status.conditions)
        .unwrap_or_default();
    assert!(
        !conditions
            .iter()
            .any(|one| one.type_ == "Ready" && one.status == "True"),
        "{conditions:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_node_goes_and_its_pods_are_collected() -> Result<()> {
    let cluster = ControlPlane::shared().await?;
    let client = cluster.client()?;
    ready_node(cluster, &client, "goes-away").await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let spec = json!({
        "nodeSelector": { "test": "goes-away" },
        "containers": [{ "name": "main", "image": "none" }],
    });
    pods.create(&PostParams::default(), &pod("left-behind", &spec)?)
        .await?;
    until(pods.clone(), "left-behind", |pod: Option<&Pod>| {
        pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref()) == Some("Running")
    })
    .await?;
    Api::<Node>::all(client)
        .delete("goes-away", &DeleteParams::default())
        .await?;
    // The collector looks every 20 s and lets a missing node be missing for 40 s first.
    let gone = await_condition(pods, "left-behind", |pod: Option<&Pod>| pod.is_none());
    timeout(LIMIT * 2, gone)
        .await
        .context("waiting for the pod to be collected")??;
    Ok(())
}

#[tokio::test]
async fn a_service_account_has_exactly_the_rights_that_rbac_gives_it() -> Result<()> {
    let cluster = ControlPlane::shared().await?;
    let manifest = json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "reader", "namespace": "default" } },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "reads-pods" },
            "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] }],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": { "name": "reads-pods" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reads-pods" },
            "subjects": [{ "kind": "ServiceAccount", "name": "reader", "namespace": "default" }],
        },
    ] });
    cluster
        .kubectl(&["apply", "-f", "-"], &manifest.to_string())
        .await?;

    let by_token = cluster.service_account_client("default", "reader").await?;
    let by_impersonation =
        cluster.client_as("system:serviceaccount:default:reader", &["system:authenticated"])?;
    for client in [by_token, by_impersonation] {
        // The authorizer learns of a new binding by its watch.
        let pods: Api<Pod> = Api::all(client.clone());
        let allowed = async {
            while let Err(error) = pods.list(&ListParams::default()).await {
                ensure!(
                    matches!(&error, kube::Error::Api(status) if status.code == 403),
                    "{error}"
                );
                sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        };
        timeout(LIMIT, allowed)
            .await
            .context("waiting for the right to list pods")??;
        let refused = Api::<Node>::all(client)
            .list(&ListParams::default())
            .await
            .unwrap_err();
        assert!(
            matches!(&refused, kube::Error::Api(status) if status.code == 403),
            "{refused}"
        );
    }

    let kubeconfig = cluster.service_account_kubeconfig("default", "reader").await?;
    let who = [
        "--kubeconfig",
        &kubeconfig.to_string_lossy(),
        "auth",
        "whoami",
        "-o",
        "json",
    ]
    .map(str::to_owned);
    let who: Vec<&str> = who.iter().map(String::as_str).collect();
    let answer: Value = serde_json::from_str(&cluster.kubectl(&who, "").await?)?;
    assert_eq!(
        answer["status"]["userInfo"]["username"],
        "system:serviceaccount:default:reader"
    );
    Ok(())
}

#[tokio::test]
async fn two_control_planes_run_side_by_side_and_leave_nothing() -> Result<()> {
    let first = ControlPlane::shared().await?;
    let second = ControlPlane::start(Options::default()).await?;
    assert_ne!(first.server(), second.server());
    let labels = |cluster: &ControlPlane| -> Result<Api<Node>> { Ok(Api::all(cluster.client()?)) };
    second
        .create_node("only-in-the-second", &[], &[("cpu", "1")])
        .await?;
    assert!(labels(&second)?.get_opt("only-in-the-second").await?.is_some());
    assert!(labels(first)?.get_opt("only-in-the-second").await?.is_none());

    let (folder, server) = (
        second.folder().to_owned(),
        second.server().replace("https://", ""),
    );
    assert!(folder.exists() && TcpStream::connect(&server).await.is_ok());
    drop(second);
    assert!(!folder.exists(), "the folder is removed");
    assert!(
        TcpStream::connect(&server).await.is_err(),
        "nothing listens any more"
    );
    Ok(())
}

#[tokio::test]
async fn a_scheduler_extender_is_handed_exactly_the_feasible_nodes() -> Result<()> {
    let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
    let record = seen.clone();
    let filter = async move |axum::Json(call): axum::Json<Value>| {
        let names = call["NodeNames"].clone();
        record.lock().await.push(names.clone());
        axum::Json(json!({ "NodeNames": names }))
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = axum::Router::new().route("/filter", axum::routing::post(filter));
    let server = tokio::spawn(axum::serve(listener, router).into_future());

    let cluster = ControlPlane::start(Options {
        scheduler_extender: Some(url),
        ..Options::default()
    })
    .await?;
    let client = cluster.client()?;
    for (name, cpu) in [("large", "8"), ("medium", "4"), ("small", "1")] {
        cluster
            .create_node(name, &[], &[("cpu", cpu), ("memory", "8Gi"), ("pods", "110")])
            .await?;
        until(Api::all(client.clone()), name, |node: Option<&Node>| {
            // Until the life-cycle controller has seen it ready, a new node is tainted.
            let ready = node
                .and_then(|node| node.status.as_ref()?.conditions.as_ref())
                .is_some_and(|all| !all.is_empty());
            ready
                && node
                    .and_then(|node| node.spec.as_ref()?.taints.as_ref())
                    .is_none_or(Vec::is_empty)
        })
        .await?;
    }
    let container = json!({ "name": "main", "image": "none", "resources": { "requests": { "cpu": "2" } } });
    let pods: Api<Pod> = Api::namespaced(client, "default");
    pods.create(
        &PostParams::default(),
        &pod("needs-two", &json!({ "containers": [container] }))?,
    )
    .await?;
    until(pods, "needs-two", |pod: Option<&Pod>| {
        pod.and_then(|pod| pod.spec.as_ref()?.node_name.as_ref())
            .is_some()
    })
    .await?;
    let mut feasible: Vec<String> = serde_json::from_value(seen.lock().await[0].clone())?;
    feasible.sort();
    assert_eq!(feasible, ["large", "medium"]);
    server.abort();
    Ok(())
}
