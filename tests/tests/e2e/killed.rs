//! SIGKILL in the middle of orders: nothing is bought twice, nothing is left behind.

use crate::world::*;
use anyhow::{Result, ensure};
use autoscaler_tests::stage::Stage;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_controller_leaves_nothing_behind() -> Result<()> {
    let mut stage = Stage::set(quick_cloud()).await?;
    stage.secret("demo-token").await?;
    prepare(&stage, true).await?;
    stage.apply(&group("general", &["k8s-2-4"], 12)).await?;
    stage.start_controller(&PACE).await?;
    stage.apply(&deployment("plain", 24, "600m", json!({}))).await?;
    // In the middle of its orders, more than once.
    for _ in 0..3 {
        let before = orders(&stage).len();
        stage
            .until("another order is under way", Duration::from_secs(60), || async {
                let enough = orders(&stage).len() > before || running(&stage, "plain").await? == 24;
                Ok((!enough).then(|| "none".to_owned()))
            })
            .await?;
        stage.kill_controller();
        stage.start_controller(&PACE).await?;
    }
    all_run(&stage, &[("plain", 24)], Duration::from_secs(180)).await?;
    machines_nodes_and_records_agree(&stage, Duration::from_secs(240)).await?;
    let alive = machines(&stage).len();
    ensure!(alive <= 12, "{alive} machines exceed maxNodes");
    println!(
        "three SIGKILLs: {} orders, {alive} machines alive",
        orders(&stage).len()
    );
    Ok(())
}
