//! Pods as classes: everything that decides where a pod may run, and nothing else.

use super::requests::requests_of_template;
use autoscaler_core::model::{
    HostPort, LabelOperator, LabelRequirement, LabelSelector, Labels, NodeSelector, NodeSelectorTerm,
    PodAffinityTerm, PodClass, ResourceNames, SpreadConstraint, TaintEffect, Toleration, TolerationOperator,
    WhenUnsatisfiable,
};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use std::collections::BTreeMap;

/// Objects beside the pod that decide where it may run.
#[derive(Default)]
pub(crate) struct Surroundings {
    /// Labels of namespaces, for namespace selectors.
    pub(crate) namespaces: BTreeMap<String, Labels>,
    /// Claims by namespace and name.
    pub(crate) claims: BTreeMap<(String, String), core::PersistentVolumeClaim>,
    pub(crate) volumes: BTreeMap<String, core::PersistentVolume>,
    pub(crate) storage_classes: BTreeMap<String, k8s_openapi::api::storage::v1::StorageClass>,
}

/// Whether the class of a pod changes when its surroundings do.
pub(crate) fn depends_on_surroundings(pod: &core::Pod) -> bool {
    let Some(spec) = pod.spec.as_ref() else {
        return false;
    };
    let claims = spec
        .volumes
        .iter()
        .flatten()
        .any(|v| v.persistent_volume_claim.is_some() || v.ephemeral.is_some());
    claims || terms(spec).any(|term| term.namespace_selector.is_some())
}

fn terms(spec: &core::PodSpec) -> impl Iterator<Item = &core::PodAffinityTerm> {
    let affinity = spec.affinity.as_ref();
    let with = affinity.and_then(|a| a.pod_affinity.as_ref());
    let against = affinity.and_then(|a| a.pod_anti_affinity.as_ref());
    let with = with.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    let against = against.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    with.into_iter().flatten().chain(against.into_iter().flatten())
}

/// Since when the scheduler calls the pod unschedulable, in milliseconds since the epoch.
pub(crate) fn unschedulable_since(pod: &core::Pod) -> Option<i64> {
    let status = pod.status.as_ref()?;
    let condition = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled")?;
    let waits = condition.status == "False" && condition.reason.as_deref() == Some("Unschedulable");
    let gated = pod
        .spec
        .as_ref()
        .is_some_and(|spec| spec.scheduling_gates.as_ref().is_some_and(|g| !g.is_empty()));
    let since = condition
        .last_transition_time
        .as_ref()
        .or(pod.metadata.creation_timestamp.as_ref());
    (waits && !gated).then(|| since.map_or(0, |time| time.0.as_millisecond()))
}

/// The class of a pod.
pub(crate) fn pod_class(pod: &core::Pod, names: &mut ResourceNames, around: &Surroundings) -> PodClass {
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    let Some(spec) = pod.spec.as_ref() else {
        return PodClass {
            namespace,
            labels,
            ..PodClass::default()
        };
    };
    let mut class = class_of_template(&namespace, labels, spec, names, around);
    class.volume_topology = volume_topology(pod, spec, &namespace, around);
    class
}

/// The class that a pod template would have; its volumes are not looked at.
pub(crate) fn class_of_template(
    namespace: &str,
    labels: Labels,
    spec: &core::PodSpec,
    names: &mut ResourceNames,
    around: &Surroundings,
) -> PodClass {
    let affinity = spec.affinity.as_ref();
    let required = |list: Option<&Vec<core::PodAffinityTerm>>| -> Vec<PodAffinityTerm> {
        list.into_iter()
            .flatten()
            .map(|term| affinity_term(term, namespace, &labels, around))
            .collect()
    };
    let with = affinity.and_then(|a| a.pod_affinity.as_ref());
    let against = affinity.and_then(|a| a.pod_anti_affinity.as_ref());
    let node = affinity.and_then(|a| a.node_affinity.as_ref());
    PodClass {
        namespace: namespace.to_owned(),
        requests: requests_of_template(spec, names),
        priority: spec.priority.unwrap_or(0),
        tolerations: spec.tolerations.iter().flatten().filter_map(toleration).collect(),
        node_selector: spec.node_selector.clone().unwrap_or_default(),
        node_affinity: node
            .and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref())
            .map(node_selector),
        volume_topology: None,
        pod_affinity: required(
            with.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()),
        ),
        pod_anti_affinity: required(
            against.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()),
        ),
        topology_spread: spec
            .topology_spread_constraints
            .iter()
            .flatten()
            .map(|constraint| spread(constraint, &labels))
            .collect(),
        host_ports: host_ports(spec),
        labels,
    }
}

