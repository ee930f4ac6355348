//! Nodes that exist, as decisions see them, and nodes on their way, as they will be.

use super::fleet::{Member, Record};
use super::passing::passes;
use super::{Builder, counts};
use crate::index::ObjectKey;
use crate::inputs::View;
use autoscaler_api::VPSieNode;
use autoscaler_api::vpsie_node::Phase;
use autoscaler_core::model::{GroupId, Node, NodeId, NodeState, Residents};
use std::sync::Arc;

impl Builder<'_> {
    pub(super) fn nodes(&mut self) {
        let mut nodes = Vec::with_capacity(self.fleet.members.len() + self.fleet.planned.len());
        nodes.extend(self.fleet.members.iter().map(|member| self.existing(member)));
        let planned = self.fleet.planned.iter().filter_map(|(key, node)| {
            let residents = self.state.residents.get(key.name.as_str());
            self.upcoming(&key.name, (key, node), residents)
        });
        nodes.extend(planned);
        self.snapshot.nodes = nodes;
    }

    /// The number of the node of this name.
    pub(super) fn node_id(&self, name: &str) -> Option<NodeId> {
        // Those that exist come first, by name.
        let existing = self.fleet.members.len();
        let at = match self
            .fleet
            .members
            .binary_search_by(|member| member.name.cmp(name))
        {
            Ok(at) => Some(at),
            Err(_) => {
                let mut planned = self.snapshot.nodes.iter().skip(existing);
                planned.position(|node| node.name == name).map(|at| at + existing)
            }
        };
        at.and_then(|at| NodeId::try_from(at).ok())
    }

    fn group_of(&self, key: &ObjectKey, node: &VPSieNode) -> Option<GroupId> {
        let group = (key.namespace.as_str(), node.spec.node_group_name.as_str());
        self.group_ids.get(&group).copied()
    }

    fn existing(&self, member: &Member<'_>) -> Node {
        let Member {
            name, entry, record, ..
        } = *member;
        if let Some(record) = record.filter(|(_, node)| counts(node) && node.phase() != Phase::Ready)
            && let Some(node) = self.upcoming(name, record, member.residents)
        {
            return node;
        }
        let as_it_stands = self.inputs.view == View::Scheduler;
        let leaving = entry.leaving || record.is_some_and(|(_, node)| !counts(node));
        let group = record.and_then(|(key, node)| self.group_of(key, node));
        let template = record.zip(group).and_then(|((_, node), group)| {
            self.template_ids
                .get(&(group, node.spec.instance_type.as_str()))
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
            attach_limits: self.state.attached.left_of(member.attach_limits, name),
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
            vpsie_node: record.map(|(key, _)| key.to_string()),
            created_ms: entry.created_ms,
            idle_since_ms: entry.idle_since_ms,
            not_ready_since_ms: (!entry.ready).then(|| silent_since_ms(&entry.object, entry.created_ms)),
            drifted: record.and_then(|(key, node)| self.drift(key, node)),
            protected: entry.protected.clone(),
            hourly_micros: template.map_or(0, |id| self.snapshot.templates[id as usize].hourly_micros),
            residents: member.residents.cloned().unwrap_or_default(),
        }
    }

    /// How a machine differs from what a new one of its group would be.
    fn drift(&self, key: &ObjectKey, node: &VPSieNode) -> Option<String> {
        let group = ObjectKey::new(&key.namespace, &node.spec.node_group_name);
        let wanted = &self.state.node_groups.get(&group)?.spec;
        let is = &node.spec;
        if !wanted.offering_ids.contains(&is.instance_type) {
            return Some(format!(
                "offering {} is not among spec.offeringIDs",
                is.instance_type
            ));
        }
        let texts = [
            (
                "datacenterID",
                Some(&is.datacenter_id),
                Some(&wanted.datacenter_id),
            ),
            (
                "resourceIdentifier",
                Some(&is.resource_identifier),
                Some(&wanted.resource_identifier),
            ),
            ("osImageID", is.os_image_id.as_ref(), wanted.os_image_id.as_ref()),
            (
                "kubernetesVersion",
                is.kubernetes_version.as_ref(),
                wanted.kubernetes_version.as_ref(),
            ),
        ];
        // What one side does not say is no difference: records of the Go controller say less.
        texts.into_iter().find_map(|(field, is, wanted)| {
            let (is, wanted) = (is?, wanted?);
            let differs = !is.is_empty() && !wanted.is_empty() && is != wanted;
            differs.then(|| format!("{field} is {is}, spec.{field} asks for {wanted}"))
        })
    }

    /// A node on its way, as it will be. None where its group or offering is unknown by now.
    fn upcoming(
        &self,
        name: &str,
        (key, vpsie_node): Record<'_>,
        residents: Option<&Arc<Residents>>,
    ) -> Option<Node> {
        let group = self.group_of(key, vpsie_node)?;
        let id = *self
            .template_ids
            .get(&(group, vpsie_node.spec.instance_type.as_str()))?;
        let template = &self.snapshot.templates[id as usize];
        let mut labels = template.labels.clone();
        labels.insert("kubernetes.io/hostname".to_owned(), name.to_owned());
        let created = vpsie_node.metadata.creation_timestamp.as_ref();
        Some(Node {
            name: name.to_owned(),
            labels: Arc::new(labels),
            taints: template.taints.clone(),
            allocatable: template.allocatable.clone(),
            attach_limits: Arc::new(template.attach_limits.clone()),
            unschedulable: false,
            state: NodeState::Upcoming,
            group: Some(group),
            template: Some(id),
            vpsie_node: Some(key.to_string()),
            created_ms: created.map_or(self.inputs.now_ms, |time| time.0.as_millisecond()),
            idle_since_ms: None,
            not_ready_since_ms: None,
            drifted: None,
            protected: None,
            hourly_micros: template.hourly_micros,
            residents: residents.map(without_daemons).unwrap_or_default(),
        })
    }
}

/// Since when a node does not report that it is ready.
fn silent_since_ms(node: &k8s_openapi::api::core::v1::Node, created_ms: i64) -> i64 {
    let conditions = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.filter(|condition| condition.type_ == "Ready");
    let changed = ready.filter_map(|condition| condition.last_transition_time.as_ref());
    changed
        .map(|time| time.0.as_millisecond())
        .max()
        .unwrap_or(created_ms)
}

/// Pods of DaemonSets are in the template of a node on its way already.
fn without_daemons(residents: &Arc<Residents>) -> Arc<Residents> {
    if residents.moving() as usize == residents.len() {
        return residents.clone();
    }
    let others = residents.iter_shared().filter(|pod| !pod.judgement.is_ignored());
    Arc::new(others.cloned().collect())
}
