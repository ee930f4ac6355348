//! Client of the VPSie cloud API: managed Kubernetes (clusters, groups, nodes, offers), plain VMs (plans, orders,
//! removal) and the lists around them.
//!
//! The layers, each a module that knows nothing of the one above:
//! [`transport`] moves one request, [`breaker`] (one per [`family`] of the API) and [`rate_limit`] decide whether
//! and when it may go, [`auth`] keeps a token, [`decode`] reads lenient bodies strictly, [`error`] names what went wrong,
//! and [`client`] puts them together. No wall clock and no randomness are read here: time comes in
//! through [`Now`] and tokio's clock.

pub mod auth;
pub mod breaker;
mod call;
mod catalogue;
mod classify;
pub mod client;
pub mod decode;
mod endpoint;
pub mod error;
mod exchange;
pub mod family;
mod guard;
pub mod ids;
mod lenient;
mod login;
pub mod model;
pub mod observe;
pub mod rate_limit;
mod roles;
pub mod settings;
mod token;
pub mod transport;
pub mod vm;
mod vm_calls;
mod vm_rows;
mod wire;

use std::sync::Arc;

pub use auth::{Credentials, CredentialsStatus};
pub use breaker::BreakerState;
pub use client::Client;
pub use error::Error;
pub use family::Family;
pub use ids::{
    ClusterId, DatacenterId, FirewallGroupId, GroupNumber, GroupUuid, ImageId, NodeUuid, OfferId,
    PlanCategoryId, PlanId, ProjectId, ProjectNumber, SshKeyId, VmUuid, VpcNumber,
};
pub use model::{
    AddNodeReply, AttachableVm, Cluster, ClusterDetail, CreateGroupReply, Datacenter, NodeRef, NodeRole,
    Offer, ProviderGroup, ProviderNode, RemoveNodeReply,
};
pub use observe::{Observer, Silent};
pub use settings::Settings;
pub use transport::{HttpTransport, Transport, TransportError};
pub use vm::{NewVm, PendingVm, Plan, PlanCategory, Project, Vm, VmState, VpcMember};

/// The current time, as the caller sees it: a real clock in production, a virtual one in tests.
pub type Now = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;
