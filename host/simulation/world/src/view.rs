//! What an onlooker sees: pods, nodes and VPSieNodes, folded from watch events.

use autoscaler_api::VPSieNode;
use autoscaler_cluster::{Change, Kind, ObjectKey};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::Instant;

/// A pod in the eyes of an onlooker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodView {
    /// Value of the label `app`.
    pub app: String,
    pub node: Option<String>,
    /// Running, ready and not on its way out.
    pub running: bool,
    pub leaving: bool,
    pub unschedulable: bool,
}

/// A Node in the eyes of an onlooker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    pub ready: bool,
    pub labels: BTreeMap<String, String>,
    /// `key=value:effect`.
    pub taints: BTreeSet<String>,
}

/// How many pods there are, and how they fare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodCounts {
    pub total: usize,
    pub running: usize,
    /// Without a node.
    pub pending: usize,
}

#[derive(Default)]
struct Seen {
    pods: BTreeMap<ObjectKey, PodView>,
    nodes: BTreeMap<String, NodeView>,
    vpsie_nodes: BTreeMap<ObjectKey, Arc<VPSieNode>>,
    /// Every VPSieNode that there ever was, by uid.
    records: BTreeSet<String>,
    nodes_changed: Option<Instant>,
    /// By group: the most VPSieNodes at once.
    most: BTreeMap<String, usize>,
    /// By app: the fewest running pods since the last reset.
    fewest: BTreeMap<String, usize>,
}

impl Seen {
    fn running(&self, app: &str) -> usize {
        self.pods
            .values()
            .filter(|pod| pod.app == app && pod.running)
            .count()
    }

    fn note_fewest(&mut self, app: &str) {
        let running = self.running(app);
        if let Some(fewest) = self.fewest.get_mut(app) {
            *fewest = running.min(*fewest);
        }
    }

    fn note_most(&mut self, group: &str) {
        let count = self
            .vpsie_nodes
            .values()
            .filter(|node| node.spec.node_group_name == group)
            .count();
        let most = self.most.entry(group.to_owned()).or_default();
        *most = count.max(*most);
    }
}

/// The onlooker. Cheap to ask; it sees what the watches have brought so far.
#[derive(Default)]
pub struct View(Mutex<Seen>);

impl View {
    /// Folds one change.
    pub fn apply(&self, change: &Change) {
        let mut seen = self.0.lock();
        match change {
            Change::Pod(pod) => {
                let view = pod_view(pod);
                let app = view.app.clone();
                seen.pods.insert(ObjectKey::of(&**pod), view);
                seen.note_fewest(&app);
            }
            Change::Node(node) => {
                let view = node_view(node);
                let before = seen.nodes.insert(node.name_any(), view.clone());
                if before.is_none_or(|before| before.ready != view.ready) {
                    seen.nodes_changed = Some(Instant::now());
                }
            }
            Change::VPSieNode(node) => {
                seen.records.extend(node.uid());
                let before = seen.vpsie_nodes.insert(ObjectKey::of(&**node), node.clone());
                if before.is_none_or(|before| before.phase() != node.phase()) {
                    seen.nodes_changed = Some(Instant::now());
                }
                seen.note_most(&node.spec.node_group_name);
            }
            Change::Gone(Kind::Pod, key) => {
                if let Some(gone) = seen.pods.remove(key) {
                    seen.note_fewest(&gone.app);
                }
            }
            Change::Gone(Kind::Node, key) => {
                seen.nodes.remove(&key.name);
                seen.nodes_changed = Some(Instant::now());
            }
            Change::Gone(Kind::VPSieNode, key) => {
                seen.vpsie_nodes.remove(key);
                seen.nodes_changed = Some(Instant::now());
            }
            _ => {}
        }
    }

    /// Pods by namespace and name.
    pub fn pods(&self) -> BTreeMap<ObjectKey, PodView> {
        self.0.lock().pods.clone()
    }

    /// Nodes by name.
    pub fn nodes(&self) -> BTreeMap<String, NodeView> {
        self.0.lock().nodes.clone()
    }

