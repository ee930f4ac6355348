//! Nodes that could be bought: what each offering of a group would be like, with the DaemonSet pods it starts with.

use super::passing::passes;
use super::{Builder, taint};
use crate::convert::{daemon, daemon_runs_on, labels_of_new_node};
use crate::index::ObjectKey;
use crate::inputs::Offering;
use autoscaler_api::NodeGroup;
use autoscaler_core::model::{AttachLimits, GroupId, Labels, Resources, Taint, Template, TemplateId};
use std::cmp::Reverse;

impl<'a> Builder<'a> {
    pub(super) fn daemons(&mut self) {
        let (names, around) = (&mut self.snapshot.resources, &self.state.around);
        let sets = self.state.daemon_sets.values();
        self.daemons = sets.filter_map(|set| daemon(set, names, around)).collect();
        self.daemons.sort_by_key(|class| Reverse(class.priority));
    }

    /// The DaemonSet pods that a new node starts with; what they request is taken off what it offers.
    fn starters(&self, labels: &Labels, taints: &[Taint], allocatable: &mut Resources) -> Vec<usize> {
        let mut starters = Vec::new();
        for (at, class) in self.daemons.iter().enumerate() {
            if daemon_runs_on(class, labels, taints, allocatable) {
                allocatable.sub(&class.requests);
                starters.push(at);
            }
        }
        starters
    }

    pub(super) fn templates(&mut self, id: GroupId, key: &'a ObjectKey, object: &'a NodeGroup) {
        let spec = &object.spec;
        let preferred = spec
            .preferred_instance_type
            .as_ref()
            .filter(|name| spec.offering_ids.contains(name));
        let names: Vec<&'a String> = if spec.allow_mixed_instances_or_default() {
            spec.offering_ids.iter().collect()
        } else {
            preferred.or(spec.offering_ids.first()).into_iter().collect()
        };
        for name in names {
            let Some(offering) = self.inputs.offering(object, name) else {
                continue;
            };
            let labels = labels_of_new_node(object, name);
            let taints = spec.taints.iter().flatten().map(taint);
            let taints: Vec<Taint> = taints
                .filter(|taint| !passes(taint, &self.inputs.startup_taints))
                .collect();
            let learned = self.fleet.learned(key, name).cloned();
            let (mut allocatable, attach_limits) =
                learned.unwrap_or_else(|| (estimate(offering, &self.inputs.reserved), AttachLimits::new()));
            let starters = self.starters(&labels, &taints, &mut allocatable);
            self.starters.push(starters);
            let health = self
                .inputs
                .health
                .get(&(key.clone(), name.clone()))
                .cloned()
                .unwrap_or_default();
            self.template_ids
                .insert((id, name.as_str()), self.snapshot.templates.len() as TemplateId);
            self.snapshot.templates.push(Template {
                group: id,
                offering: name.clone(),
                datacenter: spec.datacenter_id.clone(),
                size: offering.size,
                labels,
                taints,
                allocatable,
                // Classes get their numbers when all pods are known.
                daemons: Vec::new(),
                attach_limits,
                hourly_micros: offering.hourly_micros,
                failures: health.failures,
                backoff_until_ms: health.backoff_until_ms,
            });
        }
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
