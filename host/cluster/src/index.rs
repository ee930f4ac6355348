//! The index: the cluster as far as decisions need it, folded from watch events.

mod attached;
mod dependents;

use crate::convert::{
    Judgement, Surroundings, attach_limits, health, is_ready, movability, pod_class, protection, taints_of,
    unschedulable_since,
};
use crate::feed::{Change, Kind};
use autoscaler_api::{AutoscalerConfig, NodeGroup, Rebalance, ScalingPolicy, VPSieNode};
use autoscaler_core::model::{
    AttachLimits, Health, Labels, Movability, PodClass, PodKey, ResourceNames, Resources, Taint,
};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use parking_lot::{RwLock, RwLockReadGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;

/// Namespace (empty for cluster-scoped objects) and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    pub namespace: String,
    pub name: String,
}

impl ObjectKey {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The key of an object.
    pub fn of(object: &impl ResourceExt) -> Self {
        Self {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        }
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// A pod as the index keeps it.
#[derive(Clone, Debug)]
pub(crate) struct PodEntry {
    pub(crate) uid: String,
    pub(crate) class: Arc<PodClass>,
    pub(crate) node: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) movability: Judgement,
    pub(crate) health: Health,
    pub(crate) unschedulable_since_ms: Option<i64>,
    /// The node that the scheduler makes room on for the waiting pod.
    pub(crate) nominated: Option<String>,
    /// Kept only where the class depends on volumes or namespaces.
    raw: Option<Box<dependents::Raw>>,
}

/// A node as the index keeps it.
#[derive(Clone, Debug)]
pub(crate) struct NodeEntry {
    pub(crate) labels: Labels,
    pub(crate) taints: Vec<Taint>,
    pub(crate) allocatable: Resources,
    pub(crate) unschedulable: bool,
    pub(crate) ready: bool,
    pub(crate) leaving: bool,
    pub(crate) protected: Option<(String, String)>,
    pub(crate) created_ms: i64,
    /// Since when no pod would have to move, as far as this process has seen.
    pub(crate) idle_since_ms: Option<i64>,
    pub(crate) object: Arc<Node>,
}

/// What the index knows. Readers hold the lock for the time of a snapshot only.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) resources: ResourceNames,
    pub(crate) around: Surroundings,
    /// Pods that choose namespaces by their labels.
    by_namespace: BTreeSet<PodKey>,
    /// Limits of the CSI drivers, by node.
    pub(crate) attach_limits: BTreeMap<String, AttachLimits>,
    pub(crate) attached: attached::Attached,
    pub(crate) pods: BTreeMap<PodKey, PodEntry>,
    pub(crate) nodes: BTreeMap<String, NodeEntry>,
    pub(crate) pods_by_node: BTreeMap<String, BTreeSet<PodKey>>,
    pub(crate) budgets: BTreeMap<ObjectKey, Arc<PodDisruptionBudget>>,
    pub(crate) daemon_sets: BTreeMap<ObjectKey, Arc<DaemonSet>>,
    pub(crate) node_groups: BTreeMap<ObjectKey, Arc<NodeGroup>>,
    pub(crate) vpsie_nodes: BTreeMap<ObjectKey, Arc<VPSieNode>>,
    /// Which VPSieNode is behind a Node, by the Node's name.
    owners: BTreeMap<String, ObjectKey>,
    pub(crate) configs: BTreeMap<ObjectKey, Arc<AutoscalerConfig>>,
    policies: BTreeMap<ObjectKey, Arc<ScalingPolicy>>,
    rebalances: BTreeMap<ObjectKey, Arc<Rebalance>>,
    classes: BTreeSet<Arc<PodClass>>,
}

/// The folded cluster, with a signal that something changed.
pub struct Index {
    state: RwLock<State>,
    version: watch::Sender<u64>,
    now: Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>,
}

impl Index {
    /// An empty index. `now` dates what the objects themselves do not date: since when a node is idle.
    pub fn new(now: Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>) -> Arc<Self> {
        Arc::new(Self {
            state: RwLock::default(),
            version: watch::Sender::new(0),
            now,
        })
    }

    /// Rises with every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    /// Folds one change. The cost does not grow with the cluster.
    pub fn apply(&self, change: &Change) {
        let now_ms = (self.now)().as_millisecond();
        {
            let mut state = self.state.write();
            state.apply(change, now_ms);
        }
        self.version.send_modify(|version| *version += 1);
    }

