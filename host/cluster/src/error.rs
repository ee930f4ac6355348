//! What can go wrong between the API server, or a file with what it says, and a snapshot.

/// A watch that broke, or a dump that says nothing sensible.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("watching {kind:?}s")]
    Watch {
        kind: crate::Kind,
        #[source]
        source: kube::runtime::watcher::Error,
    },
    /// `place` is the file and, where it was understood that far, the item and the field.
    #[error("reading {place}: {problem}")]
    Dump { place: String, problem: String },
}

impl Error {
    /// One stable word for metrics, events and conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Watch { .. } => "WatchFailed",
            Self::Dump { .. } => "InvalidDump",
        }
    }
}
