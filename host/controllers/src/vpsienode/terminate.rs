//! Giving a machine back: drain, ask VPSie, wait until it lists the machine no more, then let the record go.
//!
//! It works from every phase: an order whose machine is not known yet is looked for first, so that deleting a
//! stuck record never leaves a machine behind.

use super::claim::identity;
use super::order::{remember_machine, since};
use super::{VpsieNodes, condition, drain, provision_error, reference};
use crate::crash::{self, Step};
use crate::error::Error;
use crate::runtime::events::EventType;
use crate::runtime::queue::Next;
use autoscaler_api::VPSieNode;
use autoscaler_api::conditions::{reasons, types};
use autoscaler_api::vpsie_node::Phase;
use autoscaler_cluster::ObjectKey;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use std::collections::BTreeSet;
use std::time::Duration;
use vpsie_client::{ClusterDetail, NodeUuid, ProviderNode};

/// A removal that VPSie accepted and did not carry out is asked for again after this long: longer than any
/// removal that was seen, short against the cost of a forgotten machine.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(300);
/// How often a draining node is looked at.
const DRAIN_POLL: Duration = Duration::from_secs(2);

impl VpsieNodes {
    /// Brings a deleted VPSieNode a step further towards being gone.
    pub(super) async fn terminate(&self, key: &ObjectKey, node: &VPSieNode) -> Result<Next, Error> {
        let now = (self.ctx.now)();
        let status = node.status.clone().unwrap_or_default();
        let ordered = status.creation_requested_at.is_some();
        let known = node.provider_identifier().is_some() || status.hostname.is_some();
        if !ordered && !known {
            return self.release(key, node, "nothing was ordered").await;
        }
        if !node.phase().is_leaving() {
            let note = "deleted: draining before the machine is given back".to_owned();
            self.enter(node, Phase::Terminating, reasons::TERMINATING, note, |status| {
                status.terminating_at = Some(Time(now));
            })
            .await?;
            crash::at(Step::TerminatingWritten);
            return Ok(Next::After(Duration::ZERO));
        }
        if node.phase() == Phase::Terminating {
            if let Some(next) = self.drain(node).await? {
                return Ok(next);
            }
            let note = "drained: giving the machine back to VPSie".to_owned();
            self.enter(node, Phase::Deleting, reasons::DELETING, note, |_| {})
                .await?;
            crash::at(Step::DeletingWritten);
            return Ok(Next::After(Duration::ZERO));
        }
        if node.spec.is_vm() {
            return self.give_back_vm(key, node).await;
        }
        if !known {
            return self.find_and_remember(key, node).await;
        }
        self.give_back(key, node).await
    }

    /// Evicts what runs on the node; none when nothing is left to wait for.
    async fn drain(&self, node: &VPSieNode) -> Result<Option<Next>, Error> {
        let Some(name) = node
            .node_name()
            .filter(|name| self.ctx.index.node(name).is_some())
        else {
            return Ok(None);
        };
        let progress = drain::pass(&self.ctx, name, &node.name_any()).await?;
        let drain::Progress::Waiting(what) = progress else {
            return Ok(None);
        };
        let started = node
            .status
            .as_ref()
            .and_then(|status| status.terminating_at.as_ref());
        let waited = started.map_or(Duration::ZERO, |at| since(&at.0, (self.ctx.now)()));
        let limit = self.settings().drain_timeout;
        if waited < limit {
            return Ok(Some(Next::After(DRAIN_POLL.min(limit - waited))));
        }
        // Whoever deletes the record wants the machine gone: after the time that they allow, it goes.
        let note = format!(
            "drain timeout after {} s: {what}; the machine goes all the same",
            limit.as_secs()
        );
        tracing::warn!(vpsienode = %node.name_any(), "{note}");
        self.ctx.events.publish(
            &reference(node),
            EventType::Warning,
            reasons::DRAIN_FAILED,
            "Drain",
            note,
        );
        Ok(None)
    }

