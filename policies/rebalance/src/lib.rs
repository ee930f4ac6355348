//! The built-in rebalance policy `remove-idle`: nodes that nobody needs go back.
//!
//! First the nodes that have had no pod to move for a while, the dearest first. Then, one at a time, the
//! little-used ones whose pods the oracle places on the nodes that stay. Every node that looked superfluous
//! and stays is named with the reason.

mod decide;
mod eligibility;

use policy_sdk::rebalance::{Proposal, Snapshot};
use policy_sdk::{Description, Diagnostic, PolicyError, Rebalance};
use serde::Deserialize;

/// JSON Schema of [`Config`].
const SCHEMA: &str = include_str!("../config.schema.json");

/// What a user may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Config {
    /// How long a node has had no pod to move before it goes.
    pub idle_seconds: u32,
    /// A node is little used while the requests for CPU and for memory are both below this share, in
    /// thousandths. 0 leaves used nodes alone.
    pub underused_permille: u32,
    /// How old a little-used node is at least, and how long its group has not grown.
    pub settle_seconds: u32,
    /// Whether nodes go although pods wait for a place.
    pub while_pods_wait: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            idle_seconds: 600,
            underused_permille: 500,
            settle_seconds: 600,
            while_pods_wait: false,
        }
    }
}

/// The policy.
#[derive(Clone, Copy, Debug)]
pub struct RemoveIdle;

impl Rebalance for RemoveIdle {
    type Config = Config;

    fn describe() -> Description {
        Description::new("remove-idle", env!("CARGO_PKG_VERSION"), SCHEMA)
    }

    fn validate(config: &Config) -> Vec<Diagnostic> {
        if config.underused_permille > 1000 {
            let message = format!("{} is more than the whole node", config.underused_permille);
            return vec![Diagnostic::new(
                "/underusedPermille",
                message,
                "thousandths, from 0 to 1000",
            )];
        }
        Vec::new()
    }

    fn decide(snapshot: &Snapshot, config: &Config) -> Result<Proposal, PolicyError> {
        Ok(decide::decide(snapshot, config))
    }
}

policy_sdk::export_rebalance!(RemoveIdle);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_knows_every_field_and_its_default() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let defaults: serde_json::Map<_, _> = schema["properties"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, property)| (name.clone(), property["default"].clone()))
            .collect();
        assert_eq!(defaults.len(), 4);
        assert_eq!(
            serde_json::from_value::<Config>(defaults.into()).unwrap(),
            Config::default()
        );
    }

    #[test]
    fn a_share_above_the_whole_is_refused() {
        for (permille, complaints) in [(0, 0), (1000, 0), (1001, 1)] {
            let config = Config {
                underused_permille: permille,
                ..Config::default()
            };
            assert_eq!(RemoveIdle::validate(&config).len(), complaints, "{permille}");
        }
    }
}
