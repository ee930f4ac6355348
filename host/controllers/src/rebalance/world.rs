//! What a step needs to know, read from the API server when the step is at hand: the index may lag behind,
//! and a node that looks empty there may have got a pod a moment ago.

use super::judge::{NodeView, PodView, Seen, View, VpsieNodeView};
use super::record::Record;
use super::{Rules, Tools, before, capacity, marks, successor};
use crate::error::Error;
use autoscaler_api::autoscaler_config::RebalancerSettings;
use autoscaler_api::labels;
use autoscaler_api::rebalance::{PlannedStep, StepAction, StepState};
use autoscaler_api::vpsie_node::{Phase, VPSieNode};
use autoscaler_core::model::Movability;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::ListParams;
use kube::core::{Selector, SelectorExt};
use kube::{Api, ResourceExt};
use std::collections::BTreeMap;

const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) async fn read(
    tools: &Tools,
    record: &Record<'_>,
    step: &PlannedStep,
    rules: &Rules,
) -> Result<View, Error> {
    let object = match &step.vpsie_node {
        Some(name) => vpsie_node(tools, record.namespace(), name).await?,
        None => None,
    };
    // The Node of a new machine has a name when it joins.
    let arrived = object
        .as_ref()
        .filter(|_| step.action == StepAction::Provision)
        .and_then(|object| object.node_name().map(str::to_owned));
    let name = step.node.clone().or(arrived);
    let node = match &name {
        Some(name) => node(tools, name).await?,
        None => None,
    };
    use StepAction::{Cordon, Drain, Remove, Verify};
    let asks_pods = matches!(step.action, Cordon | Drain | Remove) && node.is_some();
    let pods = match &name {
        Some(name) if asks_pods => pods_on(tools, name).await?,
        _ => PodsHere::default(),
    };
    let mut pods = pods;
    if let Some(name) = name.as_ref().filter(|_| step.action == Drain) {
        for (view, pod) in pods.views.iter_mut().zip(&pods.objects) {
            view.successor = successor::of(tools, record, name, pod).await?;
        }
    }
    let attached = match &name {
        Some(name) if step.action == Drain && pods.views.is_empty() && node.is_some() => {
            attached_to(tools, name).await?
        }
        _ => Vec::new(),
    };
    let since = record.status.started_at.as_ref().map(|time| time.0);
    let waiting = match since {
        Some(since) if matches!(step.action, Drain | Remove | Verify) => waiting_pods(tools, since).await?,
        _ => Vec::new(),
    };
    let unhealthy = match &record.status.before {
        Some(before) if step.action == Verify => before::unhealthy(tools, before).await?,
        _ => Vec::new(),
    };
    let no_room = (step.action == Cordon && node.is_some())
        .then(|| capacity::no_room(tools, record, step))
        .flatten();
    Ok(View {
        no_room,
        node: node.map(|node| node_view(&node, record.id())),
        vpsie_node: object.map(|object| vpsie_node_view(&object)),
        pods: pods.views,
        waiting,
        deadlocks: pods.deadlocks,
        attached,
        unhealthy,
        ordered: record.said_of(&step.id).is_some(),
        began: record.step_began(&step.id),
        provision_timeout: rules.provision_timeout,
        now: record.now(),
    })
}

pub(super) async fn node(tools: &Tools, name: &str) -> Result<Option<Node>, Error> {
    let api = Api::<Node>::all(tools.effects.clone());
    api.get_opt(name)
        .await
        .map_err(Error::kubernetes("reading a Node"))
}

pub(super) fn node_is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

pub(super) fn is_schedulable(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable) != Some(true)
}

fn node_view(node: &Node, operation: &str) -> NodeView {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    NodeView {
        cordoned: !is_schedulable(node),
        labelled: node
            .labels()
            .get(labels::REBALANCE_OPERATION)
            .is_some_and(|value| value == labels::IN_PROGRESS),
        tainted: taints.is_some_and(|taints| taints.iter().any(|taint| taint.key == marks::TAINT)),
        ours: node
            .annotations()
            .get(labels::CORDONED_BY)
            .is_some_and(|by| by == operation),
        ready: node_is_ready(node),
    }
}

pub(super) async fn vpsie_node(
    tools: &Tools,
    namespace: &str,
    name: &str,
) -> Result<Option<VPSieNode>, Error> {
    let api = Api::<VPSieNode>::namespaced(tools.effects.clone(), namespace);
    api.get_opt(name)
        .await
        .map_err(Error::kubernetes("reading a VPSieNode"))
}

