//! Node groups, and the ways to buy a node for them.

use super::{AttachLimits, ClassId, DrainRules, GroupId, Labels, Resources, Taint};
use serde::{Deserialize, Serialize};

/// A node group as decisions see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub namespace: String,
    pub name: String,
    pub min: u32,
    pub max: u32,
    /// Nodes that exist or are on their way, those that are leaving or failed not counted.
    pub current: u32,
    /// Of `current`, those that are not yet ready.
    pub upcoming: u32,
    /// False where scale-up is switched off (`scaleUpPolicy.enabled: false`, or the group is not ready to grow).
    pub may_grow: bool,
    /// False where scale-down is switched off.
    pub may_shrink: bool,
    /// Why `may_grow` is false, as a reason code and a text.
    pub held: Option<(String, String)>,
    pub last_scale_up_ms: Option<i64>,
    pub last_scale_down_ms: Option<i64>,
    #[serde(default)]
    pub annotations: Labels,
    /// What a drain of its nodes does with pods that something would be lost with.
    #[serde(default, skip_serializing_if = "DrainRules::is_default")]
    pub drain: DrainRules,
}

/// One way to buy a node: a group, an offering and a datacenter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    pub group: GroupId,
    /// The offering as the NodeGroup names it.
    pub offering: String,
    pub datacenter: String,
    /// Number of the size at VPSie (`KubeSizeID`).
    pub size: i64,
    pub labels: Labels,
    pub taints: Vec<Taint>,
    /// What a new node offers to pods, what DaemonSets take already taken off.
    pub allocatable: Resources,
    /// Classes of the DaemonSet pods that a new node starts with: neighbours of the pods that follow, and holders
    /// of host ports. What they request is off `allocatable` already.
    #[serde(default)]
    pub daemons: Vec<ClassId>,
    #[serde(default)]
    pub attach_limits: AttachLimits,
    /// Millionths of the currency unit per hour.
    pub hourly_micros: u64,
    /// Purchase failures in a row.
    pub failures: u32,
    /// Not to be bought before this time.
    pub backoff_until_ms: Option<i64>,
}
