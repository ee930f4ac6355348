//! Selectors as Kubernetes writes them: over labels, and over nodes.

use super::Labels;
use serde::{Deserialize, Serialize};

/// Operator of a requirement. `Gt` and `Lt` compare integers and exist for nodes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LabelOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Gt,
    Lt,
}

/// `key operator values`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LabelRequirement {
    pub key: String,
    pub operator: LabelOperator,
    #[serde(default)]
    pub values: Vec<String>,
}

/// A label selector: all of it must hold. Empty selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LabelSelector {
    #[serde(default)]
    pub match_labels: Labels,
    #[serde(default)]
    pub match_expressions: Vec<LabelRequirement>,
}

/// A requirement on a node's labels.
pub type NodeRequirement = LabelRequirement;

/// Required node affinity: one of the terms must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeSelector {
    pub terms: Vec<NodeSelectorTerm>,
}

/// All requirements of a term must hold; a term without any holds for no node.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeSelectorTerm {
    #[serde(default)]
    pub match_expressions: Vec<NodeRequirement>,
    /// Requirements on fields; Kubernetes knows `metadata.name` only.
    #[serde(default)]
    pub match_fields: Vec<NodeRequirement>,
}