    /// An order whose machine is not known: it may still come.
    async fn find_and_remember(&self, key: &ObjectKey, node: &VPSieNode) -> Result<Next, Error> {
        let now = (self.ctx.now)();
        if let Some(row) = self.find_machine(key, node).await? {
            self.write_status(node, |status| remember_machine(status, &row))
                .await?;
            return Ok(Next::After(Duration::ZERO));
        }
        let status = node.status.clone().unwrap_or_default();
        let waited = status
            .creation_requested_at
            .as_ref()
            .map_or(Duration::ZERO, |at| since(&at.0, now));
        if self.is_surely_lost(node) || waited >= self.settings().node_ready_timeout {
            return self
                .release(key, node, "VPSie never listed a machine for the order")
                .await;
        }
        Ok(Next::After(self.pace.provider_poll))
    }

    /// Asks VPSie to remove the machine until it is not listed any more.
    async fn give_back(&self, key: &ObjectKey, node: &VPSieNode) -> Result<Next, Error> {
        let now = (self.ctx.now)();
        let cluster = Self::cluster(node);
        let asked = node
            .status
            .as_ref()
            .and_then(|status| status.deletion_requested_at.as_ref());
        let waited = asked.map(|at| since(&at.0, now));
        let listing = Error::vpsie("listing the cluster's nodes");
        let listed = match self
            .ctx
            .catalogue
            .cluster(&cluster, self.pace.provider_poll)
            .await
        {
            Ok(listed) => listed,
            // The whole cluster is gone at VPSie, and the machine with it.
            Err(vpsie_client::Error::NotFound { .. }) => return self.gone(key, node).await,
            Err(error) => return Err(listing(error)),
        };
        let Some(row) = row_of(&listed, node) else {
            // A list that is older than the order or the removal proves nothing.
            let fresh = self
                .ctx
                .catalogue
                .cluster(&cluster, Duration::ZERO)
                .await
                .map_err(listing)?;
            return match row_of(&fresh, node) {
                None => self.gone(key, node).await,
                Some(_) => Ok(Next::After(self.pace.provider_poll)),
            };
        };
        // Another process may have died between writing and asking. Asking twice is harmless, and waiting costs money.
        let uid = node.uid().unwrap_or_default();
        let asked_here = self.asked.lock().contains(&uid);
        if asked_here && waited.is_some_and(|waited| waited < ASK_AGAIN) {
            return Ok(Next::After(self.pace.provider_poll));
        }
        if let Some(left) = self.rests(key, node) {
            return Ok(Next::After(left.min(self.pace.resync)));
        }
        let Some(identifier) = self.identifier(row).await? else {
            let message = format!(
                "VPSie lists {} without an identifier: it cannot be asked to remove it",
                row.hostname
            );
            self.write_status(node, |status| {
                provision_error(status, reasons::VPS_DELETE_FAILED, message.clone(), now)
            })
            .await?;
            return Err(Error::Invalid {
                object: key.to_string(),
                field: "status.vpsieNodeIdentifier",
                problem: message,
            });
        };
        // The answer may be lost: the list decides.
        let next = self
            .write_status(node, |status| status.deletion_requested_at = Some(Time(now)))
            .await?;
        crash::at(Step::RemovalWritten);
        if let Err(error) = self.ctx.vpsie.remove_node(&cluster, &identifier).await {
            self.failed(key, node, Some(&error));
            let reason = error.reason();
            let text = error.to_string();
            tracing::warn!(vpsienode = %key, reason, "removal failed: {text}");
            self.write_status(&next, |status| {
                status.deletion_requested_at = None;
                status.last_error = Some(text.clone());
                condition(status, types::ERROR, true, reasons::VPS_DELETE_FAILED, text, now);
            })
            .await?;
            return Err(Error::Vpsie {
                action: "removing a node",
                source: error,
            });
        }
        crash::at(Step::RemovalAsked);
        self.asked.lock().insert(uid);
        self.rests.over(key);
        Ok(Next::After(self.pace.provider_poll))
    }

