//! Stands for kube-scheduler: binds waiting pods, and says of the others why they must wait.
//!
//! It asks the same rules that decisions are made with, so that the two cannot disagree here; that the rules
//! agree with the real kube-scheduler is shown elsewhere, on a real control plane.

mod message;
mod placing;

use autoscaler_cluster::{Change, Index, Inputs, Kind, ObjectKey};
use autoscaler_controllers::Now;
use autoscaler_core::model::{NodeState, Snapshot, Taint, TaintEffect};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use placing::{Outcome, Placing};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Changes are gathered for this long before pods are tried again.
const GATHER: Duration = Duration::from_millis(10);
const NAME: &str = "default-scheduler";
/// A pod that waits is told anew why at most this often, doubling up to the second: as kube-scheduler backs off.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What was last said about a waiting pod.
struct Said {
    message: String,
    at: Instant,
    pause: Duration,
}

/// See the module's text.
pub struct Scheduler {
    client: Client,
    now: Now,
    /// Pods and what surrounds them; VPSieNodes are left out, so that a node counts only once it is there.
    index: Arc<Index>,
    waiting: BTreeMap<ObjectKey, Arc<Pod>>,
    said: BTreeMap<ObjectKey, Said>,
}

impl Scheduler {
    /// A scheduler that writes through `client`.
    pub fn new(client: Client, now: Now) -> Self {
        Self {
            client,
            index: Index::new(now.clone()),
            now,
            waiting: BTreeMap::new(),
            said: BTreeMap::new(),
        }
    }

    /// Follows `changes`, which must begin with everything that is there, until `shutdown`.
    pub async fn run(mut self, mut changes: UnboundedReceiver<Change>, shutdown: CancellationToken) {
        loop {
            let change = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                change = changes.recv() => change,
            };
            let Some(change) = change else { return };
            self.fold(change);
            tokio::time::sleep(GATHER).await;
            while let Ok(change) = changes.try_recv() {
                self.fold(change);
            }
            if !self.waiting.is_empty() {
                self.round().await;
            }
        }
    }

    fn fold(&mut self, change: Change) {
        match change {
            Change::Pod(pod) => self.fold_pod(pod),
            Change::Gone(Kind::Pod, key) => {
                self.waiting.remove(&key);
                self.said.remove(&key);
                self.index.apply(&Change::Gone(Kind::Pod, key));
            }
            Change::VPSieNode(_)
            | Change::NodeGroup(_)
            | Change::Gone(Kind::VPSieNode | Kind::NodeGroup, _) => {}
            other => self.index.apply(&other),
        }
    }

    fn fold_pod(&mut self, pod: Arc<Pod>) {
        let key = ObjectKey::of(&*pod);
        if !waits(&pod) {
            self.waiting.remove(&key);
            self.said.remove(&key);
            return self.index.apply(&Change::Pod(pod));
        }
        self.index
            .apply(&Change::Pod(Arc::new(marked_as_waiting((*pod).clone()))));
        self.waiting.insert(key, pod);
    }

    /// Tries every waiting pod once, in order of priority and age.
    async fn round(&mut self) {
        let snapshot = Arc::new(self.snapshot());
        let mut placing = Placing::new(&snapshot);
        let mut order: Vec<_> = self
            .waiting
            .values()
            .map(|pod| (rank(pod), ObjectKey::of(&**pod)))
            .collect();
        order.sort();
        for (_, key) in order {
            match placing.place(&key) {
                Outcome::Node(node) => self.bind(&key, &node).await,
                Outcome::Nowhere(message) => self.explain(&key, message).await,
                Outcome::Unknown => {}
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let inputs = Inputs {
            now_ms: (self.now)().as_millisecond(),
            ..Inputs::default()
        };
        let mut snapshot = self.index.snapshot(&inputs);
        for node in &mut snapshot.nodes {
            // Decisions look past the taints of a node's first minute; the scheduler does not.
            let raw = self.index.node(&node.name);
            let taints = raw
                .as_ref()
                .and_then(|node| node.spec.as_ref())
                .and_then(|spec| spec.taints.as_ref());
            node.taints = taints.into_iter().flatten().filter_map(taint).collect();
            if node.state == NodeState::NotReady {
                node.state = NodeState::Ready;
            }
        }
        snapshot
    }

    async fn bind(&mut self, key: &ObjectKey, node: &str) {
        let Some(mut pod) = self.waiting.get(key).cloned() else {
            return;
        };
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": pod.uid()},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let api = Api::<Pod>::namespaced(self.client.clone(), &key.namespace);
        let bound: Result<serde_json::Value, _> = api
            .create_subresource("binding", &key.name, &PostParams::default(), &binding)
            .await;
        match bound {
            Ok(_) => {
                // The watch has not told yet; the next round must not give the room away again.
                Arc::make_mut(&mut pod).spec.get_or_insert_default().node_name = Some(node.to_owned());
                self.waiting.remove(key);
                self.said.remove(key);
                self.index.apply(&Change::Pod(pod));
            }
            Err(error) => tracing::debug!(pod = %key, node, "binding was refused: {error}"),
        }
    }

    async fn explain(&mut self, key: &ObjectKey, message: String) {
        let Some(pod) = self.waiting.get(key) else { return };
        let mut pause = FIRST_PAUSE;
        if let Some(said) = self.said.get(key) {
            if said.message == message || said.at.elapsed() < said.pause {
                return;
            }
            pause = (said.pause * 2).min(LONGEST_PAUSE);
        }
        let mut condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        });
        if scheduled_condition(pod).is_none_or(|known| known.status != "False") {
            condition["lastTransitionTime"] = json!((self.now)().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
        let patch = json!({"status": {"conditions": [condition]}});
        let api = Api::<Pod>::namespaced(self.client.clone(), &key.namespace);
        let params = PatchParams {
            field_manager: Some(NAME.to_owned()),
            ..PatchParams::default()
        };
        match api
            .patch_status(&key.name, &params, &Patch::Strategic(&patch))
            .await
        {
            Ok(_) => drop(self.said.insert(
                key.clone(),
                Said {
                    message,
                    at: Instant::now(),
                    pause,
                },
            )),
            Err(error) => tracing::debug!(pod = %key, "the condition was refused: {error}"),
        }
    }
}

fn scheduled_condition(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == "PodScheduled")
}

