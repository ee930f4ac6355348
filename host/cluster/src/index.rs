//! The index: the cluster as far as decisions need it, folded from watch events.

mod attached;
mod classes;
mod dependents;
mod makers;
mod pods;

use crate::convert::{Surroundings, attach_limits, drain_rules, is_ready, protection, surges, taints_of};
use crate::feed::{Change, Kind};
use autoscaler_api::{AutoscalerConfig, NodeGroup, Rebalance, ScalingPolicy, VPSieNode};
use autoscaler_core::model::{
    AttachLimits, DrainRules, Labels, Movability, PodKey, Residents, ResourceNames, Resources, Taint,
};
use classes::Classes;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use makers::{MakerKey, Makers};
use parking_lot::{RwLock, RwLockReadGuard};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::watch;

pub(crate) use pods::{Place, PodEntry};

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

/// A node as the index keeps it.
#[derive(Clone, Debug)]
pub(crate) struct NodeEntry {
    pub(crate) labels: Arc<Labels>,
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
    pub(crate) attach_limits: BTreeMap<String, Arc<AttachLimits>>,
    pub(crate) attached: attached::Attached,
    /// All pods; their order matters only among those that wait.
    pub(crate) pods: HashMap<PodKey, PodEntry>,
    pub(crate) nodes: BTreeMap<String, NodeEntry>,
    /// Pods that have no node yet.
    pub(crate) waiting: BTreeSet<PodKey>,
    /// How many of them the scheduler calls unschedulable.
    unschedulable: usize,
    /// Pods that have one, by its name.
    pub(crate) residents: BTreeMap<Arc<str>, Arc<Residents>>,
    pub(crate) classes: Classes,
    pub(crate) budgets: BTreeMap<ObjectKey, Arc<PodDisruptionBudget>>,
    pub(crate) daemon_sets: BTreeMap<ObjectKey, Arc<DaemonSet>>,
    pub(crate) makers: Makers,
    pub(crate) node_groups: BTreeMap<ObjectKey, Arc<NodeGroup>>,
    pub(crate) vpsie_nodes: BTreeMap<ObjectKey, Arc<VPSieNode>>,
    /// Which VPSieNode is behind a Node, by the Node's name.
    owners: BTreeMap<String, ObjectKey>,
    pub(crate) configs: BTreeMap<ObjectKey, Arc<AutoscalerConfig>>,
    policies: BTreeMap<ObjectKey, Arc<ScalingPolicy>>,
    rebalances: BTreeMap<ObjectKey, Arc<Rebalance>>,
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

    /// Whether a group keeps room free for pods that are not there.
    pub fn keeps_headroom(&self) -> bool {
        let groups = &self.read().node_groups;
        groups.values().any(|group| group.spec.headroom.is_some())
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
        self.read().configs.get(&State::config_key()).cloned()
    }

    /// The Node object of this name.
    pub fn node(&self, name: &str) -> Option<Arc<Node>> {
        self.read().nodes.get(name).map(|entry| entry.object.clone())
    }

    /// Every Node object.
    pub fn nodes(&self) -> Vec<Arc<Node>> {
        self.read()
            .nodes
            .values()
            .map(|entry| entry.object.clone())
            .collect()
    }

    /// Whether the kubelet reports the node ready.
    pub fn node_is_ready(&self, name: &str) -> bool {
        self.read().nodes.get(name).is_some_and(|entry| entry.ready)
    }

    /// The pods bound to a node, with what the node's removal means for each.
    pub fn pods_on(&self, node: &str) -> Vec<(PodKey, Movability)> {
        let now_ms = (self.now)().as_millisecond();
        let state = self.read();
        let rules = state.drain_rules(node);
        let pods = state.residents_of(node).into_iter().flat_map(|pods| pods.iter());
        pods.map(|pod| (pod.key.clone(), pod.judgement.under(&rules, now_ms).into_owned()))
            .collect()
    }

    /// Whether the only pod of a Deployment has its successor first when it has to leave the node.
    pub fn surges(&self, node: &str) -> bool {
        let state = self.read();
        let group = state.group_of(node);
        group.is_some_and(|group| surges(state.config(), group))
    }

    /// Namespaces and names of all pods.
    pub(crate) fn pod_names(&self) -> BTreeSet<(Arc<str>, Arc<str>)> {
        let state = self.read();
        let keys = state.pods.keys();
        keys.map(|key| (Arc::clone(&key.namespace), Arc::clone(&key.name)))
            .collect()
    }

    /// Number of pods that are bound, and of those that the scheduler calls unschedulable.
    pub fn pod_counts(&self) -> (usize, usize) {
        let state = self.read();
        (state.pods.len() - state.waiting.len(), state.unschedulable)
    }
}

impl State {
    fn config_key() -> ObjectKey {
        ObjectKey::new("", autoscaler_api::CONFIG_NAME)
    }

    pub(crate) fn config(&self) -> Option<&AutoscalerConfig> {
        self.configs.get(&Self::config_key()).map(|config| &**config)
    }

    /// What a drain of a node does with pods that something would be lost with.
    fn drain_rules(&self, node: &str) -> DrainRules {
        let group = self.group_of(node);
        group.map_or_else(DrainRules::default, |group| drain_rules(self.config(), group))
    }

    /// The group of a Node.
    fn group_of(&self, node: &str) -> Option<&NodeGroup> {
        let (key, record) = self.vpsie_nodes.get_key_value(self.owners.get(node)?)?;
        let name = record.spec.node_group_name.clone();
        let group = self.node_groups.get(&ObjectKey::new(key.namespace.clone(), name));
        group.map(|group| &**group)
    }

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
                    .insert(object.name_any(), Arc::new(attach_limits(object)));
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
            Change::ReplicaSet(object) => {
                let namespace = object.namespace().unwrap_or_default();
                self.makers
                    .want(&namespace, &object.name_any(), makers::wanted(object));
            }
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
                    namespace: key.namespace.as_str().into(),
                    name: key.name.as_str().into(),
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
            Kind::ReplicaSet => self.makers.want(&key.namespace, &key.name, 0),
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

    fn apply_node(&mut self, node: &Arc<Node>, now_ms: i64) {
        let name = node.name_any();
        let idle_since_ms = self.nodes.get(&name).and_then(|entry| entry.idle_since_ms);
        let entry = NodeEntry {
            labels: Arc::new(node.labels().clone()),
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
}

fn insert<K: ResourceExt>(map: &mut BTreeMap<ObjectKey, Arc<K>>, object: &Arc<K>) {
    map.insert(ObjectKey::of(&**object), object.clone());
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
