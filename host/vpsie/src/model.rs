//! What the API tells, after decoding: plain values with units in their names and options where clients
//! disagree whether the server sends a field.

use serde::Serialize;

use crate::ids::{ClusterId, DatacenterId, GroupNumber, GroupUuid, NodeUuid, OfferId, VmUuid};

/// Hours that a month is billed as; the API prices months only.
pub const HOURS_PER_MONTH: f64 = 730.0;

/// A managed Kubernetes cluster as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cluster {
    /// UUID.
    pub id: ClusterId,
    /// Name given by its owner.
    pub name: String,
    /// Number of nodes that the server counts, of every role.
    pub count: Option<u32>,
    /// Kubernetes version, as the server writes it.
    pub kubernetes_version: Option<String>,
    /// Creation time, as the server writes it.
    pub created_on: Option<String>,
}

/// A cluster with its nodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusterDetail {
    /// What lists show too.
    pub cluster: Cluster,
    /// Every node that the server shows, of every role, in the order of lower-cased host names.
    pub nodes: Vec<ProviderNode>,
}

impl ClusterDetail {
    /// The nodes surely known to be workers.
    pub fn workers(&self) -> impl Iterator<Item = &ProviderNode> {
        self.nodes.iter().filter(|node| node.role == NodeRole::Worker)
    }

    /// Finds a node by its Kubernetes name: the API may spell host names in upper case.
    pub fn node_by_name(&self, name: &str) -> Option<&ProviderNode> {
        let key = name.to_lowercase();
        self.nodes.iter().find(|node| node.name_key() == key)
    }
}

/// What a node of a managed cluster is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeRole {
    /// Runs workloads; the only role that an autoscaler may remove.
    Worker,
    /// Runs the Kubernetes API; never touched.
    ControlPlane,
    /// Neither the row nor its name tells; never touched.
    Unknown,
}

/// One node of a managed cluster as the provider sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProviderNode {
    /// Numeric database id: grows with every node, so it orders nodes by age.
    pub id: Option<i64>,
    /// UUID; some server versions leave it out.
    pub identifier: Option<NodeUuid>,
    /// Host name chosen by the server, possibly in mixed case.
    pub hostname: String,
    /// Public address.
    pub address: Option<String>,
    /// Address in the private network.
    pub private_address: Option<String>,
    /// What the node is for.
    pub role: NodeRole,
    /// State word, where sent.
    pub status: Option<String>,
    /// Virtual processors.
    pub cpu: Option<u32>,
    /// Memory in MiB.
    pub memory_mib: Option<u64>,
    /// Disk in GiB.
    pub disk_gib: Option<u64>,
    /// Creation time, as the server writes it.
    pub created_on: Option<String>,
}

impl ProviderNode {
    /// The host name in the one case that can be compared with a Kubernetes node's name.
    pub fn name_key(&self) -> String {
        self.hostname.to_lowercase()
    }
}

/// A node group of a cluster. The server allows one per size and cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProviderGroup {
    /// Numeric id, for adding nodes.
    pub number: GroupNumber,
    /// UUID, for deleting the group; some rows lack it.
    pub uuid: Option<GroupUuid>,
    /// Name given at creation.
    pub name: String,
    /// Size of its nodes.
    pub size: OfferId,
    /// Nodes that the server counts in it: the number that limits are judged by.
    pub nodes_count: Option<u32>,
    /// Virtual processors of a node.
    pub cpu: Option<u32>,
    /// Memory of a node in MiB.
    pub memory_mib: Option<u64>,
    /// Disk of a node in GiB.
    pub disk_gib: Option<u64>,
    /// Where its nodes are.
    pub datacenter: Option<DatacenterId>,
}

/// A size of node that can be bought in a datacenter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Offer {
    /// Numeric id, for creating groups.
    pub id: OfferId,
    /// Name shown to people.
    pub name: String,
    /// UUID, where sent.
    pub identifier: Option<String>,
    /// Virtual processors.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disk in GiB.
    pub disk_gib: u64,
    /// Price of a month in the account's currency.
    pub price_monthly: Option<f64>,
    /// Price of an hour: as sent, or derived from the month.
    pub price_hourly: Option<f64>,
    /// Whether the hourly price was derived here rather than sent.
    pub price_hourly_derived: bool,
}

/// A virtual machine in the one list that shows nodes of managed clusters too.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttachableVm {
    /// UUID.
    pub identifier: VmUuid,
    /// Host name, possibly in mixed case.
    pub hostname: String,
    /// Public address.
    pub address: Option<String>,
    /// Address in the private network.
    pub private_address: Option<String>,
    /// Where it is.
    pub datacenter: Option<DatacenterId>,
}

/// A place to run nodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Datacenter {
    /// UUID.
    pub id: DatacenterId,
    /// Name shown to people.
    pub name: String,
    /// Country, where sent.
    pub country: Option<String>,
    /// Whether it takes orders.
    pub active: bool,
}

/// What a server may tell about a node it has just accepted. Usually nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeRef {
    /// Numeric id.
    pub id: Option<i64>,
    /// UUID.
    pub identifier: Option<NodeUuid>,
    /// Host name.
    pub hostname: Option<String>,
}

/// The order for a node was accepted; the node itself shows up in the cluster later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddNodeReply {
    /// The node, if the reply names it; most replies are a bare `true`.
    pub hint: Option<NodeRef>,
}

/// The group was created; read the list of groups for its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreateGroupReply {
    /// Its number, if the reply names it.
    pub number: Option<GroupNumber>,
}

/// What became of a request to remove a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum RemoveNodeReply {
    /// Accepted: the node is gone only when the cluster no longer lists it.
    Accepted,
    /// The server does not know the node (any more).
    AlreadyGone,
}
