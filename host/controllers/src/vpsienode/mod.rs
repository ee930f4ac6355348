//! VPSieNodes: one machine each, from the intent to have it until VPSie no longer lists it.
//!
//! ```text
//!   Pending ─▶ Provisioning ─▶ Provisioned ─▶ Joining ─▶ Ready
//!      │   order   │    claim        Node    labels,  │
//!      │           ▼    a machine    appears  taints  ▼  deleted
//!      │         Failed                        Terminating ─▶ Deleting ─▶ gone
//! ```
//!
//! *Invariant:* `status.creationRequestedAt` is written before the order leaves; from then on a machine may
//! exist, and the finalizer stays until VPSie does not list it.

mod claim;
mod drain;
mod fallback;
mod join;
mod ledger;
mod order;
mod outcome;
mod rest;
mod terminate;
mod vm;

pub(crate) use claim::identity;
pub(crate) use order::{provider_group_name, size_of};
pub(crate) use outcome::WAITING_SINCE;
pub(crate) use terminate::is_machine_of;
pub(crate) use vm::{is_machine_of as is_vm_of, owner_in_notes};

use crate::context::Context;
use crate::error::Error;
use crate::health::Place;
use crate::runtime::events::EventType;
use crate::runtime::queue::{Next, Queue};
use crate::settings::{Pace, Settings};
use autoscaler_api::conditions::{ConditionUpdate, reasons, set};
use autoscaler_api::labels;
use autoscaler_api::vpsie_node::{Phase, VPSieNodeStatus};
use autoscaler_api::{NodeGroup, VPSieNode};
use autoscaler_cluster::ObjectKey;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use ledger::Ledgers;
use parking_lot::Mutex;
use rest::Rests;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use vpsie_client::{ClusterId, VmUuid};

/// Reason of a record whose order did not go through.
const ORDER_LOST: &str = "OrderLost";
/// How soon to look again after somebody else wrote first.
const AFTER_CONFLICT: Duration = Duration::from_millis(50);

/// The controller of VPSieNodes.
pub struct VpsieNodes {
    ctx: Arc<Context>,
    pace: Pace,
    ledgers: Ledgers,
    /// Records, by uid, for whose machine this process has asked VPSie to remove it.
    asked: Mutex<BTreeSet<String>>,
    /// VMs that this process has asked VPSie to remove, and when.
    asked_vms: Mutex<BTreeMap<VmUuid, Instant>>,
    rests: Rests,
    pub queue: Arc<Queue<ObjectKey>>,
}

impl VpsieNodes {
    pub fn new(ctx: Arc<Context>, pace: Pace) -> Self {
        Self {
            ctx,
            pace,
            ledgers: Ledgers::default(),
            asked: Mutex::default(),
            asked_vms: Mutex::default(),
            rests: Rests::default(),
            queue: Arc::new(Queue::new()),
        }
    }

    /// Brings one VPSieNode a step further.
    ///
    /// # Errors
    /// What keeps it from the next step; it is tried again.
    pub async fn reconcile(&self, key: ObjectKey) -> Result<Next, Error> {
        let Some(node) = self.ctx.index.vpsie_node(&key) else {
            return Ok(Next::Done);
        };
        match self.step(&key, &node).await {
            Err(error) if error.is_conflict() => Ok(Next::After(AFTER_CONFLICT)),
            other => other,
        }
    }

    async fn step(&self, key: &ObjectKey, node: &VPSieNode) -> Result<Next, Error> {
        if node.metadata.deletion_timestamp.is_some() {
            return self.terminate(key, node).await;
        }
        if !node
            .finalizers()
            .iter()
            .any(|name| name == labels::VPSIE_NODE_FINALIZER)
        {
            self.add_finalizer(node).await?;
            return Ok(Next::After(AFTER_CONFLICT));
        }
        let is_vm = node.spec.is_vm();
        match node.phase() {
            // A record that knows its machine but lost its status (a restored backup) is adopted, never ordered.
            Phase::Pending if node.provider_identifier().is_some() => self.adopt(node).await,
            Phase::Pending if is_vm => self.order_vm(key, node).await,
            Phase::Provisioning if is_vm => self.look_for_vm(key, node).await,
            Phase::Pending if was_ordered_before(node) => self.take_over(node).await,
            Phase::Pending => self.order(key).await,
            Phase::Provisioning => self.look(key, node).await,
            Phase::Provisioned | Phase::Joining => self.join(key, node).await,
            Phase::Ready => {
                let next = self.watch_ready(node).await;
                if is_vm {
                    self.watch_doubles(node).await?;
                }
                next
            }
            // The group deletes what failed; a phase of leaving without a deletion is nobody's doing.
            Phase::Failed | Phase::Terminating | Phase::Deleting => Ok(Next::Done),
        }
    }

    fn api(&self, node: &VPSieNode) -> Api<VPSieNode> {
        Api::namespaced(self.ctx.effects.clone(), &node.namespace().unwrap_or_default())
    }

    fn settings(&self) -> Settings {
        Settings::of(self.ctx.index.config().as_deref())
    }

    fn cluster(node: &VPSieNode) -> ClusterId {
        ClusterId::new(&node.spec.resource_identifier)
    }

    /// The VPSieNodes of the same VPSie cluster.
    fn of_cluster(&self, cluster: &ClusterId) -> Vec<Arc<VPSieNode>> {
        let mut nodes = self.ctx.index.vpsie_nodes();
        nodes.retain(|node| !node.spec.is_vm() && node.spec.resource_identifier == cluster.as_str());
        nodes
    }

    fn group_key(node: &VPSieNode) -> ObjectKey {
        ObjectKey::new(node.namespace().unwrap_or_default(), &node.spec.node_group_name)
    }