    pub fn node_group(&self, key: &ObjectKey) -> Option<Arc<NodeGroup>> {
        self.read().node_groups.get(key).cloned()
    }

    /// All node groups by namespace and name.
    pub fn node_groups(&self) -> Vec<Arc<NodeGroup>> {
        self.read().node_groups.values().cloned().collect()
    }

    pub fn vpsie_node(&self, key: &ObjectKey) -> Option<Arc<VPSieNode>> {
        self.read().vpsie_nodes.get(key).cloned()
    }

    /// All VPSieNodes by namespace and name.
    pub fn vpsie_nodes(&self) -> Vec<Arc<VPSieNode>> {
        self.read().vpsie_nodes.values().cloned().collect()
    }

    /// The VPSieNodes of a group.
    pub fn vpsie_nodes_of(&self, group: &ObjectKey) -> Vec<Arc<VPSieNode>> {
        let state = self.read();
        let of_namespace = state
            .vpsie_nodes
            .iter()
            .filter(|(key, _)| key.namespace == group.namespace);
        of_namespace
            .filter(|(_, node)| node.spec.node_group_name == group.name)
            .map(|(_, node)| node.clone())
            .collect()
    }

    /// The VPSieNode behind a Node.
    pub fn owner_of_node(&self, node: &str) -> Option<ObjectKey> {
        self.read().owners.get(node).cloned()
    }

    pub fn policies(&self) -> Vec<Arc<ScalingPolicy>> {
        self.read().policies.values().cloned().collect()
    }

    pub fn policy(&self, name: &str) -> Option<Arc<ScalingPolicy>> {
        self.read().policies.get(&ObjectKey::new("", name)).cloned()
    }

    pub fn rebalance(&self, key: &ObjectKey) -> Option<Arc<Rebalance>> {
        self.read().rebalances.get(key).cloned()
    }

    pub fn rebalances(&self) -> Vec<Arc<Rebalance>> {
        self.read().rebalances.values().cloned().collect()
    }

    /// The one AutoscalerConfig, `default`.
    pub fn config(&self) -> Option<Arc<AutoscalerConfig>> {
        self.read().configs.get(&ObjectKey::new("", "default")).cloned()
    }

    /// The Node object of this name.
    pub fn node(&self, name: &str) -> Option<Arc<Node>> {
        self.read().nodes.get(name).map(|entry| entry.object.clone())
    }

    /// Whether the kubelet reports the node ready.
    pub fn node_is_ready(&self, name: &str) -> bool {
        self.read().nodes.get(name).is_some_and(|entry| entry.ready)
    }

    /// The pods bound to a node, with what the node's removal means for each.
    pub fn pods_on(&self, node: &str) -> Vec<(PodKey, Movability)> {
        let now_ms = (self.now)().as_millisecond();
        let state = self.read();
        let keys = state.pods_by_node.get(node).into_iter().flatten();
        keys.filter_map(|key| Some((key.clone(), state.pods.get(key)?.movability.at(now_ms).clone())))
            .collect()
    }

    /// Number of pods that are bound, and of those that the scheduler calls unschedulable.
    pub fn pod_counts(&self) -> (usize, usize) {
        let state = self.read();
        let bound = state.pods.values().filter(|pod| pod.node.is_some()).count();
        let waiting = state
            .pods
            .values()
            .filter(|pod| pod.unschedulable_since_ms.is_some())
            .count();
        (bound, waiting)
    }
}

