//! The only side effects of a decision: VPSieNode objects for what is bought, Rebalance objects for what goes.
//! Both are intents; their controllers do the work.

use super::Scaling;
use crate::crash::{self, Step};
use crate::error::Error;
use crate::nodegroup::{NewNode, new_vpsie_node};
use crate::rebalance::{Removal, removal_plan};
use autoscaler_api::autoscaler_config::Strategy;
use autoscaler_api::rebalance::{RebalanceKind, RebalancePlan, RebalanceSpec};
use autoscaler_api::vpsie_node::CreationReason;
use autoscaler_api::{Rebalance, VPSieNode};
use autoscaler_cluster::ObjectKey;
use autoscaler_core::decision::{Action, Checked, Plan, Reason};
use autoscaler_core::model::{NodeId, Snapshot};
use futures::{StreamExt, TryStreamExt, stream};
use kube::Api;
use kube::api::PostParams;
use std::collections::BTreeMap;

/// Writes at once: enough to hide the round trip, few enough not to be throttled by the API server.
const PARALLEL_WRITES: usize = 16;
const HOURS_PER_MONTH: u64 = 730;

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

    /// Creates the Rebalance of a removal plan, one per namespace.
    pub(super) async fn remove(
        &self,
        snapshot: &Snapshot,
        plan: &Plan<Checked>,
        requested_by: &str,
    ) -> Result<Vec<ObjectKey>, Error> {
        let mut by_namespace: BTreeMap<String, Vec<(NodeId, &Reason)>> = BTreeMap::new();
        for action in plan.actions() {
            let Action::Remove { node, reason, .. } = action else {
                continue;
            };
            let Some(key) = vpsie_node_key(snapshot, *node) else {
                continue;
            };
            by_namespace
                .entry(key.namespace)
                .or_default()
                .push((*node, reason));
        }
        let mut made = Vec::new();
        for (namespace, removals) in by_namespace {
            let name = format!("remove-{:08x}", self.ctx.ids.next() as u32);
            let mut object = Rebalance::new(
                &name,
                RebalanceSpec {
                    plan: plan_of(snapshot, &removals, requested_by),
                },
            );
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
}

/// The VPSieNode behind a node of the snapshot.
pub(super) fn vpsie_node_key(snapshot: &Snapshot, node: NodeId) -> Option<ObjectKey> {
    let (namespace, name) = snapshot.nodes[node as usize]
        .vpsie_node
        .as_deref()?
        .split_once('/')?;
    Some(ObjectKey::new(namespace, name))
}

fn plan_of(snapshot: &Snapshot, removals: &[(NodeId, &Reason)], requested_by: &str) -> RebalancePlan {
    let nodes = || removals.iter().map(|(id, _)| &snapshot.nodes[*id as usize]);
    let kind = if nodes().all(|node| node.idle_since_ms.is_some()) {
        RebalanceKind::RemoveEmpty
    } else {
        RebalanceKind::RemoveUnderused
    };
    let removal = |(id, reason): &(NodeId, &Reason)| Removal {
        node: snapshot.nodes[*id as usize].name.clone(),
        vpsie_node: vpsie_node_key(snapshot, *id)
            .map(|key| key.name)
            .unwrap_or_default(),
        reason: super::growth::reason_text(reason),
    };
    let removals: Vec<Removal> = removals.iter().map(removal).collect();
    let saving = nodes()
        .map(|node| node.hourly_micros * HOURS_PER_MONTH)
        .sum::<u64>();
    RebalancePlan {
        monthly_saving: Some(format!(
            "{}.{:02}",
            saving / 1_000_000,
            saving % 1_000_000 / 10_000
        )),
        requested_by: Some(requested_by.to_owned()),
        ..removal_plan(kind, Strategy::Rolling, &removals)
    }
}
