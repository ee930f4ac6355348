//! The shorthand as Kubernetes objects, with what a case leaves open filled in.

use crate::format::{Budget, Container, Group, Map, Node, Pod, ReplicaSet};
use crate::quantities::Amount;
use crate::terms;
use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// When every case takes place, in seconds since the Unix epoch.
pub(crate) const NOW: i64 = 1_700_000_000;
/// Namespace of pods that name none, and of all node groups.
pub(crate) const NAMESPACE: &str = "default";
/// Datacenter of groups that name none.
pub(crate) const ZONE: &str = "dc-1";
/// Age of nodes and pods that tell none, in seconds.
const AGE: i64 = 3600;
/// How long pods have waited that do not tell.
const WAITS: i64 = 60;
/// Size limit of groups that tell none.
const MAX: i32 = 1000;

/// The object that a JSON value describes.
pub(crate) fn object<T: DeserializeOwned>(value: Value) -> Result<T> {
    let kind = std::any::type_name::<T>();
    serde_json::from_value(value).with_context(|| format!("making a {kind}"))
}

/// A time so many seconds ago, as Kubernetes writes it.
fn ago(seconds: i64) -> String {
    jiff::Timestamp::from_second(NOW - seconds).map_or_else(|_| String::new(), |time| time.to_string())
}

fn texts(list: &[String], read: impl Fn(&str) -> Result<Value>) -> Result<Vec<Value>> {
    list.iter().map(|text| read(text)).collect()
}

/// Amounts by name, those that are not set left out.
fn amounts(
    named: [(&str, Option<&Amount>); 3],
    more: &BTreeMap<String, Amount>,
) -> serde_json::Map<String, Value> {
    let named = named
        .into_iter()
        .filter_map(|(name, amount)| Some((name.to_owned(), amount?)));
    named
        .chain(more.iter().map(|(name, amount)| (name.clone(), amount)))
        .map(|(name, amount)| (name, json!(amount.0)))
        .collect()
}

/// How old a node is.
pub(crate) fn age(node: &Node) -> i64 {
    node.age.unwrap_or(AGE)
}

