//! The process ends at every step of buying a machine and of giving one back, and is started again: machines,
//! VPSieNodes and Nodes agree afterwards, nothing is bought twice, nothing is left behind or cordoned. First with a
//! managed group, then with plain VMs, at the steps that those do in a way of their own.

use crate::world::*;
use anyhow::{Context, Result, ensure};
use autoscaler_api::VPSieNode;
use autoscaler_controllers::crash::Step;
use autoscaler_tests::stage::Stage;
use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::time::{Duration, Instant};

const PODS: usize = 4;
/// Three of the pods fill a node.
const MACHINES: usize = 2;
const PATIENCE: Duration = Duration::from_secs(90);

/// How the end of the machines begins.
#[derive(Clone, Copy)]
enum Leaving {
    /// The load goes, and the nodes are idle.
    Idle,
    /// An operator deletes a VPSieNode under load.
    ByHand,
}

/// Each step of buying beside one of giving back: a round goes through both.
const ROUNDS: [(Step, Step, Leaving); 12] = [
    (Step::ProviderGroupCreated, Step::RebalanceCreated, Leaving::Idle),
    (Step::RecordCreated, Step::Cordoned, Leaving::Idle),
    (Step::IntentWritten, Step::RecordDeleted, Leaving::Idle),
    (Step::Ordered, Step::TerminatingWritten, Leaving::ByHand),
    (Step::AcceptanceWritten, Step::CordonedByHand, Leaving::ByHand),
    (Step::MachineFound, Step::Evicted, Leaving::ByHand),
    (Step::MachineWritten, Step::DeletingWritten, Leaving::ByHand),
    (Step::Labelled, Step::RemovalWritten, Leaving::ByHand),
    (Step::JoinWritten, Step::RemovalAsked, Leaving::ByHand),
    (Step::ReadyWritten, Step::MachineGone, Leaving::ByHand),
    (Step::RecordCreated, Step::NodeDeleted, Leaving::Idle),
    (Step::Ordered, Step::Released, Leaving::Idle),
];

