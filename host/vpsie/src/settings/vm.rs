//! What public clients disagree on where VMs are ordered and removed.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How VMs are ordered and removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct VmSettings {
    /// Spelling of yes and no in an order.
    pub flags: FlagStyle,
    /// How an order names its project.
    pub project_id: ProjectStyle,
    /// Whether a removal carries the account's password. VPSie refuses a removal without it, and says so under
    /// HTTP 200.
    pub send_account_password: bool,
    /// Whether a VM gets a public IPv4 address.
    pub public_ipv4: bool,
    /// Whether a VM gets a public IPv6 address.
    pub public_ipv6: bool,
    /// Whether a VM gets an address in the private network.
    pub private_ip: bool,
}

/// Spelling of yes and no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlagStyle {
    /// Text under the prefix `/api/v2`, numbers elsewhere.
    #[default]
    Auto,
    /// `"0"` and `"1"`.
    Text,
    /// `0` and `1`.
    Number,
    /// `false` and `true`.
    Boolean,
}

/// How an order names its project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProjectStyle {
    /// By its UUID.
    #[default]
    Uuid,
    /// By its number.
    Number,
}

impl Default for VmSettings {
    fn default() -> Self {
        Self {
            flags: FlagStyle::default(),
            project_id: ProjectStyle::default(),
            send_account_password: true,
            public_ipv4: true,
            public_ipv6: false,
            private_ip: true,
        }
    }
}

impl FlagStyle {
    /// Yes or no, for a server under this path prefix.
    pub(crate) fn write(self, yes: bool, prefix: &str) -> Value {
        let number = u8::from(yes);
        match self {
            Self::Auto if prefix.trim_matches('/').starts_with("api/") => json!(number.to_string()),
            Self::Text => json!(number.to_string()),
            Self::Auto | Self::Number => json!(number),
            Self::Boolean => json!(yes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_spelt_as_the_server_reads_them() {
        for (style, prefix, expected) in [
            (FlagStyle::Auto, "/apps/v2", json!(1)),
            (FlagStyle::Auto, "api/v2/", json!("1")),
            (FlagStyle::Text, "/apps/v2", json!("1")),
            (FlagStyle::Number, "/api/v2", json!(1)),
            (FlagStyle::Boolean, "/api/v2", json!(true)),
        ] {
            assert_eq!(style.write(true, prefix), expected, "{style:?} {prefix}");
        }
    }
}
