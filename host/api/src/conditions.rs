//! Conditions: their types and reasons, and one pure function that merges a new observation.
//!
//! A condition's `lastTransitionTime` moves with its `status` only. An observation that says what
//! is already written changes nothing, so that a quiet controller writes nothing.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Types of conditions.
pub mod types {
    /// The object does what its spec asks.
    pub const READY: &str = "Ready";
    /// The group is growing or shrinking.
    pub const SCALING: &str = "Scaling";
    /// Something needs an operator.
    pub const ERROR: &str = "Error";
    /// The group is at `minNodes`.
    pub const AT_MIN_CAPACITY: &str = "AtMinCapacity";
    /// The group is at `maxNodes`.
    pub const AT_MAX_CAPACITY: &str = "AtMaxCapacity";
    /// Fields are set that this version does not act on.
    pub const UNSUPPORTED_FIELDS: &str = "UnsupportedFields";
    /// The VM runs.
    pub const VPS_READY: &str = "VPSReady";
    /// The Node object exists and is claimed.
    pub const NODE_JOINED: &str = "NodeJoined";
    /// The Node is Ready.
    pub const NODE_READY: &str = "NodeReady";
    /// VPSie refused or failed to make the VM; the message is the provider's text.
    pub const PROVISION_ERROR: &str = "ProvisionError";
    /// VPSie can be asked: no circuit breaker is open.
    pub const VPSIE_AVAILABLE: &str = "VPSieAvailable";
    /// VPSie accepts the credentials; the message says when the token ends.
    pub const CREDENTIALS_VALID: &str = "CredentialsValid";
    /// Nothing is ordered for a while.
    pub const CREATION_PAUSED: &str = "CreationPaused";
    /// Nodes were bought for pods that wait all the same; nothing more is bought for these pods for a while.
    pub const PURCHASES_FUTILE: &str = "PurchasesFutile";
    /// After an operation the cluster was compared with what it was before.
    pub const VERIFIED: &str = "Verified";
    /// The policy's component is compiled and in use.
    pub const LOADED: &str = "Loaded";
    /// The policy failed too often and is no longer asked.
    pub const TRIPPED: &str = "Tripped";
}

/// Reasons: one stable word each.
pub mod reasons {
    pub const VALIDATION_FAILED: &str = "ValidationFailed";
    pub const SCALING_UP: &str = "ScalingUp";
    pub const SCALING_DOWN: &str = "ScalingDown";
    pub const SCALING_COMPLETE: &str = "ScalingComplete";
    pub const AT_MINIMUM_CAPACITY: &str = "AtMinimumCapacity";
    pub const AT_MAXIMUM_CAPACITY: &str = "AtMaximumCapacity";
    pub const WITHIN_LIMITS: &str = "WithinLimits";
    pub const VPSIE_API_ERROR: &str = "VPSieAPIError";
    pub const NODE_PROVISIONING_FAILED: &str = "NodeProvisioningFailed";
    pub const CLUSTER_CAPACITY_LIMIT_REACHED: &str = "ClusterCapacityLimitReached";
    pub const CREDENTIALS_REJECTED: &str = "CredentialsRejected";
    pub const UNKNOWN_OFFERING: &str = "UnknownOffering";
    pub const UNKNOWN_CLUSTER: &str = "UnknownCluster";
    pub const UNKNOWN_DATACENTER: &str = "UnknownDatacenter";
    pub const NO_EFFECT: &str = "NoEffect";
    pub const CIRCUIT_OPEN: &str = "CircuitOpen";
    pub const CIRCUIT_CLOSED: &str = "CircuitClosed";
    pub const CREDENTIALS_ACCEPTED: &str = "Accepted";
    pub const CREDENTIALS_NOT_TRIED: &str = "NotTried";
    pub const CREDENTIALS_MISSING: &str = "CredentialsMissing";
    pub const QUOTA_EXCEEDED: &str = "QuotaExceeded";
    pub const FUTILE_PURCHASES: &str = "FutilePurchases";
    pub const PURCHASES_HELP: &str = "PurchasesHelp";
    pub const USER_DATA_INVALID: &str = "UserDataInvalid";
    pub const DUPLICATE_REMOVED: &str = "DuplicateRemoved";

