//! Marks whose operation is over or gone: somebody removed the record with its finalizer, or a process that had lost
//! its Lease wrote once more. They are found from the objects that carry them, and taken away.

use super::{Tools, marks};
use crate::error::Error;
use autoscaler_api::labels;
use autoscaler_cluster::ObjectKey;
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};

/// The operation that an object's annotations speak of.
fn operation(annotations: &BTreeMap<String, String>) -> Option<ObjectKey> {
    let id = [labels::REBALANCE, labels::CORDONED_BY]
        .iter()
        .find_map(|key| annotations.get(*key))?;
    let (namespace, name) = id.split_once('/')?;
    // A VPSieNode that was deleted by hand cordons its Node by itself, and the Node goes.
    (namespace != "vpsienode").then(|| ObjectKey::new(namespace, name))
}

/// Operations that objects of the cluster still speak of.
pub(super) fn spoken_of(tools: &Tools) -> BTreeSet<ObjectKey> {
    let nodes = tools.index.nodes();
    let of_nodes = nodes.iter().filter_map(|node| operation(node.annotations()));
    let records = tools.index.vpsie_nodes();
    let of_records = records.iter().filter_map(|node| operation(node.annotations()));
    of_nodes.chain(of_records).collect()
}

/// Takes the marks of an operation that is over or gone from everything that still carries them.
pub(super) async fn clear(tools: &Tools, key: &ObjectKey) -> Result<(), Error> {
    let id = key.to_string();
    for node in tools.index.nodes() {
        if operation(node.annotations()).as_ref() == Some(key)
            && marks::unmark_node(tools, &id, &node.name_any()).await?
        {
            tracing::warn!(
                operation = id,
                node = node.name_any(),
                "rebalance: abandoned marks removed"
            );
        }
    }
    for node in tools.index.vpsie_nodes() {
        let leaves = node.metadata.deletion_timestamp.is_some();
        if !leaves && operation(node.annotations()).as_ref() == Some(key) {
            let namespace = node.namespace().unwrap_or_default();
            marks::mark_vpsie_node(tools, &namespace, &node.name_any(), None).await?;
        }
    }
    Ok(())
}
