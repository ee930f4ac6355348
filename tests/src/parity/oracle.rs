//! The real scheduler as an oracle: which nodes are feasible for each pending pod of a cluster.
//!
//! One control plane serves many clusters, one after another: affinity and spread look at all nodes, so two
//! clusters cannot be there at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::IntoFuture,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use autoscaler_cluster::Dump;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};

use super::{Cluster, is_pending};
use crate::control_plane::{ControlPlane, Options};

/// Requests under way at a time.
const AT_ONCE: usize = 24;
/// The scheduler needs milliseconds; a machine that compiles on all cores needs more.
const LIMIT: Duration = Duration::from_secs(60);
/// Where the kinds live, in the order of creation; `{}` stands for the namespace.
const PATHS: [(&str, &str); 12] = [
    ("Namespace", "/api/v1/namespaces"),
    ("PriorityClass", "/apis/scheduling.k8s.io/v1/priorityclasses"),
    ("RuntimeClass", "/apis/node.k8s.io/v1/runtimeclasses"),
    ("StorageClass", "/apis/storage.k8s.io/v1/storageclasses"),
    ("CSIDriver", "/apis/storage.k8s.io/v1/csidrivers"),
    (
        "CSIStorageCapacity",
        "/apis/storage.k8s.io/v1/namespaces/{}/csistoragecapacities",
    ),
    ("Node", "/api/v1/nodes"),
    ("CSINode", "/apis/storage.k8s.io/v1/csinodes"),
    ("PersistentVolume", "/api/v1/persistentvolumes"),
    (
        "PersistentVolumeClaim",
        "/api/v1/namespaces/{}/persistentvolumeclaims",
    ),
    ("VolumeAttachment", "/apis/storage.k8s.io/v1/volumeattachments"),
    ("Pod", "/api/v1/namespaces/{}/pods"),
];
/// Kinds of which a cluster has none of its own.
const FIXED: [&str; 3] = ["Namespace", "PriorityClass", "RuntimeClass"];
/// What a user would dump, without the kinds that nobody asks for here.
const DUMPED: [&str; 10] = [
    "/api/v1/namespaces",
    "/api/v1/nodes",
    "/apis/storage.k8s.io/v1/storageclasses",
    "/apis/storage.k8s.io/v1/csidrivers",
    "/apis/storage.k8s.io/v1/csistoragecapacities",
    "/apis/storage.k8s.io/v1/csinodes",
    "/apis/storage.k8s.io/v1/volumeattachments",
    "/api/v1/persistentvolumes",
    "/api/v1/persistentvolumeclaims",
    "/api/v1/pods",
];

/// What the scheduler says of a pod that it may not look at.
const GATED: &str = "SchedulingGated";

/// Feasible nodes by `namespace/name` of a pod.
pub type Feasible = BTreeMap<String, BTreeSet<String>>;

/// What the scheduler said, and of what.
#[derive(Debug)]
pub struct Answer {
    pub feasible: Feasible,
    /// Lists of objects as the server has them, as JSON.
    pub lists: Vec<String>,
}

impl Answer {
    /// The same cluster, read as a user's dump is.
    ///
    /// # Errors
    /// Where the reader does not understand what the server says.
    pub fn dump(&self) -> Result<Dump> {
        let mut dump = Dump::default();
        for list in &self.lists {
            dump.read("the server's list", list)?;
        }
        Ok(dump)
    }
}

/// What is known of the pods: why each is not scheduled, by UID.
type Verdicts = BTreeMap<String, String>;
/// The nodes that the extender was handed last, by UID.
type Handed = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

/// A control plane with a scheduler that decides nothing in the end.
pub struct Oracle {
    plane: ControlPlane,
    client: Client,
    handed: Handed,
    verdicts: watch::Receiver<Verdicts>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Oracle {
    /// Starts a control plane, and what stays the same for all clusters in it.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn start() -> Result<Self> {
        let handed = Handed::default();
        let (url, extender) = extender(handed.clone()).await?;
        let plane = ControlPlane::start(Options {
            scheduler_extender: Some(url),
            scheduler_only: true,
        })
        .await?;
        let client = plane.client()?;
        let (verdicts, watching) = watch_pods(client.clone());
        let this = Self {
            plane,
            client,
            handed,
            verdicts,
            tasks: vec![extender, watching],
        };
        this.create_all(super::generate::fixtures()).await?;
        Ok(this)
    }

