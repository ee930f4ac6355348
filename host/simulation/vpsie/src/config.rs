//! What exists at the fake provider and how it behaves.

mod plain;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use plain::{OrderReply, PlainConfig, PlanConfig, ProjectConfig};

/// Configuration of a [`crate::FakeVpsie`]. The default is a small account to play with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// Seed of names, identifiers and tokens.
    pub seed: u64,
    /// Who may call.
    pub access: Access,
    /// Managed Kubernetes clusters.
    pub clusters: Vec<ClusterConfig>,
    /// Places.
    pub datacenters: Vec<DatacenterConfig>,
    /// Sizes of nodes, sold in every datacenter.
    pub offers: Vec<OfferConfig>,
    /// Machines that belong to nobody's cluster.
    pub machines: Vec<MachineConfig>,
    /// Plain VMs.
    pub plain: PlainConfig,
    /// Workers that a cluster may have; one more is refused with HTTP 500.
    pub worker_limit: Option<u32>,
    /// Whether a cluster may have one group per size only.
    pub one_group_per_size: bool,
    /// How long things take.
    pub delays: Delays,
    /// How rows and errors look.
    pub shape: Shape,
}

/// Who may call, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Access {
    /// Static access tokens.
    pub tokens: Vec<String>,
    /// API clients, whose secret is exchanged for tokens.
    pub clients: Vec<ApiClient>,
    /// Life of an exchanged token.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub token_lifetime: Duration,
    /// Shape of the reply to an exchange.
    pub token_shape: TokenShape,
    /// Headers that a token is accepted in.
    pub header: Header,
}

/// An API client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ApiClient {
    /// Its id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
}

/// Shape of the reply to a token exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenShape {
    /// `token.access` and `token.refresh`.
    #[default]
    Nested,
    /// `accessToken` and `refreshToken`.
    Flat,
    /// `token.access`, without telling when it ends.
    WithoutExpiry,
}

/// Headers that a token is accepted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Header {
    /// Either.
    #[default]
    Any,
    /// `Vpsie-Auth` only.
    VpsieAuth,
    /// `Authorization: Bearer` only.
    Bearer,
}

/// A managed Kubernetes cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ClusterConfig {
    /// UUID.
    pub identifier: String,
    /// Name; the server begins the names of nodes with it.
    pub name: String,
    /// UUID of its datacenter.
    pub datacenter: String,
    /// Kubernetes version.
    #[serde(default)]
    pub kubernetes_version: Option<String>,
    /// Nodes that exist from the start and are not the autoscaler's.
    #[serde(default)]
    pub nodes: Vec<ForeignNode>,
    /// Groups that exist from the start, empty.
    #[serde(default)]
    pub groups: Vec<GroupConfig>,
}

/// A node that exists from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ForeignNode {
    /// Host name.
    pub hostname: String,
    /// Whether it runs the control plane.
    #[serde(default)]
    pub master: bool,
    /// Id of its size.
    pub offer: i64,
}

/// A group that exists from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct GroupConfig {
    /// Name.
    pub name: String,
    /// Id of its size.
    pub offer: i64,
}

/// A datacenter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DatacenterConfig {
    /// UUID.
    pub identifier: String,
    /// Name.
    pub name: String,
    /// Country.
    pub country: String,
}

/// A size of node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OfferConfig {
    /// Numeric id.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Virtual processors.
    pub cpu: u32,
    /// Memory in MB, as the API counts it.
    pub ram_mb: u64,
    /// Disk in GB.
    pub disk_gb: u64,
    /// Price of a month.
    pub price_monthly: f64,
}

/// A plain virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct MachineConfig {
    /// Host name.
    pub hostname: String,
    /// UUID of its datacenter.
    pub datacenter: String,
}

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Delays {
    /// Answering any request.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub reply: Duration,
    /// How long an ordered VM is in no list between the pending ones and the others.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub gap: Duration,
    /// From an accepted order until the cluster lists the node, or a VM leaves the pending ones.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub appear: Duration,
    /// From there until the machine has booted and its kubelet may join.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub join: Duration,
    /// Each machine takes up to this much longer to join, by the seed.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub join_spread: Duration,
    /// From an accepted removal until the machine is gone and no longer listed.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub delete: Duration,
}

