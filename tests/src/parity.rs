//! Parity with the real kube-scheduler: random clusters, asked of both, pair by pair.
//!
//! ```text
//!   seed ──▶ generate ──▶ Cluster ──▶ Oracle: a real kube-apiserver and kube-scheduler ──▶ feasible nodes
//!                                        └──▶ the objects as the server has them ──▶ Dump ──▶ Fit: ours
//! ```
//!
//! A scheduler extender is handed the nodes that passed the scheduler's own filters, and refuses them all, so
//! that pods stay pending. Where the two differ, `shrink` takes away what does not matter, and the rest becomes
//! a case file under `tests/cases/parity` that is replayed without a control plane for ever after.

pub mod case;
pub mod compare;
pub mod generate;
pub mod oracle;
pub mod shrink;
pub mod template;

use serde_json::Value;

/// A cluster as manifests, in the order in which they may be created, pods that wait last.
///
/// `status.nominatedNodeName`, `status.phase` and `metadata.deletionTimestamp` of a manifest are brought about
/// after it was created.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pub objects: Vec<Value>,
}

impl Cluster {
    /// How many pods wait for a node.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.objects.iter().filter(|object| is_pending(object)).count()
    }
}

/// Whether a manifest is a pod that waits for a node.
#[must_use]
pub fn is_pending(object: &Value) -> bool {
    object["kind"] == "Pod" && object["spec"]["nodeName"].is_null()
}

/// What to call an object: kind, namespace and name.
#[must_use]
pub fn name_of(object: &Value) -> String {
    let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, metadata) = (part(&object["kind"]), &object["metadata"]);
    format!(
        "{kind} {}/{}",
        part(&metadata["namespace"]),
        part(&metadata["name"])
    )
}
