//! Virtual machines outside managed clusters: what is ordered, what lists tell, and what it costs.

use std::fmt;

use secrecy::SecretString;
use serde::Serialize;

use crate::ids::{DatacenterId, ImageId, PlanCategoryId, PlanId, ProjectId, ProjectNumber, SshKeyId, VmUuid};

/// An order. The host name is the only thing that an order and its machine surely share.
#[derive(Clone)]
pub struct NewVm {
    /// Size and price.
    pub plan: PlanId,
    /// Image of the operating system.
    pub image: ImageId,
    /// Where it runs.
    pub datacenter: DatacenterId,
    /// Its name, in lower case.
    pub hostname: String,
    /// Project; the account's own where absent.
    pub project: Option<ProjectId>,
    /// Key of the account that may log in.
    pub ssh_key: Option<SshKeyId>,
    /// Text that lists show again.
    pub notes: String,
    /// Tags.
    pub tags: Vec<String>,
    /// What the machine is told at its first start; sent as base64. It usually holds a secret.
    pub user_data: Option<SecretString>,
    /// UUID of our making that the list of pending VMs shows again. The server is not known to use it.
    pub process_id: Option<String>,
}

impl fmt::Debug for NewVm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewVm")
            .field("hostname", &self.hostname)
            .field("plan", &self.plan)
            .field("datacenter", &self.datacenter)
            .finish_non_exhaustive()
    }
}

/// State of a VM, read off its flags: no row carries a word that can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VmState {
    /// Listed, and not active yet.
    Creating,
    /// Active and switched on.
    Running,
    /// Active and switched off.
    Stopped,
    /// Locked.
    Locked,
    /// Suspended, for want of payment as a rule.
    Suspended,
}

impl VmState {
    /// The word that is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Locked => "locked",
            Self::Suspended => "suspended",
        }
    }
}

/// A VM. Rows that say that they are deleted or terminated are not among those returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Vm {
    /// UUID.
    pub identifier: VmUuid,
    /// Numeric id; grows with every machine.
    pub id: Option<i64>,
    /// Host name, possibly in mixed case.
    pub hostname: String,
    /// State.
    pub state: VmState,
    /// Public address.
    pub address: Option<String>,
    /// Public IPv6 address.
    pub ipv6: Option<String>,
    /// Address in the private network.
    pub private_address: Option<String>,
    /// The notes of its order.
    pub notes: String,
    /// Where it is.
    pub datacenter: Option<DatacenterId>,
    /// Number of its project.
    pub project: Option<ProjectNumber>,
    /// Virtual processors.
    pub cpu: Option<u32>,
    /// Memory in MiB.
    pub memory_mib: Option<u64>,
    /// Disk in GiB.
    pub disk_gib: Option<u64>,
    /// Creation time, as the server writes it.
    pub created_on: Option<String>,
}

impl Vm {
    /// The host name in the one case that can be compared.
    pub fn name_key(&self) -> String {
        self.hostname.to_lowercase()
    }

    /// Orders machines by age: the oldest first.
    pub fn age_key(&self) -> (Option<&str>, Option<i64>, &str) {
        (self.created_on.as_deref(), self.id, self.identifier.as_str())
    }
}

/// An order that is being worked on and has no UUID yet. The row repeats passwords; they are not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PendingVm {
    /// Host name that was ordered.
    pub hostname: String,
    /// The `processId` of the order.
    pub process_id: Option<String>,
}

/// A size of VM with its price.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// UUID, for ordering.
    pub id: PlanId,
    /// Name shown to people.
    pub name: String,
    /// Virtual processors.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disk in GiB.
    pub disk_gib: u64,
    /// Price of a month in the account's currency.
    pub price_monthly: Option<f64>,
    /// Price of an hour, derived from the month.
    pub price_hourly: Option<f64>,
}

/// A family of plans, such as those with shared processors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanCategory {
    /// UUID.
    pub id: PlanCategoryId,
    /// Name shown to people.
    pub name: String,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Project {
    /// UUID.
    pub id: ProjectId,
    /// Number.
    pub number: Option<ProjectNumber>,
    /// Name.
    pub name: String,
    /// Whether orders that name none go here.
    pub is_default: bool,
}

/// A VM in a VPC: the one source of its address there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VpcMember {
    /// UUID of the VM.
    pub vm: VmUuid,
    /// Host name.
    pub hostname: Option<String>,
    /// Address in the VPC; assigned some time after the VM runs.
    pub address: Option<String>,
}
