//! One type per identifier: the API uses the same word for different things (a group has a number for
//! `add/slave` and a UUID for deletion), and mixing them up is an error that only the cloud would notice.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text as it is; the provider decides whether it names something.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The identifier as the API spells it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    };
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text_id! {
    /// UUID of a managed Kubernetes cluster.
    ClusterId
}
text_id! {
    /// UUID of a node group: what deletion of a group asks for.
    GroupUuid
}
text_id! {
    /// UUID of a node of a managed cluster: what removal of a node asks for.
    NodeUuid
}
text_id! {
    /// UUID of a datacenter (`dcIdentifier`).
    DatacenterId
}
text_id! {
    /// UUID of a virtual machine.
    VmUuid
}
text_id! {
    /// UUID of a plan: the size of a VM and its price (`resourceIdentifier` in an order).
    PlanId
}
text_id! {
    /// UUID of a category of plans.
    PlanCategoryId
}
text_id! {
    /// UUID of an image of an operating system (`osIdentifier`).
    ImageId
}
text_id! {
    /// UUID of an SSH key of the account.
    SshKeyId
}
text_id! {
    /// UUID of a project.
    ProjectId
}
text_id! {
    /// UUID of a firewall group.
    FirewallGroupId
}
number_id! {
    /// Numeric id of a VPC.
    VpcNumber
}
number_id! {
    /// Numeric id of a project, as rows of VMs have it.
    ProjectNumber
}
number_id! {
    /// Numeric database id of a node group: what adding a node asks for.
    GroupNumber
}
number_id! {
    /// Numeric id of a Kubernetes offer (`KubeSizeID`, `boxsize_id`).
    OfferId
}
