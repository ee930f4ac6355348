//! The process ends at the most dangerous steps of a replacement and of its rollback, and is started again: the
//! operation ends, pods run, a budget holds, and machines, VPSieNodes and Nodes agree.

use crate::crashes::{all_is_well, dies};
use crate::world::*;
use anyhow::{Context, Result, ensure};
use autoscaler_api::autoscaler_config::Strategy;
use autoscaler_api::rebalance::{RebalanceKind, RebalancePhase, RebalanceSpec, RebalanceStatus};
use autoscaler_api::{Rebalance, VPSieNode, labels};
use autoscaler_controllers::crash::Step;
use autoscaler_controllers::rebalance::{Arrival, Removal, Unit, plan};
use autoscaler_tests::stage::Stage;
use k8s_openapi::api::core::v1::Node;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::time::{Duration, Instant};

const PODS: usize = 4;
/// Three of the pods fill a node.
const MACHINES: usize = 2;
const PATIENCE: Duration = Duration::from_secs(90);

/// The step at which the process ends, and whether an operator has asked for a rollback by then.
pub(crate) const ROUNDS: [(Step, bool); 20] = [
    (Step::Marked, false),
    (Step::ReplacementOrdered, false),
    (Step::IntentWritten, false),
    (Step::Ordered, false),
    (Step::AcceptanceWritten, false),
    (Step::MachineFound, false),
    (Step::Labelled, false),
    (Step::ReadyWritten, false),
    (Step::Cordoned, false),
    (Step::Evicted, false),
    (Step::RecordDeleted, false),
    (Step::DeletingWritten, false),
    (Step::RemovalAsked, false),
    (Step::MachineGone, false),
    (Step::NodeDeleted, false),
    (Step::RollbackWritten, true),
    (Step::Uncordoned, true),
    (Step::RecordDeleted, true),
    (Step::RemovalAsked, true),
    (Step::Released, true),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_survives_the_end_of_its_process_at_every_dangerous_step() -> Result<()> {
    let mut stage = Stage::set(quick_cloud()).await?;
    stage.secret("demo-token").await?;
    prepare(&stage, true).await?;
    stage.apply(&group("general", &["k8s-2-4"], 5)).await?;
    stage.apply(&deployment("plain", PODS, "600m", json!({}))).await?;
    stage
        .apply(&json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": "plain", "namespace": NAMESPACE},
            "spec": {"minAvailable": PODS - 1, "selector": {"matchLabels": {"app": "plain"}}},
        }))
        .await?;
    stage.start_controller(&PACE).await?;
    all_run(&stage, &[("plain", PODS)], PATIENCE).await?;
    all_is_well(&stage, MACHINES).await?;
    let mut table = Vec::new();
    for (number, (step, rolls_back)) in ROUNDS.into_iter().enumerate() {
        let line = round(&mut stage, number, step, rolls_back).await;
        table.push(line.with_context(|| format!("round {number}, at {step}"))?);
    }
    println!(
        "| the process ended at | the operation ended as | machines | settled after |\n|---|---|---|---|"
    );
    for line in table {
        println!("{line}");
    }
    Ok(())
}

async fn round(stage: &mut Stage, number: usize, step: Step, rolls_back: bool) -> Result<String> {
    stage.kill_controller();
    stage.start_controller_that_dies(&PACE, step).await?;
    let name = format!("round-{number}");
    let operations: Api<Rebalance> = Api::namespaced(stage.client.clone(), "kube-system");
    operations
        .create(&PostParams::default(), &operation(stage, number, &name).await?)
        .await?;
    if rolls_back {
        // Between the cordon and the first eviction there is time.
        let what = "the node is cordoned";
        stage
            .until(what, PATIENCE, || async {
                let status = status(&operations, &name).await?;
                let drains = status.steps.iter().any(|step| step.id == "1-drain");
                Ok((!drains).then(|| format!("{:?}", status.progress)))
            })
            .await?;
        let patch = json!({"metadata": {"annotations": {labels::ROLLBACK_SHORT: "requested"}}});
        operations
            .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
    }
    dies(stage).await?;
    let began = Instant::now();
    stage.start_controller(&PACE).await?;
    stage
        .until("the operation ends", PATIENCE, || async {
            let status = status(&operations, &name).await?;
            Ok((!status.phase.is_final()).then(|| format!("{status:?}")))
        })
        .await?;
    let status = status(&operations, &name).await?;
    let wanted = if rolls_back {
        RebalancePhase::RolledBack
    } else {
        RebalancePhase::Completed
    };
    ensure!(status.phase == wanted, "it ended as {status:#?}");
    all_run(stage, &[("plain", PODS)], PATIENCE).await?;
    all_is_well(stage, MACHINES).await?;
    nothing_is_marked(stage).await?;
    Ok(format!(
        "| {step}{} | {} | {} | {:.1} s |",
        if rolls_back { ", rolling back" } else { "" },
        status.phase.as_str(),
        machines(stage).len(),
        began.elapsed().as_secs_f64()
    ))
}

async fn status(operations: &Api<Rebalance>, name: &str) -> Result<RebalanceStatus> {
    Ok(operations.get(name).await?.status.unwrap_or_default())
}

/// The oldest node is to make way for a new one.
async fn operation(stage: &Stage, number: usize, name: &str) -> Result<Rebalance> {
    let records: Api<VPSieNode> = Api::namespaced(stage.client.clone(), "kube-system");
    let all = records.list(&ListParams::default()).await?;
    let oldest = all
        .iter()
        .min_by_key(|record| record.creation_timestamp().map(|time| time.0));
    let oldest = oldest.context("there is no VPSieNode")?;
    let unit = Unit {
        arrivals: vec![Arrival {
            vpsie_node: format!("general-round-{number}"),
            group: "general".to_owned(),
            offering: "k8s-2-4".to_owned(),
            size: 12,
        }],
        removals: vec![Removal {
            node: oldest.node_name().context("the record names no Node")?.to_owned(),
            vpsie_node: oldest.name_any(),
            group: None,
            offering: None,
            reason: "it is its turn".to_owned(),
        }],
    };
    let plan = plan(RebalanceKind::Drift, Strategy::Rolling, &[unit]);
    let mut object = Rebalance::new(name, RebalanceSpec { plan });
    object.metadata.namespace = Some("kube-system".to_owned());
    Ok(object)
}

async fn nothing_is_marked(stage: &Stage) -> Result<()> {
    let marked = ListParams::default().labels(labels::REBALANCE_OPERATION);
    stage
        .until("no mark is left", PATIENCE, || async {
            let nodes: Api<Node> = Api::all(stage.client.clone());
            let records: Api<VPSieNode> = Api::all(stage.client.clone());
            let left = nodes.list(&marked).await?.items.len() + records.list(&marked).await?.items.len();
            Ok((left > 0).then(|| format!("{left} objects carry the label")))
        })
        .await
        .map(drop)
}
