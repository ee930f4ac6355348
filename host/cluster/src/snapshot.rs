//! The index as a snapshot: one immutable value that a decision is a function of.

mod passing;
mod templates;

use crate::convert::label_selector;
use crate::index::{Index, NodeEntry, ObjectKey, State};
use crate::inputs::{Inputs, View};
use autoscaler_api::vpsie_node::Phase;
use autoscaler_api::{NodeGroup, VPSieNode};
use autoscaler_core::model::{
    ClassId, DisruptionBudget, Group, GroupId, Node, NodeId, NodeState, Pod, PodClass, Snapshot, Taint,
    TaintEffect, TemplateId,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use passing::passes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `scaleDownPolicy.cpuThreshold` and `.memoryThreshold` of a group, in percent, as rebalance policies see them.
const CPU_THRESHOLD: &str = "scale-down-cpu-threshold";
const MEMORY_THRESHOLD: &str = "scale-down-memory-threshold";

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
    /// Pods of the DaemonSets, those first that the scheduler would place first.
    daemons: Vec<PodClass>,
    /// By template: which of them run on a new node.
    starters: Vec<Vec<usize>>,
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
            starters: Vec::new(),
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
        held = held.or_else(|| self.inputs.holds.get(key).cloned());
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
        let as_it_stands = self.inputs.view == View::Scheduler;
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
                .filter(|taint| as_it_stands || !(entry.ready && passes(taint, &self.inputs.startup_taints)))
                .cloned()
                .collect(),
            allocatable: entry.allocatable.clone(),
            attach_limits: self
                .state
                .attached
                .left_of(self.state.attach_limits.get(name), name),
            unschedulable: entry.unschedulable,
            state: match (leaving, entry.ready) {
                // The scheduler knows such nodes by their taints only.
                _ if as_it_stands => NodeState::Ready,
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
            attach_limits: template.attach_limits.clone(),
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
        let starting = self.starters.iter().flatten().map(|at| (&self.daemons[*at], 0));
        let mut used: BTreeMap<&PodClass, ClassId> = starting.collect();
        let mut wanted = Vec::new();
        for (key, entry) in &self.state.pods {
            // A pod that has been promised a node takes its room, however short it waits.
            let nominated = entry
                .nominated
                .as_ref()
                .and_then(|name| self.node_ids.get(name))
                .copied();
            let node = match entry.node.as_deref() {
                Some(name) => match self.node_ids.get(name) {
                    Some(id) => Some(*id),
                    // Bound to a node that is gone: the garbage collector will remove it.
                    None => continue,
                },
                None => {
                    let waits = self.inputs.view == View::Scheduler
                        || entry
                            .unschedulable_since_ms
                            .is_some_and(|since| self.inputs.now_ms - since >= self.inputs.grace_ms);
                    if !waits && nominated.is_none() {
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
            wanted.push((key, entry, node, nominated));
        }
        for (id, slot) in used.values_mut().enumerate() {
            *slot = id as ClassId;
        }
        for (template, starters) in self.snapshot.templates.iter_mut().zip(&self.starters) {
            let classes = starters
                .iter()
                .filter_map(|at| used.get(&self.daemons[*at]).copied());
            template.daemons = classes.collect();
        }
        self.snapshot.pods = wanted
            .into_iter()
            .map(|(key, entry, node, nominated)| Pod {
                key: key.clone(),
                uid: entry.uid.clone(),
                class: used.get(&*entry.class).copied().unwrap_or_default(),
                node,
                nominated,
                owner: entry.owner.clone(),
                movability: entry.movability.at(self.inputs.now_ms).clone(),
                health: entry.health,
                unschedulable_since_ms: entry.unschedulable_since_ms,
            })
            .collect();
        self.snapshot.classes = used.into_keys().cloned().collect();
    }

    fn budgets(&mut self) {
        self.snapshot.budgets = self.state.budgets.values().map(|object| budget(object)).collect();
    }
}

/// A budget with the room that the eviction API would grant. It grants none while the status is of an older spec.
fn budget(object: &PodDisruptionBudget) -> DisruptionBudget {
    let (spec, status) = (object.spec.as_ref(), object.status.clone().unwrap_or_default());
    let outdated = status.observed_generation.unwrap_or(0) < object.metadata.generation.unwrap_or(0);
    let policy = spec.and_then(|spec| spec.unhealthy_pod_eviction_policy.as_deref());
    let is_healthy = status.desired_healthy > 0 && status.current_healthy >= status.desired_healthy;
    DisruptionBudget {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        selector: spec.and_then(|spec| spec.selector.as_ref()).map(label_selector),
        disruptions_allowed: if outdated {
            0
        } else {
            unsigned(status.disruptions_allowed)
        },
        spares_unready: policy == Some("AlwaysAllow") || is_healthy,
    }
}

/// Whether a VPSieNode counts towards its group: it is there or on its way, and not on its way out.
fn counts(node: &VPSieNode) -> bool {
    node.metadata.deletion_timestamp.is_none() && node.phase() != Phase::Failed && !node.phase().is_leaving()
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

fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