    /// The folder with the logs of the components.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.plane.folder()
    }

    /// Creates the cluster, waits until the scheduler has looked at every pending pod, and takes it away again.
    ///
    /// # Errors
    /// Where the server refuses an object, or the scheduler gives no answer.
    pub async fn ask(&self, cluster: &Cluster) -> Result<Answer> {
        let answer = self.ask_and_keep(cluster).await;
        let cleared = self.clear().await;
        let answer = answer?;
        cleared?;
        Ok(answer)
    }

    async fn ask_and_keep(&self, cluster: &Cluster) -> Result<Answer> {
        let (pending, others): (Vec<Value>, Vec<Value>) =
            cluster.objects.iter().cloned().partition(is_pending);
        // The promise to a pod concerns the others: the scheduler knows of it once it has looked at the pod.
        let (promised, pending): (Vec<Value>, Vec<Value>) = pending.into_iter().partition(is_promised);
        self.create_all(others).await?;
        let mut uids = self.create_all(promised).await?;
        self.decided(&uids).await?;
        uids.extend(self.create_all(pending).await?);
        self.answer(uids).await
    }

    /// Waits until the scheduler has looked at each of these pods.
    async fn decided(&self, uids: &BTreeMap<String, String>) -> Result<Verdicts> {
        let mut verdicts = self.verdicts.clone();
        let looked_at = |known: &Verdicts, uid| known.get(uid).is_some_and(|reason| reason != GATED);
        let decided = verdicts.wait_for(|known| uids.keys().all(|uid| looked_at(known, uid)));
        let known = timeout(LIMIT, decided)
            .await
            .context("waiting until the scheduler has looked at every pod")?
            .context("watching pods")?;
        Ok(known.clone())
    }

    /// Waits until the scheduler has refused these pods, and says on account of which nodes.
    async fn answer(&self, uids: BTreeMap<String, String>) -> Result<Answer> {
        let known = self.decided(&uids).await?;
        let handed = self.handed.lock().clone();
        let mut feasible = Feasible::new();
        for (uid, key) in uids {
            ensure!(
                known[&uid] == "Unschedulable",
                "{key}: the scheduler says {}",
                known[&uid]
            );
            feasible.insert(key, handed.get(&uid).cloned().unwrap_or_default());
        }
        let lists = DUMPED.map(|path| async move {
            self.client
                .request_text(http::Request::get(path).body(Vec::new())?)
                .await
                .with_context(|| format!("listing {path}"))
        });
        let lists = futures::future::try_join_all(lists).await?;
        Ok(Answer { feasible, lists })
    }

    /// Creates objects, kind by kind. Returns the pending pods: `namespace/name` by UID.
    async fn create_all(&self, objects: Vec<Value>) -> Result<BTreeMap<String, String>> {
        let mut pending = BTreeMap::new();
        for (kind, ..) in PATHS {
            let of_kind: Vec<&Value> = objects.iter().filter(|object| object["kind"] == kind).collect();
            let created: Vec<Option<(String, String)>> = futures::stream::iter(of_kind)
                .map(|object| self.create(object))
                .buffer_unordered(AT_ONCE)
                .try_collect()
                .await?;
            pending.extend(created.into_iter().flatten());
        }
        Ok(pending)
    }

    async fn create(&self, object: &Value) -> Result<Option<(String, String)>> {
        let what = || super::name_of(object);
        let path = path(object)?;
        let mut manifest = object.clone();
        if let Some(metadata) = manifest["metadata"].as_object_mut() {
            metadata.remove("deletionTimestamp");
        }
        // A pod that waits behind a gate gets its promise before the scheduler sees it.
        let gated = is_pending(object) && is_promised(object);
        if gated {
            manifest["spec"]["schedulingGates"] = json!([{ "name": "parity/promise" }]);
        }
        let created: Value = self
            .send("POST", &path, &manifest)
            .await
            .with_context(|| format!("creating {}", what()))?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let own = format!("{path}/{name}");
        // The server takes the status of a new node as it is, and of nothing else.
        if object["kind"] != "Node" && !object["status"].is_null() {
            let patch = json!({ "status": object["status"] });
            self.send("PATCH", &format!("{own}/status"), &patch)
                .await
                .with_context(|| format!("writing the status of {}", what()))?;
        }
        if gated {
            let open = json!({ "spec": { "schedulingGates": [] } });
            self.send("PATCH", &own, &open)
                .await
                .with_context(|| format!("opening the gate of {}", what()))?;
        }
        if !object["metadata"]["deletionTimestamp"].is_null() {
            self.send(
                "DELETE",
                &own,
                &json!({ "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 3600 }),
            )
            .await
            .with_context(|| format!("deleting {}", what()))?;
        }
        if !is_pending(object) {
            return Ok(None);
        }
        let uid = created["metadata"]["uid"].as_str().context("a pod has a UID")?;
        let namespace = created["metadata"]["namespace"].as_str().unwrap_or_default();
        Ok(Some((uid.to_owned(), format!("{namespace}/{name}"))))
    }

    /// Deletes what a cluster consists of, and what stays the same for all does not.
    async fn clear(&self) -> Result<()> {
        let now = json!({ "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0 });
        // Pods that wait first: nobody shall look at them again because a node leaves.
        let selectors = ["fieldSelector=spec.nodeName%3D", ""];
        for selector in selectors {
            let pods = super::generate::NAMESPACES.map(|(namespace, _)| {
                let path = format!("/api/v1/namespaces/{namespace}/pods?{selector}");
                let now = &now;
                async move { self.send("DELETE", &path, now).await }
            });
            futures::future::try_join_all(pods)
                .await
                .context("deleting pods")?;
        }
        let rest = PATHS
            .iter()
            .filter(|(kind, _)| !FIXED.contains(kind) && *kind != "Pod")
            .flat_map(|(_, path)| {
                let namespaces: &[_] = if path.contains("{}") {
                    &super::generate::NAMESPACES
                } else {
                    &super::generate::NAMESPACES[..1]
                };
                namespaces
                    .iter()
                    .map(|(namespace, _)| path.replace("{}", namespace))
            });
        let deleted = rest.map(|path| {
            let now = &now;
            async move { self.send("DELETE", &path, now).await }
        });
        futures::future::try_join_all(deleted)
            .await
            .context("deleting objects")?;
        self.handed.lock().clear();
        Ok(())
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let content_type = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(serde_json::to_vec(body)?)?;
        self.client
            .request(request)
            .await
            .with_context(|| format!("{method} {path}"))
    }
}

/// Whether the scheduler has made room on a node for a pod.
fn is_promised(pod: &Value) -> bool {
    !pod["status"]["nominatedNodeName"].is_null()
}

/// Where a manifest is created.
fn path(object: &Value) -> Result<String> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let Some((_, path)) = PATHS.iter().find(|(known, _)| *known == kind) else {
        bail!("no path for {kind:?}");
    };
    if !path.contains("{}") {
        return Ok((*path).to_owned());
    }
    let namespace = object["metadata"]["namespace"]
        .as_str()
        .context("a namespaced object names its namespace")?;
    Ok(path.replace("{}", namespace))
}

/// Serves an extender that writes down what it is handed and refuses it all.
async fn extender(handed: Handed) -> Result<(String, JoinHandle<()>)> {
    let filter = async move |axum::Json(call): axum::Json<Value>| {
        let names: BTreeSet<String> = serde_json::from_value(call["NodeNames"].clone()).unwrap_or_default();
        let uid = call["Pod"]["metadata"]["uid"].as_str().unwrap_or_default();
        let failed: BTreeMap<&String, &str> = names.iter().map(|name| (name, "written down")).collect();
        let answer = json!({ "NodeNames": [], "FailedNodes": failed });
        handed.lock().insert(uid.to_owned(), names);
        axum::Json(answer)
    };
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .context("listening for the scheduler")?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = axum::Router::new()
        .route("/filter", axum::routing::post(filter))
        .layer(axum::extract::DefaultBodyLimit::disable());
    let serving = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).into_future().await {
            eprintln!("the extender ended: {error}");
        }
    });
    Ok((url, serving))
}

/// Follows what the scheduler says of each pod.
fn watch_pods(client: Client) -> (watch::Receiver<Verdicts>, JoinHandle<()>) {
    let (sender, receiver) = watch::channel(Verdicts::new());
    let watching = tokio::spawn(async move {
        let pods: Api<Pod> = Api::all(client);
        let mut events = watcher(pods, watcher::Config::default())
            .default_backoff()
            .boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) => {
                    let (Some(uid), Some(reason)) = (pod.metadata.uid.clone(), refusal(&pod)) else {
                        continue;
                    };
                    sender.send_if_modified(|known| known.insert(uid, reason.clone()) != Some(reason));
                }
                Ok(watcher::Event::Delete(pod)) => {
                    if let Some(uid) = &pod.metadata.uid {
                        sender.send_if_modified(|known| {
                            known.remove(uid);
                            false
                        });
                    }
                }
                Ok(_) => {}
                Err(error) => eprintln!("watching pods: {error}; trying again"),
            }
        }
    });
    (receiver, watching)
}

fn refusal(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions.iter().find(|one| one.type_ == "PodScheduled")?;
    (scheduled.status == "False").then(|| scheduled.reason.clone().unwrap_or_default())
}
