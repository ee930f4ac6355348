//! Pods as classes: everything that decides where a pod may run, and nothing else.

use super::requests::{requests_of_pod, requests_of_template};
use super::selectors::{label_selector, node_selector, node_selector_term, with_label_keys};
use super::surroundings::Surroundings;
use super::volumes;
use autoscaler_core::model::{
    HostPort, Labels, PodAffinityTerm, PodClass, Preferences, ResourceNames, SpreadConstraint, TaintEffect,
    Toleration, TolerationOperator, WhenUnsatisfiable,
};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

/// Whether the pod chooses namespaces by their labels.
pub(crate) fn selects_namespaces(pod: &core::Pod) -> bool {
    let selects = |term: &core::PodAffinityTerm| {
        term.namespace_selector
            .as_ref()
            .is_some_and(|selector| !selects_all(selector))
    };
    pod.spec.iter().flat_map(terms).any(selects)
}

fn selects_all(selector: &meta::LabelSelector) -> bool {
    label_selector(selector).is_empty()
}

fn terms(spec: &core::PodSpec) -> impl Iterator<Item = &core::PodAffinityTerm> {
    let affinity = spec.affinity.as_ref();
    let with = affinity.and_then(|a| a.pod_affinity.as_ref());
    let against = affinity.and_then(|a| a.pod_anti_affinity.as_ref());
    let preferred_with = with.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
    let preferred_against =
        against.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
    let with = with.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    let against = against.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    let preferred = [preferred_with, preferred_against]
        .into_iter()
        .flatten()
        .flatten();
    let required = [with, against].into_iter().flatten().flatten();
    required.chain(preferred.map(|weighted| &weighted.pod_affinity_term))
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
    let volumes = volumes::read(pod, spec, &namespace, around);
    PodClass {
        requests: requests_of_pod(pod, spec, names),
        volume_topology: volumes.topology,
        attachments: volumes.attachments,
        exclusive_claims: volumes.exclusive_claims,
        disks: volumes.disks,
        terminating: pod.metadata.deletion_timestamp.is_some(),
        ..class_of_template(&namespace, labels, spec, names, around)
    }
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
        preferences: affinity
            .map(|affinity| preferences(affinity, namespace, &labels, around))
            .unwrap_or_default(),
        labels,
        ..PodClass::default()
    }
}

fn preferences(
    affinity: &core::Affinity,
    namespace: &str,
    labels: &Labels,
    around: &Surroundings,
) -> Preferences {
    let nodes = affinity.node_affinity.as_ref();
    let nodes = nodes.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
    let with = affinity.pod_affinity.as_ref();
    let with = with.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
    let against = affinity.pod_anti_affinity.as_ref();
    let against = against.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
    let weighted = |sign: i32, list: Option<&Vec<core::WeightedPodAffinityTerm>>| -> Vec<_> {
        let terms = list.into_iter().flatten().map(|weighted| {
            let term = affinity_term(&weighted.pod_affinity_term, namespace, labels, around);
            (sign.saturating_mul(weighted.weight), term)
        });
        terms.collect()
    };
    let nodes = nodes.into_iter().flatten();
    Preferences {
        nodes: nodes
            .map(|wish| (wish.weight, node_selector_term(&wish.preference)))
            .collect(),
        pods: [weighted(1, with), weighted(-1, against)].concat(),
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

fn affinity_term(
    term: &core::PodAffinityTerm,
    namespace: &str,
    labels: &Labels,
    around: &Surroundings,
) -> PodAffinityTerm {
    let mut namespaces = term.namespaces.clone().unwrap_or_default();
    let selector = with_label_keys(
        term.label_selector.as_ref(),
        term.match_label_keys.as_ref(),
        term.mismatch_label_keys.as_ref(),
        labels,
    );
    let mut sought_everywhere = false;
    match term.namespace_selector.as_ref() {
        // No list means every namespace.
        Some(all) if selects_all(all) => namespaces.clear(),
        Some(some) => {
            let some = label_selector(some);
            let chosen = around
                .namespaces
                .iter()
                .filter(|(_, labels)| some.matches(labels));
            namespaces.extend(chosen.map(|(name, _)| name.clone()));
            sought_everywhere = some.matches(&Labels::new());
            if namespaces.is_empty() {
                // No pod has it.
                namespaces.push(String::new());
            }
        }
        None if namespaces.is_empty() => namespaces.push(namespace.to_owned()),
        None => {}
    }
    namespaces.sort();
    namespaces.dedup();
    PodAffinityTerm {
        selector,
        topology_key: term.topology_key.clone(),
        namespaces,
        sought_everywhere,
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
