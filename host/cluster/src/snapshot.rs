//! The index as a snapshot: one immutable value that a decision is a function of.
//!
//! It costs one small value per node, per class and per pod that waits. What runs on a node, its labels and the classes
//! are shared with the index, which copies them before it changes them.

mod coming;
mod fleet;
mod nodes;
mod passing;
mod pods;
mod spare;
mod templates;

use crate::convert::{drain_rules, label_selector};
use crate::index::{Index, ObjectKey, State};
use crate::inputs::Inputs;
use autoscaler_api::vpsie_node::Phase;
use autoscaler_api::{NodeGroup, VPSieNode};
use autoscaler_core::model::{
    DisruptionBudget, Group, GroupId, PodClass, Snapshot, Taint, TaintEffect, TemplateId,
};
use fleet::{Fleet, Tally};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
pub use spare::spare_owner;
use std::collections::BTreeMap;

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
    fleet: Fleet<'a>,
    /// By namespace and name.
    group_ids: BTreeMap<(&'a str, &'a str), GroupId>,
    /// By offering.
    template_ids: BTreeMap<(GroupId, &'a str), TemplateId>,
    /// Pods of the DaemonSets, those first that the scheduler would place first.
    daemons: Vec<PodClass>,
    /// By template: which of them run on a new node.
    starters: Vec<Vec<usize>>,
    /// What groups keep free.
    spares: Vec<spare::Spare>,
}

impl<'a> Builder<'a> {
    fn new(state: &'a State, inputs: &'a Inputs) -> Self {
        let snapshot = Snapshot {
            now_ms: inputs.now_ms,
            seed: inputs.seed,
            resources: state.resources.clone(),
            max_cluster_nodes: inputs.max_cluster_nodes,
            removal_budget: inputs.removal_budget,
            may_replace: inputs.may_replace,
            ..Snapshot::default()
        };
        Self {
            state,
            inputs,
            snapshot,
            fleet: Fleet::new(state),
            group_ids: BTreeMap::new(),
            template_ids: BTreeMap::new(),
            daemons: Vec::new(),
            starters: Vec::new(),
            spares: Vec::new(),
        }
    }

    fn build(mut self) -> Snapshot {
        self.daemons();
        self.groups();
        self.nodes();
        self.classes();
        self.pods();
        self.coming();
        self.spare_pods();
        self.budgets();
        self.given_up();
        self.snapshot
    }

    fn groups(&mut self) {
        let state = self.state;
        for (key, object) in &state.node_groups {
            if !object.is_managed() || object.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let id = self.snapshot.groups.len() as GroupId;
            self.group_ids
                .insert((key.namespace.as_str(), key.name.as_str()), id);
            let group = self.group(key, object);
            self.snapshot.groups.push(group);
            self.templates(id, key, object);
            self.spare(id, key, object);
        }
    }

    fn group(&self, key: &'a ObjectKey, object: &NodeGroup) -> Group {
        let Tally { current, upcoming } = self.fleet.tally(key);
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
            current,
            upcoming,
            may_grow: held.is_none(),
            may_shrink: object.spec.scale_down_enabled()
                && !within(down.stabilization_window_seconds_or_default(), last_scale_up_ms)
                && !within(down.cooldown_seconds_or_default(), last_scale_down_ms),
            held,
            last_scale_up_ms,
            last_scale_down_ms,
            annotations,
            drain: drain_rules(self.state.config(), object),
        }
    }

    fn given_up(&mut self) {
        let known = self.inputs.given_up.iter().filter_map(|(key, offering, at)| {
            let group = self.group_ids.get(&(key.namespace.as_str(), key.name.as_str()))?;
            Some((*group, offering.clone(), *at))
        });
        self.snapshot.given_up = known.collect();
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
