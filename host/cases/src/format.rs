//! The format: a cluster in shorthand, with defaults for everything that a case is not about.
//!
//! An unknown key is an error: a case that misspells a constraint would pass for the wrong reason.

use crate::expectation::Expectation;
use crate::quantities::Amount;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Labels and annotations.
pub(crate) type Map = BTreeMap<String, String>;

/// One behaviour.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Whose behaviour it is: project, file, and what is shown there. Policies of one's own have none.
    #[serde(default)]
    pub source: String,
    /// The behaviour in one line.
    pub about: String,
    pub(crate) cluster: Cluster,
    /// Configuration of the policies, by kind.
    #[serde(default)]
    pub(crate) config: BTreeMap<String, serde_json::Value>,
    pub(crate) expect: Expectation,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Cluster {
    /// Labels of namespaces, by name.
    pub(crate) namespaces: BTreeMap<String, Map>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) groups: Vec<Group>,
    pub(crate) offerings: Vec<Offering>,
    pub(crate) pods: Vec<Pod>,
    /// Pod templates of DaemonSets.
    pub(crate) daemons: Vec<Pod>,
    pub(crate) replica_sets: Vec<ReplicaSet>,
    pub(crate) budgets: Vec<Budget>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) persistent_volumes: Vec<PersistentVolume>,
    pub(crate) storage_classes: Vec<StorageClass>,
    /// What a new node keeps for itself.
    pub(crate) reserved: Sizes,
    pub(crate) max_nodes: Option<u32>,
    pub(crate) removal_budget: Option<u32>,
    /// Of the decision.
    pub(crate) seed: Option<u64>,
}

/// CPU and the like.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Sizes {
    pub(crate) cpu: Option<Amount>,
    pub(crate) memory: Option<Amount>,
}

