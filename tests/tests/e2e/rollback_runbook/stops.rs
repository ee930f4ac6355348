//! What somebody does to operations: stop them in each of the page's ways, let one that is stuck go on, hold the next
//! node, keep nodes.

use super::desk::{Desk, Names, PATIENCE, PODS, SMALL, Settings, TIERS, policy, shows};
use super::facts::{Counts, Ending, as_before, ends};
use super::page::SYSTEM;
use super::troubles::{budget, homeless, hopeless_budget, kubectl, no_budget, stray_goes};
use crate::world::{NAMESPACE, all_run, machines_nodes_and_records_agree, scale};
use anyhow::{Context, Result, ensure};
use autoscaler_api::rebalance::{RebalancePhase, StepState};
use autoscaler_api::{VPSieNode, labels};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use std::time::Duration;

const STOPPING: &str = "Stopping an operation";
/// Nothing fails by itself in these scenes.
const PATIENT: Settings = Settings {
    rolls_back: true,
    drain: "120s",
    health: "120s",
    interval: "1s",
};

/// A way to stop an operation: part of its command, what kubectl says, and how the operation ends.
struct Way {
    tier: &'static str,
    command: &'static str,
    says: &'static str,
    reason: &'static str,
    message: &'static str,
}

/// All but the annotation, which stops the operation of [`stuck`].
const WAYS: [Way; 4] = [
    Way {
        tier: TIERS[0],
        command: "vpsie-autoscaler rollback",
        says: "NAME: RolledBack: rollback: rollback was requested by annotation",
        reason: "RollbackRequested",
        message: "rollback was requested by annotation",
    },
    Way {
        tier: TIERS[1],
        command: "delete rebalance",
        says: "\"NAME\" deleted",
        reason: "DeletedByOperator",
        message: "",
    },
    Way {
        tier: TIERS[2],
        command: "uncordon NODE",
        says: "node/NODE uncordoned",
        reason: "UncordonedByOperator",
        message: "somebody uncordoned node NODE",
    },
    Way {
        tier: TIERS[3],
        command: "delete vpsienode",
        says: "\"NEW-NODE\" deleted",
        reason: "ReplacementDeletedByOperator",
        message: "somebody deleted the replacement NEW-NODE",
    },
];

/// Four operations that a budget keeps waiting are stopped, each in another way.
pub(super) async fn stopped(desk: &mut Desk) -> Result<()> {
    desk.settings(PATIENT).await?;
    let before = Counts::of(desk).await?;
    let mut all = Vec::new();
    for way in &WAYS {
        budget(desk, way.tier).await?;
        all.push(
            desk.begin(&format!("stopped-{}", way.tier), &[way.tier], SMALL)
                .await?,
        );
    }
    for names in &all {
        desk.blocked(names).await?;
    }
    for (way, names) in WAYS.iter().zip(&all) {
        let command = desk.page.one(STOPPING, way.command)?;
        desk.types(&[command], names, &[&[shows(way.command, &[way.says])]])
            .await?;
    }
    for (way, names) in WAYS.iter().zip(&all) {
        if way.message.is_empty() {
            let left = desk.operations.get_opt(&names.operation).await?;
            ensure!(left.is_none(), "kubectl has waited for the end of {left:?}");
            let log = desk.stage.log();
            let mut lines = log.lines().filter(|line| line.contains("rebalance rollback"));
            ensure!(
                lines.any(|line| line.contains(way.reason)),
                "no line of the log has {}",
                way.reason
            );
        } else {
            let ending = Ending {
                phase: RebalancePhase::RolledBack,
                reason: way.reason,
                message: way.message,
                verified: Some(("AsBefore", "")),
            };
            ends(desk, names, &ending).await?;
        }
        no_budget(desk, way.tier).await?;
    }
    before.grew(desk, 4, 4, 0).await?;
    for names in &all {
        as_before(desk, names).await?;
    }
    Ok(())
}

