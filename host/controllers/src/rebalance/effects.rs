//! The side effects of steps. Each may be done twice with the effect of once.

use super::judge::{Act, PodView, Seen, Trigger, Verdict, named};
use super::record::Record;
use super::successor::{self, Successor};
use super::{LOOK_AGAIN, Tools, marks, world};
use crate::crash::{self, Step};
use crate::error::Error;
use crate::nodegroup::{NewNode, new_vpsie_node};
use crate::runtime::metrics::{EvictionResult, Metrics};
use autoscaler_api::autoscaler_config::RebalancerSettings;
use autoscaler_api::labels;
use autoscaler_api::rebalance::PlannedStep;
use autoscaler_api::vpsie_node::{CreationReason, VPSieNode};
use autoscaler_cluster::ObjectKey;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use std::time::Duration;
use tokio::time::timeout;

/// How a step's message begins whose evictions are refused.
pub(super) const BLOCKED: &str = "blocked: ";
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
        Act::Order => order(tools, record, step).await,
        Act::Label => {
            let object = match &step.vpsie_node {
                Some(name) => world::vpsie_node(tools, record.namespace(), name).await?,
                None => None,
            };
            if let Some(name) = object.as_ref().and_then(|object| object.node_name()) {
                marks::mark_node(tools, record.id(), name).await?;
            }
            Ok(Verdict::Wait("the new node is Ready".to_owned(), Duration::ZERO))
        }
        Act::Cordon => {
            let text = marks::cordon(tools, record, node).await?;
            crash::at(Step::Cordoned);
            Ok(Verdict::Done(text.to_owned()))
        }
        Act::Uncordon => {
            let undone = marks::unmark_node(tools, record.id(), node).await?;
            Ok(Verdict::Done(
                if undone {
                    "uncordoned"
                } else {
                    "not cordoned by this operation"
                }
                .to_owned(),
            ))
        }
        Act::Relieve(pods) => relieve(tools, record, node, &pods, settings).await,
        Act::Evict(pods) => evict(tools, record, node, &pods, step, settings).await,
        Act::Delete(seen) => {
            let name = step.vpsie_node.as_deref().unwrap_or_default();
            delete_vpsie_node(tools, record, name, seen).await?;
            Ok(Verdict::Wait(
                "the machine is being removed".to_owned(),
                LOOK_AGAIN,
            ))
        }
    }
}

/// Makes the record of the new machine; its own controller does the rest.
async fn order(tools: &Tools, record: &Record<'_>, step: &PlannedStep) -> Result<Verdict, Error> {
    let (Some(name), Some(group), Some(offering), Some(size)) = (
        &step.vpsie_node,
        &step.node_group,
        &step.offering_id,
        step.kube_size_id,
    ) else {
        // Such a plan is not begun.
        return Ok(Verdict::Wait("the step names no machine".to_owned(), LOOK_AGAIN));
    };
    let Some(object) = tools.index.node_group(&ObjectKey::new(record.namespace(), group)) else {
        return Ok(Verdict::Stop(Trigger::ProvisionFailed {
            node: name.clone(),
            detail: format!("node group {group} is gone"),
        }));
    };
    let new = NewNode {
        name: name.clone(),
        offering: offering.clone(),
        size,
        reason: CreationReason::Rebalance,
        waiting_since: None,
        fallbacks: Vec::new(),
    };
    let mut new = new_vpsie_node(&object, new);
    new.labels_mut().insert(
        labels::REBALANCE_OPERATION.to_owned(),
        labels::IN_PROGRESS.to_owned(),
    );
    new.annotations_mut()
        .insert(labels::REBALANCE.to_owned(), record.id().to_owned());
    let api = Api::<VPSieNode>::namespaced(tools.effects.clone(), record.namespace());
    match api.create(&PostParams::default(), &new).await {
        Ok(_) => {
            crash::at(Step::ReplacementOrdered);
            tracing::info!(
                operation = record.id(),
                vpsienode = name,
                "rebalance: replacement ordered"
            );
        }
        // The answer to an earlier try was lost.
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => return Err(Error::kubernetes("creating a VPSieNode")(error)),
    }
    Ok(Verdict::Wait(format!("ordered {name}: {offering}"), LOOK_AGAIN))
}

/// Asks pods to leave; tells who may not, and why.
pub(super) async fn evict_all(
    tools: &Tools,
    record: &Record<'_>,
    node: &str,
    pods: &[PodView],
) -> Result<Vec<String>, Error> {
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
    Ok(blocked)
}

async fn evict(
    tools: &Tools,
    record: &Record<'_>,
    node: &str,
    pods: &[PodView],
    step: &PlannedStep,
    settings: &RebalancerSettings,
) -> Result<Verdict, Error> {
    let blocked = evict_all(tools, record, node, pods).await?;
    if blocked.is_empty() {
        let names: Vec<_> = pods.iter().map(PodView::key).collect();
        return Ok(Verdict::Wait(format!("leaving: {}", named(&names)), LOOK_AGAIN));
    }
    let detail = format!("{BLOCKED}{}", named(&blocked));
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

async fn relieve(
    tools: &Tools,
    record: &Record<'_>,
    node: &str,
    pods: &[PodView],
    settings: &RebalancerSettings,
) -> Result<Verdict, Error> {
    let mut refused = Vec::new();
    for pod in pods {
        let Some(Successor::Ask { deployment, version }) = &pod.successor else {
            continue;
        };
        let asked = successor::ask(
            tools,
            record,
            node,
            &pod.namespace,
            deployment,
            version.as_deref(),
        );
        refused.extend(asked.await?.map(|why| format!("{}: {why}", pod.key())));
    }
    if refused.is_empty() {
        let names: Vec<_> = pods.iter().map(PodView::key).collect();
        let text = format!("their successors start elsewhere first: {}", named(&names));
        return Ok(Verdict::Wait(text, LOOK_AGAIN));
    }
    let text = format!("{BLOCKED}{}", named(&refused));
    Ok(Verdict::Wait(text, settings.health_check_interval))
}

/// What came back of an eviction's refusal: the budget's name stands in the details, not in the message.
fn refusal(status: &kube::core::Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let why: Vec<&str> = causes.map(|cause| cause.message.as_str()).collect();
    if why.is_empty() {
        status.message.clone()
    } else {
        why.join("; ")
    }
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
            (EvictionResult::Blocked, Eviction::Refused(refusal(&status)))
        }
        // Several budgets cover one pod, or a webhook refused: an operator has to look.
        Ok(Err(kube::Error::Api(status))) => (EvictionResult::Failed, Eviction::Refused(refusal(&status))),
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

/// Its own controller removes the machine and then lets it go. Only the very object that was looked at: whoever has
/// changed it since, such as another leader that rolls back, has decided anew.
pub(super) async fn delete_vpsie_node(
    tools: &Tools,
    record: &Record<'_>,
    name: &str,
    seen: Seen,
) -> Result<(), Error> {
    let api = Api::<VPSieNode>::namespaced(tools.effects.clone(), record.namespace());
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: seen.uid,
            resource_version: seen.version,
        }),
        ..DeleteParams::default()
    };
    match api.delete(name, &params).await {
        Ok(_) => {
            tracing::info!(
                operation = record.id(),
                vpsienode = name,
                "rebalance: VPSieNode deleted"
            );
            crash::at(Step::RecordDeleted);
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::kubernetes("deleting a VPSieNode")(error)),
    }
}