    /// The identifier that removal asks for: of the row, else of the list that shows every VM.
    async fn identifier(&self, row: &ProviderNode) -> Result<Option<NodeUuid>, Error> {
        if let Some(identifier) = &row.identifier {
            return Ok(Some(identifier.clone()));
        }
        let vms = self
            .ctx
            .vpsie
            .list_attachable_vms()
            .await
            .map_err(Error::vpsie("listing all VMs"))?;
        let name = row.name_key();
        Ok(vms
            .iter()
            .find(|vm| vm.hostname.to_lowercase() == name)
            .map(|vm| NodeUuid::new(vm.identifier.as_str())))
    }

    /// VPSie lists the machine no more: the Node object and then the record go.
    pub(super) async fn gone(&self, key: &ObjectKey, node: &VPSieNode) -> Result<Next, Error> {
        crash::at(Step::MachineGone);
        // Asked of the server and not of the index: a Node that joined a moment ago may not stand there yet, and
        // nobody would ever look for it again. Its machine is gone, so whatever has its name is dead.
        if let Some(name) = node.node_name() {
            let nodes: Api<Node> = Api::all(self.ctx.effects.clone());
            match nodes
                .delete(name, &DeleteParams::default())
                .await
                .map_err(Error::kubernetes("deleting a Node"))
            {
                Ok(_) => crash::at(Step::NodeDeleted),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        self.bury(node).await?;
        self.release(key, node, "VPSie lists the machine no more").await
    }

    /// A late list may show the machine once more, when no record owns it any longer: no order may take it for its
    /// own. The orders under way remember that across the end of this process, those to come have it in their list of
    /// what was there before.
    async fn bury(&self, node: &VPSieNode) -> Result<(), Error> {
        // Names are short and come again; identifiers do not.
        let Some(machine) = node.provider_identifier().or(node.node_name()) else {
            return Ok(());
        };
        let cluster = Self::cluster(node);
        let nodes = self.of_cluster(&cluster);
        let ledger = self.ledgers.of(&cluster);
        let mut ledger = ledger.lock().await;
        ledger.bury(machine, (self.ctx.now)());
        ledger.refresh(&nodes);
        let open: BTreeSet<ObjectKey> = ledger.open().cloned().collect();
        drop(ledger);
        for other in nodes
            .iter()
            .filter(|other| open.contains(&ObjectKey::of(&***other)))
        {
            self.write_status(other, |status| {
                let before = status.provider_nodes_before.get_or_insert_default();
                if !before.iter().any(|known| known == machine) {
                    before.push(machine.to_owned());
                }
            })
            .await?;
        }
        Ok(())
    }

    async fn release(&self, key: &ObjectKey, node: &VPSieNode, why: &str) -> Result<Next, Error> {
        self.remove_finalizer(node).await?;
        crash::at(Step::Released);
        self.asked.lock().remove(&node.uid().unwrap_or_default());
        self.rests.over(key);
        self.ledgers.of(&Self::cluster(node)).lock().await.forget(key);
        tracing::info!(vpsienode = %key, "deleted: {why}");
        self.ctx
            .events
            .publish(&reference(node), EventType::Normal, "Deleted", "Delete", why);
        Ok(Next::Done)
    }
}

/// The row of the machine.
fn row_of<'a>(listed: &'a ClusterDetail, node: &VPSieNode) -> Option<&'a ProviderNode> {
    listed.nodes.iter().find(|row| is_machine_of(node, row))
}

/// Whether the row is the machine of this record, by identifier or by name in any case.
pub(crate) fn is_machine_of(node: &VPSieNode, row: &ProviderNode) -> bool {
    let hostname = node
        .status
        .as_ref()
        .and_then(|status| status.hostname.as_deref())
        .or(node.node_name());
    node.provider_identifier() == Some(identity(row).as_str())
        || hostname.is_some_and(|name| name.to_lowercase() == row.name_key())
}