/// How many pods the controller of that name wants.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ReplicaSet {
    pub(crate) name: String,
    pub(crate) replicas: i32,
    /// Whether it fails to make them.
    #[serde(default)]
    pub(crate) failing: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) cpu: Option<Amount>,
    pub(crate) memory: Option<Amount>,
    pub(crate) storage: Option<Amount>,
    pub(crate) pods: Option<Amount>,
    /// Extended resources.
    #[serde(default)]
    pub(crate) extended: BTreeMap<String, Amount>,
    #[serde(default)]
    pub(crate) labels: Map,
    #[serde(default)]
    pub(crate) annotations: Map,
    /// `key=value:Effect`.
    #[serde(default)]
    pub(crate) taints: Vec<String>,
    #[serde(default)]
    pub(crate) cordoned: bool,
    pub(crate) ready: Option<bool>,
    #[serde(default)]
    pub(crate) deleting: bool,
    /// The node group that it belongs to, and what it was bought as.
    pub(crate) group: Option<String>,
    pub(crate) offering: Option<String>,
    /// Phase of its VPSieNode.
    pub(crate) phase: Option<String>,
    /// Seconds since it was made.
    pub(crate) age: Option<i64>,
    /// Seconds since it last had a pod to move.
    pub(crate) idle: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Group {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) min: i32,
    pub(crate) max: Option<i32>,
    pub(crate) desired: Option<i32>,
    /// Datacenter, and value of the zone label of its nodes.
    pub(crate) zone: Option<String>,
    /// All offerings of the case by default.
    pub(crate) offerings: Option<Vec<String>>,
    pub(crate) preferred: Option<String>,
    /// `allowMixedInstances`.
    pub(crate) mixed: Option<bool>,
    #[serde(default)]
    pub(crate) labels: Map,
    #[serde(default)]
    pub(crate) annotations: Map,
    #[serde(default)]
    pub(crate) taints: Vec<String>,
    /// As the NodeGroup says it.
    pub(crate) headroom: Option<serde_json::Value>,
    /// Whether it may grow and shrink.
    pub(crate) grows: Option<bool>,
    pub(crate) shrinks: Option<bool>,
    /// What a drain does with some pods, as in `scaleDownPolicy.drain`.
    #[serde(default)]
    pub(crate) drain: Map,
    /// Seconds since it last did.
    pub(crate) grew: Option<i64>,
    pub(crate) shrank: Option<i64>,
    /// Percent below which a node is little used.
    pub(crate) cpu_threshold: Option<i32>,
    pub(crate) memory_threshold: Option<i32>,
    /// By offering: failed purchases in a row, and seconds until the next attempt.
    #[serde(default)]
    pub(crate) failures: BTreeMap<String, u32>,
    #[serde(default)]
    pub(crate) backoff: BTreeMap<String, i64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Offering {
    pub(crate) name: String,
    /// Cores.
    pub(crate) cpu: u32,
    /// GiB; four per core by default.
    pub(crate) memory: Option<u64>,
    /// GiB; 100 by default.
    pub(crate) disk: Option<u64>,
    /// Thousandths of the currency unit per hour; ten per core by default.
    pub(crate) price: Option<u64>,
    /// The only datacenter that has it.
    pub(crate) zone: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Pod {
    pub(crate) name: String,
    /// With a count the pods are called `name-0`, `name-1` and so on.
    pub(crate) count: Option<u32>,
    pub(crate) namespace: Option<String>,
    pub(crate) labels: Map,
    pub(crate) annotations: Map,
    /// Requests of its only container, where `containers` says nothing else.
    pub(crate) cpu: Option<Amount>,
    pub(crate) memory: Option<Amount>,
    pub(crate) storage: Option<Amount>,
    pub(crate) extended: BTreeMap<String, Amount>,
    pub(crate) limits: BTreeMap<String, Amount>,
    pub(crate) containers: Vec<Container>,
    pub(crate) init: Vec<Container>,
    pub(crate) overhead: BTreeMap<String, Amount>,
    /// Requests at the level of the pod.
    pub(crate) total: BTreeMap<String, Amount>,
    /// The node that it runs on; a pod without one waits.
    pub(crate) node: Option<String>,
    /// `Kind/name` of its controller, or `none`.
    pub(crate) owner: Option<String>,
    pub(crate) priority: i32,
    pub(crate) phase: Option<String>,
    /// False for a pod that runs and is not ready.
    pub(crate) ready: Option<bool>,
    pub(crate) deleting: bool,
    /// Held back by a scheduling gate.
    pub(crate) gated: bool,
    /// False for a pod that the scheduler has not tried yet.
    pub(crate) tried: Option<bool>,
    /// Seconds since the scheduler called it unschedulable.
    pub(crate) waits: Option<i64>,
    /// Seconds since it was made and started.
    pub(crate) age: Option<i64>,
    /// `key=value:Effect`, `key:Effect`, `key`, or `*` for everything.
    pub(crate) tolerations: Vec<String>,
    pub(crate) node_selector: Map,
    /// Alternatives, each a list of requirements such as `zone In a b`.
    pub(crate) node_affinity: Option<Vec<Vec<String>>>,
    pub(crate) preferred_node_affinity: Vec<Vec<String>>,
    /// Inter-pod affinity and anti-affinity, required and preferred.
    pub(crate) near: Vec<Company>,
    pub(crate) apart: Vec<Company>,
    pub(crate) prefer_near: Vec<Company>,
    pub(crate) prefer_apart: Vec<Company>,
    pub(crate) spread: Vec<Spread>,
    /// `80`, `80/UDP`, `10.0.0.1:80/TCP`.
    pub(crate) ports: Vec<String>,
    pub(crate) host_network: bool,
    /// Kubernetes volumes as they are, without their names.
    pub(crate) volumes: Vec<serde_json::Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Container {
    pub(crate) cpu: Option<Amount>,
    pub(crate) memory: Option<Amount>,
    pub(crate) storage: Option<Amount>,
    pub(crate) extended: BTreeMap<String, Amount>,
    pub(crate) limits: BTreeMap<String, Amount>,
    pub(crate) ports: Vec<String>,
    /// An init container that keeps running.
    pub(crate) sidecar: bool,
}

/// Labels that must be equal, or requirements such as `app In web`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Select {
    Labels(Map),
    Requirements(Vec<String>),
}

/// A term of inter-pod affinity.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Company {
    pub(crate) key: String,
    /// Without it the term selects no pod.
    pub(crate) select: Option<Select>,
    #[serde(default)]
    pub(crate) namespaces: Vec<String>,
    pub(crate) namespace_select: Option<Select>,
    #[serde(default)]
    pub(crate) match_label_keys: Vec<String>,
    #[serde(default)]
    pub(crate) mismatch_label_keys: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Spread {
    pub(crate) key: String,
    pub(crate) skew: Option<i32>,
    /// `ScheduleAnyway`.
    #[serde(default)]
    pub(crate) anyway: bool,
    /// Without it the constraint selects no pod.
    pub(crate) select: Option<Select>,
    pub(crate) min_domains: Option<i32>,
    pub(crate) node_affinity_policy: Option<String>,
    pub(crate) node_taints_policy: Option<String>,
    #[serde(default)]
    pub(crate) match_label_keys: Vec<String>,
}

/// A PodDisruptionBudget with the room that its status reports.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Budget {
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    /// Without it the budget selects no pod.
    pub(crate) select: Option<Select>,
    pub(crate) allowed: i32,
    /// `AlwaysAllow` or `IfHealthyBudget`.
    pub(crate) unhealthy: Option<String>,
    /// As many pods are healthy as shall be.
    #[serde(default)]
    pub(crate) healthy: bool,
    /// The status is of an older spec.
    #[serde(default)]
    pub(crate) outdated: bool,
}

/// A PersistentVolumeClaim: bound to a volume, or to be bound by a class once a pod has a place.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Claim {
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) volume: Option<String>,
    pub(crate) class: Option<String>,
    /// The pod that it was made for, where the volume is ephemeral.
    pub(crate) pod: Option<String>,
}

/// A PersistentVolume that is reached from some nodes, or from all.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct PersistentVolume {
    pub(crate) name: String,
    pub(crate) node_affinity: Option<Vec<Vec<String>>>,
}

/// A StorageClass that binds late, where it may.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct StorageClass {
    pub(crate) name: String,
    /// Alternatives; requirements know `In` only.
    #[serde(default)]
    pub(crate) topologies: Vec<Vec<String>>,
}