/// A Node. `labels`, `taints` and `sizes` are what its group gives it.
pub(crate) fn node(node: &Node, labels: &Map, taints: &[String], sizes: [Amount; 3]) -> Result<Value> {
    let [cpu, memory, storage] = sizes;
    let own = |own: &Option<Amount>, given: Amount| own.clone().unwrap_or(given);
    let (cpu, memory, storage) = (
        own(&node.cpu, cpu),
        own(&node.memory, memory),
        own(&node.storage, storage),
    );
    let mut allocatable = amounts(
        [
            ("cpu", Some(&cpu)),
            ("memory", Some(&memory)),
            ("ephemeral-storage", Some(&storage)),
        ],
        &node.extended,
    );
    allocatable.insert("pods".into(), json!(own(&node.pods, "110".into()).0));
    let hostname = Map::from([("kubernetes.io/hostname".to_owned(), node.name.clone())]);
    let labels = terms::joined(&terms::joined(&hostname, labels), &node.labels);
    let mut taints = texts(taints, terms::taint)?;
    taints.extend(texts(&node.taints, terms::taint)?);
    let ready = if node.ready == Some(false) {
        "False"
    } else {
        "True"
    };
    Ok(json!({
        "metadata": {
            "name": node.name, "labels": labels, "annotations": node.annotations,
            "creationTimestamp": ago(age(node)),
            "deletionTimestamp": node.deleting.then(|| ago(1)),
        },
        "spec": {"taints": taints, "unschedulable": node.cordoned},
        "status": {
            "allocatable": allocatable, "capacity": allocatable,
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }))
}

/// The record of the machine behind a node.
pub(crate) fn vpsie_node(node: &Node, group: &Group, offering: &str) -> Value {
    let phase = node.phase.as_deref().unwrap_or("Ready");
    let joined = !matches!(phase, "Pending" | "Provisioning" | "Provisioned");
    json!({
        "metadata": {
            "name": node.name, "namespace": NAMESPACE, "creationTimestamp": ago(age(node)),
        },
        "spec": {
            "nodeGroupName": group.name, "instanceType": offering,
            "datacenterID": zone(group), "resourceIdentifier": "cluster",
        },
        "status": {"phase": phase, "nodeName": joined.then_some(&node.name)},
    })
}

/// The datacenter of a group.
pub(crate) fn zone(group: &Group) -> &str {
    group.zone.as_deref().unwrap_or(ZONE)
}

/// A NodeGroup that may be made of these offerings.
pub(crate) fn group(group: &Group, offerings: &[String]) -> Result<Value> {
    let mut spec = json!({
        "minNodes": group.min, "maxNodes": group.max.unwrap_or(MAX), "desiredNodes": group.desired,
        "datacenterID": zone(group), "resourceIdentifier": "cluster", "offeringIDs": offerings,
        "preferredInstanceType": group.preferred, "allowMixedInstances": group.mixed,
        "labels": group.labels, "taints": texts(&group.taints, terms::taint)?,
    });
    if let Some(headroom) = &group.headroom {
        spec["headroom"] = headroom.clone();
    }
    if let Some(grows) = group.grows {
        spec["scaleUpPolicy"] = json!({"enabled": grows});
    }
    if !group.drain.is_empty() {
        spec["scaleDownPolicy"] = json!({"drain": group.drain});
    }
    if group.shrinks.is_some() || group.cpu_threshold.is_some() || group.memory_threshold.is_some() {
        spec["scaleDownPolicy"] = json!({
            "enabled": group.shrinks, "cpuThreshold": group.cpu_threshold,
            "memoryThreshold": group.memory_threshold, "drain": group.drain,
        });
    }
    Ok(json!({
        "metadata": {"name": group.name, "namespace": NAMESPACE, "annotations": group.annotations},
        "spec": spec,
        "status": {"lastScaleUpTime": group.grew.map(ago), "lastScaleDownTime": group.shrank.map(ago)},
    }))
}

/// A PodDisruptionBudget.
pub(crate) fn budget(budget: &Budget) -> Result<Value> {
    let selector = budget.select.as_ref().map(terms::selector).transpose()?;
    Ok(json!({
        "metadata": {
            "name": budget.name, "namespace": budget.namespace.as_deref().unwrap_or(NAMESPACE), "generation": 2,
        },
        "spec": {"selector": selector, "unhealthyPodEvictionPolicy": budget.unhealthy},
        "status": {
            "disruptionsAllowed": budget.allowed, "currentHealthy": i32::from(budget.healthy), "desiredHealthy": 1,
            "expectedPods": 1, "observedGeneration": if budget.outdated { 1 } else { 2 },
        },
    }))
}

/// A DaemonSet of this pod template.
pub(crate) fn daemon_set(pod: &Pod) -> Result<Value> {
    Ok(json!({
        "metadata": {"name": pod.name, "namespace": pod.namespace.as_deref().unwrap_or(NAMESPACE)},
        "spec": {
            "selector": {"matchLabels": pod.labels},
            "template": {"metadata": {"labels": pod.labels}, "spec": pod_spec(pod)?},
        },
    }))
}

/// A ReplicaSet, as far as its pods are concerned.
pub(crate) fn replica_set(set: &ReplicaSet) -> Value {
    let failing = json!([{"type": "ReplicaFailure", "status": "True"}]);
    json!({
        "metadata": {"name": set.name, "namespace": NAMESPACE},
        "spec": {"replicas": set.replicas, "selector": {}},
        "status": {"replicas": 0, "conditions": set.failing.then_some(failing)},
    })
}

/// A Pod under this name.
pub(crate) fn pod(pod: &Pod, name: &str) -> Result<Value> {
    let owner = match pod.owner.as_deref() {
        Some(owner) => terms::owner(owner)?,
        None => terms::owner(&format!("ReplicaSet/{}", pod.name))?,
    };
    let age = pod.age.unwrap_or(AGE);
    let phase = pod
        .phase
        .as_deref()
        .unwrap_or(if pod.node.is_some() { "Running" } else { "Pending" });
    let waits = json!([{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "lastTransitionTime": ago(pod.waits.unwrap_or(WAITS)),
    }]);
    let refused = pod.node.is_none() && pod.tried != Some(false);
    let runs = pod.node.is_some() && phase == "Running" && pod.ready != Some(false);
    let ready = json!([{"type": "Ready", "status": if runs { "True" } else { "False" }}]);
    Ok(json!({
        "metadata": {
            "name": name, "namespace": pod.namespace.as_deref().unwrap_or(NAMESPACE), "uid": name,
            "labels": pod.labels, "annotations": pod.annotations,
            "ownerReferences": owner.into_iter().collect::<Vec<_>>(),
            "creationTimestamp": ago(age),
            "deletionTimestamp": pod.deleting.then(|| ago(1)),
        },
        "spec": pod_spec(pod)?,
        "status": {
            "phase": phase, "startTime": pod.node.as_ref().map(|_| ago(age)),
            "conditions": if refused { waits } else { ready },
        },
    }))
}

fn pod_spec(pod: &Pod) -> Result<Value> {
    let only = Container {
        cpu: pod.cpu.clone(),
        memory: pod.memory.clone(),
        storage: pod.storage.clone(),
        extended: pod.extended.clone(),
        limits: pod.limits.clone(),
        ports: pod.ports.clone(),
        sidecar: false,
    };
    let containers = if pod.containers.is_empty() {
        std::slice::from_ref(&only)
    } else {
        &pod.containers
    };
    let terms_of =
        |list: &[crate::format::Company]| -> Result<Vec<Value>> { list.iter().map(terms::company).collect() };
    let preferred = |list: &[crate::format::Company]| -> Result<Vec<Value>> {
        let term = |term| Ok(json!({"weight": 1, "podAffinityTerm": terms::company(term)?}));
        list.iter().map(term).collect()
    };
    let node_terms = |list: &[Vec<String>]| -> Result<Vec<Value>> {
        list.iter().map(|term| terms::node_term(term)).collect()
    };
    let liked: Vec<Value> = node_terms(&pod.preferred_node_affinity)?
        .into_iter()
        .map(|term| json!({"weight": 1, "preference": term}))
        .collect();
    let required = pod.node_affinity.as_deref().map(node_terms).transpose()?;
    let volumes: Vec<Value> = pod.volumes.iter().enumerate().map(volume).collect();
    let spread: Vec<Value> = pod.spread.iter().map(terms::spread).collect::<Result<_>>()?;
    let mut spec = json!({
        "nodeName": pod.node, "priority": pod.priority, "hostNetwork": pod.host_network,
        "containers": containers.iter().map(|c| container(c, false)).collect::<Result<Vec<_>>>()?,
        "initContainers": pod.init.iter().map(|c| container(c, true)).collect::<Result<Vec<_>>>()?,
        "tolerations": texts(&pod.tolerations, terms::toleration)?,
        "nodeSelector": pod.node_selector,
        "topologySpreadConstraints": spread,
        "volumes": volumes,
        "affinity": {
            "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": liked},
            "podAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": terms_of(&pod.near)?,
                "preferredDuringSchedulingIgnoredDuringExecution": preferred(&pod.prefer_near)?,
            },
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": terms_of(&pod.apart)?,
                "preferredDuringSchedulingIgnoredDuringExecution": preferred(&pod.prefer_apart)?,
            },
        },
    });
    if let Some(terms) = required {
        spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
            json!({"nodeSelectorTerms": terms});
    }
    let none = [("", None); 3];
    if !pod.overhead.is_empty() {
        spec["overhead"] = amounts(none, &pod.overhead).into();
    }
    if !pod.total.is_empty() {
        spec["resources"] = json!({"requests": amounts(none, &pod.total)});
    }
    if pod.gated {
        spec["schedulingGates"] = json!([{"name": "example.com/wait"}]);
    }
    Ok(spec)
}

fn volume((number, source): (usize, &Value)) -> Value {
    let mut volume = source.clone();
    if volume.get("name").is_none() {
        volume["name"] = format!("volume-{number}").into();
    }
    volume
}

fn container(container: &Container, init: bool) -> Result<Value> {
    let requests = amounts(
        [
            ("cpu", container.cpu.as_ref()),
            ("memory", container.memory.as_ref()),
            ("ephemeral-storage", container.storage.as_ref()),
        ],
        &container.extended,
    );
    let limits = amounts([("", None); 3], &container.limits);
    Ok(json!({
        "name": "main", "ports": texts(&container.ports, terms::port)?,
        "restartPolicy": (init && container.sidecar).then_some("Always"),
        "resources": {"requests": requests, "limits": limits},
    }))
}
