//! What can go wrong when manifests and field texts are read.

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text is not a duration such as `300s` or `1h30m`.
    #[error("reading the duration {text:?}: {problem}; write for example 300s, 5m or 1h30m")]
    Duration {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A schedule is not five cron fields, or its time zone does not exist.
    #[error("reading {field} {text:?}: {problem}")]
    Schedule {
        /// `schedule` or `timeZone`.
        field: &'static str,
        /// What was given.
        text: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// A number of nodes is neither a number nor a percentage.
    #[error("reading nodes {text:?}: write a number such as 2, or a percentage such as 10%")]
    Amount {
        /// What was given.
        text: String,
    },
    /// A manifest is not valid YAML.
    #[error("reading the manifest")]
    Yaml(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A generated definition could not be written as YAML.
    #[error("writing the definition of {kind} as YAML")]
    WriteYaml {
        /// Kind of the definition.
        kind: String,
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A generated schema could not be read back.
    #[error("normalising the schema of {kind}")]
    Schema {
        /// Kind of the definition.
        kind: String,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
    /// The manifest's `apiVersion` and `kind` name nothing that this crate defines.
    #[error("checking a manifest of kind {kind:?} in {api_version:?}: not one of ours")]
    UnknownKind {
        /// `apiVersion` of the manifest, empty when missing.
        api_version: String,
        /// `kind` of the manifest, empty when missing.
        kind: String,
    },
}

impl Error {
    /// The one stable word that logs, metrics and documents share.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Duration { .. } => "InvalidDuration",
            Self::Schedule { .. } => "InvalidSchedule",
            Self::Amount { .. } => "InvalidAmount",
            Self::Yaml(_) => "InvalidYaml",
            Self::WriteYaml { .. } => "WriteFailed",
            Self::Schema { .. } => "InvalidSchema",
            Self::UnknownKind { .. } => "UnknownKind",
        }
    }
}