    fn group(&self, node: &VPSieNode) -> Option<Arc<NodeGroup>> {
        self.ctx.index.node_group(&Self::group_key(node))
    }

    /// How long the record still rests after a failure at VPSie.
    fn rests(&self, key: &ObjectKey, node: &VPSieNode) -> Option<Duration> {
        self.rests.left(key, self.trigger(node).as_deref())
    }

    /// A try at VPSie failed: the record rests.
    fn failed(&self, key: &ObjectKey, node: &VPSieNode, error: Option<&vpsie_client::Error>) {
        self.rests.failed(key, self.trigger(node).as_deref(), error);
    }

    fn trigger(&self, node: &VPSieNode) -> Option<String> {
        let group = self.group(node)?;
        labels::reconcile_trigger(group.annotations()).map(str::to_owned)
    }

    /// Writes the status if `edit` changes it. A write on a stale object is refused by the server, so that
    /// no effect follows from an outdated view.
    async fn write_status(
        &self,
        node: &VPSieNode,
        edit: impl FnOnce(&mut VPSieNodeStatus),
    ) -> Result<VPSieNode, Error> {
        let mut next = node.clone();
        let status = next.status.get_or_insert_default();
        edit(status);
        status.observed_generation = node.metadata.generation;
        if next.status == node.status {
            return Ok(next);
        }
        self.api(node)
            .replace_status(&node.name_any(), &PostParams::default(), &next)
            .await
            .map_err(Error::kubernetes("writing the status of a VPSieNode"))
    }

    /// Writes a new phase, and says so in an event.
    async fn enter(
        &self,
        node: &VPSieNode,
        phase: Phase,
        reason: &str,
        note: String,
        edit: impl FnOnce(&mut VPSieNodeStatus),
    ) -> Result<VPSieNode, Error> {
        let now = (self.ctx.now)();
        let changed = node.phase() != phase || node.status.is_none();
        let next = self
            .write_status(node, |status| {
                if changed {
                    status.phase = phase;
                    status.phase_since = Some(Time(now));
                }
                status.reason = Some(reason.to_owned());
                edit(status);
            })
            .await?;
        if changed {
            let type_ = if phase == Phase::Failed {
                EventType::Warning
            } else {
                EventType::Normal
            };
            tracing::info!(vpsienode = %node.name_any(), phase = phase.as_str(), reason, "{note}");
            self.ctx
                .events
                .publish(&reference(node), type_, reason, phase.as_str(), note);
        }
        Ok(next)
    }

    async fn add_finalizer(&self, node: &VPSieNode) -> Result<(), Error> {
        let mut finalizers = node.finalizers().to_vec();
        finalizers.push(labels::VPSIE_NODE_FINALIZER.to_owned());
        self.patch_finalizers(node, finalizers).await
    }

    async fn remove_finalizer(&self, node: &VPSieNode) -> Result<(), Error> {
        let mut finalizers = node.finalizers().to_vec();
        finalizers.retain(|name| name != labels::VPSIE_NODE_FINALIZER);
        match self.patch_finalizers(node, finalizers).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    async fn patch_finalizers(&self, node: &VPSieNode, finalizers: Vec<String>) -> Result<(), Error> {
        let patch = serde_json::json!({
            "metadata": {"finalizers": finalizers, "resourceVersion": node.metadata.resource_version},
        });
        self.api(node)
            .patch(&node.name_any(), &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .map(drop)
            .map_err(Error::kubernetes("writing the finalizers of a VPSieNode"))
    }

    /// It will not become a node: says why, and lets the offering rest. `ordered` tells whether a machine may
    /// exist all the same.
    async fn fail(
        &self,
        node: &VPSieNode,
        reason: &str,
        message: String,
        ordered: bool,
    ) -> Result<Next, Error> {
        // While the quota pauses everything, no offering is to blame.
        let catalogue = &self.ctx.catalogue;
        let quota = reason == reasons::CAPACITY_LIMIT_REACHED
            && catalogue.quota_pause(node.spec.quota_scope()).is_some();
        if !quota {
            catalogue.purchase_failed(&Place::of(node), reason, &message);
        }
        let now = (self.ctx.now)();
        self.enter(node, Phase::Failed, reason, message.clone(), |status| {
            if !ordered {
                status.creation_requested_at = None;
                status.provider_nodes_before = None;
            }
            provision_error(status, reason, message, now);
        })
        .await?;
        Ok(Next::Done)
    }
}

/// Whether the Go controller ordered the machine, and it was not looked for in vain yet.
fn was_ordered_before(node: &VPSieNode) -> bool {
    let in_vain = node.status.as_ref().and_then(|status| status.reason.as_deref()) == Some(ORDER_LOST);
    node.annotations().contains_key(labels::CREATION_REQUESTED) && !in_vain
}

/// The condition that operators look for, with the words of whoever refused.
fn provision_error(status: &mut VPSieNodeStatus, reason: &str, message: String, now: jiff::Timestamp) {
    status.last_error = Some(message.clone());
    let update = ConditionUpdate {
        type_: autoscaler_api::conditions::types::PROVISION_ERROR,
        status: true.into(),
        reason,
        message,
        observed_generation: None,
    };
    set(&mut status.conditions, update, now);
}

fn condition(
    status: &mut VPSieNodeStatus,
    type_: &str,
    holds: bool,
    reason: &str,
    message: impl Into<String>,
    now: jiff::Timestamp,
) {
    let update = ConditionUpdate {
        type_,
        status: holds.into(),
        reason,
        message: message.into(),
        observed_generation: None,
    };
    set(&mut status.conditions, update, now);
}

/// What events about a VPSieNode point at.
fn reference(node: &VPSieNode) -> ObjectReference {
    node.object_ref(&())
}