fn toleration(toleration: &core::Toleration) -> Option<Toleration> {
    let effect = match toleration.effect.as_deref() {
        None | Some("") => None,
        Some("NoSchedule") => Some(TaintEffect::NoSchedule),
        Some("PreferNoSchedule") => Some(TaintEffect::PreferNoSchedule),
        Some("NoExecute") => Some(TaintEffect::NoExecute),
        Some(_) => return None,
    };
    let operator = match toleration.operator.as_deref() {
        None | Some("" | "Equal") => TolerationOperator::Equal,
        Some("Exists") => TolerationOperator::Exists,
        Some(_) => return None,
    };
    Some(Toleration {
        key: toleration.key.clone().unwrap_or_default(),
        operator,
        value: toleration.value.clone().unwrap_or_default(),
        effect,
    })
}

fn requirement(key: &str, operator: &str, values: Option<&Vec<String>>) -> Option<LabelRequirement> {
    let operator = match operator {
        "In" => LabelOperator::In,
        "NotIn" => LabelOperator::NotIn,
        "Exists" => LabelOperator::Exists,
        "DoesNotExist" => LabelOperator::DoesNotExist,
        "Gt" => LabelOperator::Gt,
        "Lt" => LabelOperator::Lt,
        _ => return None,
    };
    Some(LabelRequirement {
        key: key.to_owned(),
        operator,
        values: values.cloned().unwrap_or_default(),
    })
}

fn node_selector(selector: &core::NodeSelector) -> NodeSelector {
    let requirements = |list: Option<&Vec<core::NodeSelectorRequirement>>| {
        list.into_iter()
            .flatten()
            .filter_map(|r| requirement(&r.key, &r.operator, r.values.as_ref()))
            .collect()
    };
    let term = |term: &core::NodeSelectorTerm| NodeSelectorTerm {
        match_expressions: requirements(term.match_expressions.as_ref()),
        match_fields: requirements(term.match_fields.as_ref()),
    };
    NodeSelector {
        terms: selector.node_selector_terms.iter().map(term).collect(),
    }
}

pub(crate) fn label_selector(selector: &meta::LabelSelector) -> LabelSelector {
    LabelSelector {
        match_labels: selector.match_labels.clone().unwrap_or_default(),
        match_expressions: selector
            .match_expressions
            .iter()
            .flatten()
            .filter_map(|r| requirement(&r.key, &r.operator, r.values.as_ref()))
            .collect(),
    }
}

/// Folds `matchLabelKeys` (and its opposite) into a selector: the pod's own values are required.
fn with_label_keys(
    selector: Option<&meta::LabelSelector>,
    matching: Option<&Vec<String>>,
    mismatching: Option<&Vec<String>>,
    labels: &Labels,
) -> Option<LabelSelector> {
    let mut selector = label_selector(selector?);
    let mut fold = |keys: Option<&Vec<String>>, operator: LabelOperator| {
        for key in keys.into_iter().flatten() {
            if let Some(value) = labels.get(key) {
                selector.match_expressions.push(LabelRequirement {
                    key: key.clone(),
                    operator,
                    values: vec![value.clone()],
                });
            }
        }
    };
    fold(matching, LabelOperator::In);
    fold(mismatching, LabelOperator::NotIn);
    Some(selector)
}

fn affinity_term(
    term: &core::PodAffinityTerm,
    namespace: &str,
    labels: &Labels,
    around: &Surroundings,
) -> PodAffinityTerm {
    let mut namespaces = term.namespaces.clone().unwrap_or_default();
    if let Some(selector) = term.namespace_selector.as_ref() {
        let selector = label_selector(selector);
        let chosen = around
            .namespaces
            .iter()
            .filter(|(_, labels)| selector.matches(labels));
        namespaces.extend(chosen.map(|(name, _)| name.clone()));
    } else if namespaces.is_empty() {
        namespaces.push(namespace.to_owned());
    }
    namespaces.sort();
    namespaces.dedup();
    PodAffinityTerm {
        selector: with_label_keys(
            term.label_selector.as_ref(),
            term.match_label_keys.as_ref(),
            term.mismatch_label_keys.as_ref(),
            labels,
        ),
        topology_key: term.topology_key.clone(),
        namespaces,
    }
}

