//! What a step needs to know, read from the API server when the step is at hand: the index may lag behind,
//! and a node that looks empty there may have got a pod a moment ago.

use super::judge::{NodeView, PodView, View, VpsieNodeView};
use super::record::Record;
use super::{Tools, effects};
use crate::error::Error;
use autoscaler_api::labels;
use autoscaler_api::rebalance::{PlannedStep, StepAction};
use autoscaler_api::vpsie_node::VPSieNode;
use autoscaler_core::model::Movability;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use std::collections::BTreeMap;

const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) async fn read(tools: &Tools, record: &Record<'_>, step: &PlannedStep) -> Result<View, Error> {
    let node = match &step.node {
        Some(name) => node(tools, name).await?.map(|node| node_view(&node, record.id())),
        None => None,
    };
    let vpsie_node = match &step.vpsie_node {
        Some(name) => vpsie_node(tools, record.namespace(), name).await?,
        None => None,
    };
    let leaves = matches!(step.action, StepAction::Drain | StepAction::Remove);
    let pods = match &step.node {
        Some(name) if leaves && node.is_some() => pods_on(tools, name).await?,
        _ => Vec::new(),
    };
    let looks_after_pods = leaves || step.action == StepAction::Verify;
    let since = record.status.started_at.as_ref().map(|time| time.0);
    let waiting = match since {
        Some(since) if looks_after_pods => waiting_pods(tools, since).await?,
        _ => Vec::new(),
    };
    Ok(View {
        node,
        vpsie_node,
        pods,
        waiting,
        began: record.step_began(&step.id),
        now: record.now(),
    })
}

pub(super) async fn node(tools: &Tools, name: &str) -> Result<Option<Node>, Error> {
    let api = Api::<Node>::all(tools.effects.clone());
    api.get_opt(name)
        .await
        .map_err(Error::kubernetes("reading a Node"))
}

fn node_view(node: &Node, operation: &str) -> NodeView {
    let spec = node.spec.clone().unwrap_or_default();
    NodeView {
        cordoned: spec.unschedulable == Some(true),
        marked: effects::is_marked(node),
        ours: node
            .annotations()
            .get(labels::CORDONED_BY)
            .is_some_and(|by| by == operation),
    }
}

async fn vpsie_node(tools: &Tools, namespace: &str, name: &str) -> Result<Option<VpsieNodeView>, Error> {
    let api = Api::<VPSieNode>::namespaced(tools.effects.clone(), namespace);
    let read = api
        .get_opt(name)
        .await
        .map_err(Error::kubernetes("reading a VPSieNode"))?;
    Ok(read.map(|node| VpsieNodeView {
        leaving: node.metadata.deletion_timestamp.is_some(),
        marked: node
            .labels()
            .get(labels::REBALANCE_OPERATION)
            .is_some_and(|value| value == labels::IN_PROGRESS),
    }))
}

/// Pods that must go before the node may: not those of DaemonSets, not mirror pods, not finished ones.
async fn pods_on(tools: &Tools, node: &str) -> Result<Vec<PodView>, Error> {
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
    let mut views: Vec<PodView> = pods
        .iter()
        .filter(on_node)
        .filter(|pod| matters(pod))
        .map(|pod| {
            let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
            let forbids = match known.get(&format!("{namespace}/{name}")) {
                Some(Movability::Blocks(_, text)) => Some(text.clone()),
                _ => None,
            };
            PodView {
                namespace,
                name,
                leaving: pod.metadata.deletion_timestamp.is_some(),
                forbids,
            }
        })
        .collect();
    views.sort();
    Ok(views)
}

fn matters(pod: &Pod) -> bool {
    let daemon = pod
        .owner_references()
        .iter()
        .any(|owner| owner.controller == Some(true) && owner.kind == "DaemonSet");
    !daemon && !pod.annotations().contains_key(MIRROR) && !is_finished(pod)
}

fn is_finished(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Pods without a node that were made since the operation began, with their age: those that were moved and
/// have no new place, and newcomers who may need the very node that is about to go.
async fn waiting_pods(tools: &Tools, since: Timestamp) -> Result<Vec<(String, Timestamp)>, Error> {
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