    pub const PROVISIONING: &str = "Provisioning";
    pub const PROVISIONED: &str = "Provisioned";
    pub const JOINING: &str = "Joining";
    pub const JOINED: &str = "Joined";
    pub const READY: &str = "Ready";
    pub const NOT_READY: &str = "NotReady";
    pub const TERMINATING: &str = "Terminating";
    pub const DELETING: &str = "Deleting";
    pub const PROVISIONING_TIMEOUT: &str = "ProvisioningTimeout";
    pub const CAPACITY_LIMIT_REACHED: &str = "CapacityLimitReached";
    pub const JOINING_TIMEOUT: &str = "JoiningTimeout";
    pub const NODE_NOT_FOUND: &str = "NodeNotFound";
    pub const DRAIN_FAILED: &str = "DrainFailed";
    pub const VPS_DELETE_FAILED: &str = "VPSDeleteFailed";
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody knows.
    Unknown,
}

impl ConditionStatus {
    /// The word that stands in the object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One condition in a status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Type of the condition, unique in its list.
    #[serde(rename = "type")]
    pub type_: String,
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// When `status` changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// When anything in this condition changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Time>,
    /// One CamelCase word for machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Generation of the spec that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// A new observation, to be merged with [`set`].
#[derive(Clone, Debug)]
pub struct ConditionUpdate<'a> {
    /// Type of the condition.
    pub type_: &'a str,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One CamelCase word.
    pub reason: &'a str,
    /// A sentence for people.
    pub message: String,
    /// Generation of the spec that was looked at.
    pub observed_generation: Option<i64>,
}

/// Merges `update` into `conditions`; tells whether anything changed.
pub fn set(conditions: &mut Vec<Condition>, update: ConditionUpdate<'_>, now: Timestamp) -> bool {
    let Some(present) = conditions.iter_mut().find(|c| c.type_ == update.type_) else {
        conditions.push(Condition {
            type_: update.type_.to_owned(),
            status: update.status,
            last_transition_time: Some(Time(now)),
            last_update_time: Some(Time(now)),
            reason: Some(update.reason.to_owned()),
            message: Some(update.message),
            observed_generation: update.observed_generation,
        });
        return true;
    };
    let same_status = present.status == update.status;
    let unchanged = same_status
        && present.reason.as_deref() == Some(update.reason)
        && present.message.as_deref() == Some(update.message.as_str())
        && present.observed_generation == update.observed_generation;
    if unchanged {
        return false;
    }
    if !same_status || present.last_transition_time.is_none() {
        present.last_transition_time = Some(Time(now));
    }
    present.status = update.status;
    present.reason = Some(update.reason.to_owned());
    present.message = Some(update.message);
    present.observed_generation = update.observed_generation;
    present.last_update_time = Some(Time(now));
    true
}

/// Removes a condition; tells whether it was there.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|c| c.type_ != type_);
    conditions.len() != before
}

/// Finds a condition.
pub fn get<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Whether the condition is there and holds.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    get(conditions, type_).is_some_and(|c| c.status == ConditionStatus::True)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(status: bool, reason: &'static str, message: &str) -> ConditionUpdate<'static> {
        ConditionUpdate {
            type_: types::READY,
            status: status.into(),
            reason,
            message: message.to_owned(),
            observed_generation: Some(1),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn times_move_only_with_what_they_stand_for() {
        // (update, at, changed, transition time, update time)
        let table = [
            (update(false, "A", "x"), 10, true, 10, 10),
            (update(false, "A", "x"), 20, false, 10, 10),
            (update(false, "B", "x"), 30, true, 10, 30),
            (update(false, "B", "y"), 40, true, 10, 40),
            (update(true, "B", "y"), 50, true, 50, 50),
            (update(true, "B", "y"), 60, false, 50, 50),
        ];
        let mut conditions = Vec::new();
        for (row, (update, now, changed, transition, updated)) in table.into_iter().enumerate() {
            assert_eq!(set(&mut conditions, update, at(now)), changed, "row {row}");
            assert_eq!(conditions.len(), 1);
            assert_eq!(
                conditions[0].last_transition_time,
                Some(Time(at(transition))),
                "row {row}"
            );
            assert_eq!(
                conditions[0].last_update_time,
                Some(Time(at(updated))),
                "row {row}"
            );
        }
    }

    #[test]
    fn a_new_generation_is_a_change_but_no_transition() {
        let mut conditions = Vec::new();
        set(&mut conditions, update(true, "A", "x"), at(1));
        let newer = ConditionUpdate {
            observed_generation: Some(2),
            ..update(true, "A", "x")
        };
        assert!(set(&mut conditions, newer, at(2)));
        assert_eq!(conditions[0].last_transition_time, Some(Time(at(1))));
        assert_eq!(conditions[0].observed_generation, Some(2));
        assert!(is_true(&conditions, types::READY));
        assert!(remove(&mut conditions, types::READY));
        assert!(!remove(&mut conditions, types::READY));
    }
}