fn spread(constraint: &core::TopologySpreadConstraint, labels: &Labels) -> SpreadConstraint {
    SpreadConstraint {
        max_skew: constraint.max_skew,
        topology_key: constraint.topology_key.clone(),
        when_unsatisfiable: if constraint.when_unsatisfiable == "ScheduleAnyway" {
            WhenUnsatisfiable::ScheduleAnyway
        } else {
            WhenUnsatisfiable::DoNotSchedule
        },
        selector: with_label_keys(
            constraint.label_selector.as_ref(),
            constraint.match_label_keys.as_ref(),
            None,
            labels,
        ),
        min_domains: constraint.min_domains.unwrap_or(1),
        honor_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
        honor_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
    }
}

fn host_ports(spec: &core::PodSpec) -> Vec<HostPort> {
    let host_network = spec.host_network == Some(true);
    let sidecars = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let mut ports: Vec<HostPort> = spec
        .containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| {
            let number = port.host_port.or(host_network.then_some(port.container_port))?;
            Some(HostPort {
                port: u16::try_from(number).ok().filter(|number| *number > 0)?,
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                host_ip: port
                    .host_ip
                    .clone()
                    .filter(|ip| ip != "0.0.0.0")
                    .unwrap_or_default(),
            })
        })
        .collect();
    ports.sort();
    ports.dedup();
    ports
}

/// Where the volumes of a pod can be reached: the conjunction of the bound volumes' node affinity, and of the
/// allowed topologies of classes that bind late.
fn volume_topology(
    pod: &core::Pod,
    spec: &core::PodSpec,
    namespace: &str,
    around: &Surroundings,
) -> Option<NodeSelector> {
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    let mut sum: Option<NodeSelector> = None;
    for volume in spec.volumes.iter().flatten() {
        let claim = match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(source), _) => source.claim_name.clone(),
            (None, Some(_)) => format!("{pod_name}-{}", volume.name),
            (None, None) => continue,
        };
        let Some(claim) = around
            .claims
            .get(&(namespace.to_owned(), claim))
            .and_then(|claim| claim.spec.as_ref())
        else {
            continue;
        };
        let bound = claim
            .volume_name
            .as_ref()
            .and_then(|name| around.volumes.get(name));
        let place = match bound {
            Some(volume) => volume
                .spec
                .as_ref()
                .and_then(|spec| spec.node_affinity.as_ref())
                .and_then(|affinity| affinity.required.as_ref())
                .map(node_selector),
            None => claim
                .storage_class_name
                .as_ref()
                .and_then(|name| allowed_topologies(around.storage_classes.get(name)?)),
        };
        sum = match (sum, place) {
            (Some(a), Some(b)) => Some(conjunction(&a, &b)),
            (a, b) => a.or(b),
        };
    }
    sum
}

fn allowed_topologies(class: &k8s_openapi::api::storage::v1::StorageClass) -> Option<NodeSelector> {
    let topologies = class.allowed_topologies.as_ref()?;
    let term = |term: &core::TopologySelectorTerm| NodeSelectorTerm {
        match_expressions: term
            .match_label_expressions
            .iter()
            .flatten()
            .filter_map(|expression| requirement(&expression.key, "In", Some(&expression.values)))
            .collect(),
        match_fields: Vec::new(),
    };
    Some(NodeSelector {
        terms: topologies.iter().map(term).collect(),
    })
}

/// Both selectors at once: every pair of their terms.
fn conjunction(a: &NodeSelector, b: &NodeSelector) -> NodeSelector {
    let join = |x: &NodeSelectorTerm, y: &NodeSelectorTerm| NodeSelectorTerm {
        match_expressions: x
            .match_expressions
            .iter()
            .chain(&y.match_expressions)
            .cloned()
            .collect(),
        match_fields: x.match_fields.iter().chain(&y.match_fields).cloned().collect(),
    };
    NodeSelector {
        terms: a
            .terms
            .iter()
            .flat_map(|x| b.terms.iter().map(move |y| join(x, y)))
            .collect(),
    }
}
