//! What is sold and asked for where plain VMs are concerned.

use serde::{Deserialize, Serialize};

/// Plain VMs: what they are made of, and what the server asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PlainConfig {
    /// Sizes with their prices, sold in every datacenter and for every image.
    pub plans: Vec<PlanConfig>,
    /// UUIDs of images.
    pub images: Vec<String>,
    /// UUIDs of SSH keys.
    pub ssh_keys: Vec<String>,
    /// Projects; the first is the default.
    pub projects: Vec<ProjectConfig>,
    /// The account's password, which removing a VM takes; none is asked for if absent.
    pub account_password: Option<String>,
    /// VMs that the account may have; one more is refused with HTTP 500.
    pub limit: Option<u32>,
    /// A VM joins its cluster only if its user data contains this.
    pub join_token: Option<String>,
    /// Reply to an order.
    pub reply: OrderReply,
    /// Whether the refusal of a wrong password says `error: true`; it is HTTP 200 in any case.
    pub wrong_password_is_error: bool,
    /// Whether a second VM of a host name is refused.
    pub unique_hostnames: bool,
    /// Whether a second order of a `processId` does nothing.
    pub unique_processes: bool,
    /// Whether flags count only as text: numbers are taken, and mean no.
    pub text_flags_only: bool,
}

/// A size of VM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PlanConfig {
    /// UUID.
    pub identifier: String,
    /// Name.
    pub name: String,
    /// Its category, which is also the category's UUID.
    pub category: String,
    /// Virtual processors.
    pub cpu: u32,
    /// Memory in MB, as the API counts it.
    pub ram_mb: u64,
    /// Disk in GB.
    pub disk_gb: u64,
    /// Price of a month.
    pub price_monthly: f64,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ProjectConfig {
    /// UUID.
    pub identifier: String,
    /// Number.
    pub number: i64,
    /// Name.
    pub name: String,
}

/// Reply to an order: clients do not agree on what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderReply {
    /// `true`.
    #[default]
    True,
    /// `{}`.
    Empty,
    /// An object with the identifier.
    Identifier,
}

impl Default for PlainConfig {
    fn default() -> Self {
        let plan = |name: &str, category: &str, cpu: u32, ram_gb: u64, disk_gb, price_monthly| PlanConfig {
            identifier: format!("9a4e0c10-0000-4000-8000-{cpu:04}{ram_gb:08}"),
            name: name.to_owned(),
            category: category.to_owned(),
            cpu,
            ram_mb: ram_gb * 1024,
            disk_gb,
            price_monthly,
        };
        Self {
            plans: vec![
                plan("vm-1-2", "shared", 1, 2, 40, 10.0),
                plan("vm-2-4", "shared", 2, 4, 80, 20.0),
                plan("vm-4-8", "shared", 4, 8, 160, 40.0),
                plan("vm-4-16", "memory", 4, 16, 200, 70.0),
            ],
            images: vec!["5d0f6a52-1111-4d27-9a52-6f0d5d6f1a01".to_owned()],
            ssh_keys: vec!["5d0f6a52-2222-4d27-9a52-6f0d5d6f1a01".to_owned()],
            projects: vec![ProjectConfig {
                identifier: "5d0f6a52-3333-4d27-9a52-6f0d5d6f1a01".to_owned(),
                number: 71,
                name: "default".to_owned(),
            }],
            account_password: Some("demo-password".to_owned()),
            limit: None,
            join_token: None,
            reply: OrderReply::default(),
            wrong_password_is_error: true,
            unique_hostnames: false,
            unique_processes: false,
            text_flags_only: false,
        }
    }
}
