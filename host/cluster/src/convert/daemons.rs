//! DaemonSets as the pods that they put on a new node.

use super::pod::class_of_template;
use super::surroundings::Surroundings;
use autoscaler_core::model::{
    Labels, PodClass, ResourceNames, Resources, Taint, TaintEffect, Toleration, TolerationOperator,
};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::ResourceExt;
use std::borrow::Cow;

/// Taints that every pod of a DaemonSet tolerates: the controller sees to it.
const TOLERATED: [(&str, TaintEffect); 6] = [
    ("node.kubernetes.io/not-ready", TaintEffect::NoExecute),
    ("node.kubernetes.io/unreachable", TaintEffect::NoExecute),
    ("node.kubernetes.io/disk-pressure", TaintEffect::NoSchedule),
    ("node.kubernetes.io/memory-pressure", TaintEffect::NoSchedule),
    ("node.kubernetes.io/pid-pressure", TaintEffect::NoSchedule),
    ("node.kubernetes.io/unschedulable", TaintEffect::NoSchedule),
];
/// Those of the host network tolerate this as well.
const NO_NETWORK: &str = "node.kubernetes.io/network-unavailable";
/// Priority classes that every cluster has.
const CRITICAL: [(&str, i32); 2] = [
    ("system-node-critical", 2_000_001_000),
    ("system-cluster-critical", 2_000_000_000),
];

/// What pods of the DaemonSet are like. None where it makes none any more.
pub(crate) fn daemon(set: &DaemonSet, names: &mut ResourceNames, around: &Surroundings) -> Option<PodClass> {
    let template = &set.spec.as_ref()?.template;
    let spec = template
        .spec
        .as_ref()
        .filter(|_| set.metadata.deletion_timestamp.is_none())?;
    let labels = template.metadata.as_ref().and_then(|meta| meta.labels.clone());
    let namespace = set.namespace().unwrap_or_default();
    let admitted = match spec.runtime_class_name.as_deref().filter(|name| !name.is_empty()) {
        None => Cow::Borrowed(spec),
        Some(name) => Cow::Owned(admitted(spec, around.runtimes.get(name)?)?),
    };
    let spec = admitted.as_ref();
    let mut class = class_of_template(&namespace, labels.unwrap_or_default(), spec, names, around);
    let network = (spec.host_network == Some(true)).then_some((NO_NETWORK, TaintEffect::NoSchedule));
    let tolerated = TOLERATED.into_iter().chain(network);
    class
        .tolerations
        .extend(tolerated.map(|(key, effect)| Toleration {
            key: key.to_owned(),
            operator: TolerationOperator::Exists,
            value: String::new(),
            effect: Some(effect),
        }));
    if spec.priority.is_none() {
        let name = spec.priority_class_name.as_deref();
        let known = CRITICAL.iter().find(|(critical, _)| Some(*critical) == name);
        class.priority = known.map_or(0, |(_, priority)| *priority);
    }
    Some(class)
}

/// The pod as admission writes it for its runtime: with the overhead, and with what nodes have to be like. None where
/// admission lets no such pod in.
fn admitted(spec: &PodSpec, runtime: &RuntimeClass) -> Option<PodSpec> {
    let mut spec = spec.clone();
    let overhead = runtime
        .overhead
        .as_ref()
        .and_then(|overhead| overhead.pod_fixed.clone());
    // A pod may bring the overhead of its runtime, and no other.
    if spec
        .overhead
        .as_ref()
        .is_some_and(|own| !own.is_empty() && Some(own) != overhead.as_ref())
    {
        return None;
    }
    spec.overhead = overhead;
    if let Some(scheduling) = &runtime.scheduling {
        let selector = spec.node_selector.get_or_insert_default();
        for (key, value) in scheduling.node_selector.iter().flatten() {
            if selector.get(key).is_some_and(|own| own != value) {
                return None;
            }
            selector.insert(key.clone(), value.clone());
        }
        let tolerations = scheduling.tolerations.iter().flatten().cloned();
        spec.tolerations.get_or_insert_default().extend(tolerations);
    }
    Some(spec)
}

/// Whether a new node with these labels and taints gets a pod of the class, and this is left for it.
pub(crate) fn daemon_runs_on(class: &PodClass, labels: &Labels, taints: &[Taint], left: &Resources) -> bool {
    let selected = class
        .node_selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value));
    // The node has no name yet that somebody could mean.
    let affine = class
        .node_affinity
        .as_ref()
        .is_none_or(|affinity| affinity.matches("", labels));
    let tolerated = taints
        .iter()
        .filter(|taint| taint.effect != TaintEffect::PreferNoSchedule)
        .all(|taint| {
            class
                .tolerations
                .iter()
                .any(|toleration| toleration.tolerates(taint))
        });
    selected && affine && tolerated && fits(&class.requests, left)
}

fn fits(requests: &Resources, left: &Resources) -> bool {
    let extended = requests.extended.iter().map(|(id, _)| *id);
    (0..4).chain(extended).all(|id| {
        let wanted = requests.get(id);
        wanted <= 0 || wanted <= left.get(id)
    })
}
