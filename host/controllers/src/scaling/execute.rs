//! The only side effects of a decision: VPSieNode objects for what is bought, Rebalance objects for what goes.
//! Both are intents; their controllers do the work.

use super::Scaling;
use crate::crash::{self, Step};
use crate::error::Error;
use crate::nodegroup::{NewNode, new_vpsie_node};
use crate::rebalance::{Arrival, Removal, Unit};
use autoscaler_api::autoscaler_config::Strategy;
use autoscaler_api::rebalance::{RebalanceKind, RebalancePlan, RebalanceSpec};
use autoscaler_api::vpsie_node::CreationReason;
use autoscaler_api::{Rebalance, VPSieNode};
use autoscaler_cluster::ObjectKey;
use autoscaler_core::decision::{Action, Addition, Checked, Plan, Reason, ReplacementKind};
use autoscaler_core::model::{NodeId, Snapshot};
use futures::{StreamExt, TryStreamExt, stream};
use kube::Api;
use kube::api::PostParams;
use std::collections::BTreeMap;

/// Writes at once: enough to hide the round trip, few enough not to be throttled by the API server.
const PARALLEL_WRITES: usize = 16;
const HOURS_PER_MONTH: i128 = 730;

impl Scaling {
    /// Creates the VPSieNodes of a growth plan: their groups and keys.
    pub(super) async fn buy(
        &self,
        snapshot: &Snapshot,
        plan: &Plan<Checked>,
        waiting_since: Option<jiff::Timestamp>,
    ) -> Result<Vec<(ObjectKey, ObjectKey)>, Error> {
        let mut objects = Vec::new();
        for action in plan.actions() {
            let Action::Buy {
                template,
                count,
                fallbacks,
                ..
            } = action
            else {
                continue;
            };
            let fallbacks: Vec<(String, i64)> = fallbacks
                .iter()
                .map(|id| &snapshot.templates[*id as usize])
                .map(|template| (template.offering.clone(), template.size))
                .collect();
            let template = &snapshot.templates[*template as usize];
            let group = &snapshot.groups[template.group as usize];
            let key = ObjectKey::new(&group.namespace, &group.name);
            let Some(object) = self.ctx.index.node_group(&key) else {
                continue;
            };
            for _ in 0..*count {
                let new = NewNode {
                    name: format!("{}-{:08x}", group.name, self.ctx.ids.next() as u32),
                    offering: template.offering.clone(),
                    size: template.size,
                    reason: CreationReason::Metrics,
                    waiting_since,
                    fallbacks: fallbacks.clone(),
                };
                objects.push(new_vpsie_node(&object, new));
            }
        }
        let client = &self.ctx.effects;
        let create = |object: VPSieNode| async move {
            let key = ObjectKey::of(&object);
            let group = ObjectKey::new(&key.namespace, &object.spec.node_group_name);
            let api: Api<VPSieNode> = Api::namespaced(client.clone(), &key.namespace);
            let created = api.create(&PostParams::default(), &object).await;
            created.map_err(Error::kubernetes("creating a VPSieNode"))?;
            crash::at(Step::RecordCreated);
            Ok((group, key))
        };
        stream::iter(objects)
            .map(create)
            .buffered(PARALLEL_WRITES)
            .try_collect()
            .await
    }

    /// Creates the Rebalances of a plan: one per namespace for what only goes, one per namespace and kind for what is
    /// replaced.
    pub(super) async fn remove(
        &self,
        snapshot: &Snapshot,
        plan: &Plan<Checked>,
        requested_by: &str,
    ) -> Result<Vec<ObjectKey>, Error> {
        let strategy = self.settings().strategy;
        let mut operations: BTreeMap<(String, &str), Operation> = BTreeMap::new();
        for action in plan.actions() {
            let (kind, nodes, additions, reason) = match action {
                Action::Remove { node, reason, .. } => (None, std::slice::from_ref(node), &[][..], reason),
                Action::Replace {
                    replacement, reason, ..
                } => (
                    Some(kind_of(replacement.kind)),
                    &replacement.nodes[..],
                    &replacement.additions[..],
                    reason,
                ),
                Action::Buy { .. } => continue,
            };
            let Some(namespace) = nodes
                .first()
                .and_then(|node| vpsie_node_key(snapshot, *node))
                .map(|key| key.namespace)
            else {
                continue;
            };
            let word = kind.map_or("remove", RebalanceKind::as_str);
            let operation = operations.entry((namespace, word)).or_default();
            operation.kind = kind;
            operation.nodes.extend(nodes);
            operation.new_micros += hourly(snapshot, additions);
            let arrivals = self.arrivals(snapshot, additions);
            let removals = removals(snapshot, nodes, reason);
            match operation.units.last_mut().filter(|_| kind.is_none()) {
                Some(unit) => unit.removals.extend(removals),
                None => operation.units.push(Unit { arrivals, removals }),
            }
        }
        let mut made = Vec::new();
        for ((namespace, word), operation) in operations {
            let name = format!("{word}-{:08x}", self.ctx.ids.next() as u32);
            let spec = RebalanceSpec {
                plan: operation.plan(snapshot, strategy, requested_by),
            };
            let mut object = Rebalance::new(&name, spec);
            object.metadata.namespace = Some(namespace.clone());
            object.metadata.finalizers = Some(vec![autoscaler_api::labels::REBALANCE_FINALIZER.to_owned()]);
            let api: Api<Rebalance> = Api::namespaced(self.ctx.effects.clone(), &namespace);
            api.create(&PostParams::default(), &object)
                .await
                .map_err(Error::kubernetes("creating a Rebalance"))?;
            crash::at(Step::RebalanceCreated);
            made.push(ObjectKey::new(namespace, name));
        }
        Ok(made)
    }