/// Whether the pod is this scheduler's business now.
fn waits(pod: &Pod) -> bool {
    let Some(spec) = pod.spec.as_ref() else {
        return false;
    };
    spec.node_name.as_ref().is_none_or(String::is_empty)
        && pod.metadata.deletion_timestamp.is_none()
        && spec.scheduling_gates.as_ref().is_none_or(Vec::is_empty)
        && spec.scheduler_name.as_deref().is_none_or(|name| name == NAME)
}

/// Snapshots hold those waiting pods only that some scheduler has tried; here every one is meant.
fn marked_as_waiting(mut pod: Pod) -> Pod {
    let conditions = pod
        .status
        .get_or_insert_default()
        .conditions
        .get_or_insert_default();
    conditions.retain(|condition| condition.type_ != "PodScheduled");
    conditions.push(PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("Unschedulable".to_owned()),
        last_transition_time: Some(Time(Timestamp::UNIX_EPOCH)),
        ..PodCondition::default()
    });
    pod
}

fn rank(pod: &Pod) -> (std::cmp::Reverse<i32>, i64) {
    let priority = pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0);
    let created = pod
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(0, |time| time.0.as_millisecond());
    (std::cmp::Reverse(priority), created)
}

fn taint(taint: &k8s_openapi::api::core::v1::Taint) -> Option<Taint> {
    let effect = match taint.effect.as_str() {
        "NoSchedule" => TaintEffect::NoSchedule,
        "PreferNoSchedule" => TaintEffect::PreferNoSchedule,
        "NoExecute" => TaintEffect::NoExecute,
        _ => return None,
    };
    Some(Taint {
        key: taint.key.clone(),
        value: taint.value.clone().unwrap_or_default(),
        effect,
    })
}
