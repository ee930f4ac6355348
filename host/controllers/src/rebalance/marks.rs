//! The marks of an operation: label and annotation on everything that it is about, from before its first step to its
//! end; cordon and taint on nodes that are being drained. Each may be put on or taken off twice.

use super::record::Record;
use super::{Tools, world};
use crate::crash::{self, Step};
use crate::error::Error;
use autoscaler_api::labels;
use autoscaler_api::rebalance::{PlannedStep, StepAction};
use autoscaler_api::vpsie_node::VPSieNode;
use k8s_openapi::api::core::v1::{Node, Taint};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Keeps off pods that tolerate a cordon, and tells which nodes are on their way out.
pub(super) const TAINT: &str = "autoscaler.vpsie.com/rebalancing";
/// Puts the marks of a running operation on everything that it is about, before its first step.
pub(super) async fn mark_all(tools: &Tools, record: &Record<'_>) -> Result<(), Error> {
    for (node, vpsie_node) in old_nodes(record) {
        // The VPSieNode first: whoever asks for those of the operation sees every node that could be cordoned.
        if let Some(name) = vpsie_node {
            mark_vpsie_node(tools, record.namespace(), name, Some(record.id())).await?;
        }
        if let Some(name) = node {
            mark_node(tools, record.id(), name).await?;
        }
    }
    crash::at(Step::Marked);
    Ok(())
}

/// Takes the marks off everything that stays.
pub(super) async fn clear_all(tools: &Tools, record: &Record<'_>) -> Result<(), Error> {
    for (node, vpsie_node) in old_nodes(record) {
        if let Some(name) = node {
            unmark_node(tools, record.id(), name).await?;
        }
        if let Some(name) = vpsie_node {
            mark_vpsie_node(tools, record.namespace(), name, None).await?;
        }
    }
    let new = |step: &&PlannedStep| step.action == StepAction::Provision;
    for step in record.object().spec.plan.steps.iter().filter(new) {
        let name = step.vpsie_node.as_deref().unwrap_or_default();
        let Some(object) = world::vpsie_node(tools, record.namespace(), name).await? else {
            continue;
        };
        if let Some(node) = object.node_name() {
            unmark_node(tools, record.id(), node).await?;
        }
        mark_vpsie_node(tools, record.namespace(), name, None).await?;
    }
    Ok(())
}

/// Node and VPSieNode of everything that is to go, once each.
fn old_nodes<'a>(record: &'a Record<'_>) -> BTreeSet<(Option<&'a str>, Option<&'a str>)> {
    let steps = record.object().spec.plan.steps.iter();
    let old = steps.filter(|step| step.action != StepAction::Provision);
    old.map(|step| (step.node.as_deref(), step.vpsie_node.as_deref()))
        .collect()
}

/// Labels a Node. One that is gone needs no label.
pub(super) async fn mark_node(tools: &Tools, operation: &str, name: &str) -> Result<(), Error> {
    let patch = json!({"metadata": {
        "labels": {labels::REBALANCE_OPERATION: labels::IN_PROGRESS},
        "annotations": {labels::REBALANCE: operation},
    }});
    match patch_node(tools, name, &patch).await {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

/// Keeps new pods off a node, and says so on it.
pub(super) async fn cordon(tools: &Tools, record: &Record<'_>, name: &str) -> Result<&'static str, Error> {
    let Some(node) = world::node(tools, name).await? else {
        return Ok("there is no Node");
    };
    let cordoned = !world::is_schedulable(&node);
    let by_us = node
        .annotations()
        .get(labels::CORDONED_BY)
        .is_some_and(|by| by == record.id());
    let mut taints = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.clone())
        .unwrap_or_default();
    if !taints.iter().any(|taint| taint.key == TAINT) {
        let effect = "NoSchedule".to_owned();
        taints.push(Taint {
            key: TAINT.to_owned(),
            effect,
            ..Taint::default()
        });
    }
    let mut metadata = json!({
        "resourceVersion": node.metadata.resource_version,
        "labels": {labels::REBALANCE_OPERATION: labels::IN_PROGRESS},
        "annotations": {
            labels::REBALANCE: record.id(),
            labels::DRAIN_START_TIME: record.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            labels::DRAIN_STATUS: "draining",
        },
    });
    // A cordon that somebody else set stays theirs: it is not undone with the operation.
    if !cordoned || by_us {
        metadata["annotations"][labels::CORDONED_BY] = record.id().into();
    }
    let patch = json!({"metadata": metadata, "spec": {"unschedulable": true, "taints": taints}});
    patch_node(tools, name, &patch).await?;
    tracing::info!(operation = record.id(), node = name, "rebalance: node cordoned");
    Ok(if cordoned && !by_us {
        "cordoned by somebody else already"
    } else {
        "cordoned"
    })
}

/// Takes away what an operation put on a node; tells whether there was anything.
pub(super) async fn unmark_node(tools: &Tools, operation: &str, name: &str) -> Result<bool, Error> {
    let Some(node) = world::node(tools, name).await? else {
        return Ok(false);
    };
    let says = |key: &str| node.annotations().get(key).map(String::as_str);
    let by_us = says(labels::CORDONED_BY) == Some(operation);
    // Another operation's marks are not ours to take.
    if says(labels::REBALANCE).is_some_and(|other| other != operation) {
        return Ok(false);
    }
    let taints = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.clone())
        .unwrap_or_default();
    let kept: Vec<&Taint> = taints.iter().filter(|taint| taint.key != TAINT).collect();
    let labelled = node.labels().contains_key(labels::REBALANCE_OPERATION);
    let spoken_of = says(labels::REBALANCE).is_some();
    if !by_us && !labelled && !spoken_of && kept.len() == taints.len() {
        return Ok(false);
    }
    let mut patch = json!({
        "metadata": {
            "resourceVersion": node.metadata.resource_version,
            "labels": {labels::REBALANCE_OPERATION: null},
            "annotations": {
                labels::REBALANCE: null,
                labels::CORDONED_BY: null,
                labels::DRAIN_START_TIME: null,
                labels::DRAIN_STATUS: null,
            },
        },
    });
    if kept.len() != taints.len() {
        patch["spec"]["taints"] = json!(kept);
    }
    if by_us {
        patch["spec"]["unschedulable"] = Value::Null;
    }
    patch_node(tools, name, &patch).await?;
    if by_us {
        crash::at(Step::Uncordoned);
        tracing::info!(operation, node = name, "rebalance: node uncordoned");
    }
    Ok(true)
}

/// Sets or (`None`) removes the marks of a running operation. A VPSieNode that is gone needs none.
pub(super) async fn mark_vpsie_node(
    tools: &Tools,
    namespace: &str,
    name: &str,
    operation: Option<&str>,
) -> Result<(), Error> {
    let api = Api::<VPSieNode>::namespaced(tools.effects.clone(), namespace);
    let patch = json!({"metadata": {
        "labels": {labels::REBALANCE_OPERATION: operation.map(|_| labels::IN_PROGRESS)},
        "annotations": {labels::REBALANCE: operation},
    }});
    match api
        .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::kubernetes("labelling a VPSieNode")(error)),
    }
}

async fn patch_node(tools: &Tools, name: &str, patch: &Value) -> Result<(), Error> {
    let api = Api::<Node>::all(tools.effects.clone());
    let patched = api
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    patched.map(drop).map_err(Error::kubernetes("patching a Node"))
}