impl State {
    fn apply(&mut self, change: &Change, now_ms: i64) {
        match change {
            Change::Pod(pod) => self.apply_pod(pod, now_ms),
            Change::Node(node) => self.apply_node(node, now_ms),
            Change::Namespace(object) => {
                let labels = object.labels().clone();
                let before = self.around.namespaces.insert(object.name_any(), labels.clone());
                if before != Some(labels) {
                    self.namespaces_changed();
                }
            }
            Change::Claim(object) => {
                let key = (object.namespace().unwrap_or_default(), object.name_any());
                let concerned = self.around.set_claim(&key, Some(object.clone()));
                self.classify_anew(concerned);
            }
            Change::Volume(object) => {
                let concerned = self.around.set_volume(&object.name_any(), Some(object.clone()));
                self.classify_anew(concerned);
                self.volume_changed(&object.name_any());
            }
            Change::StorageClass(object) => {
                let concerned = self.around.set_class(&object.name_any(), Some(object.clone()));
                self.classify_anew(concerned);
            }
            Change::CsiNode(object) => {
                self.attach_limits
                    .insert(object.name_any(), attach_limits(object));
            }
            Change::CsiDriver(object) => {
                let concerned = self.around.set_driver(&object.name_any(), Some(object));
                self.classify_anew(concerned);
            }
            Change::StorageCapacity(object) => {
                let key = (object.namespace().unwrap_or_default(), object.name_any());
                let concerned = self.around.set_capacity(&key, Some(object));
                self.classify_anew(concerned);
            }
            Change::VolumeAttachment(object) => self.set_attachment(&object.name_any(), Some(object)),
            Change::RuntimeClass(object) => {
                self.around.runtimes.insert(object.name_any(), object.clone());
            }
            Change::Budget(object) => insert(&mut self.budgets, object),
            Change::DaemonSet(object) => insert(&mut self.daemon_sets, object),
            Change::NodeGroup(object) => insert(&mut self.node_groups, object),
            Change::VPSieNode(object) => {
                if let Some(node) = object.node_name() {
                    self.owners.insert(node.to_owned(), ObjectKey::of(&**object));
                }
                insert(&mut self.vpsie_nodes, object);
            }
            Change::Config(object) => insert(&mut self.configs, object),
            Change::Policy(object) => insert(&mut self.policies, object),
            Change::Rebalance(object) => insert(&mut self.rebalances, object),
            Change::Gone(kind, key) => self.remove(*kind, key, now_ms),
        }
    }

    fn remove(&mut self, kind: Kind, key: &ObjectKey, now_ms: i64) {
        match kind {
            Kind::Pod => {
                let key = PodKey {
                    namespace: key.namespace.clone(),
                    name: key.name.clone(),
                };
                self.remove_pod(&key, now_ms);
            }
            Kind::Node => drop(self.nodes.remove(&key.name)),
            Kind::Namespace => {
                self.around.namespaces.remove(&key.name);
                self.namespaces_changed();
            }
            Kind::Claim => {
                let concerned = self
                    .around
                    .set_claim(&(key.namespace.clone(), key.name.clone()), None);
                self.classify_anew(concerned);
            }
            Kind::Volume => {
                let concerned = self.around.set_volume(&key.name, None);
                self.classify_anew(concerned);
                self.volume_changed(&key.name);
            }
            Kind::StorageClass => {
                let concerned = self.around.set_class(&key.name, None);
                self.classify_anew(concerned);
            }
            Kind::CsiNode => drop(self.attach_limits.remove(&key.name)),
            Kind::CsiDriver => {
                let concerned = self.around.set_driver(&key.name, None);
                self.classify_anew(concerned);
            }
            Kind::StorageCapacity => {
                let key = (key.namespace.clone(), key.name.clone());
                let concerned = self.around.set_capacity(&key, None);
                self.classify_anew(concerned);
            }
            Kind::VolumeAttachment => self.set_attachment(&key.name, None),
            Kind::RuntimeClass => drop(self.around.runtimes.remove(&key.name)),
            Kind::Budget => drop(self.budgets.remove(key)),
            Kind::DaemonSet => drop(self.daemon_sets.remove(key)),
            Kind::NodeGroup => drop(self.node_groups.remove(key)),
            Kind::VPSieNode => {
                if let Some(node) = self
                    .vpsie_nodes
                    .remove(key)
                    .as_deref()
                    .and_then(VPSieNode::node_name)
                {
                    self.owners.remove(node);
                }
            }
            Kind::Config => drop(self.configs.remove(key)),
            Kind::Policy => drop(self.policies.remove(key)),
            Kind::Rebalance => drop(self.rebalances.remove(key)),
        }
    }

