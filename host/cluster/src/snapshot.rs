//! The index as a snapshot: one immutable value that a decision is a function of.

use crate::convert::{class_of_template, label_selector, labels_of_new_node};
use crate::index::{Index, NodeEntry, ObjectKey, State};
use crate::inputs::{Inputs, Offering};
use autoscaler_api::vpsie_node::Phase;
use autoscaler_api::{NodeGroup, VPSieNode};
use autoscaler_core::model::{
    ClassId, DisruptionBudget, Group, GroupId, Labels, Node, NodeId, NodeState, Pod, PodClass, Resources,
    Snapshot, Taint, TaintEffect, Template, TemplateId,
};
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `scaleDownPolicy.cpuThreshold` and `.memoryThreshold` of a group, in percent, as rebalance policies see them.
const CPU_THRESHOLD: &str = "scale-down-cpu-threshold";
const MEMORY_THRESHOLD: &str = "scale-down-memory-threshold";

/// Taints that vanish by themselves once a node is up: a Ready node that still carries one is not full.
const PASSING_TAINTS: [&str; 6] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/network-unavailable",
    "node.cloudprovider.kubernetes.io/uninitialized",
    autoscaler_api::labels::STARTUP_TAINT,
    "startup-taint.cluster-autoscaler.kubernetes.io/",
    "ignore-taint.cluster-autoscaler.kubernetes.io/",
];

impl Index {
    /// The cluster as it is now, as one value.
    pub fn snapshot(&self, inputs: &Inputs) -> Snapshot {
        Builder::new(&self.read(), inputs).build()
    }
}

struct Builder<'a> {
    state: &'a State,
    inputs: &'a Inputs,
    snapshot: Snapshot,
    group_ids: BTreeMap<ObjectKey, GroupId>,
    template_ids: BTreeMap<(GroupId, String), TemplateId>,
    daemons: Vec<(PodClass, Resources)>,
    node_ids: BTreeMap<String, NodeId>,
}

impl<'a> Builder<'a> {
    fn new(state: &'a State, inputs: &'a Inputs) -> Self {
        let snapshot = Snapshot {
            now_ms: inputs.now_ms,
            seed: inputs.seed,
            resources: state.resources.clone(),
            max_cluster_nodes: inputs.max_cluster_nodes,
            removal_budget: inputs.removal_budget,
            ..Snapshot::default()
        };
        Self {
            state,
            inputs,
            snapshot,
            group_ids: BTreeMap::new(),
            template_ids: BTreeMap::new(),
            daemons: Vec::new(),
            node_ids: BTreeMap::new(),
        }
    }

    fn build(mut self) -> Snapshot {
        self.daemons();
        self.groups();
        self.nodes();
        self.pods();
        self.budgets();
        self.snapshot
    }

    fn daemons(&mut self) {
        for set in self.state.daemon_sets.values() {
            let Some(template) = set.spec.as_ref().map(|spec| &spec.template) else {
                continue;
            };
            let Some(spec) = template.spec.as_ref() else {
                continue;
            };
            let labels = template
                .metadata
                .as_ref()
                .and_then(|meta| meta.labels.clone())
                .unwrap_or_default();
            let namespace = set.namespace().unwrap_or_default();
            let names = &mut self.snapshot.resources;
            let class = class_of_template(&namespace, labels, spec, names, &self.state.around);
            self.daemons.push((class.clone(), class.requests));
        }
    }

