//! What the page says of an operation that is over: phase, message, conditions, log, events, metrics and marks.

use super::desk::{Desk, Names};
use super::page::SYSTEM;
use crate::world::machines_nodes_and_records_agree;
use anyhow::{Context, Result, ensure};
use autoscaler_api::conditions::{self, types};
use autoscaler_api::rebalance::{RebalancePhase, RebalanceStatus};
use autoscaler_api::{ConditionStatus, VPSieNode, labels};
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

/// How an operation ends.
pub(super) struct Ending<'a> {
    pub(super) phase: RebalancePhase,
    pub(super) reason: &'a str,
    /// Part of the message, with the page's words for names.
    pub(super) message: &'a str,
    /// What the condition `Verified` says: its reason, and part of its message.
    pub(super) verified: Option<(&'a str, &'a str)>,
}

/// What alerts are made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Counts {
    pub(super) failed: f64,
    pub(super) undone: f64,
    pub(super) skipped: f64,
}

impl Counts {
    pub(super) async fn of(desk: &Desk) -> Result<Self> {
        let stage = &desk.stage;
        let count = async |operation: &str, result: &str| {
            let labels = [
                &*format!("operation=\"{operation}\""),
                &*format!("result=\"{result}\""),
            ];
            stage.metric("rebalancer_operations_total", &labels).await
        };
        Ok(Self {
            failed: count("execute", "failure").await?,
            undone: count("rollback", "success").await?,
            skipped: count("execute", "skipped").await?,
        })
    }

    /// Waits until so many more have been counted.
    pub(super) async fn grew(self, desk: &Desk, failed: u32, undone: u32, skipped: u32) -> Result<()> {
        let wanted = Self {
            failed: self.failed + f64::from(failed),
            undone: self.undone + f64::from(undone),
            skipped: self.skipped + f64::from(skipped),
        };
        desk.stage
            .until("the metrics tell", super::desk::PATIENCE, || async {
                let now = Self::of(desk).await?;
                Ok((now != wanted).then(|| format!("{now:?} instead of {wanted:?}")))
            })
            .await
            .map(drop)
    }
}

/// Waits until an operation is over, and compares its end.
pub(super) async fn ends(desk: &mut Desk, names: &Names, ending: &Ending<'_>) -> Result<RebalanceStatus> {
    let name = &names.operation;
    desk.until("the operation ends", name, |status| status.phase.is_final())
        .await?;
    // What the last look says is written after the phase.
    let status = desk
        .until("it says what was verified", name, |status| {
            let said = condition(status, types::VERIFIED).1;
            ending.verified.is_none_or(|(reason, _)| said == reason)
        })
        .await?;
    let message = names.fill(ending.message);
    let said = status.message.as_deref().unwrap_or_default();
    ensure!(
        status.phase == ending.phase && said.contains(&message),
        "{name} is not {:?} with {message:?}: {status:#?}",
        ending.phase
    );
    // The condition has the cause while it is being undone, and where it is not undone; the log has it for ever.
    let (ready, reason, _) = condition(&status, types::READY);
    let lasting = match ending.phase {
        RebalancePhase::Failed => ending.reason,
        phase => phase.as_str(),
    };
    ensure!(!ready && reason == lasting, "Ready={ready}, {reason}");
    let line = match ending.phase {
        RebalancePhase::Failed => "rebalance failed",
        _ => "rebalance rollback",
    };
    let log = desk.stage.log();
    let mut lines = log
        .lines()
        .filter(|text| text.contains(line) && text.contains(name.as_str()));
    ensure!(
        lines.any(|text| text.contains(ending.reason)),
        "no line of the log says {line:?} of {name} with {}",
        ending.reason
    );
    let verified = condition(&status, types::VERIFIED);
    if let Some((reason, part)) = ending.verified {
        let part = names.fill(part);
        ensure!(
            verified.1 == reason && verified.2.contains(&part),
            "Verified is {verified:?} instead of {reason}: {part}"
        );
    }
    desk.told.push(format!(
        "| {name} | {} | {} | {} |",
        status.phase.as_str(),
        ending.reason,
        verified.1
    ));
    Ok(status)
}

/// Whether a condition holds, its reason and its message.
fn condition(status: &RebalanceStatus, type_: &str) -> (bool, String, String) {
    let Some(found) = conditions::get(&status.conditions, type_) else {
        return (false, String::new(), String::new());
    };
    let (reason, message) = (found.reason.clone(), found.message.clone());
    (
        found.status == ConditionStatus::True,
        reason.unwrap_or_default(),
        message.unwrap_or_default(),
    )
}

/// Everything of a tier is as it was before an operation: no mark, no cordon, no new node; and nothing of the cloud is
/// left.
pub(super) async fn as_before(desk: &Desk, names: &Names) -> Result<()> {
    let client = &desk.stage.client;
    let nodes: Api<Node> = Api::all(client.clone());
    let node = nodes.get(&names.node).await.context("the old node")?;
    let spec = node.spec.clone().unwrap_or_default();
    let tainted = spec
        .taints
        .iter()
        .flatten()
        .any(|taint| taint.key.contains("rebalancing"));
    ensure!(
        spec.unschedulable != Some(true) && !tainted,
        "{} still is cordoned or tainted: {spec:?}",
        names.node
    );
    let ours: Vec<&String> = node
        .annotations()
        .keys()
        .filter(|key| {
            key.starts_with(labels::REBALANCE) || key.contains("/drain-") || key.contains("/cordoned-by")
        })
        .collect();
    ensure!(ours.is_empty(), "{} still has {ours:?}", names.node);
    let marked = ListParams::default().labels(labels::REBALANCE_OPERATION);
    let records: Api<VPSieNode> = Api::namespaced(client.clone(), SYSTEM);
    let left = nodes.list(&marked).await?.items.len() + records.list(&marked).await?.items.len();
    ensure!(left == 0, "{left} objects still carry the label of an operation");
    ensure!(
        records.get_opt(&names.new).await?.is_none(),
        "the new VPSieNode {} is still there",
        names.new
    );
    machines_nodes_and_records_agree(&desk.stage, super::desk::PATIENCE).await
}
