//! Draining a machine whose record was deleted by hand: cordon, then evict what would have to move.
//!
//! A rebalance operation has drained its node before it deletes the record; then there is nothing to do here.

use crate::context::Context;
use crate::crash::{self, Step};
use crate::error::Error;
use crate::rebalance::{Eviction, evict_pod};
use autoscaler_api::labels;
use autoscaler_core::model::Movability;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams};

/// How far a drain is.
pub(super) enum Progress {
    Empty,
    /// What is waited for, in words.
    Waiting(String),
}

/// One pass: asks every pod to leave that has not been asked successfully yet.
pub(super) async fn pass(ctx: &Context, node: &str, vpsie_node: &str) -> Result<Progress, Error> {
    cordon(ctx, node, vpsie_node).await?;
    let mut waiting = Vec::new();
    for (pod, movability) in ctx.index.pods_on(node) {
        if movability == Movability::Ignored {
            continue;
        }
        // An annotation that forbids eviction protects from the autoscaler's own ideas, not from an operator
        // who deletes the record; a PodDisruptionBudget holds for both.
        match evict_pod(&ctx.effects, &ctx.metrics, &pod.namespace, &pod.name).await? {
            Eviction::Accepted => waiting.push(format!("{pod} is leaving")),
            Eviction::Refused(why) => waiting.push(format!("{pod}: {why}")),
        }
    }
    Ok(if waiting.is_empty() {
        Progress::Empty
    } else {
        Progress::Waiting(waiting.join(", "))
    })
}

async fn cordon(ctx: &Context, node: &str, vpsie_node: &str) -> Result<(), Error> {
    let cordoned = |node: &Node| node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
    if ctx.index.node(node).is_none_or(|node| cordoned(&node)) {
        return Ok(());
    }
    let patch = serde_json::json!({
        "metadata": {"annotations": {labels::CORDONED_BY: format!("vpsienode/{vpsie_node}")}},
        "spec": {"unschedulable": true},
    });
    let api: Api<Node> = Api::all(ctx.effects.clone());
    match api
        .patch(node, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .map_err(Error::kubernetes("cordoning a Node"))
    {
        Ok(_) => {
            crash::at(Step::CordonedByHand);
            Ok(())
        }
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}
