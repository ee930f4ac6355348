//! Giving VMs back: that of a record which is on its way out, and those which are too many of a name.

use super::super::order::since;
use super::super::terminate::ASK_AGAIN;
use super::super::{VpsieNodes, condition, provision_error, reference};
use super::{Machines, hostname};
use crate::crash::{self, Step};
use crate::error::Error;
use crate::runtime::events::EventType;
use crate::runtime::queue::Next;
use autoscaler_api::VPSieNode;
use autoscaler_api::conditions::{reasons, types};
use autoscaler_cluster::ObjectKey;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use std::time::Duration;
use tokio::time::Instant;
use vpsie_client::Vm;

/// Said to VPSie with every removal.
const REASON: &str = "removed by vpsie-autoscaler";

impl VpsieNodes {
    /// Asks VPSie to remove every machine of the record's name, until none is listed.
    pub(in super::super) async fn give_back_vm(
        &self,
        key: &ObjectKey,
        node: &VPSieNode,
    ) -> Result<Next, Error> {
        let mut machines = self.machines(node, self.pace.provider_poll).await?;
        if machines.is_empty() {
            // A list that is older than the order or the removal proves nothing.
            machines = self.machines(node, Duration::ZERO).await?;
        }
        if machines.listed.is_empty() {
            return self.nothing_listed(key, node, machines.pending).await;
        }
        if let Some(left) = self.rests(key, node) {
            return Ok(Next::After(left.min(self.pace.resync)));
        }
        let mut current = node.clone();
        for vm in &machines.listed {
            if self.was_asked(vm) {
                continue;
            }
            current = self.ask_to_remove(key, &current, vm).await?;
        }
        Ok(Next::After(self.pace.provider_poll))
    }

    async fn ask_to_remove(&self, key: &ObjectKey, node: &VPSieNode, vm: &Vm) -> Result<VPSieNode, Error> {
        let now = (self.ctx.now)();
        // The answer may be lost: the list decides.
        let next = self
            .write_status(node, |status| {
                status.deletion_requested_at = Some(Time(now));
                status.vpsie_node_identifier = Some(vm.identifier.as_str().to_owned());
            })
            .await?;
        crash::at(Step::RemovalWritten);
        if let Err(source) = self
            .ctx
            .vpsie
            .delete_vm(&vm.identifier, REASON, &key.to_string())
            .await
        {
            self.failed(key, node, Some(&source));
            let (reason, text) = (source.reason(), source.to_string());
            tracing::warn!(vpsienode = %key, reason, "removal failed: {text}");
            self.write_status(&next, |status| {
                status.deletion_requested_at = None;
                provision_error(status, reasons::VPS_DELETE_FAILED, text.clone(), now);
                condition(
                    status,
                    types::ERROR,
                    true,
                    reasons::VPS_DELETE_FAILED,
                    text.clone(),
                    now,
                );
            })
            .await?;
            self.ctx.events.publish(
                &reference(node),
                EventType::Warning,
                reasons::VPS_DELETE_FAILED,
                "Delete",
                text,
            );
            return Err(Error::Vpsie {
                action: "removing a VM",
                source,
            });
        }
        crash::at(Step::RemovalAsked);
        self.asked_for(vm);
        self.rests.over(key);
        Ok(next)
    }

    /// No machine of the name is listed: it is gone, was never made, or may still come.
    async fn nothing_listed(&self, key: &ObjectKey, node: &VPSieNode, pending: bool) -> Result<Next, Error> {
        let status = node.status.clone().unwrap_or_default();
        let seen = status.vpsie_node_identifier.is_some();
        let ordered = status.creation_requested_at.as_ref();
        let answered = status.creation_accepted_at.is_some();
        let begun = ordered.or(status.terminating_at.as_ref());
        let waited = begun.map_or(Duration::ZERO, |at| since(&at.0, (self.ctx.now)()));
        // Whatever was ordered once and is not any more was looked for in vain.
        let may_come = ordered.is_some() && !seen && (answered || waited < self.pace.lost_answer_grace);
        let over = !(pending || may_come) || waited >= self.settings().node_ready_timeout;
        if over {
            return self.gone(key, node).await;
        }
        Ok(Next::After(self.pace.provider_poll))
    }

    /// Two machines of one name are an order that was carried out twice: the one that the record names, or the oldest,
    /// stays, and the others go.
    pub(super) async fn remove_doubles(&self, node: &VPSieNode, machines: &Machines) -> Result<(), Error> {
        let Some(kept) = machines.kept(node) else {
            return Ok(());
        };
        let doubles = machines
            .listed
            .iter()
            .filter(|vm| vm.identifier != kept.identifier);
        for vm in doubles.filter(|vm| vm.name_key() == hostname(node)) {
            if self.was_asked(vm) {
                continue;
            }
            let removed = self
                .ctx
                .vpsie
                .delete_vm(&vm.identifier, REASON, "a machine too many of its name")
                .await;
            removed.map_err(Error::vpsie("removing a VM that is too many"))?;
            self.asked_for(vm);
            let note = format!(
                "VPSie has made two machines of the name {}: {} stays, {} is removed",
                kept.hostname, kept.identifier, vm.identifier
            );
            tracing::warn!(vpsienode = %node.name_any(), "{note}");
            self.ctx.events.publish(
                &reference(node),
                EventType::Warning,
                reasons::DUPLICATE_REMOVED,
                "RemoveDuplicate",
                note,
            );
        }
        Ok(())
    }

    /// Whether this process has asked for the machine's removal not long ago. Asking twice is harmless.
    fn was_asked(&self, vm: &Vm) -> bool {
        let asked = self.asked_vms.lock();
        asked
            .get(&vm.identifier)
            .is_some_and(|at| at.elapsed() < ASK_AGAIN)
    }

    fn asked_for(&self, vm: &Vm) {
        let mut asked = self.asked_vms.lock();
        asked.retain(|_, at| at.elapsed() < ASK_AGAIN);
        asked.insert(vm.identifier.clone(), Instant::now());
    }
}
