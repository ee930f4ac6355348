//! Which of VPSie's two ways makes the machines of a group, and what follows from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How VPSie makes the machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Provisioner {
    /// VPSie's managed Kubernetes adds nodes to its own cluster, and chooses their names.
    #[default]
    Managed,
    /// Plain VMs that join a cluster which VPSie does not manage.
    VM,
}

/// Stands for the account where VPSie counts VMs, as the UUID of a cluster stands for its workers.
pub const VM_SCOPE: &str = "vm";

/// Name of the Secret that a template's variables are read from unless it names another.
pub const JOIN_SECRET: &str = "vpsie-join";

impl Provisioner {
    /// What VPSie's limit of machines is counted for: a cluster, or all VMs of the account.
    pub(crate) fn quota_scope(self, cluster: &str) -> &str {
        match self {
            Self::Managed => cluster,
            Self::VM => VM_SCOPE,
        }
    }

    /// What a catalogue of offerings is of: a datacenter, and for VMs an image, too.
    pub(crate) fn market(self, datacenter: &str, image: Option<&str>) -> String {
        match self {
            Self::Managed => datacenter.to_owned(),
            Self::VM => format!("{datacenter}/{}", image.unwrap_or_default()),
        }
    }
}

/// What a VM is told at its first start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserData {
    /// Text for the machine's first start, such as a cloud-config, with variables in double braces: `{{ hostname }}`,
    /// `{{ nodeGroup }}`, `{{ namespace }}`, `{{ offering }}`, `{{ datacenter }}`, `{{ kubernetesVersion }}`,
    /// `{{ labels }}` and `{{ taints }}` (both as kubelet flags take them), and `{{ secret.KEY }}` for a key of the
    /// Secret. `{{ open }}` stands for two opening braces.
    #[schemars(length(min = 1, max = 16384))]
    pub template: String,
    /// Name of a Secret in the group's namespace that holds what must not stand in the template, such as the token to
    /// join with. It is read at each order, so that a token can be renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), default = "join_secret")]
    pub secret_name: Option<String>,
}

fn join_secret() -> Option<String> {
    Some(JOIN_SECRET.to_owned())
}

impl UserData {
    /// The Secret's name.
    pub fn secret_name_or_default(&self) -> &str {
        self.secret_name.as_deref().unwrap_or(JOIN_SECRET)
    }
}