    /// The new nodes, each with the name that its VPSieNode will have.
    fn arrivals(&self, snapshot: &Snapshot, additions: &[Addition]) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        for addition in additions {
            let template = &snapshot.templates[addition.template as usize];
            let group = &snapshot.groups[template.group as usize].name;
            for _ in 0..addition.count {
                arrivals.push(Arrival {
                    vpsie_node: format!("{group}-{:08x}", self.ctx.ids.next() as u32),
                    group: group.clone(),
                    offering: template.offering.clone(),
                    size: template.size,
                });
            }
        }
        arrivals
    }
}

/// The VPSieNode behind a node of the snapshot.
pub(super) fn vpsie_node_key(snapshot: &Snapshot, node: NodeId) -> Option<ObjectKey> {
    let (namespace, name) = snapshot.nodes[node as usize]
        .vpsie_node
        .as_deref()?
        .split_once('/')?;
    Some(ObjectKey::new(namespace, name))
}

/// What one Rebalance is to do.
#[derive(Default)]
struct Operation {
    /// None for what only goes.
    kind: Option<RebalanceKind>,
    nodes: Vec<NodeId>,
    units: Vec<Unit>,
    /// Price of the new nodes per hour.
    new_micros: u64,
}

impl Operation {
    fn plan(&self, snapshot: &Snapshot, strategy: Strategy, requested_by: &str) -> RebalancePlan {
        let nodes = || self.nodes.iter().map(|id| &snapshot.nodes[*id as usize]);
        let kind = self.kind.unwrap_or_else(|| {
            if nodes().all(|node| node.idle_since_ms.is_some()) {
                RebalanceKind::RemoveEmpty
            } else {
                RebalanceKind::RemoveUnderused
            }
        });
        let old: u64 = nodes().map(|node| node.hourly_micros).sum();
        RebalancePlan {
            monthly_saving: Some(money(i128::from(old) - i128::from(self.new_micros))),
            requested_by: Some(requested_by.to_owned()),
            ..crate::rebalance::plan(kind, strategy, &self.units)
        }
    }
}

/// Per month, with two decimals.
fn money(hourly_micros: i128) -> String {
    let cents = hourly_micros * HOURS_PER_MONTH / 10_000;
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}

fn hourly(snapshot: &Snapshot, additions: &[Addition]) -> u64 {
    let price = |addition: &Addition| {
        let template = &snapshot.templates[addition.template as usize];
        template.hourly_micros.saturating_mul(u64::from(addition.count))
    };
    additions.iter().map(price).fold(0, u64::saturating_add)
}

fn removals(snapshot: &Snapshot, nodes: &[NodeId], reason: &Reason) -> Vec<Removal> {
    let removal = |id: &NodeId| {
        let node = &snapshot.nodes[*id as usize];
        let offering = node
            .template
            .map(|template| &snapshot.templates[template as usize].offering);
        Removal {
            node: node.name.clone(),
            vpsie_node: vpsie_node_key(snapshot, *id)
                .map(|key| key.name)
                .unwrap_or_default(),
            group: node
                .group
                .map(|group| snapshot.groups[group as usize].name.clone()),
            offering: offering.cloned(),
            reason: super::growth::reason_text(reason),
        }
    };
    nodes.iter().map(removal).collect()
}

fn kind_of(kind: ReplacementKind) -> RebalanceKind {
    match kind {
        ReplacementKind::Cheaper => RebalanceKind::Replace,
        ReplacementKind::Consolidate => RebalanceKind::Consolidate,
        ReplacementKind::Drift => RebalanceKind::Drift,
        ReplacementKind::Expire => RebalanceKind::Expire,
        ReplacementKind::Repair => RebalanceKind::Repair,
    }
}
