//! The built-in scale-up policy `pack-pending`: every pod that waits gets a place in the group where that
//! place costs least.
//!
//! Classes are served by priority. The cost of a class in a group is that of the nodes which have to come in
//! *addition* to those that earlier classes already call for, so that small classes share a node. What the
//! cheapest group has no room for goes to the next. A class that has to spread over groups (zones, as a rule) is
//! shared among them. A class that gets nothing is told why, group by group.

mod budget;
mod decide;
mod refusal;
mod sharing;

use policy_sdk::scale_up::{Demand, Snapshot};
use policy_sdk::{Description, PolicyError, ScaleUp};
use serde::Deserialize;

/// JSON Schema of [`Config`].
const SCHEMA: &str = include_str!("../config.schema.json");

/// What a user may set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Config {
    /// Pods that wait less than this are left alone: many find a place on a node that is just being freed.
    pub min_wait_seconds: u32,
}

/// The policy.
#[derive(Clone, Copy, Debug)]
pub struct PackPending;

impl ScaleUp for PackPending {
    type Config = Config;

    fn describe() -> Description {
        Description::new("pack-pending", env!("CARGO_PKG_VERSION"), SCHEMA)
    }

    fn decide(snapshot: &Snapshot, config: &Config) -> Result<Demand, PolicyError> {
        Ok(decide::decide(snapshot, config))
    }
}

policy_sdk::export_scale_up!(PackPending);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_knows_every_field_and_no_other() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let properties: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(properties, ["minWaitSeconds"]);
        assert_eq!(schema["additionalProperties"], false);
        assert!(serde_json::from_str::<Config>(r#"{"minWaitSeconds":5}"#).is_ok());
        assert!(serde_json::from_str::<Config>(r#"{"minWait":5}"#).is_err());
    }
}