/// A rollback cannot empty the new node, because a budget keeps the pods there, until somebody keeps the node.
pub(super) async fn stuck(desk: &mut Desk) -> Result<()> {
    let tier = TIERS[4];
    // A pod without a place holds the operation while its new node fills; that must not end it by itself.
    desk.settings(Settings {
        interval: "20s",
        ..PATIENT
    })
    .await?;
    homeless(&desk.stage, tier).await?;
    let names = desk.begin("stuck", &[tier], SMALL).await?;
    let waits = |text: &str| text.starts_with("waiting for a place: ");
    desk.until("pods have moved, and one waits", &names.operation, |status| {
        let mut steps = status.steps.iter();
        steps.any(|step| step.message.as_deref().is_some_and(waits))
    })
    .await?;
    all_run(&desk.stage, &[(tier, PODS)], PATIENCE).await?;
    budget(desk, tier).await?;
    let stop = desk.page.one(STOPPING, "annotate rebalance")?;
    let said = shows("annotate", &["rebalance.autoscaler.vpsie.com/NAME annotated"]);
    desk.types(&[stop], &names, &[&[said]]).await?;

    let status = desk
        .until("the rollback is blocked", &names.operation, |status| {
            status
                .message
                .as_deref()
                .is_some_and(|text| text.contains("(now: blocked: "))
        })
        .await?;
    ensure!(status.phase == RebalancePhase::RollingBack, "{status:?}");
    let looks = desk.page.looks("RebalancerRollbackStuck")?;
    let told = shows(
        "grep RollingBack",
        &["NAME", "RollingBack", "(now: blocked: shop/TIER-", "budget TIER"],
    );
    desk.types(&looks, &names, &[&[told]]).await?;
    let blocked = desk.stage.metric("rebalancer_operations_blocked", &[]).await?;
    ensure!(blocked == 1.0, "{blocked} operations are blocked");
    let age = "rebalancer_oldest_operation_seconds";
    let stage = &desk.stage;
    stage
        .until("the rollback has an age", PATIENCE, || async {
            let seconds = stage.metric(age, &["operation=\"rollback\""]).await?;
            Ok((seconds == 0.0).then(|| format!("{seconds} s")))
        })
        .await?;

    let keep = desk.page.deeds("RebalancerRollbackStuck")?;
    let said = shows("annotate", &["vpsienode.autoscaler.vpsie.com/NEW-NODE annotated"]);
    desk.types(&keep, &names, &[&[said]]).await?;
    let ending = Ending {
        phase: RebalancePhase::RolledBack,
        reason: "RollbackRequested",
        message: "rollback was requested by annotation",
        verified: Some(("Differs", "shop/ReplicaSet/homeless has 0 of 1 pods ready")),
    };
    let status = ends(desk, &names, &ending).await?;
    let new = status.steps.iter().find(|step| step.id == "1-1-provision");
    let new = new.context("the record tells of the new node")?;
    let said = new.message.as_deref().unwrap_or_default();
    ensure!(
        new.state == StepState::Undone && said.starts_with("kept: "),
        "{new:?}"
    );
    let records: Api<VPSieNode> = Api::namespaced(desk.stage.client.clone(), SYSTEM);
    let record = records.get(&names.new).await?;
    ensure!(
        !record.labels().contains_key(labels::REBALANCE_OPERATION),
        "the kept VPSieNode still is marked"
    );
    no_budget(desk, tier).await?;
    stray_goes(&desk.stage, tier, "homeless").await?;
    machines_nodes_and_records_agree(&desk.stage, PATIENCE).await
}