    /// VPSieNodes by namespace and name.
    pub fn vpsie_nodes(&self) -> BTreeMap<ObjectKey, Arc<VPSieNode>> {
        self.0.lock().vpsie_nodes.clone()
    }

    /// How many VPSieNodes there were in all.
    pub fn records_ever(&self) -> usize {
        self.0.lock().records.len()
    }

    /// Counts of the pods with this label `app`, or of all.
    pub fn pod_counts(&self, app: Option<&str>) -> PodCounts {
        let seen = self.0.lock();
        let pods = || {
            seen.pods
                .values()
                .filter(|pod| app.is_none_or(|app| pod.app == app) && !pod.leaving)
        };
        PodCounts {
            total: pods().count(),
            running: pods().filter(|pod| pod.running).count(),
            pending: pods().filter(|pod| pod.node.is_none()).count(),
        }
    }

    /// Nodes that are ready and belong to a node group.
    pub fn ready_nodes(&self) -> usize {
        let seen = self.0.lock();
        let ours =
            |node: &&NodeView| node.ready && node.labels.contains_key(autoscaler_api::labels::NODE_GROUP);
        seen.nodes.values().filter(ours).count()
    }

    /// The VPSieNodes that are neither Ready nor Failed: on their way in or out.
    pub fn nodes_in_transit(&self) -> usize {
        use autoscaler_api::vpsie_node::Phase;
        let seen = self.0.lock();
        let settled = |node: &VPSieNode| {
            node.metadata.deletion_timestamp.is_none() && matches!(node.phase(), Phase::Ready | Phase::Failed)
        };
        seen.vpsie_nodes.values().filter(|node| !settled(node)).count()
    }

    /// The most VPSieNodes that each group had at once.
    pub fn most_nodes(&self) -> BTreeMap<String, usize> {
        self.0.lock().most.clone()
    }

    /// From now on, remembers the fewest running pods of the app.
    pub fn watch_fewest(&self, app: &str) {
        let mut seen = self.0.lock();
        let running = seen.running(app);
        seen.fewest.insert(app.to_owned(), running);
    }

    /// The fewest running pods of the app since [`View::watch_fewest`].
    pub fn fewest(&self, app: &str) -> Option<usize> {
        self.0.lock().fewest.get(app).copied()
    }

    /// When a Node or VPSieNode last came, went or changed its state.
    pub fn nodes_changed(&self) -> Option<Instant> {
        self.0.lock().nodes_changed
    }
}

fn condition(conditions: impl IntoIterator<Item = (String, String)>, wanted: &str) -> Option<String> {
    conditions
        .into_iter()
        .find(|(type_, _)| type_ == wanted)
        .map(|(_, status)| status)
}

fn pod_view(pod: &Pod) -> PodView {
    let status = pod.status.clone().unwrap_or_default();
    let conditions = status.conditions.clone().unwrap_or_default();
    let ready = condition(
        conditions.iter().map(|c| (c.type_.clone(), c.status.clone())),
        "Ready",
    );
    let leaving = pod.metadata.deletion_timestamp.is_some();
    PodView {
        app: pod.labels().get("app").cloned().unwrap_or_default(),
        node: pod
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.clone())
            .filter(|name| !name.is_empty()),
        running: status.phase.as_deref() == Some("Running") && ready.as_deref() == Some("True") && !leaving,
        leaving,
        unschedulable: conditions.iter().any(|c| {
            c.type_ == "PodScheduled" && c.status == "False" && c.reason.as_deref() == Some("Unschedulable")
        }),
    }
}

fn node_view(node: &Node) -> NodeView {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.clone())
        .unwrap_or_default();
    let ready = condition(
        conditions.iter().map(|c| (c.type_.clone(), c.status.clone())),
        "Ready",
    );
    let taints = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.clone())
        .unwrap_or_default();
    NodeView {
        ready: ready.as_deref() == Some("True"),
        labels: node.labels().clone(),
        taints: taints
            .iter()
            .map(|taint| {
                format!(
                    "{}={}:{}",
                    taint.key,
                    taint.value.as_deref().unwrap_or_default(),
                    taint.effect
                )
            })
            .collect(),
    }
}