    fn daemon_overhead(&self, labels: &Labels, taints: &[Taint]) -> Resources {
        let mut sum = Resources::default();
        for (class, requests) in &self.daemons {
            let selected = class
                .node_selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value));
            let affine = class
                .node_affinity
                .as_ref()
                .is_none_or(|selector| selector.matches("", labels));
            let repelled = taints.iter().any(|taint| {
                taint.effect != TaintEffect::PreferNoSchedule
                    && !class
                        .tolerations
                        .iter()
                        .any(|toleration| toleration.tolerates(taint))
            });
            if selected && affine && !repelled {
                sum.add(requests);
            }
        }
        sum
    }

    fn groups(&mut self) {
        for (key, object) in &self.state.node_groups {
            if !object.is_managed() || object.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let id = self.snapshot.groups.len() as GroupId;
            self.group_ids.insert(key.clone(), id);
            let group = self.group(key, object);
            self.snapshot.groups.push(group);
            self.templates(id, key, object);
        }
    }

    fn group(&self, key: &ObjectKey, object: &NodeGroup) -> Group {
        let members = || {
            let all = self.state.vpsie_nodes.iter();
            all.filter(|(node, _)| node.namespace == key.namespace)
                .map(|(_, node)| node)
                .filter(|node| node.spec.node_group_name == key.name && counts(node))
        };
        let status = object.status.clone().unwrap_or_default();
        let at = |time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
            time.map(|t| t.0.as_millisecond())
        };
        let last_scale_up_ms = at(status.last_scale_up_time.as_ref());
        let mut held = None;
        if !object.spec.scale_up_enabled() {
            held = Some((
                "ScaleUpDisabled".to_owned(),
                "spec.scaleUpPolicy.enabled is false".to_owned(),
            ));
        }
        let last_scale_down_ms = at(status.last_scale_down_time.as_ref());
        let within = |seconds: i32, last: Option<i64>| {
            last.is_some_and(|last| self.inputs.now_ms - last < i64::from(seconds) * 1000)
        };
        let window = object
            .spec
            .scale_up_policy_or_default()
            .stabilization_window_seconds_or_default();
        if held.is_none() && within(window, last_scale_up_ms) {
            let text =
                format!("grew less than spec.scaleUpPolicy.stabilizationWindowSeconds ({window} s) ago");
            held = Some(("StabilizationWindow".to_owned(), text));
        }
        let down = object.spec.scale_down_policy_or_default();
        let mut annotations = object.annotations().clone();
        if object.spec.scale_down_policy.is_some() {
            annotations.insert(
                CPU_THRESHOLD.to_owned(),
                down.cpu_threshold_or_default().to_string(),
            );
            annotations.insert(
                MEMORY_THRESHOLD.to_owned(),
                down.memory_threshold_or_default().to_string(),
            );
        }
        Group {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            min: unsigned(object.spec.floor()),
            max: unsigned(object.spec.max_nodes),
            current: members().count() as u32,
            upcoming: members().filter(|node| node.phase() != Phase::Ready).count() as u32,
            may_grow: held.is_none(),
            may_shrink: object.spec.scale_down_enabled()
                && !within(down.stabilization_window_seconds_or_default(), last_scale_up_ms)
                && !within(down.cooldown_seconds_or_default(), last_scale_down_ms),
            held,
            last_scale_up_ms,
            last_scale_down_ms,
            annotations,
        }
    }

    fn templates(&mut self, id: GroupId, key: &ObjectKey, object: &NodeGroup) {
        let spec = &object.spec;
        let preferred = spec
            .preferred_instance_type
            .as_ref()
            .filter(|name| spec.offering_ids.contains(name));
        let names: Vec<&String> = if spec.allow_mixed_instances_or_default() {
            spec.offering_ids.iter().collect()
        } else {
            preferred.or(spec.offering_ids.first()).into_iter().collect()
        };
        for name in names {
            let Some(offering) = self.inputs.offering(object, name) else {
                continue;
            };
            let labels = labels_of_new_node(object, name);
            let taints: Vec<Taint> = spec.taints.iter().flatten().map(taint).collect();
            let mut allocatable = self
                .learned(key, name)
                .unwrap_or_else(|| estimate(offering, &self.inputs.reserved));
            allocatable.sub(&self.daemon_overhead(&labels, &taints));
            let health = self
                .inputs
                .health
                .get(&(key.clone(), name.clone()))
                .cloned()
                .unwrap_or_default();
            self.template_ids
                .insert((id, name.clone()), self.snapshot.templates.len() as TemplateId);
            self.snapshot.templates.push(Template {
                group: id,
                offering: name.clone(),
                datacenter: spec.datacenter_id.clone(),
                size: offering.size,
                labels,
                taints,
                allocatable,
                hourly_micros: offering.hourly_micros,
                failures: health.failures,
                backoff_until_ms: health.backoff_until_ms,
            });
        }
    }

    /// What a node of this group and offering really offers, where one has joined: the smallest of them.
    fn learned(&self, group: &ObjectKey, offering: &str) -> Option<Resources> {
        let siblings = self.state.vpsie_nodes.iter().filter(|(key, node)| {
            key.namespace == group.namespace
                && node.spec.node_group_name == group.name
                && node.spec.instance_type == offering
                && node.phase() == Phase::Ready
        });
        siblings
            .filter_map(|(_, node)| self.state.nodes.get(node.node_name()?))
            .filter(|entry| entry.allocatable.cpu_milli > 0)
            .map(|entry| entry.allocatable.clone())
            .min()
    }

    fn nodes(&mut self) {
        let mut ours: BTreeMap<&str, (&ObjectKey, &Arc<VPSieNode>)> = BTreeMap::new();
        let mut planned: Vec<(&ObjectKey, &Arc<VPSieNode>)> = Vec::new();
        for (key, node) in &self.state.vpsie_nodes {
            match node
                .node_name()
                .filter(|name| self.state.nodes.contains_key(*name))
            {
                Some(name) => drop(ours.insert(name, (key, node))),
                None if counts(node) && node.phase() != Phase::Ready => planned.push((key, node)),
                None => {}
            }
        }
        for (name, entry) in &self.state.nodes {
            let node = self.existing(name, entry, ours.get(name.as_str()).copied());
            self.push_node(name.clone(), node);
        }
        for (key, vpsie_node) in planned {
            if let Some(node) = self.upcoming(&key.name, key, vpsie_node) {
                self.push_node(key.name.clone(), node);
            }
        }
    }

    fn push_node(&mut self, name: String, node: Node) {
        self.node_ids.insert(name, self.snapshot.nodes.len() as NodeId);
        self.snapshot.nodes.push(node);
    }

    fn group_of(&self, key: &ObjectKey, node: &VPSieNode) -> Option<GroupId> {
        self.group_ids
            .get(&ObjectKey::new(&key.namespace, &node.spec.node_group_name))
            .copied()
    }

    fn existing(&self, name: &str, entry: &NodeEntry, owner: Option<(&ObjectKey, &Arc<VPSieNode>)>) -> Node {
        if let Some((key, vpsie_node)) =
            owner.filter(|(_, node)| counts(node) && node.phase() != Phase::Ready)
            && let Some(node) = self.upcoming(name, key, vpsie_node)
        {
            return node;
        }
        let leaving = entry.leaving || owner.is_some_and(|(_, node)| !counts(node));
        let group = owner.and_then(|(key, node)| self.group_of(key, node));
        let template = owner.zip(group).and_then(|((_, node), group)| {
            self.template_ids
                .get(&(group, node.spec.instance_type.clone()))
                .copied()
        });
        Node {
            name: name.to_owned(),
            labels: entry.labels.clone(),
            taints: entry
                .taints
                .iter()
                .filter(|taint| !(entry.ready && passes(taint)))
                .cloned()
                .collect(),
            allocatable: entry.allocatable.clone(),
            unschedulable: entry.unschedulable,
            state: match (leaving, entry.ready) {
                (true, _) => NodeState::Leaving,
                (false, true) => NodeState::Ready,
                (false, false) => NodeState::NotReady,
            },
            group,
            template,
            vpsie_node: owner.map(|(key, _)| key.to_string()),
            created_ms: entry.created_ms,
            idle_since_ms: entry.idle_since_ms,
            protected: entry.protected.clone(),
            hourly_micros: template.map_or(0, |id| self.snapshot.templates[id as usize].hourly_micros),
        }
    }

    /// A node on its way, as it will be. None where its group or offering is unknown by now.
    fn upcoming(&self, name: &str, key: &ObjectKey, vpsie_node: &VPSieNode) -> Option<Node> {
        let group = self.group_of(key, vpsie_node)?;
        let id = *self
            .template_ids
            .get(&(group, vpsie_node.spec.instance_type.clone()))?;
        let template = &self.snapshot.templates[id as usize];
        let mut labels = template.labels.clone();
        labels.insert("kubernetes.io/hostname".to_owned(), name.to_owned());
        let created = vpsie_node.metadata.creation_timestamp.as_ref();
        Some(Node {
            name: name.to_owned(),
            labels,
            taints: template.taints.clone(),
            allocatable: template.allocatable.clone(),
            unschedulable: false,
            state: NodeState::Upcoming,
            group: Some(group),
            template: Some(id),
            vpsie_node: Some(key.to_string()),
            created_ms: created.map_or(self.inputs.now_ms, |time| time.0.as_millisecond()),
            idle_since_ms: None,
            protected: None,
            hourly_micros: template.hourly_micros,
        })
    }

    fn pods(&mut self) {
        let mut used: BTreeMap<&PodClass, ClassId> = BTreeMap::new();
        let mut wanted = Vec::new();
        for (key, entry) in &self.state.pods {
            let node = match entry.node.as_deref() {
                Some(name) => match self.node_ids.get(name) {
                    Some(id) => Some(*id),
                    // Bound to a node that is gone: the garbage collector will remove it.
                    None => continue,
                },
                None => {
                    let waits = entry
                        .unschedulable_since_ms
                        .is_some_and(|since| self.inputs.now_ms - since >= self.inputs.grace_ms);
                    if !waits {
                        continue;
                    }
                    None
                }
            };
            // DaemonSet pods of a node on its way are in its template already.
            let upcoming =
                node.is_some_and(|id| self.snapshot.nodes[id as usize].state == NodeState::Upcoming);
            if upcoming && entry.movability.is_ignored() {
                continue;
            }
            used.insert(&entry.class, 0);
            wanted.push((key, entry, node));
        }
        for (id, slot) in used.values_mut().enumerate() {
            *slot = id as ClassId;
        }
        self.snapshot.pods = wanted
            .into_iter()
            .map(|(key, entry, node)| Pod {
                key: key.clone(),
                uid: entry.uid.clone(),
                class: used.get(&*entry.class).copied().unwrap_or_default(),
                node,
                owner: entry.owner.clone(),
                movability: entry.movability.at(self.inputs.now_ms).clone(),
                unschedulable_since_ms: entry.unschedulable_since_ms,
            })
            .collect();
        self.snapshot.classes = used.into_keys().cloned().collect();
    }

    fn budgets(&mut self) {
        self.snapshot.budgets = self
            .state
            .budgets
            .values()
            .map(|object| DisruptionBudget {
                namespace: object.namespace().unwrap_or_default(),
                name: object.name_any(),
                selector: object
                    .spec
                    .as_ref()
                    .and_then(|spec| spec.selector.as_ref())
                    .map(label_selector),
                disruptions_allowed: object
                    .status
                    .as_ref()
                    .map_or(0, |status| unsigned(status.disruptions_allowed)),
            })
            .collect();
    }
}