pub(super) fn vpsie_node_view(node: &VPSieNode) -> VpsieNodeView {
    VpsieNodeView {
        leaving: node.metadata.deletion_timestamp.is_some(),
        marked: node
            .labels()
            .get(labels::REBALANCE_OPERATION)
            .is_some_and(|value| value == labels::IN_PROGRESS),
        phase: node.phase(),
        error: node.status.as_ref().and_then(|status| status.last_error.clone()),
        seen: Seen {
            uid: node.uid(),
            version: node.resource_version(),
        },
    }
}

/// Pods that must go before a node may, and budgets that would never let them.
#[derive(Default)]
pub(super) struct PodsHere {
    pub(super) views: Vec<PodView>,
    /// The same pods as objects, in the same order.
    pub(super) objects: Vec<Pod>,
    pub(super) deadlocks: Vec<String>,
}

/// Pods that must go before the node may: not those of DaemonSets, not mirror pods, not finished ones.
pub(super) async fn pods_on(tools: &Tools, node: &str) -> Result<PodsHere, Error> {
    let api = Api::<Pod>::all(tools.effects.clone());
    let here = ListParams::default().fields(&format!("spec.nodeName={node}"));
    let pods = api
        .list(&here)
        .await
        .map_err(Error::kubernetes("listing the pods of a Node"))?;
    // The index knows which annotations and volumes forbid an eviction.
    let known: BTreeMap<_, _> = tools
        .index
        .pods_on(node)
        .into_iter()
        .map(|(key, m)| (key.to_string(), m))
        .collect();
    let on_node = |pod: &&Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node);
    let mut pods: Vec<&Pod> = pods.iter().filter(on_node).filter(|pod| matters(pod)).collect();
    pods.sort_by_cached_key(|pod| (pod.namespace(), pod.name_any()));
    let views: Vec<PodView> = pods
        .iter()
        .map(|pod| {
            let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
            let forbids = match known.get(&format!("{namespace}/{name}")) {
                Some(Movability::Blocks(_, text)) => Some(text.clone()),
                _ => None,
            };
            PodView {
                namespace,
                name,
                priority: pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0),
                leaving: pod.metadata.deletion_timestamp.is_some(),
                forbids,
                successor: None,
            }
        })
        .collect();
    let deadlocks = if pods.is_empty() {
        Vec::new()
    } else {
        deadlocks(tools, &pods).await?
    };
    let objects = pods.into_iter().cloned().collect();
    Ok(PodsHere {
        views,
        objects,
        deadlocks,
    })
}

/// Budgets that could never let a pod go: they want as many healthy pods as there are to be, or two claim one pod.
async fn deadlocks(tools: &Tools, pods: &[&Pod]) -> Result<Vec<String>, Error> {
    let budgets = Api::<PodDisruptionBudget>::all(tools.effects.clone())
        .list(&ListParams::default())
        .await
        .map_err(Error::kubernetes("listing the PodDisruptionBudgets"))?;
    let selects = |budget: &PodDisruptionBudget, pod: &Pod| {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
        let selector = selector.and_then(|selector| Selector::try_from(selector).ok());
        budget.namespace() == pod.namespace()
            && selector.is_some_and(|selector| selector.matches(pod.labels()))
    };
    let mut words = Vec::new();
    for pod in pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
    {
        let claims: Vec<_> = budgets.iter().filter(|budget| selects(budget, pod)).collect();
        let named = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
        match claims.as_slice() {
            [budget] if never_allows(budget) => words.push(format!(
                "PodDisruptionBudget {} allows no disruption of pod {named} even with all its pods healthy",
                budget.name_any()
            )),
            [_, _, ..] => words.push(format!(
                "pod {named} has {} PodDisruptionBudgets, and Kubernetes evicts no such pod",
                claims.len()
            )),
            _ => {}
        }
    }
    Ok(words)
}

/// Whether a budget allows no disruption even when every pod is healthy.
fn never_allows(budget: &PodDisruptionBudget) -> bool {
    let Some(status) = &budget.status else {
        return false;
    };
    let current = status.observed_generation.unwrap_or(0) >= budget.metadata.generation.unwrap_or(0);
    current
        && status.disruptions_allowed == 0
        && status.expected_pods > 0
        && status.desired_healthy >= status.expected_pods
}

