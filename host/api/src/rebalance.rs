//! Rebalance: one operation that removes or replaces nodes, as a durable record.
//!
//! The plan stands in the spec before anything is done and cannot be changed. The status holds the
//! state of every step, written before the step's first side effect, so that another replica can
//! go on, or undo, at any point.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;
use crate::autoscaler_config::Strategy;

/// What is to be done.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "autoscaler.vpsie.com",
    version = "v1alpha1",
    kind = "Rebalance",
    plural = "rebalances",
    shortname = "rb",
    category = "vpsie",
    namespaced,
    status = "RebalanceStatus",
    derive = "PartialEq",
    doc = "One operation that removes or replaces nodes: its plan, and the state of every step.",
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.plan.kind"),
    printcolumn(name = "Strategy", type_ = "string", json_path = ".spec.plan.strategy"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress"),
    printcolumn(name = "Saving", type_ = "string", json_path = ".spec.plan.monthlySaving"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Nodes",
        type_ = "string",
        json_path = ".spec.plan.nodes",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RebalanceSpec {
    /// The checked plan.
    #[x_kube(validation = Rule::new("self == oldSelf").message("plan cannot be changed: make a new Rebalance"))]
    pub plan: RebalancePlan,
}

/// A checked plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RebalancePlan {
    /// Why nodes go.
    pub kind: RebalanceKind,
    /// In what order replacements come and nodes go; the batches of the steps say the same in numbers.
    pub strategy: Strategy,
    /// Nodes that go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), inner(length(max = 253)))]
    pub nodes: Vec<String>,
    /// The steps in order.
    #[schemars(length(min = 1, max = 500), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub steps: Vec<PlannedStep>,
    /// Saving per month, with its currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub monthly_saving: Option<String>,
    /// Digest of the policy that proposed the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub requested_by: Option<String>,
}

/// Why nodes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RebalanceKind {
    /// No pod needs the node.
    RemoveEmpty,
    /// Its pods fit elsewhere.
    RemoveUnderused,
    /// A cheaper node takes its place.
    Replace,
    /// Fewer nodes take the place of several.
    Consolidate,
    /// It no longer is what its group's spec says.
    Drift,
    /// It is too old.
    Expire,
    /// It does not work.
    Repair,
    /// The provider will take it away. VPSie tells nothing of interruptions: nothing proposes such an operation.
    Interruption,
}

impl RebalanceKind {
    /// The word that stands in the object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RemoveEmpty => "remove-empty",
            Self::RemoveUnderused => "remove-underused",
            Self::Replace => "replace",
            Self::Consolidate => "consolidate",
            Self::Drift => "drift",
            Self::Expire => "expire",
            Self::Repair => "repair",
            Self::Interruption => "interruption",
        }
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    /// Name of the step, unique in its plan.
    #[schemars(length(min = 1, max = 63))]
    pub id: String,
    /// What is done.
    pub action: StepAction,
    /// The Node it is done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node: Option<String>,
    /// The VPSieNode it is done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub vpsie_node: Option<String>,
    /// The NodeGroup that a new node of a provision step belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node_group: Option<String>,
    /// The offering of a new node of a provision step.
    #[serde(rename = "offeringID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub offering_id: Option<String>,
    /// Number of the provider's size of a new node of a provision step.
    #[serde(rename = "kubeSizeID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub kube_size_id: Option<i64>,
    /// The nodes that the new node of a provision step takes the place of. It is taken back only while all of them are
    /// there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), inner(length(max = 253)))]
    pub replaces: Vec<String>,
    /// Steps begin when all steps of lower batches are over. Absent: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub batch: Option<i32>,
    /// What undoes the step. Absent: nothing can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inverse: Option<StepAction>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepAction {
    /// Make a node and wait until it is Ready.
    Provision,
    /// Keep new pods off a node.
    Cordon,
    /// Let pods on again.
    Uncordon,
    /// Move the pods away.
    Drain,
    /// Wait until the moved workloads are healthy.
    Verify,
    /// Remove the node and its machine.
    Remove,
}

impl StepAction {
    /// The word that stands in the object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provision => "provision",
            Self::Cordon => "cordon",
            Self::Uncordon => "uncordon",
            Self::Drain => "drain",
            Self::Verify => "verify",
            Self::Remove => "remove",
        }
    }
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RebalancePhase {
    /// Nothing was done yet.
    #[default]
    Pending,
    /// Steps are being done.
    Running,
    /// Every step is done, or was left because the maintenance window closed.
    Completed,
    /// Steps are being undone.
    RollingBack,
    /// Every step that can be undone is undone, and the cluster was looked at.
    RolledBack,
    /// It stopped, and was not to be undone.
    Failed,
}

impl RebalancePhase {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::RolledBack | Self::Failed)
    }

    /// The word that stands in the object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Completed => "Completed",
            Self::RollingBack => "RollingBack",
            Self::RolledBack => "RolledBack",
            Self::Failed => "Failed",
        }
    }
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StepState {
    /// Not begun.
    #[default]
    Pending,
    /// Begun; whether it had an effect is not known before it is Done.
    Running,
    /// Done.
    Done,
    /// Not needed any more.
    Skipped,
    /// It failed.
    Failed,
    /// Being undone.
    Undoing,
    /// Undone.
    Undone,
}

/// What is observed of an operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RebalanceStatus {
    /// Where the operation stands.
    #[serde(default)]
    pub phase: RebalancePhase,
    /// The state of every step that has begun.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub steps: Vec<StepStatus>,
    /// Steps that are done of all, such as 3/8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// What happens now, or how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The cluster before the first step, to compare with afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// When the operation began; its marks follow, then its steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the rollback began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_started_at: Option<Time>,
    /// When the phase became final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Conditions, unique by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Generation of the spec that this status answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// The state of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Name of the step in the plan.
    pub id: String,
    /// Where it stands.
    #[serde(default)]
    pub state: StepState,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The cluster before an operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Before {
    /// The nodes that are to go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeBefore>,
    /// Nodes of the cluster, and how many of them were Ready.
    pub all_nodes: i64,
    /// See `allNodes`.
    pub ready_nodes: i64,
    /// Pods without a node.
    pub waiting_pods: i64,
    /// What runs on the nodes that are to go, by controller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<WorkloadBefore>,
}

/// A node before an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeBefore {
    /// Name of the Node.
    pub name: String,
    /// It was Ready.
    pub ready: bool,
    /// It took pods.
    pub schedulable: bool,
    /// Pods on it that have to move.
    pub pods: i64,
}

/// A workload before an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadBefore {
    /// Namespace of the controller.
    pub namespace: String,
    /// Kind of the controller.
    pub kind: String,
    /// Name of the controller.
    pub name: String,
    /// Its pods in the whole cluster.
    pub pods: i64,
    /// How many of them were Ready.
    pub ready: i64,
}

impl PlannedStep {
    /// The batch that it belongs to.
    pub fn batch_or_default(&self) -> i32 {
        self.batch.unwrap_or(0)
    }
}

impl RebalanceStatus {
    /// Where a step stands; one that is not listed has not begun.
    pub fn state_of(&self, id: &str) -> StepState {
        self.steps
            .iter()
            .find(|step| step.id == id)
            .map(|step| step.state)
            .unwrap_or_default()
    }
}
