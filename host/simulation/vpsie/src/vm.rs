//! Machines, their lives and what they cost.
//!
//! A machine goes Accepted → Listed → Booted → Deleting → gone. It costs money from the first to the last.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a machine is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VmState {
    /// Ordered; no list shows it.
    Accepted,
    /// Shown by lists.
    Listed,
    /// Running; its kubelet may have joined.
    Booted,
    /// Its removal was accepted; lists still show it.
    Deleting,
}

/// Size of a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VmSize {
    /// Id of the offer.
    pub offer: i64,
    /// Virtual processors.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disk in GiB.
    pub disk_gib: u64,
}

/// What the order of a plain VM said.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlainVm {
    /// UUID of its plan.
    pub plan: String,
    /// UUID of its image.
    pub image: String,
    /// Notes.
    pub notes: String,
    /// Tags.
    pub tags: Vec<String>,
    /// UUID of its SSH key.
    pub ssh_key: Option<String>,
    /// Number of its project.
    pub project: i64,
    /// `processId` of the order; empty where it had none.
    pub process: String,
    /// What it is told at its first start. Holds secrets.
    #[serde(skip)]
    pub user_data: String,
    /// Whether it has a public address.
    pub public_address: bool,
    /// Whether the list of pending VMs shows it.
    pub pending: bool,
}

impl std::fmt::Debug for PlainVm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlainVm")
            .field("plan", &self.plan)
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

/// A node of a managed cluster, or a plain VM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VmInfo {
    /// Numeric id; grows with every machine.
    pub id: i64,
    /// UUID.
    pub identifier: String,
    /// Host name as the API spells it.
    pub hostname: String,
    /// Name that its Kubernetes Node has: the host name in lower case.
    pub node_name: String,
    /// Public address.
    pub address: String,
    /// Address in the private network.
    pub private_address: String,
    /// UUID of its cluster; empty for a plain VM.
    pub cluster: String,
    /// UUID of its datacenter.
    pub datacenter: String,
    /// Number of its group; machines that exist from the start have none.
    pub group: Option<i64>,
    /// Name of its group.
    pub group_name: Option<String>,
    /// What its order said, if it is a plain VM.
    pub plain: Option<PlainVm>,
    /// Whether it runs the control plane.
    pub master: bool,
    /// Its size.
    pub size: VmSize,
    /// Price of an hour.
    pub price_hourly: f64,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// Where it is in its life.
    pub state: VmState,
}

impl VmInfo {
    /// Whether it was ordered through the API; the others exist from the start.
    pub fn is_ordered(&self) -> bool {
        self.group.is_some() || self.plain.is_some()
    }
}

/// Something that happened to a machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", content = "vm")]
pub enum VmEvent {
    /// It was ordered.
    Accepted(VmInfo),
    /// Lists show it.
    Listed(VmInfo),
    /// It runs: its kubelet joins now.
    Booted(VmInfo),
    /// Its removal was accepted.
    Deleting(VmInfo),
    /// It is off and gone.
    Removed(VmInfo),
}

impl VmEvent {
    /// The machine, as it was right after the event.
    pub fn vm(&self) -> &VmInfo {
        match self {
            Self::Accepted(vm)
            | Self::Listed(vm)
            | Self::Booted(vm)
            | Self::Deleting(vm)
            | Self::Removed(vm) => vm,
        }
    }
}

/// What there is and what it costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inventory {
    /// Every machine that exists, those from the start included, by id.
    pub vms: Vec<VmInfo>,
    /// Machines ordered through the API so far.
    pub created: u64,
    /// Of these, machines that are gone.
    pub removed: u64,
    /// Price of an hour of the machines ordered through the API that still exist.
    pub price_hourly: f64,
    /// What the machines ordered through the API have cost so far.
    pub cost: f64,
}