    fn apply_pod(&mut self, pod: &Pod, now_ms: i64) {
        let key = PodKey {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
        };
        // A pod that is on its way out of a node still holds its room; a waiting one that is deleted needs none.
        let node = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.clone())
            .filter(|name| !name.is_empty());
        let status = pod.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref());
        let finished = matches!(phase, Some("Succeeded" | "Failed"));
        if finished || (node.is_none() && pod.metadata.deletion_timestamp.is_some()) {
            return self.remove_pod(&key, now_ms);
        }
        let raw = self.note_dependence(&key, pod);
        let nominated = status.and_then(|status| status.nominated_node_name.clone());
        let class = pod_class(pod, &mut self.resources, &self.around);
        let class = self.intern(class);
        let owner = pod
            .metadata
            .owner_references
            .iter()
            .flatten()
            .find(|owner| owner.controller == Some(true));
        let entry = PodEntry {
            uid: pod.uid().unwrap_or_default(),
            class,
            owner: owner.map(|owner| format!("{}/{}", owner.kind, owner.name)),
            movability: movability(pod),
            health: health(pod),
            unschedulable_since_ms: node.is_none().then(|| unschedulable_since(pod)).flatten(),
            nominated: nominated.filter(|name| !name.is_empty() && node.is_none()),
            raw,
            node: node.clone(),
        };
        let before = self.pods.insert(key.clone(), entry);
        let had_claims = before.as_ref().is_some_and(PodEntry::has_claims);
        let before = before.and_then(|before| before.node);
        if had_claims || self.pods.get(&key).is_some_and(PodEntry::has_claims) {
            for node in before.iter().chain(&node) {
                self.count_lingering(node);
            }
        }
        if before != node {
            if let Some(before) = before {
                self.leave(&before, &key, now_ms);
            }
            if let Some(node) = node {
                self.pods_by_node.entry(node.clone()).or_default().insert(key);
                self.refresh_idle(&node, now_ms);
            }
        } else if let Some(node) = node {
            self.refresh_idle(&node, now_ms);
        }
    }

    fn remove_pod(&mut self, key: &PodKey, now_ms: i64) {
        self.forget_dependence(key);
        let Some(pod) = self.pods.remove(key) else {
            return;
        };
        if let Some(node) = &pod.node {
            self.leave(node, key, now_ms);
            if pod.has_claims() {
                self.count_lingering(node);
            }
        }
    }

    fn leave(&mut self, node: &str, key: &PodKey, now_ms: i64) {
        if let Some(pods) = self.pods_by_node.get_mut(node) {
            pods.remove(key);
            if pods.is_empty() {
                self.pods_by_node.remove(node);
            }
        }
        self.refresh_idle(node, now_ms);
    }

    /// A node is idle while nothing on it would have to move.
    fn refresh_idle(&mut self, node: &str, now_ms: i64) {
        let keys = self.pods_by_node.get(node).into_iter().flatten();
        let busy = keys
            .filter_map(|key| self.pods.get(key))
            .any(|pod| !pod.movability.is_ignored());
        if let Some(entry) = self.nodes.get_mut(node) {
            entry.idle_since_ms = if busy {
                None
            } else {
                entry.idle_since_ms.or(Some(now_ms))
            };
        }
    }

    fn apply_node(&mut self, node: &Arc<Node>, now_ms: i64) {
        let name = node.name_any();
        let idle_since_ms = self.nodes.get(&name).and_then(|entry| entry.idle_since_ms);
        let entry = NodeEntry {
            labels: node.labels().clone(),
            taints: taints_of(node),
            allocatable: crate::convert::allocatable(node, &mut self.resources),
            unschedulable: node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true),
            ready: is_ready(node),
            leaving: node.metadata.deletion_timestamp.is_some(),
            protected: protection(node),
            created_ms: node
                .metadata
                .creation_timestamp
                .as_ref()
                .map_or(now_ms, |time| time.0.as_millisecond()),
            idle_since_ms,
            object: node.clone(),
        };
        self.nodes.insert(name.clone(), entry);
        self.refresh_idle(&name, now_ms);
    }

    fn intern(&mut self, class: PodClass) -> Arc<PodClass> {
        if let Some(known) = self.classes.get(&class) {
            return known.clone();
        }
        // Shapes come and go with rollouts; forget those that no pod has any more before the set grows.
        if self.classes.len() > 2 * self.pods.len() + 64 {
            self.classes.retain(|class| Arc::strong_count(class) > 1);
        }
        let class = Arc::new(class);
        self.classes.insert(class.clone());
        class
    }
}

fn insert<K: ResourceExt>(map: &mut BTreeMap<ObjectKey, Arc<K>>, object: &Arc<K>) {
    map.insert(ObjectKey::of(&**object), object.clone());
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