/// Whether a VPSieNode counts towards its group: it is there or on its way, and not on its way out.
fn counts(node: &VPSieNode) -> bool {
    node.metadata.deletion_timestamp.is_none() && node.phase() != Phase::Failed && !node.phase().is_leaving()
}

fn passes(taint: &Taint) -> bool {
    PASSING_TAINTS
        .iter()
        .any(|known| taint.key == *known || (known.ends_with('/') && taint.key.starts_with(known)))
}

fn taint(taint: &autoscaler_api::Taint) -> Taint {
    Taint {
        key: taint.key.clone(),
        value: taint.value.clone().unwrap_or_default(),
        effect: match taint.effect {
            autoscaler_api::TaintEffect::NoSchedule => TaintEffect::NoSchedule,
            autoscaler_api::TaintEffect::PreferNoSchedule => TaintEffect::PreferNoSchedule,
            autoscaler_api::TaintEffect::NoExecute => TaintEffect::NoExecute,
        },
    }
}

/// A first guess at what a node of an offering offers to pods, until one has shown it. It errs low: a guess
/// that is too high buys nodes that do not help.
fn estimate(offering: &Offering, reserved: &Resources) -> Resources {
    const PODS_PER_NODE: i64 = 110;
    let mut guess = Resources {
        cpu_milli: i64::from(offering.cpu) * 1000,
        memory: i64::try_from(offering.memory_mib)
            .unwrap_or(i64::MAX)
            .saturating_mul(1 << 20),
        // The kubelet keeps a tenth of the disk free before it evicts.
        ephemeral: i64::try_from(offering.disk_gib)
            .unwrap_or(i64::MAX)
            .saturating_mul(1 << 30)
            / 10
            * 9,
        pods: PODS_PER_NODE,
        extended: Vec::new(),
    };
    guess.sub(reserved);
    guess
}

fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
