//! A group of plain VMs on the real control plane, under the rights of `deploy/`: pods get VMs that join with the token
//! of a Secret, answers are lost and orders carried out twice, the process is killed, and in the end nothing is left.

use super::world::{
    self, NAMESPACE, PACE, all_run, machines, machines_nodes_and_records_agree, vm_cloud, vm_group,
};
use anyhow::{Result, ensure};
use autoscaler_tests::stage::Stage;
use fake_vpsie::{Effect, Fault};
use serde_json::json;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn plain_vms_come_once_and_go_with_the_load() -> Result<()> {
    let mut cloud = vm_cloud();
    cloud.delays.gap = Duration::from_millis(300);
    let mut stage = Stage::set(cloud).await?;
    stage.secret("demo-token").await?;
    world::prepare(&stage, false).await?;
    stage.apply(&vm_group(&stage, "vms", 5).await?).await?;
    for effect in [Effect::DropAfterApply, Effect::Duplicate, Effect::DropBefore] {
        let mut fault = Fault::once("/vm", effect);
        fault.method = Some("POST".to_owned());
        stage.cloud.inject(fault);
    }
    stage.start_controller(&PACE).await?;
    stage
        .apply(&world::deployment("web", 12, "600m", json!({})))
        .await?;
    stage
        .until("a machine is ordered", MINUTE, || async {
            Ok(machines(&stage).is_empty().then(|| "none".to_owned()))
        })
        .await?;
    stage.kill_controller();
    stage.start_controller(&PACE).await?;
    let took = all_run(&stage, &[("web", 12)], 2 * MINUTE).await?;
    println!("12 pods of {NAMESPACE} run on plain VMs after {took:?}");
    machines_nodes_and_records_agree(&stage, MINUTE).await?;
    let vms: Vec<_> = stage
        .cloud
        .vms()
        .into_iter()
        .filter(|vm| vm.plain.is_some())
        .collect();
    ensure!(
        vms.len() == 4,
        "{} machines for 12 pods, three to a machine",
        vms.len()
    );
    let inventory = stage.cloud.inventory();
    ensure!(inventory.created - inventory.removed == 4, "{inventory:?}");

    world::scale(&stage, "web", 0).await?;
    stage
        .until("all machines are gone", 2 * MINUTE, || async {
            let left = machines(&stage);
            Ok((!left.is_empty()).then(|| format!("{left:?}")))
        })
        .await?;
    machines_nodes_and_records_agree(&stage, MINUTE).await
}
