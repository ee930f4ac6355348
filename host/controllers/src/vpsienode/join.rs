//! Joining: the Node appears, gets the labels and taints of its group, and becomes Ready.

use super::order::since;
use super::{VpsieNodes, condition};
use crate::crash::{self, Step};
use crate::error::Error;
use crate::health::Place;
use crate::runtime::queue::Next;
use autoscaler_api::conditions::{reasons, types};
use autoscaler_api::labels;
use autoscaler_api::vpsie_node::Phase;
use autoscaler_api::{NodeGroup, VPSieNode};
use autoscaler_cluster::{ObjectKey, labels_of_new_node};
use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use std::time::Duration;

impl VpsieNodes {
    /// Waits for the Node, labels it, and waits until it is Ready.
    pub(super) async fn join(&self, key: &ObjectKey, vpsie_node: &VPSieNode) -> Result<Next, Error> {
        let now = (self.ctx.now)();
        let name = vpsie_node.node_name().unwrap_or_default().to_owned();
        let Some(node) = self.ctx.index.node(&name) else {
            return self
                .wait_or_fail(vpsie_node, "no Node of its name has joined")
                .await;
        };
        let labelled = self.apply_group(key, vpsie_node, &node).await?;
        let mut current = vpsie_node.clone();
        if vpsie_node.phase() != Phase::Joining {
            let note = format!("Node {name} has joined");
            current = self
                .enter(
                    vpsie_node,
                    Phase::Joining,
                    reasons::JOINING,
                    note.clone(),
                    |status| {
                        status.joined_at = Some(Time(now));
                        condition(status, types::NODE_JOINED, true, reasons::JOINED, note, now);
                    },
                )
                .await?;
            crash::at(Step::JoinWritten);
        }
        // The patch's own echo wakes us: only what stands in the index counts.
        if !labelled || !self.ctx.index.node_is_ready(&name) {
            return self.wait_or_fail(&current, "its Node is not Ready").await;
        }
        let note = format!("Node {name} is Ready with the labels and taints of its group");
        let ready = self
            .enter(&current, Phase::Ready, reasons::READY, note.clone(), |status| {
                status.ready_at = Some(Time(now));
                status.last_error = None;
                condition(status, types::NODE_READY, true, reasons::READY, note, now);
            })
            .await?;
        crash::at(Step::ReadyWritten);
        self.ctx.catalogue.purchase_succeeded(&Place::of(vpsie_node));
        if let Some(start) = ready
            .status
            .as_ref()
            .and_then(|status| status.creation_requested_at.as_ref())
        {
            self.ctx.metrics.node_provisioned(since(&start.0, now));
        }
        Ok(Next::After(self.pace.resync))
    }

    async fn wait_or_fail(&self, node: &VPSieNode, missing: &str) -> Result<Next, Error> {
        let limit = self.settings().node_ready_timeout;
        let start = node
            .status
            .as_ref()
            .and_then(|status| status.provisioning_start_time.as_ref());
        let waited = start.map_or(Duration::ZERO, |at| since(&at.0, (self.ctx.now)()));
        if waited >= limit {
            let message = format!("timeout: {missing} {} s after the order", limit.as_secs());
            return self.fail(node, reasons::JOINING_TIMEOUT, message, true).await;
        }
        Ok(Next::After((limit - waited).min(self.pace.resync)))
    }

    /// A Ready node: its condition follows the kubelet, and labels that were lost are put back.
    pub(super) async fn watch_ready(&self, vpsie_node: &VPSieNode) -> Result<Next, Error> {
        let now = (self.ctx.now)();
        let name = vpsie_node.node_name().unwrap_or_default();
        let key = ObjectKey::of(vpsie_node);
        let (holds, reason, message) = match self.ctx.index.node(name) {
            None => (false, reasons::NODE_NOT_FOUND, format!("Node {name} is gone")),
            Some(node) => {
                self.apply_group(&key, vpsie_node, &node).await?;
                if self.ctx.index.node_is_ready(name) {
                    (
                        true,
                        reasons::READY,
                        format!("Node {name} is Ready with the labels and taints of its group"),
                    )
                } else {
                    (false, reasons::NOT_READY, format!("Node {name} is not Ready"))
                }
            }
        };
        self.write_status(vpsie_node, |status| {
            condition(status, types::NODE_READY, holds, reason, message, now)
        })
        .await?;
        Ok(Next::After(self.pace.resync))
    }

    /// Makes sure that labels and taints of the group stand on the Node; true if they did already.
    async fn apply_group(&self, key: &ObjectKey, vpsie_node: &VPSieNode, node: &Node) -> Result<bool, Error> {
        let Some(group) = self.group(vpsie_node) else {
            return Ok(true);
        };
        let Some(patch) = group_patch(&group, key, vpsie_node, node) else {
            return Ok(true);
        };
        let nodes: Api<Node> = Api::all(self.ctx.effects.clone());
        nodes
            .patch(&node.name_any(), &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .map_err(Error::kubernetes("labelling a Node"))?;
        crash::at(Step::Labelled);
        Ok(false)
    }
}

/// What is missing on a Node of the group, as a merge patch that the server refuses if the Node has changed.
fn group_patch(
    group: &NodeGroup,
    key: &ObjectKey,
    vpsie_node: &VPSieNode,
    node: &Node,
) -> Option<serde_json::Value> {
    let mut wanted = labels_of_new_node(group, &vpsie_node.spec.instance_type);
    wanted.insert(labels::VPSIE_NODE.to_owned(), key.name.clone());
    // What the kubelet or a cloud controller says of the machine stays as they say it.
    let theirs = |name: &str| {
        name.starts_with("kubernetes.io/")
            || name.starts_with("topology.kubernetes.io/")
            || name.starts_with("node.kubernetes.io/")
    };
    wanted.retain(|name, value| match node.labels().get(name) {
        Some(present) => present != value && !theirs(name),
        None => true,
    });
    let reason = vpsie_node
        .spec
        .creation_reason
        .map(|reason| reason.as_str().to_owned());
    let mut notes = std::collections::BTreeMap::new();
    if let Some(reason) = reason.filter(|_| !node.annotations().contains_key(labels::CREATION_REASON)) {
        notes.insert(labels::CREATION_REASON, reason);
    }
    if let Some(id) = vpsie_node
        .instance_id()
        .filter(|_| !node.annotations().contains_key(labels::VPS_ID))
    {
        notes.insert(labels::VPS_ID, id.to_string());
    }
    let present: Vec<Taint> = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.clone())
        .unwrap_or_default();
    let mut taints = present.clone();
    // Taints are the group's word for new nodes: they are put on once, while the node joins. Later an operator
    // may take them off by hand.
    if vpsie_node.phase() != Phase::Ready {
        for taint in group.spec.taints.iter().flatten() {
            let effect = taint.effect.as_str();
            if !taints
                .iter()
                .any(|known| known.key == taint.key && known.effect == effect)
            {
                taints.push(Taint {
                    key: taint.key.clone(),
                    value: taint.value.clone(),
                    effect: effect.to_owned(),
                    time_added: None,
                });
            }
        }
    }
    taints.retain(|taint| taint.key != labels::STARTUP_TAINT);
    if wanted.is_empty() && notes.is_empty() && taints == present {
        return None;
    }
    let mut patch = serde_json::json!({
        "metadata": {"labels": wanted, "annotations": notes, "resourceVersion": node.metadata.resource_version},
    });
    if taints != present {
        patch["spec"] = serde_json::json!({"taints": taints});
    }
    Some(patch)
}