/// Volumes that are attached to a node.
async fn attached_to(tools: &Tools, node: &str) -> Result<Vec<String>, Error> {
    let attachments = Api::<VolumeAttachment>::all(tools.effects.clone())
        .list(&ListParams::default())
        .await
        .map_err(Error::kubernetes("listing the VolumeAttachments"))?;
    let here = attachments
        .iter()
        .filter(|attachment| attachment.spec.node_name == node);
    let name = |attachment: &VolumeAttachment| {
        let volume = attachment.spec.source.persistent_volume_name.clone();
        volume.unwrap_or_else(|| attachment.name_any())
    };
    Ok(here.map(name).collect())
}

pub(super) fn matters(pod: &Pod) -> bool {
    let daemon = pod
        .owner_references()
        .iter()
        .any(|owner| owner.controller == Some(true) && owner.kind == "DaemonSet");
    !daemon && !pod.annotations().contains_key(MIRROR) && !is_finished(pod)
}

pub(super) fn is_finished(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Pods without a node that were made since a time, with their age: those that were moved and have no new place, and
/// newcomers who may need the very node that is about to go.
pub(super) async fn waiting_pods(tools: &Tools, since: Timestamp) -> Result<Vec<(String, Timestamp)>, Error> {
    let api = Api::<Pod>::all(tools.effects.clone());
    let unbound = ListParams::default().fields("spec.nodeName=");
    let pods = api
        .list(&unbound)
        .await
        .map_err(Error::kubernetes("listing the waiting pods"))?;
    let mut waiting: Vec<(String, Timestamp)> = pods
        .iter()
        .filter(|pod| {
            let free = pod
                .spec
                .as_ref()
                .is_some_and(|spec| spec.node_name.as_deref().unwrap_or_default().is_empty());
            free && !is_finished(pod) && pod.metadata.deletion_timestamp.is_none() && !is_gated(pod)
        })
        .filter_map(|pod| {
            let created = pod.metadata.creation_timestamp.as_ref()?.0;
            let name = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
            // Times in objects have whole seconds.
            (created.as_second() >= since.as_second()).then_some((name, created))
        })
        .collect();
    waiting.sort();
    Ok(waiting)
}

/// Its creator does not want it placed yet.
fn is_gated(pod: &Pod) -> bool {
    pod.spec
        .as_ref()
        .and_then(|spec| spec.scheduling_gates.as_ref())
        .is_some_and(|gates| !gates.is_empty())
}

/// A new node that was Ready and that somebody has deleted since, while a node that it replaces is still there: their
/// pods would have no place.
pub(super) async fn deleted_replacement(tools: &Tools, record: &Record<'_>) -> Result<Option<String>, Error> {
    let removed = record.removed_nodes();
    for step in &record.object().spec.plan.steps {
        let needed = step.replaces.iter().any(|node| !removed.contains(node));
        let came =
            step.action == StepAction::Provision && record.status.state_of(&step.id) == StepState::Done;
        let Some(name) = step.vpsie_node.as_ref().filter(|_| came && needed) else {
            continue;
        };
        let object = vpsie_node(tools, record.namespace(), name).await?;
        if object.is_none_or(|object| object.metadata.deletion_timestamp.is_some()) {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

/// Too many of the other nodes are not Ready: those that the operation is about, that are coming or that are going
/// say nothing of the cluster's health.
pub(super) fn degraded(tools: &Tools, record: &Record<'_>, settings: &RebalancerSettings) -> Option<String> {
    let passing: Vec<String> = tools
        .index
        .vpsie_nodes()
        .iter()
        .filter(|node| node.metadata.deletion_timestamp.is_some() || node.phase() != Phase::Ready)
        .filter_map(|node| node.node_name().map(str::to_owned))
        .collect();
    let involved = &record.object().spec.plan.nodes;
    let (mut all, mut down) = (0_u32, Vec::new());
    for node in tools.index.nodes() {
        let name = node.name_any();
        if node.metadata.deletion_timestamp.is_some() || involved.contains(&name) || passing.contains(&name) {
            continue;
        }
        all += 1;
        if !node_is_ready(&node) {
            down.push(name);
        }
    }
    let ready = all - u32::try_from(down.len()).unwrap_or(all);
    (ready * 100 < all * settings.ready_nodes_percent).then(|| {
        let percent = settings.ready_nodes_percent;
        let names = super::judge::named(&down);
        format!("{ready} of {all} other nodes are Ready, {percent} % are asked for; not Ready: {names}")
    })
}