/// Of plain VMs: what is not shared with managed groups.
const VM_ROUNDS: [(Step, Step, Leaving); 5] = [
    (Step::IntentWritten, Step::DeletingWritten, Leaving::ByHand),
    (Step::Ordered, Step::RemovalWritten, Leaving::ByHand),
    (Step::AcceptanceWritten, Step::RemovalAsked, Leaving::ByHand),
    (Step::MachineFound, Step::MachineGone, Leaving::Idle),
    (Step::MachineWritten, Step::Released, Leaving::Idle),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_at_any_step_leaves_nothing_behind() -> Result<()> {
    for step in Step::ALL {
        let played = ROUNDS
            .iter()
            .any(|(buys, gives, _)| *buys == step || *gives == step)
            || crate::rollbacks::ROUNDS.iter().any(|(at, _)| *at == step);
        ensure!(played, "no round ends the process at {step}");
    }
    let mut stage = Stage::set(quick_cloud()).await?;
    stage.secret("demo-token").await?;
    prepare(&stage, true).await?;
    stage.apply(&group("general", &["k8s-2-4"], 5)).await?;
    stage.apply(&deployment("plain", 0, "600m", json!({}))).await?;
    play(&mut stage, &ROUNDS).await?;
    orphans_are_listed(&mut stage).await
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_is_with_plain_vms() -> Result<()> {
    let mut stage = Stage::set(vm_cloud()).await?;
    stage.secret("demo-token").await?;
    prepare(&stage, true).await?;
    stage.apply(&vm_group(&stage, "vms", 5).await?).await?;
    stage.apply(&deployment("plain", 0, "600m", json!({}))).await?;
    play(&mut stage, &VM_ROUNDS).await
}

/// Plays the rounds and prints what came of each.
async fn play(stage: &mut Stage, rounds: &[(Step, Step, Leaving)]) -> Result<()> {
    let mut table = Vec::new();
    for (buying, giving, leaving) in rounds {
        let bought = bought(stage, *buying).await;
        table.push(bought.with_context(|| format!("at {buying}"))?);
        let given = given_back(stage, *giving, *leaving).await;
        table.push(given.with_context(|| format!("at {giving}"))?);
        empty(stage).await.context("emptying the group")?;
    }
    println!(
        "| the process ended at | orders | machines = VPSieNodes = Nodes | settled after |\n|---|---|---|---|"
    );
    for line in table {
        println!("{line}");
    }
    Ok(())
}

/// A finalizer is removed by hand: the command names the machine that has lost its record.
async fn orphans_are_listed(stage: &mut Stage) -> Result<()> {
    stage.start_controller(&PACE).await?;
    scale(stage, "plain", PODS).await?;
    all_run(stage, &[("plain", PODS)], PATIENCE).await?;
    all_is_well(stage, MACHINES).await?;
    let before = stage.output("orphans").await?;
    ensure!(before.starts_with("Every machine"), "{before}");
    stage.kill_controller();
    let records: Api<VPSieNode> = Api::namespaced(stage.client.clone(), "kube-system");
    let all = records.list(&ListParams::default()).await?;
    let record = all.iter().next().context("there is no VPSieNode")?;
    let name = record.name_any();
    let patch = json!({"metadata": {"finalizers": null}});
    records
        .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    records.delete(&name, &DeleteParams::default()).await?;
    let after = stage.output("orphans").await?;
    print!("{after}");
    let machine = record.status.as_ref().and_then(|status| status.hostname.clone());
    let machine = machine.context("the record names no machine")?;
    ensure!(
        after.lines().count() == 1
            && after.starts_with("machine")
            && after.contains(&machine)
            && after.contains(&name),
        "{after}"
    );
    Ok(())
}

/// The load comes, and the process dies while it buys.
async fn bought(stage: &mut Stage, step: Step) -> Result<String> {
    let before = orders(stage).len();
    stage.start_controller_that_dies(&PACE, step).await?;
    scale(stage, "plain", PODS).await?;
    dies(stage).await?;
    let began = Instant::now();
    stage.start_controller(&PACE).await?;
    all_run(stage, &[("plain", PODS)], PATIENCE).await?;
    all_is_well(stage, MACHINES).await?;
    let orders = carried_out(stage);
    ensure!(
        orders == stage.cloud.inventory().created as usize && machines(stage).len() == MACHINES,
        "{orders} orders, machines {:?}",
        machines(stage)
    );
    let sent = self::orders(stage).len() - before;
    ensure!(sent == MACHINES, "{sent} orders for {MACHINES} machines");
    Ok(row(step, sent, stage, began))
}

/// Machines go, and the process dies over it.
async fn given_back(stage: &mut Stage, step: Step, leaving: Leaving) -> Result<String> {
    let before = orders(stage).len();
    stage.kill_controller();
    stage.start_controller_that_dies(&PACE, step).await?;
    let records: Api<VPSieNode> = Api::namespaced(stage.client.clone(), "kube-system");
    let all = records.list(&ListParams::default()).await?;
    let leaves = all.iter().next().context("there is no VPSieNode")?.name_any();
    let left = match leaving {
        Leaving::Idle => {
            scale(stage, "plain", 0).await?;
            0
        }
        Leaving::ByHand => {
            records.delete(&leaves, &DeleteParams::default()).await?;
            MACHINES
        }
    };
    dies(stage).await?;
    let began = Instant::now();
    stage.start_controller(&PACE).await?;
    stage
        .until("the VPSieNode goes", PATIENCE, || async {
            Ok(records
                .get_opt(&leaves)
                .await?
                .map(|record| format!("it is {}", record.phase())))
        })
        .await?;
    if left > 0 {
        all_run(stage, &[("plain", PODS)], PATIENCE).await?;
    }
    all_is_well(stage, left).await?;
    // What was deleted by hand under load is replaced, once.
    let sent = orders(stage).len() - before;
    let wanted = usize::from(left > 0);
    ensure!(sent == wanted, "{sent} orders to replace {wanted}");
    Ok(row(step, sent, stage, began))
}

/// Nothing is left for the next round.
async fn empty(stage: &mut Stage) -> Result<()> {
    scale(stage, "plain", 0).await?;
    all_is_well(stage, 0).await?;
    stage.kill_controller();
    Ok(())
}

pub(crate) async fn dies(stage: &mut Stage) -> Result<()> {
    let began = Instant::now();
    while stage.controller_lives() {
        ensure!(
            began.elapsed() < PATIENCE,
            "the process never came to the step\n{}",
            stage.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ensure!(
        stage.log().contains("aborting at"),
        "the process ended by itself\n{}",
        stage.log()
    );
    stage.kill_controller();
    Ok(())
}

/// So many machines, each with one Node and one VPSieNode, and no Node is cordoned.
pub(crate) async fn all_is_well(stage: &Stage, wanted: usize) -> Result<()> {
    let what = format!("there are {wanted} machines and nothing is cordoned");
    stage
        .until(&what, PATIENCE, || async {
            let nodes: Api<Node> = Api::all(stage.client.clone());
            let cordoned = nodes.list(&ListParams::default()).await?;
            let cordoned = cordoned
                .iter()
                .filter(|node| node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true))
                .count();
            let found = machines(stage).len();
            Ok((found != wanted || cordoned > 0).then(|| format!("{found} machines, {cordoned} cordoned")))
        })
        .await?;
    machines_nodes_and_records_agree(stage, PATIENCE).await
}

fn row(step: Step, orders: usize, stage: &Stage, began: Instant) -> String {
    let machines = machines(stage).len();
    format!(
        "| {step} | {orders} | {machines} | {:.1} s |",
        began.elapsed().as_secs_f64()
    )
}
