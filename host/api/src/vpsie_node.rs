//! VPSieNode: one machine, from the intent to have it until VPSie no longer lists it.
//!
//! The Go controller wrote what it learned about a machine into the spec. Here the spec is intent
//! and is not rewritten; what is observed goes to the status. The spec fields of the old shape are
//! still read where the status has nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;
use crate::common::kubernetes_version_schema;
use crate::provisioner::Provisioner;

/// Which machine is wanted.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "autoscaler.vpsie.com",
    version = "v1alpha1",
    kind = "VPSieNode",
    plural = "vpsienodes",
    shortname = "vn",
    shortname = "vns",
    category = "vpsie",
    namespaced,
    status = "VPSieNodeStatus",
    derive = "PartialEq",
    doc = "One VPSie machine of a NodeGroup, from the intent to have it until VPSie no longer lists it.",
    selectable = ".spec.nodeGroupName",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Node", type_ = "string", json_path = ".status.nodeName"),
    printcolumn(name = "Instance Type", type_ = "string", json_path = ".spec.instanceType"),
    printcolumn(name = "NodeGroup", type_ = "string", json_path = ".spec.nodeGroupName"),
    printcolumn(name = "VPS ID", type_ = "integer", json_path = ".status.vpsieInstanceID"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason", priority = 1),
    printcolumn(
        name = "Since",
        type_ = "date",
        json_path = ".status.phaseSince",
        priority = 1
    ),
    printcolumn(
        name = "Identifier",
        type_ = "string",
        json_path = ".status.vpsieNodeIdentifier",
        priority = 1
    ),
    printcolumn(
        name = "Address",
        type_ = "string",
        json_path = ".status.ipAddress",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct VPSieNodeSpec {
    /// Name of the owning NodeGroup in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("nodeGroupName cannot be changed"))]
    pub node_group_name: String,
    /// Offering that was chosen.
    #[schemars(length(min = 1, max = 64))]
    pub instance_type: String,
    /// Number of the provider's size that was chosen.
    #[serde(rename = "kubeSizeID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub kube_size_id: Option<i64>,
    /// Id of the VPSie datacenter.
    #[serde(rename = "datacenterID")]
    #[schemars(length(min = 1, max = 64))]
    pub datacenter_id: String,
    /// How VPSie makes the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioner: Option<Provisioner>,
    /// Identifier (UUID) of the VPSie Kubernetes cluster. VMs have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub resource_identifier: String,
    /// Number of the provider's group to add the node to.
    #[serde(rename = "vpsieGroupID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub vpsie_group_id: Option<i64>,
    /// Why the node was made: metrics, manual, rebalance or initial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_reason: Option<CreationReason>,
    /// Id of the VPSie project of a VM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub project: Option<String>,
    /// Image of the operating system of a VM.
    #[serde(rename = "osImageID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub os_image_id: Option<String>,
    /// Version of Kubernetes that the group expects. Recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "kubernetes_version_schema")]
    pub kubernetes_version: Option<String>,
    /// SSH key of a VM.
    #[serde(rename = "sshKeyIDs", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub ssh_key_ids: Option<Vec<String>>,
    /// Identity in the shape of the Go controller: number of the VM, 0 when unknown.
    #[serde(rename = "vpsieInstanceID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub vpsie_instance_id: Option<i64>,
    /// Identity in the shape of the Go controller: name of the Node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node_name: Option<String>,
    /// Identity in the shape of the Go controller: address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub ip_address: Option<String>,
    /// Identity in the shape of the Go controller: IPv6 address.
    #[serde(rename = "ipv6Address", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub ipv6_address: Option<String>,
    /// Identity in the shape of the Go controller: UUID of the node in its cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub vpsie_node_identifier: Option<String>,
}

/// Why a node was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CreationReason {
    /// Pods were waiting.
    Metrics,
    /// An operator asked for the size.
    Manual,
    /// A replacement in a rebalance operation.
    Rebalance,
    /// The group's minimum.
    Initial,
}

impl CreationReason {
    /// The word that stands in the object and in the Node's annotation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Manual => "manual",
            Self::Rebalance => "rebalance",
            Self::Initial => "initial",
        }
    }
}

/// Where a node stands in its life.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Phase {
    /// Wanted; nothing was sent yet.
    #[default]
    #[serde(alias = "")]
    Pending,
    /// The provider was asked; the machine is not listed yet.
    Provisioning,
    /// The machine is listed and runs.
    Provisioned,
    /// The Node object exists; it is not Ready yet.
    Joining,
    /// The Node is Ready, with the labels and taints of its group.
    Ready,
    /// Pods are leaving.
    Terminating,
    /// The provider was asked to remove the machine.
    Deleting,
    /// It will not become a node; the machine, if any, is removed.
    Failed,
}

