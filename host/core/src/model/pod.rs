//! Pods, folded into classes: pods that are alike in every constraint and request are decided once.

use super::{
    ClassId, LabelSelector, Labels, Losses, NodeId, NodeSelector, NodeSelectorTerm, Resources, Taint,
    TaintEffect,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `namespace/name` of a pod. Its copies share the text: the index, a node's residents and every snapshot hold one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodKey {
    #[serde(with = "super::shared::text")]
    pub namespace: Arc<str>,
    #[serde(with = "super::shared::text")]
    pub name: Arc<str>,
}

impl std::fmt::Display for PodKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TolerationOperator {
    Equal,
    Exists,
}

/// A toleration. An empty key with `Exists` tolerates every taint; no effect means every effect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Toleration {
    #[serde(default)]
    pub key: String,
    pub operator: TolerationOperator,
    #[serde(default)]
    pub value: String,
    pub effect: Option<TaintEffect>,
}

impl Toleration {
    /// Whether it makes up for this taint.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.effect.is_none_or(|effect| effect == taint.effect)
            && (self.key.is_empty() || self.key == taint.key)
            && (self.operator == TolerationOperator::Exists || self.value == taint.value)
    }
}

/// A required term of inter-pod affinity or anti-affinity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodAffinityTerm {
    /// None selects no pod, as in Kubernetes. `matchLabelKeys` are folded in when the class is made.
    pub selector: Option<LabelSelector>,
    pub topology_key: String,
    /// Namespaces by name, those that a namespace selector chose included. Empty means every namespace.
    pub namespaces: Vec<String>,
    /// Whether the pod that carries the term looks for company in every namespace, whatever `namespaces` says:
    /// kube-scheduler 1.35 does so where the namespace selector holds for no labels at all (`NotIn`,
    /// `DoesNotExist`). Whom the term keeps away from its carrier follows `namespaces` alone.
    #[serde(default)]
    pub sought_everywhere: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WhenUnsatisfiable {
    DoNotSchedule,
    ScheduleAnyway,
}

/// A topology spread constraint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpreadConstraint {
    pub max_skew: i32,
    pub topology_key: String,
    pub when_unsatisfiable: WhenUnsatisfiable,
    /// None selects no pod. `matchLabelKeys` are folded in when the class is made.
    pub selector: Option<LabelSelector>,
    /// 0 and 1 mean the same.
    pub min_domains: i32,
    /// `nodeAffinityPolicy: Honor` (the default).
    pub honor_affinity: bool,
    /// `nodeTaintsPolicy: Honor` (not the default).
    pub honor_taints: bool,
}

/// A host port that a pod occupies. An empty address means every address, an empty protocol TCP.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostPort {
    pub port: u16,
    pub protocol: String,
    #[serde(default)]
    pub host_ip: String,
}

/// The volumes of one CSI driver that a pod attaches to its node.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attachments {
    pub driver: String,
    /// Volumes that no other pod uses: their number is all that matters.
    pub own: u32,
    /// Volumes that other pods use as well, by name: each is attached to a node once. Ascending.
    #[serde(default)]
    pub shared: Vec<String>,
}

/// A disk that a pod mounts without a claim. Two pods of a node exclude each other unless both only read.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Disk {
    /// Kind and identity: equal names are the same disk.
    pub name: String,
    /// Never set for kinds that exclude readers as well.
    pub read_only: bool,
}

/// What a pod would rather have. It decides between nodes that take the pod, never whether one does.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Preferences {
    /// Preferred nodes, with the weight of each term.
    #[serde(default)]
    pub nodes: Vec<(i32, NodeSelectorTerm)>,
    /// Preferred company, with the weight of each term; a negative one is for pods to keep away from.
    #[serde(default)]
    pub pods: Vec<(i32, PodAffinityTerm)>,
}

