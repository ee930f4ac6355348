//! The side effects of steps. Each may be done twice with the effect of once.

use super::judge::{Act, PodView, Trigger, Verdict, named};
use super::record::Record;
use super::{LOOK_AGAIN, Tools, world};
use crate::crash::{self, Step};
use crate::error::Error;
use crate::runtime::metrics::{EvictionResult, Metrics};
use autoscaler_api::autoscaler_config::RebalancerSettings;
use autoscaler_api::labels;
use autoscaler_api::rebalance::PlannedStep;
use autoscaler_api::vpsie_node::VPSieNode;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use kube::api::{DeleteParams, EvictParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// Keeps off pods that tolerate a cordon, and tells which nodes are on their way out.
pub(super) const TAINT: &str = "autoscaler.vpsie.com/rebalancing";
/// Longest wait for one eviction request: the API server answers at once, its webhooks may not.
const EVICTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Does `act`, and tells how the step stands then.
pub(super) async fn apply(
    tools: &Tools,
    record: &Record<'_>,
    step: &PlannedStep,
    act: Act,
    settings: &RebalancerSettings,
) -> Result<Verdict, Error> {
    let node = step.node.as_deref().unwrap_or_default();
    match act {
        Act::Cordon => cordon(tools, record, step).await,
        Act::Uncordon => {
            let undone = uncordon(tools, record, node).await?;
            Ok(Verdict::Done(
                if undone {
                    "uncordoned"
                } else {
                    "not cordoned by this operation"
                }
                .to_owned(),
            ))
        }
        Act::Evict(pods) => evict(tools, record, node, &pods, step, settings).await,
        Act::Delete => {
            delete_vpsie_node(tools, record, step).await?;
            Ok(Verdict::Wait(
                "the machine is being removed".to_owned(),
                LOOK_AGAIN,
            ))
        }
    }
}

/// Marks the VPSieNode first: `kubectl get vpsienodes -l rebalance-operation=in-progress` must show every
/// node that could be cordoned.
async fn cordon(tools: &Tools, record: &Record<'_>, step: &PlannedStep) -> Result<Verdict, Error> {
    if let Some(name) = &step.vpsie_node {
        mark_vpsie_node(tools, record.namespace(), name, Some(labels::IN_PROGRESS)).await?;
    }
    let Some(node) = (match &step.node {
        Some(name) => world::node(tools, name).await?,
        None => None,
    }) else {
        return Ok(Verdict::Done("there is no Node".to_owned()));
    };
    let name = node.name_any();
    let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
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
            labels::DRAIN_START_TIME: record.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            labels::DRAIN_STATUS: "draining",
        },
    });
    // A cordon that somebody else set stays theirs: it is not undone with the operation.
    if !cordoned || by_us {
        metadata["annotations"][labels::CORDONED_BY] = record.id().into();
    }
    let patch = json!({"metadata": metadata, "spec": {"unschedulable": true, "taints": taints}});
    patch_node(tools, &name, &patch).await?;
    crash::at(Step::Cordoned);
    tracing::info!(operation = record.id(), node = name, "rebalance: node cordoned");
    Ok(Verdict::Done(
        if cordoned && !by_us {
            "cordoned by somebody else already"
        } else {
            "cordoned"
        }
        .to_owned(),
    ))
}

/// Takes away what this operation put on a node; tells whether there was anything.
pub(super) async fn uncordon(tools: &Tools, record: &Record<'_>, name: &str) -> Result<bool, Error> {
    let Some(node) = world::node(tools, name).await? else {
        return Ok(false);
    };
    let by_us = node
        .annotations()
        .get(labels::CORDONED_BY)
        .is_some_and(|by| by == record.id());
    let taints = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.clone())
        .unwrap_or_default();
    let kept: Vec<&Taint> = taints.iter().filter(|taint| taint.key != TAINT).collect();
    let labelled = node.labels().contains_key(labels::REBALANCE_OPERATION);
    if !by_us && !labelled && kept.len() == taints.len() {
        return Ok(false);
    }
    let mut spec = json!({"taints": kept});
    if by_us {
        spec["unschedulable"] = Value::Null;
    }
    let patch = json!({
        "metadata": {
            "resourceVersion": node.metadata.resource_version,
            "labels": {labels::REBALANCE_OPERATION: null},
            "annotations": {labels::CORDONED_BY: null, labels::DRAIN_START_TIME: null, labels::DRAIN_STATUS: null},
        },
        "spec": spec,
    });
    patch_node(tools, name, &patch).await?;
    tracing::info!(operation = record.id(), node = name, "rebalance: node uncordoned");
    Ok(true)
}

async fn patch_node(tools: &Tools, name: &str, patch: &Value) -> Result<(), Error> {
    let api = Api::<Node>::all(tools.effects.clone());
    let patched = api
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    patched.map(drop).map_err(Error::kubernetes("patching a Node"))
}

