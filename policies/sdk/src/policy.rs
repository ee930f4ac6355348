//! The three decisions, as a policy implements them. The configuration arrives parsed and validated.

use crate::types::{Description, Diagnostic, PolicyError, node_selection, rebalance, scale_up};
use serde::de::DeserializeOwned;

/// Which node groups grow, and for which pods?
pub trait ScaleUp {
    /// Read from the JSON text that the user wrote; use `#[serde(deny_unknown_fields)]`.
    type Config: DeserializeOwned;

    /// Name, version and configuration schema.
    fn describe() -> Description;

    /// What the type cannot express: ranges, fields that exclude one another.
    fn validate(config: &Self::Config) -> Vec<Diagnostic> {
        let _ = config;
        Vec::new()
    }

    /// The decision: a function of its arguments and of the oracle's answers.
    ///
    /// # Errors
    /// Where the policy cannot decide; the host then uses the configured fall-back.
    fn decide(snapshot: &scale_up::Snapshot, config: &Self::Config) -> Result<scale_up::Demand, PolicyError>;
}

/// Which offerings in which datacenters, given the demand?
pub trait NodeSelection {
    /// Read from the JSON text that the user wrote; use `#[serde(deny_unknown_fields)]`.
    type Config: DeserializeOwned;

    /// Name, version and configuration schema.
    fn describe() -> Description;

    /// What the type cannot express: ranges, fields that exclude one another.
    fn validate(config: &Self::Config) -> Vec<Diagnostic> {
        let _ = config;
        Vec::new()
    }

    /// The decision: a function of its arguments and of the oracle's answers.
    ///
    /// # Errors
    /// Where the policy cannot decide; the host then uses the configured fall-back.
    fn decide(
        snapshot: &node_selection::Snapshot,
        config: &Self::Config,
    ) -> Result<node_selection::Mix, PolicyError>;
}

/// Which nodes go, and in which order?
pub trait Rebalance {
    /// Read from the JSON text that the user wrote; use `#[serde(deny_unknown_fields)]`.
    type Config: DeserializeOwned;

    /// Name, version and configuration schema.
    fn describe() -> Description;

    /// What the type cannot express: ranges, fields that exclude one another.
    fn validate(config: &Self::Config) -> Vec<Diagnostic> {
        let _ = config;
        Vec::new()
    }

    /// The decision: a function of its arguments and of the oracle's answers.
    ///
    /// # Errors
    /// Where the policy cannot decide; the host then uses the configured fall-back.
    fn decide(
        snapshot: &rebalance::Snapshot,
        config: &Self::Config,
    ) -> Result<rebalance::Proposal, PolicyError>;
}