/// Everything that decides where a pod may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodClass {
    pub namespace: String,
    pub labels: Labels,
    /// What one pod requests, init containers and overhead counted, `pods: 1` included.
    pub requests: Resources,
    pub priority: i32,
    #[serde(default)]
    pub tolerations: Vec<Toleration>,
    #[serde(default)]
    pub node_selector: Labels,
    #[serde(default)]
    pub node_affinity: Option<NodeSelector>,
    /// Where the volumes of the pod can be reached: all of these must hold. One without terms holds nowhere: the
    /// volume does not exist yet.
    #[serde(default)]
    pub volume_topology: Vec<NodeSelector>,
    /// By driver.
    #[serde(default)]
    pub attachments: Vec<Attachments>,
    /// `ReadWriteOncePod` claims of the namespace, which one pod may use at a time.
    #[serde(default)]
    pub exclusive_claims: Vec<String>,
    #[serde(default)]
    pub disks: Vec<Disk>,
    #[serde(default)]
    pub pod_affinity: Vec<PodAffinityTerm>,
    #[serde(default)]
    pub pod_anti_affinity: Vec<PodAffinityTerm>,
    #[serde(default)]
    pub topology_spread: Vec<SpreadConstraint>,
    #[serde(default)]
    pub host_ports: Vec<HostPort>,
    #[serde(default)]
    pub preferences: Preferences,
    /// The pod is being deleted: it holds what it has, and topology spread does not count it any more.
    #[serde(default)]
    pub terminating: bool,
}

/// What a removal of its node means for a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Movability {
    /// It is evicted and needs another place.
    Moves,
    /// It does not matter: DaemonSet, mirror and finished pods.
    Ignored,
    /// It forbids the removal, with a reason code and a text.
    Blocks(String, String),
}

/// The movability of a pod over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    pub lasting: Movability,
    /// What holds before a moment, in milliseconds since the epoch. Few pods have one: the box keeps the others
    /// small.
    pub until: Option<Box<(i64, Movability)>>,
    /// What `lasting` was judged by under the default rules; a node group may have others.
    #[serde(default, skip_serializing_if = "Losses::is_none")]
    pub losses: Losses,
}

impl Judgement {
    /// What holds at this time under the default rules.
    pub(super) fn at(&self, now_ms: i64) -> &Movability {
        match self.until.as_deref() {
            Some((end, movability)) if now_ms < *end => movability,
            _ => &self.lasting,
        }
    }

    /// Whether the pod does not matter, at any time.
    pub fn is_ignored(&self) -> bool {
        self.lasting == Movability::Ignored
    }

    /// Whether the pod forbids the removal of its node, now or at another time.
    pub(super) fn may_block(&self) -> bool {
        self.until.is_some() || matches!(self.lasting, Movability::Blocks(..))
    }
}

impl From<Movability> for Judgement {
    fn from(lasting: Movability) -> Self {
        Self {
            lasting,
            until: None,
            losses: Losses::default(),
        }
    }
}

/// What the eviction of a pod means to a disruption budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// Ready: it counts as healthy, and its eviction takes room.
    #[default]
    Ready,
    /// Runs, and is not ready: it counts for nothing, and budgets may let it go without room.
    Unready,
    /// Starts, has ended or is being deleted: no budget is asked.
    Down,
}

/// A pod that waits for a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    pub key: PodKey,
    /// Empty for a pod that does not exist: room is kept for it.
    pub uid: String,
    pub class: ClassId,
    /// The node that the scheduler makes room on for it (`status.nominatedNodeName`).
    pub nominated: Option<NodeId>,
    /// Kind and name of its controller (`ReplicaSet/web-5d4`), for people.
    pub owner: Option<String>,
    /// Since when the scheduler calls it unschedulable; none where it does not.
    pub unschedulable_since_ms: Option<i64>,
}

impl Pod {
    /// Whether it is there, and not one that room is kept for.
    pub fn exists(&self) -> bool {
        !self.uid.is_empty()
    }
}