/// Whether the label and the taint of a running operation stand on a node.
pub(super) fn is_marked(node: &Node) -> bool {
    let labelled = node
        .labels()
        .get(labels::REBALANCE_OPERATION)
        .is_some_and(|value| value == labels::IN_PROGRESS);
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    labelled && taints.is_some_and(|taints| taints.iter().any(|taint| taint.key == TAINT))
}

/// Sets or (`None`) removes the label of a running operation. A VPSieNode that is gone needs none.
pub(super) async fn mark_vpsie_node(
    tools: &Tools,
    namespace: &str,
    name: &str,
    value: Option<&str>,
) -> Result<(), Error> {
    let api = Api::<VPSieNode>::namespaced(tools.effects.clone(), namespace);
    let patch = json!({"metadata": {"labels": {labels::REBALANCE_OPERATION: value}}});
    match api
        .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::kubernetes("labelling a VPSieNode")(error)),
    }
}

async fn evict(
    tools: &Tools,
    record: &Record<'_>,
    node: &str,
    pods: &[PodView],
    step: &PlannedStep,
    settings: &RebalancerSettings,
) -> Result<Verdict, Error> {
    let mut blocked = Vec::new();
    let mut evicted = 0;
    for pod in pods {
        match evict_pod(&tools.effects, &tools.metrics, &pod.namespace, &pod.name).await? {
            Eviction::Accepted => evicted += 1,
            Eviction::Refused(why) => blocked.push(format!("{}: {why}", pod.key())),
        }
    }
    tracing::info!(
        operation = record.id(),
        node,
        evicted,
        blocked = blocked.len(),
        "rebalance: workload migration, pods evicted"
    );
    if blocked.is_empty() {
        let names: Vec<_> = pods.iter().map(PodView::key).collect();
        return Ok(Verdict::Wait(format!("leaving: {}", named(&names)), LOOK_AGAIN));
    }
    let detail = format!("blocked: {}", named(&blocked));
    let limit = SignedDuration::try_from(settings.drain_timeout).unwrap_or(SignedDuration::MAX);
    let overdue = record.step_began(&step.id).is_some_and(|began| {
        // The next look would come too late: end now, while it is known what blocks.
        let next = SignedDuration::try_from(settings.health_check_interval).unwrap_or_default();
        record.now().duration_since(began) + next >= limit
    });
    if overdue {
        let left = pods.iter().map(PodView::key).collect();
        let trigger = Trigger::DrainTimeout {
            node: node.to_owned(),
            timeout: settings.drain_timeout,
            left,
            detail,
        };
        return Ok(Verdict::Stop(trigger));
    }
    tracing::warn!(operation = record.id(), node, "rebalance: evictions {detail}");
    Ok(Verdict::Wait(detail, settings.health_check_interval))
}

/// The API server's answer to one eviction.
pub(crate) enum Eviction {
    /// The pod is leaving, or gone already.
    Accepted,
    /// Not now, in the server's words.
    Refused(String),
}

/// Asks one pod to leave.
pub(crate) async fn evict_pod(
    effects: &kube::Client,
    metrics: &Metrics,
    namespace: &str,
    name: &str,
) -> Result<Eviction, Error> {
    let api = Api::<Pod>::namespaced(effects.clone(), namespace);
    let answer = timeout(EVICTION_TIMEOUT, api.evict(name, &EvictParams::default())).await;
    let (result, eviction) = match answer {
        Ok(Ok(_)) => {
            crash::at(Step::Evicted);
            (EvictionResult::Evicted, Eviction::Accepted)
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => (EvictionResult::Gone, Eviction::Accepted),
        // A PodDisruptionBudget, or the API server's own throttling: the text tells which.
        Ok(Err(kube::Error::Api(status))) if status.code == 429 => {
            (EvictionResult::Blocked, Eviction::Refused(status.message.clone()))
        }
        // Several budgets cover one pod, or a webhook refused: an operator has to look.
        Ok(Err(kube::Error::Api(status))) => {
            (EvictionResult::Failed, Eviction::Refused(status.message.clone()))
        }
        Ok(Err(error)) => {
            metrics.eviction(EvictionResult::Failed);
            return Err(Error::kubernetes("evicting a pod")(error));
        }
        Err(_) => (
            EvictionResult::Failed,
            Eviction::Refused("timeout of the eviction request".to_owned()),
        ),
    };
    metrics.eviction(result);
    Ok(eviction)
}

/// Its own controller removes the machine and then lets it go.
async fn delete_vpsie_node(tools: &Tools, record: &Record<'_>, step: &PlannedStep) -> Result<(), Error> {
    let Some(name) = &step.vpsie_node else {
        return Ok(());
    };
    let api = Api::<VPSieNode>::namespaced(tools.effects.clone(), record.namespace());
    tracing::info!(
        operation = record.id(),
        vpsienode = name,
        "rebalance: VPSieNode deleted"
    );
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => {
            crash::at(Step::RecordDeleted);
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::kubernetes("deleting a VPSieNode")(error)),
    }
}
