//! The built-in rebalance policy `remove-idle`: nodes that nobody needs go back.
//!
//! First the nodes that have had no pod to move for a while, the dearest first. Then, one at a time, the
//! little-used ones whose pods the oracle places on the nodes that stay, those first that save most for each pod that
//! moves. Every node that looked superfluous and stays is named with the reason. Where the host replaces nodes, those that do not work, differ from their group's
//! spec or are too old are replaced before anything else, and where nothing can simply go, nodes make way for cheaper
//! ones.

mod decide;
mod eligibility;
mod replace;
mod worth;

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
    /// How long a node has not been ready before it is replaced; 0 for never.
    pub unhealthy_seconds: u32,
    /// How old a node becomes before it is replaced; 0 for any age.
    pub max_age_seconds: u32,
    /// How many nodes make way together for cheaper ones at most; 0 replaces nothing for the money.
    pub most_merged: u32,
    /// How long what a replacement saves is counted on at most: it is for a third of the time for which the group has
    /// neither grown nor shrunk.
    pub expected_life_seconds: u32,
    /// What the move of one pod costs, in millionths of the currency unit.
    pub eviction_cost_micros: u32,
    /// How long old and new nodes run side by side.
    pub start_seconds: u32,
    /// A replacement for the money saves at least this share of the old price, in thousandths.
    pub minimum_saving_permille: u32,
    /// How long an offering that was given up for a cheaper one is not bought in place of others.
    pub flip_back_seconds: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            idle_seconds: 120,
            underused_permille: 500,
            settle_seconds: 600,
            while_pods_wait: false,
            unhealthy_seconds: 600,
            max_age_seconds: 0,
            most_merged: 8,
            expected_life_seconds: 86_400,
            eviction_cost_micros: 20_000,
            start_seconds: 300,
            minimum_saving_permille: 100,
            flip_back_seconds: 86_400,
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
        let shares = [
            ("/underusedPermille", config.underused_permille),
            ("/minimumSavingPermille", config.minimum_saving_permille),
        ];
        let beyond = shares.into_iter().filter(|(_, share)| *share > 1000);
        beyond
            .map(|(path, share)| {
                let message = format!("{share} is more than the whole node");
                Diagnostic::new(path, message, "thousandths, from 0 to 1000")
            })
            .collect()
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
        assert_eq!(defaults.len(), 12);
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