/// How rows and errors look: the points where clients of the real API disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Shape {
    /// Whether node rows carry `identifier`.
    pub node_identifier: bool,
    /// Whether node rows carry `cpu`, `ram` and `disk`.
    pub node_sizes: bool,
    /// Whether node rows carry `role` and `status`.
    pub node_role: bool,
    /// Spelling of host names in the API; Kubernetes always has them in lower case.
    pub hostname_case: HostnameCase,
    /// Whether a group's `nodes_count` grows with the order, or only with the listed node.
    pub count_at_order: bool,
    /// Whether errors come as HTTP 200 with `error: true`.
    pub errors_in_ok: bool,
    /// Whether something unknown is a 404, or HTTP 200 with `data: false`.
    pub not_found_in_ok: bool,
    /// Whether numbers in offers come as text.
    pub numbers_as_text: bool,
    /// Whether offers carry `hourly_price`.
    pub hourly_price: bool,
    /// Reply to an order: `true`, or an object that names the node.
    pub add_node_names_node: bool,
}

/// Spelling of host names in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostnameCase {
    /// As the cluster's name is written.
    #[default]
    Mixed,
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
}

impl Default for Config {
    fn default() -> Self {
        let datacenter = "7c0f6a52-3a3e-4d27-9a52-6f0d5d6f1a01";
        let offer = |id, name: &str, cpu, ram_gb: u64, disk_gb, price_monthly| OfferConfig {
            id,
            name: name.to_owned(),
            cpu,
            ram_mb: ram_gb * 1024,
            disk_gb,
            price_monthly,
        };
        Self {
            seed: 1,
            access: Access::default(),
            clusters: vec![ClusterConfig {
                identifier: "f3b0c3f4-8f5e-4c1e-9f0f-2b1c7a9e49ab".to_owned(),
                name: "HEL-Kubernetes-49ab".to_owned(),
                datacenter: datacenter.to_owned(),
                kubernetes_version: Some("1.35.6".to_owned()),
                nodes: vec![ForeignNode {
                    hostname: "HEL-Kubernetes-49ab-master-main".to_owned(),
                    master: true,
                    offer: 12,
                }],
                groups: Vec::new(),
            }],
            datacenters: vec![DatacenterConfig {
                identifier: datacenter.to_owned(),
                name: "Helsinki".to_owned(),
                country: "FI".to_owned(),
            }],
            offers: vec![
                offer(11, "k8s-1-2", 1, 2, 40, 12.0),
                offer(12, "k8s-2-4", 2, 4, 80, 24.0),
                offer(13, "k8s-4-8", 4, 8, 160, 48.0),
                offer(14, "k8s-4-16", 4, 16, 200, 78.0),
                offer(15, "k8s-8-16", 8, 16, 320, 96.0),
            ],
            machines: vec![MachineConfig {
                hostname: "bastion".to_owned(),
                datacenter: datacenter.to_owned(),
            }],
            plain: PlainConfig::default(),
            worker_limit: None,
            one_group_per_size: true,
            delays: Delays::default(),
            shape: Shape::default(),
        }
    }
}

impl Default for Access {
    fn default() -> Self {
        Self {
            tokens: vec!["demo-token".to_owned()],
            clients: vec![ApiClient {
                client_id: "demo-client".to_owned(),
                client_secret: "demo-secret".to_owned(),
            }],
            token_lifetime: Duration::from_secs(3600),
            token_shape: TokenShape::default(),
            header: Header::default(),
        }
    }
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            reply: Duration::ZERO,
            gap: Duration::ZERO,
            appear: Duration::from_secs(5),
            join: Duration::from_secs(40),
            join_spread: Duration::from_secs(10),
            delete: Duration::from_secs(15),
        }
    }
}

impl Delays {
    /// Everything happens at once.
    pub const NONE: Self = Self {
        reply: Duration::ZERO,
        gap: Duration::ZERO,
        appear: Duration::ZERO,
        join: Duration::ZERO,
        join_spread: Duration::ZERO,
        delete: Duration::ZERO,
    };
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            node_identifier: true,
            node_sizes: true,
            node_role: false,
            hostname_case: HostnameCase::default(),
            count_at_order: true,
            errors_in_ok: false,
            not_found_in_ok: false,
            numbers_as_text: false,
            hourly_price: false,
            add_node_names_node: false,
        }
    }
}
