//! The cluster as one immutable value: what a decision is a function of.
//!
//! The `cluster` crate folds watch events into this model; policies see columns made of it. Order is by
//! name everywhere, so that equal clusters give equal snapshots.

mod drain;
mod group;
mod node;
mod pod;
mod resident;
mod resources;
mod selector;
pub mod shared;
mod snapshot;

pub use drain::{DrainRules, Losses, Treatment};
pub use group::{Group, Template};
pub use node::{AttachLimits, Node, NodeState, Taint, TaintEffect};
pub use pod::{
    Attachments, Disk, Health, HostPort, Judgement, Movability, Pod, PodAffinityTerm, PodClass, PodKey,
    Preferences, SpreadConstraint, Toleration, TolerationOperator, WhenUnsatisfiable,
};
pub use resident::{Crowd, Resident, Residents};
pub use resources::{ResourceId, ResourceNames, Resources};
pub use selector::{
    LabelOperator, LabelRequirement, LabelSelector, NodeRequirement, NodeSelector, NodeSelectorTerm,
};
pub use snapshot::{DisruptionBudget, Snapshot};

/// Position of a [`PodClass`] in [`Snapshot::classes`].
pub type ClassId = u32;
/// Position of a [`Node`] in [`Snapshot::nodes`].
pub type NodeId = u32;
/// Position of a [`Group`] in [`Snapshot::groups`].
pub type GroupId = u32;
/// Position of a [`Template`] in [`Snapshot::templates`].
pub type TemplateId = u32;
/// Position of a [`Pod`] in [`Snapshot::pods`].
pub type PodId = u32;
/// Number of a [`PodClass`] that outlives the snapshot; [`Snapshot::class_of`] tells its [`ClassId`].
pub type ClassKey = u32;

/// Labels of an object, ordered so that equal objects compare and print alike.
pub type Labels = std::collections::BTreeMap<String, String>;
