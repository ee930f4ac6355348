//! What can go wrong between the API server and a snapshot.

/// A watch that broke.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("watching {kind:?}s")]
    Watch {
        kind: crate::Kind,
        #[source]
        source: kube::runtime::watcher::Error,
    },
}

impl Error {
    /// One stable word for metrics, events and conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Watch { .. } => "WatchFailed",
        }
    }
}