impl Phase {
    /// Every phase, in the order of life.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Provisioning,
        Self::Provisioned,
        Self::Joining,
        Self::Ready,
        Self::Terminating,
        Self::Deleting,
        Self::Failed,
    ];

    /// The word that stands in the object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Provisioning => "Provisioning",
            Self::Provisioned => "Provisioned",
            Self::Joining => "Joining",
            Self::Ready => "Ready",
            Self::Terminating => "Terminating",
            Self::Deleting => "Deleting",
            Self::Failed => "Failed",
        }
    }

    /// Whether the node is on its way to Ready.
    pub fn is_starting(self) -> bool {
        matches!(
            self,
            Self::Pending | Self::Provisioning | Self::Provisioned | Self::Joining
        )
    }

    /// Whether the node is on its way out.
    pub fn is_leaving(self) -> bool {
        matches!(self, Self::Terminating | Self::Deleting)
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is observed of a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VPSieNodeStatus {
    /// Where the node stands in its life.
    #[serde(default)]
    pub phase: Phase,
    /// Since when it stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_since: Option<Time>,
    /// One word why it stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Name of the Node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Number of the VM, where the provider tells one.
    #[serde(rename = "vpsieInstanceID", default, skip_serializing_if = "Option::is_none")]
    pub vpsie_instance_id: Option<i64>,
    /// UUID of the node in its cluster; remove-node wants this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpsie_node_identifier: Option<String>,
    /// Number of the provider's group that the node was added to.
    #[serde(rename = "vpsieGroupID", default, skip_serializing_if = "Option::is_none")]
    pub vpsie_group_id: Option<i64>,
    /// State of the VM in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpsie_status: Option<String>,
    /// Name that the provider chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// IPv6 address.
    #[serde(rename = "ipv6Address", default, skip_serializing_if = "Option::is_none")]
    pub ipv6_address: Option<String>,
    /// Size of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<NodeResources>,
    /// Written before the add-node request leaves. From then on a machine may exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_requested_at: Option<Time>,
    /// Nodes that the provider listed before the request: a new one is not among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_nodes_before: Option<Vec<String>>,
    /// When the provider accepted the request. Absent after a request whose answer was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_accepted_at: Option<Time>,
    /// When the phase Provisioning began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioning_start_time: Option<Time>,
    /// When the VM was first asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// When the VM ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioned_at: Option<Time>,
    /// When the Node appeared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_at: Option<Time>,
    /// When the Node became Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Time>,
    /// When the removal began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminating_at: Option<Time>,
    /// When remove-node was last sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_requested_at: Option<Time>,
    /// When VPSie no longer listed the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Time>,
    /// Conditions, unique by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The last error, in the words of whoever refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Generation of the spec that this status answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Size of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeResources {
    /// Cores.
    pub cpu: i64,
    /// Memory in MiB.
    #[serde(rename = "memoryMB")]
    pub memory_mb: i64,
    /// Disk in GiB.
    #[serde(rename = "diskGB")]
    pub disk_gb: i64,
    /// Traffic in GiB a month.
    #[serde(rename = "bandwidthGB", default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_gb: Option<i64>,
}

impl VPSieNodeSpec {
    /// Whether the machine is a plain VM.
    pub fn is_vm(&self) -> bool {
        self.provisioner.unwrap_or_default() == Provisioner::VM
    }

    /// What VPSie's limit of machines is counted for.
    pub fn quota_scope(&self) -> &str {
        self.provisioner
            .unwrap_or_default()
            .quota_scope(&self.resource_identifier)
    }

    /// Which catalogue its offering is of.
    pub fn market(&self) -> String {
        self.provisioner
            .unwrap_or_default()
            .market(&self.datacenter_id, self.os_image_id.as_deref())
    }
}

impl VPSieNode {
    /// Phase; a node without status is Pending.
    pub fn phase(&self) -> Phase {
        self.status.as_ref().map(|s| s.phase).unwrap_or_default()
    }

    /// Name of the Node, from the status or the old spec field.
    pub fn node_name(&self) -> Option<&str> {
        self.identity(|s| s.node_name.as_deref(), self.spec.node_name.as_deref())
    }

    /// UUID at the provider, from the status or the old spec field.
    pub fn provider_identifier(&self) -> Option<&str> {
        self.identity(
            |s| s.vpsie_node_identifier.as_deref(),
            self.spec.vpsie_node_identifier.as_deref(),
        )
    }

    /// Number of the VM, from the status or the old spec field; 0 counts as unknown.
    pub fn instance_id(&self) -> Option<i64> {
        self.status
            .as_ref()
            .and_then(|s| s.vpsie_instance_id)
            .or(self.spec.vpsie_instance_id)
            .filter(|id| *id != 0)
    }

    /// Address, from the status or the old spec field.
    pub fn ip_address(&self) -> Option<&str> {
        self.identity(|s| s.ip_address.as_deref(), self.spec.ip_address.as_deref())
    }

    fn identity<'a>(
        &'a self,
        from_status: impl Fn(&'a VPSieNodeStatus) -> Option<&'a str>,
        from_spec: Option<&'a str>,
    ) -> Option<&'a str> {
        self.status
            .as_ref()
            .and_then(from_status)
            .filter(|text| !text.is_empty())
            .or(from_spec)
            .filter(|text| !text.is_empty())
    }
}