/// A drain that is blocked is looked at and done by hand; the pause keeps the operation from its second node.
pub(super) async fn paused(desk: &mut Desk) -> Result<()> {
    const BLOCKED: &str = "RebalancerDrainBlocked";
    let (first, second) = (TIERS[0], TIERS[1]);
    desk.settings(PATIENT).await?;
    budget(desk, first).await?;
    let names = desk.begin("two-nodes", &[first, second], SMALL).await?;
    desk.blocked(&names).await?;
    let mut looks = desk.page.looks(BLOCKED)?;
    looks.extend(desk.page.section("RebalancerOperationStuck")?);
    let told = [
        shows("get pdb", &["ALLOWED DISRUPTIONS", "TIER"]),
        shows("spec.nodeName=NODE", &["TIER-", "Running"]),
        shows(
            "jsonpath",
            &["1-drain Running blocked: shop/TIER-", "budget TIER"],
        ),
    ];
    desk.types(&looks, &names, &[&told]).await?;
    let blocked = desk.stage.metric("rebalancer_operations_blocked", &[]).await?;
    ensure!(blocked == 1.0, "{blocked} operations are blocked");

    let pause = desk.page.one(STOPPING, "paused")?;
    let said = shows(
        "paused",
        &["autoscalerconfig.autoscaler.vpsie.com/default patched"],
    );
    desk.types(&[pause], &names, &[&[said]]).await?;
    let later = desk.begin("later", &[TIERS[2]], SMALL).await?;
    // The budget lets the pods go while kubectl asks for it.
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(desk.stage.client.clone(), NAMESPACE);
    let lifted = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        budgets.delete(first, &DeleteParams::default()).await.map(drop)
    });
    let drain = desk.page.deeds(BLOCKED)?;
    desk.types(
        &drain,
        &names,
        &[&[shows("kubectl drain", &["node/NODE drained"])]],
    )
    .await?;
    lifted.await.context("the budget goes")??;

    let held = "held: spec.rebalancer.paused is true";
    desk.until("the operation is held", &names.operation, |status| {
        status.message.as_deref() == Some(held)
    })
    .await?;
    let nodes: Api<Node> = Api::all(desk.stage.client.clone());
    ensure!(
        nodes.get_opt(&names.node).await?.is_none(),
        "the cordoned node was not finished"
    );
    let other = desk.names("two-nodes", second).await?;
    ensure!(
        nodes
            .get(&other.node)
            .await?
            .spec
            .unwrap_or_default()
            .unschedulable
            != Some(true),
        "the second node was touched"
    );
    let status = desk.status(&later.operation).await?;
    ensure!(
        status.phase == RebalancePhase::Pending
            && status.message.as_deref() == Some("spec.rebalancer.paused is true"),
        "an operation starts while paused: {status:?}"
    );
    for operation in ["later", "two-nodes"] {
        let patient = [
            "annotate",
            "rebalance",
            operation,
            "-n",
            SYSTEM,
            "rollback=requested",
        ];
        kubectl(&desk.stage, &patient).await?;
    }
    // What is gone does not come back, and the node that replaces it stays.
    let ending = Ending {
        phase: RebalancePhase::RolledBack,
        reason: "RollbackRequested",
        message: "could not be undone, removed already: NODE",
        verified: Some(("Differs", "node NODE is removed")),
    };
    ends(desk, &names, &ending).await?;
    desk.settings(PATIENT).await?;
    machines_nodes_and_records_agree(&desk.stage, PATIENCE).await
}

/// An operation that could never end does not begin: it is `Failed`, counts as skipped and undoes nothing.
pub(super) async fn not_begun(desk: &mut Desk) -> Result<()> {
    let tier = TIERS[3];
    let before = Counts::of(desk).await?;
    hopeless_budget(desk, tier).await?;
    let names = desk.begin("hopeless", &[tier], SMALL).await?;
    let status = desk
        .until("it is over", &names.operation, |status| status.phase.is_final())
        .await?;
    let message = names.fill("not begun: node NODE could never be drained: PodDisruptionBudget TIER");
    let said = status.message.as_deref().unwrap_or_default();
    ensure!(
        status.phase == RebalancePhase::Failed && said.starts_with(&message),
        "{status:?} instead of {message:?}"
    );
    before.grew(desk, 0, 0, 1).await?;
    no_budget(desk, tier).await?;
    as_before(desk, &names).await
}

/// A protected node and a group that does not shrink stay, while another node goes that is as idle as they are.
pub(super) async fn kept(desk: &mut Desk) -> Result<()> {
    let [protected, closed, open] = [TIERS[0], TIERS[1], TIERS[2]];
    let commands = [
        (protected, "protected=true", "node/NODE annotated"),
        (
            closed,
            "scaleDownPolicy",
            "nodegroup.autoscaler.vpsie.com/TIER patched",
        ),
    ];
    let mut stay = Vec::new();
    for (tier, part, says) in commands {
        let names = desk.names("kept", tier).await?;
        let command = desk.page.one(STOPPING, part)?;
        desk.types(&[command], &names, &[&[shows(part, &[says])]]).await?;
        stay.push(names);
    }
    let goes: Names = desk.names("goes", open).await?;
    policy(&desk.stage, 1).await?;
    for tier in [protected, closed, open] {
        scale(&desk.stage, tier, 0).await?;
    }
    let nodes: Api<Node> = Api::all(desk.stage.client.clone());
    desk.stage
        .until("the idle node goes", PATIENCE, || async {
            let left = nodes.get_opt(&goes.node).await?;
            Ok(left.map(|node| format!("{} is there", node.name_any())))
        })
        .await?;
    for names in stay {
        let node = nodes.get_opt(&names.node).await?;
        ensure!(
            node.is_some_and(|node| node.metadata.deletion_timestamp.is_none()
                && node.spec.unwrap_or_default().unschedulable != Some(true)),
            "the node of {} did not stay",
            names.tier
        );
    }
    machines_nodes_and_records_agree(&desk.stage, PATIENCE).await
}
