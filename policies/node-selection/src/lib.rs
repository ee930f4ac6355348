//! The built-in node-selection policy `cheapest-fit`: the least money that gives the demanded pods a place.
//!
//! For every group a linear program over patterns (what one node may hold) finds the mix of templates that covers
//! the pods at the least price. The oracle then places the pods on the mixes of all groups together: what has no
//! place is bought in addition, and single nodes are dropped or made smaller while everything keeps a place. The
//! other templates that would do are named as fall-backs, cheapest first.

mod decide;
mod plan;
mod preference;
mod problem;
mod wish;

use policy_sdk::node_selection::{Mix, Snapshot};
use policy_sdk::{Description, NodeSelection, PolicyError};
use serde::Deserialize;

/// JSON Schema of [`Config`].
const SCHEMA: &str = include_str!("../config.schema.json");

/// What a user may set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Config {
    /// Whether the nodes of a group may be of several templates.
    pub mix_templates: bool,
    /// Offerings that may cost more than others that would do, as the NodeGroup names them.
    pub preferred_offerings: Vec<String>,
    /// How much more, in percent.
    pub preference_percent: u32,
    /// How much the search for the mix may weigh, in thousands of steps.
    pub search_effort: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mix_templates: true,
            preferred_offerings: Vec::new(),
            preference_percent: 20,
            search_effort: 2000,
        }
    }
}

/// The policy.
#[derive(Clone, Copy, Debug)]
pub struct CheapestFit;

impl NodeSelection for CheapestFit {
    type Config = Config;

    fn describe() -> Description {
        Description::new("cheapest-fit", env!("CARGO_PKG_VERSION"), SCHEMA)
    }

    fn decide(snapshot: &Snapshot, config: &Config) -> Result<Mix, PolicyError> {
        Ok(decide::decide(snapshot, config))
    }
}

policy_sdk::export_node_selection!(CheapestFit);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_knows_every_field_and_no_other() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let properties: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(
            properties,
            [
                "mixTemplates",
                "preferencePercent",
                "preferredOfferings",
                "searchEffort"
            ]
        );
        let defaults: serde_json::Map<String, serde_json::Value> = schema["properties"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, property)| (name.clone(), property["default"].clone()))
            .collect();
        let defaults: Config = serde_json::from_value(defaults.into()).unwrap();
        assert_eq!(defaults, Config::default());
        assert!(serde_json::from_str::<Config>(r#"{"mix":false}"#).is_err());
    }
}
