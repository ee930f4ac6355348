//! What follows from an order, however it was answered: taken, refused, not sent, or nobody knows.

use super::{VpsieNodes, provision_error};
use crate::crash::{self, Step};
use crate::error::Error;
use crate::runtime::queue::Next;
use autoscaler_api::VPSieNode;
use autoscaler_api::conditions::{self, reasons, types};
use autoscaler_api::vpsie_node::Phase;
use autoscaler_cluster::ObjectKey;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

/// Annotation on VPSieNodes: since when the first of the pods waits that it was ordered for (RFC 3339).
pub(crate) const WAITING_SINCE: &str = "autoscaler.vpsie.com/waiting-since";

/// Whether an order may have gone through although no usable answer came.
pub(super) fn is_unknown(error: &vpsie_client::Error) -> bool {
    error.is_outcome_unknown() || matches!(error, vpsie_client::Error::Decode { .. })
}

impl VpsieNodes {
    /// The order is about to leave: how long the first of its pods has waited.
    pub(super) fn note_reaction(&self, intent: &VPSieNode, now: jiff::Timestamp) {
        let since = intent.annotations().get(WAITING_SINCE);
        if let Some(since) = since.and_then(|text| text.parse::<jiff::Timestamp>().ok()) {
            let waited = now.duration_since(since).try_into().unwrap_or_default();
            self.ctx.metrics.scale_up_reaction(waited);
        }
    }

    /// The order has left, and this came of it.
    pub(super) async fn conclude(
        &self,
        key: &ObjectKey,
        intent: &VPSieNode,
        result: Result<(), vpsie_client::Error>,
    ) -> Result<Next, Error> {
        let now = (self.ctx.now)();
        match result {
            Ok(()) => {
                crash::at(Step::Ordered);
                self.rests.over(key);
                self.ctx.catalogue.order_accepted(intent.spec.quota_scope());
                self.write_status(intent, |status| {
                    status.creation_accepted_at = Some(Time(now));
                    conditions::remove(&mut status.conditions, types::PROVISION_ERROR);
                })
                .await?;
                crash::at(Step::AcceptanceWritten);
                Ok(Next::After(self.pace.provider_poll))
            }
            Err(error) if is_unknown(&error) => {
                tracing::warn!(vpsienode = %key, reason = error.reason(), "provisioning: {error}; looking before ordering again");
                self.write_status(intent, |status| {
                    provision_error(status, error.reason(), error.to_string(), now)
                })
                .await?;
                Ok(Next::After(self.pace.provider_poll))
            }
            Err(error) => self.refused(intent, error).await,
        }
    }

    /// VPSie has not taken the order: for good, or for now.
    async fn refused(&self, intent: &VPSieNode, error: vpsie_client::Error) -> Result<Next, Error> {
        use vpsie_client::Error::{CredentialsMissing, LimitReached, Unauthorized};
        if error.is_temporary() || matches!(error, Unauthorized { .. } | CredentialsMissing { .. }) {
            let action = "ordering a node";
            return self
                .not_sent(
                    intent,
                    Error::Vpsie {
                        action,
                        source: error,
                    },
                )
                .await;
        }
        let fell_back = self.fall_back(intent, &error).await?;
        let limit = matches!(error, LimitReached { .. });
        if limit && !fell_back {
            let words = error.provider_message().unwrap_or_default();
            self.ctx.catalogue.quota_refused(intent.spec.quota_scope(), words);
        }
        let reason = if limit {
            reasons::CAPACITY_LIMIT_REACHED
        } else {
            error.reason()
        };
        self.fail(intent, reason, error.to_string(), false).await
    }

    /// Surely nothing happened: the record waits as Pending, with the cause in a condition.
    pub(super) async fn not_sent(&self, node: &VPSieNode, error: Error) -> Result<Next, Error> {
        let now = (self.ctx.now)();
        let cause = match &error {
            Error::Vpsie { source, .. } => Some(source),
            _ => None,
        };
        self.failed(&ObjectKey::of(node), node, cause);
        let message = crate::runtime::chain(&error);
        self.enter(node, Phase::Pending, error.reason(), message.clone(), |status| {
            status.creation_requested_at = None;
            status.provider_nodes_before = None;
            provision_error(status, error.reason(), message, now);
        })
        .await?;
        Err(error)
    }
}
