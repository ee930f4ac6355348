//! What is observed of a policy.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// What is observed of a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicyStatus {
    /// SHA-256 of the component in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Version of the interface that it was built for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface_version: Option<String>,
    /// Name that it gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Version that it gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    /// When it was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded_at: Option<Time>,
    /// Milliseconds from the beginning of the fetch until it was in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_milliseconds: Option<i64>,
    /// Milliseconds of these that compiling and asking it to describe itself took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile_milliseconds: Option<i64>,
    /// The key that its signature was made with, by its name in the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// What its calls took and came to; written every half minute at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<PolicyUsage>,
    /// For a Shadow: its decisions beside those that were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowComparison>,
    /// Why it is no longer asked, until somebody acknowledges it or changes the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trip: Option<Trip>,
    /// The last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Conditions, unique by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Generation of the spec that this status answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// The calls of the component in use, counted by the process that decides, from when it took the component up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyUsage {
    /// Calls, those without a usable answer included.
    pub calls: i64,
    /// Answers that the host refused.
    pub refusals: i64,
    /// Traps, and calls that the policy itself gave up.
    pub traps: i64,
    /// Calls that ended at a limit.
    pub limit_overruns: i64,
    /// Fuel of an answer on average.
    pub mean_fuel: i64,
    /// Fuel of the dearest answer.
    pub max_fuel: i64,
    /// Microseconds of an answer on average.
    pub mean_microseconds: i64,
    /// Microseconds of the slowest answer.
    pub max_microseconds: i64,
}

/// What a Shadow would have done, beside what was done; sums over the decisions that both made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShadowComparison {
    /// Decisions that it was asked about.
    pub decisions: i64,
    /// Those that would have come out differently.
    pub different: i64,
    /// Those without a usable answer from it.
    pub failed: i64,
    /// Nodes that were bought or removed, and that it would have.
    pub nodes: Pair,
    /// Price per hour of these nodes, in millionths of the currency.
    pub hourly_micros: Pair,
    /// Pods that were left waiting, and that it would have left.
    pub waiting_pods: Pair,
    /// The last difference, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_difference: Option<String>,
}

/// A number of the deciding policy and of the shadow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pair {
    /// What was decided.
    pub active: i64,
    /// What the shadow would have decided.
    pub shadow: i64,
}

/// A policy that failed too often and is no longer asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trip {
    /// When. The annotation `autoscaler.vpsie.com/acknowledge-trip` with this value lets it decide again.
    pub at: Time,
    /// The component.
    pub digest: String,
    /// Generation of the spec; another one is another try.
    pub generation: i64,
    /// Calls without a usable answer that led to it.
    pub failures: i64,
    /// How the last of them failed, in one word.
    pub reason: String,
    /// How the last of them failed.
    pub message: String,
}
