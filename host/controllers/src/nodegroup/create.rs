//! The VPSieNode object of a new node: the intent to have a machine.

use crate::vpsienode::WAITING_SINCE;
use autoscaler_api::labels;
use autoscaler_api::vpsie_node::{CreationReason, VPSieNodeSpec};
use autoscaler_api::{NodeGroup, VPSieNode};
use kube::{Resource, ResourceExt};

/// What is particular about a new node.
pub(crate) struct NewNode {
    pub(crate) name: String,
    pub(crate) offering: String,
    /// Number of the offering's size at VPSie.
    pub(crate) size: i64,
    pub(crate) reason: CreationReason,
    /// Since when the first of the pods waits that it is for.
    pub(crate) waiting_since: Option<jiff::Timestamp>,
    /// Offerings (with their sizes) to try where VPSie refuses this one, best first.
    pub(crate) fallbacks: Vec<(String, i64)>,
}

/// The object to create. Its finalizer stands from the first moment: there is no time without it.
pub(crate) fn new_vpsie_node(group: &NodeGroup, new: NewNode) -> VPSieNode {
    let spec = VPSieNodeSpec {
        node_group_name: group.name_any(),
        instance_type: new.offering,
        kube_size_id: Some(new.size).filter(|_| !group.spec.is_vm()),
        datacenter_id: group.spec.datacenter_id.clone(),
        provisioner: group.spec.provisioner,
        resource_identifier: group.spec.resource_identifier.clone(),
        creation_reason: Some(new.reason),
        project: group.spec.project.clone().filter(|project| !project.is_empty()),
        os_image_id: group.spec.os_image_id.clone(),
        kubernetes_version: group.spec.kubernetes_version.clone(),
        ssh_key_ids: group.spec.ssh_key_ids.clone(),
        ..VPSieNodeSpec::default()
    };
    let mut node = VPSieNode::new(&new.name, spec);
    node.metadata.namespace = group.namespace();
    node.metadata.finalizers = Some(vec![labels::VPSIE_NODE_FINALIZER.to_owned()]);
    node.metadata.owner_references = group.controller_owner_ref(&()).map(|owner| vec![owner]);
    node.labels_mut().extend(
        [
            (labels::MANAGED, labels::TRUE.to_owned()),
            (labels::NODE_GROUP, group.name_any()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    if let Some(since) = new.waiting_since {
        node.annotations_mut()
            .insert(WAITING_SINCE.to_owned(), since.to_string());
    }
    if !new.fallbacks.is_empty() {
        // Text and numbers: nothing that JSON could not say.
        let text = serde_json::json!(new.fallbacks).to_string();
        node.annotations_mut().insert(labels::FALLBACKS.to_owned(), text);
    }
    node
}
