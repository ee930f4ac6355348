//! Pods, folded into classes: pods that are alike in every constraint and request are decided once.

use super::{ClassId, LabelSelector, Labels, NodeId, NodeSelector, Resources, Taint, TaintEffect};
use serde::{Deserialize, Serialize};

/// `namespace/name` of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodKey {
    pub namespace: String,
    pub name: String,
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
    /// Namespaces by name, those that a namespace selector chose included. Never empty: the pod's own by default.
    pub namespaces: Vec<String>,
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

/// A host port that a pod occupies. An empty address means every address.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostPort {
    pub port: u16,
    pub protocol: String,
    #[serde(default)]
    pub host_ip: String,
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
    /// Where the volumes of the pod can be reached; none where anywhere.
    #[serde(default)]
    pub volume_topology: Option<NodeSelector>,
    #[serde(default)]
    pub pod_affinity: Vec<PodAffinityTerm>,
    #[serde(default)]
    pub pod_anti_affinity: Vec<PodAffinityTerm>,
    #[serde(default)]
    pub topology_spread: Vec<SpreadConstraint>,
    #[serde(default)]
    pub host_ports: Vec<HostPort>,
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

/// A pod, bound or waiting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    pub key: PodKey,
    pub uid: String,
    pub class: ClassId,
    /// The node it is bound to; none for a waiting pod.
    pub node: Option<NodeId>,
    /// Kind and name of its controller (`ReplicaSet/web-5d4`), for people.
    pub owner: Option<String>,
    pub movability: Movability,
    /// Since when the scheduler calls it unschedulable; none where it does not.
    pub unschedulable_since_ms: Option<i64>,
}
