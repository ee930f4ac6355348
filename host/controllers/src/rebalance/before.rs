//! The cluster before an operation, and how it compares afterwards. Both are read from the API server.

use super::world::{is_finished, matters};
use super::{Tools, world};
use crate::error::Error;
use autoscaler_api::rebalance::{Before, NodeBefore, RebalancePlan, WorkloadBefore};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};

/// Workloads that a record lists: an object has its limits, and nobody reads more.
const MOST_WORKLOADS: usize = 200;

/// Namespace, kind and name of a controller.
type Owner = (String, String, String);

/// The cluster as it is.
pub(super) async fn take(tools: &Tools, plan: &RebalancePlan) -> Result<Before, Error> {
    let nodes = Api::<Node>::all(tools.effects.clone())
        .list(&ListParams::default())
        .await
        .map_err(Error::kubernetes("listing the Nodes"))?;
    let pods = Api::<Pod>::all(tools.effects.clone())
        .list(&ListParams::default())
        .await
        .map_err(Error::kubernetes("listing the pods"))?;
    let going: BTreeSet<&str> = plan.nodes.iter().map(String::as_str).collect();
    let concerned: BTreeSet<Owner> = pods
        .iter()
        .filter(|pod| node_of(pod).is_some_and(|node| going.contains(node)) && matters(pod))
        .filter_map(owner)
        .collect();
    let mut tally: BTreeMap<Owner, (i64, i64)> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| is_alive(pod)) {
        if let Some(owner) = owner(pod).filter(|owner| concerned.contains(owner)) {
            let count = tally.entry(owner).or_default();
            count.0 += 1;
            count.1 += i64::from(is_ready(pod));
        }
    }
    let pods_on = |name: &str| {
        let here = pods
            .iter()
            .filter(|pod| node_of(pod) == Some(name) && matters(pod));
        i64::try_from(here.count()).unwrap_or(i64::MAX)
    };
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let listed = nodes
        .iter()
        .filter(|node| going.contains(node.name_any().as_str()));
    Ok(Before {
        nodes: listed
            .map(|node| NodeBefore {
                name: node.name_any(),
                ready: world::node_is_ready(node),
                schedulable: world::is_schedulable(node),
                pods: pods_on(&node.name_any()),
            })
            .collect(),
        all_nodes: number(nodes.items.len()),
        ready_nodes: number(nodes.iter().filter(|node| world::node_is_ready(node)).count()),
        waiting_pods: number(
            pods.iter()
                .filter(|pod| node_of(pod).is_none() && is_alive(pod))
                .count(),
        ),
        workloads: tally
            .into_iter()
            .take(MOST_WORKLOADS)
            .map(|((namespace, kind, name), (pods, ready))| WorkloadBefore {
                namespace,
                kind,
                name,
                pods,
                ready,
            })
            .collect(),
    })
}

/// Workloads of the record that are not as ready as before, in words.
pub(super) async fn unhealthy(tools: &Tools, before: &Before) -> Result<Vec<String>, Error> {
    let namespaces: BTreeSet<&str> = before.workloads.iter().map(|w| w.namespace.as_str()).collect();
    let mut tally: BTreeMap<Owner, (i64, i64)> = BTreeMap::new();
    for namespace in namespaces {
        let pods = Api::<Pod>::namespaced(tools.effects.clone(), namespace)
            .list(&ListParams::default())
            .await
            .map_err(Error::kubernetes("listing the pods of a namespace"))?;
        for pod in pods.iter().filter(|pod| is_alive(pod)) {
            if let Some(owner) = owner(pod) {
                let count = tally.entry(owner).or_default();
                count.0 += 1;
                count.1 += i64::from(is_ready(pod));
            }
        }
    }
    let mut words = Vec::new();
    for workload in &before.workloads {
        let key = (
            workload.namespace.clone(),
            workload.kind.clone(),
            workload.name.clone(),
        );
        let (pods, ready) = tally.get(&key).copied().unwrap_or_default();
        if ready >= workload.ready {
            continue;
        }
        // Fewer pods, all of them ready: somebody scaled it down, or it is about to make the missing ones.
        let wanted = match desired(tools, workload).await? {
            Some(desired) => desired.min(workload.ready),
            None if pods == ready => ready,
            None => workload.ready,
        };
        if ready < wanted {
            let WorkloadBefore {
                namespace,
                kind,
                name,
                ..
            } = workload;
            words.push(format!(
                "{namespace}/{kind}/{name} has {ready} of {wanted} pods ready"
            ));
        }
    }
    Ok(words)
}

/// How many pods its controller is to have; none where we may not ask.
async fn desired(tools: &Tools, workload: &WorkloadBefore) -> Result<Option<i64>, Error> {
    if workload.kind != "ReplicaSet" {
        return Ok(None);
    }
    let api = Api::<ReplicaSet>::namespaced(tools.effects.clone(), &workload.namespace);
    let read = api
        .get_opt(&workload.name)
        .await
        .map_err(Error::kubernetes("reading a ReplicaSet"))?;
    let replicas = read
        .and_then(|set| set.spec)
        .map_or(0, |spec| spec.replicas.unwrap_or(1));
    Ok(Some(i64::from(replicas)))
}

fn node_of(pod: &Pod) -> Option<&str> {
    let node = pod.spec.as_ref()?.node_name.as_deref()?;
    Some(node).filter(|node| !node.is_empty())
}

fn owner(pod: &Pod) -> Option<Owner> {
    let owner = pod
        .owner_references()
        .iter()
        .find(|owner| owner.controller == Some(true))?;
    Some((
        pod.namespace().unwrap_or_default(),
        owner.kind.clone(),
        owner.name.clone(),
    ))
}

fn is_alive(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && !is_finished(pod)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
