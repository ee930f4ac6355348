//! The vocabulary of `wit/types.wit` under the names that a policy uses, with constructors for what it answers.

use crate::bindings::shared::vpsie::autoscaler::types;

pub use types::{
    Catalogue, ClassCount, Context, Description, Diagnostic, GroupDemand, NodeGroup, Pending, PodClass,
    PolicyError, Reason, Rejection, Template,
};

/// The question and the answer of [`crate::ScaleUp`].
pub mod scale_up {
    pub use crate::bindings::scale_up::exports::vpsie::autoscaler::scale_up::{Demand, Snapshot};
}

/// The question and the answer of [`crate::NodeSelection`].
pub mod node_selection {
    pub use crate::bindings::node_selection::exports::vpsie::autoscaler::node_selection::{
        Mix, Purchase, Snapshot,
    };
}

/// The question and the answer of [`crate::Rebalance`].
pub mod rebalance {
    pub use crate::bindings::rebalance::exports::vpsie::autoscaler::rebalance::{
        Action, Fleet, Kept, NodeFlags, Proposal, Replacement, ReplacementKind, Snapshot, Step,
    };
}

/// Columns of the resource tables whose place is fixed; extended resources follow them.
pub mod resource {
    /// Thousandths of a core.
    pub const CPU: usize = 0;
    /// Bytes.
    pub const MEMORY: usize = 1;
    /// Bytes.
    pub const EPHEMERAL_STORAGE: usize = 2;
    /// Number of pods.
    pub const PODS: usize = 3;
}

impl Description {
    /// `config_schema` is a JSON Schema (draft 2020-12).
    #[must_use]
    pub fn new(name: &str, version: &str, config_schema: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            config_schema: config_schema.to_owned(),
        }
    }
}

impl Reason {
    /// `code` is CamelCase and stays the same between versions; `text` is for people.
    #[must_use]
    pub fn new(code: &str, text: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            text: text.into(),
        }
    }
}

impl Diagnostic {
    /// `path` is a JSON pointer into the configuration; `hint` says what would be right.
    #[must_use]
    pub fn new(path: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            hint: hint.into(),
        }
    }
}
