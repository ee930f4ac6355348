//! Trouble at VPSie: each kind is named where an operator looks, and passes by itself.

use crate::world::*;
use anyhow::{Result, ensure};
use autoscaler_api::NodeGroup;
use autoscaler_tests::stage::Stage;
use fake_vpsie::{Effect, Fault};
use kube::Api;
use serde_json::json;
use std::time::Duration;

/// Longer than any back-off of the controller at this pace.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn trouble_at_vpsie_is_named_and_passes() -> Result<()> {
    let mut stage = Stage::set(quick_cloud()).await?;
    prepare(&stage, true).await?;
    stage.apply(&group("general", &["k8s-2-4"], 3)).await?;
    stage.apply(&group("mistaken", &["k8s-9-99"], 3)).await?;
    // VPSie is down from the start, and there is no secret either.
    stage.cloud.set_down(true);
    stage.start_controller(&PACE).await?;
    the_process_is_live_and_says_what_is_missing(&stage).await?;

    stage.secret("wrong-token").await?;
    stage.apply(&deployment("plain", 2, "500m", json!({}))).await?;
    condition(&stage, "general", "VPSieAPIError", "").await?;
    stage.cloud.set_down(false);
    condition(&stage, "general", "CredentialsRejected", "").await?;
    ensure!(
        stage.metric("vpsie_api_errors_total", &["unauthorized"]).await? >= 1.0,
        "401 is counted"
    );
    ensure!(
        stage.controller_lives(),
        "the controller died of wrong credentials"
    );
    ensure!(!stage.log().contains("wrong-token"), "the log tells the token");

    stage.secret("demo-token").await?;
    condition(&stage, "mistaken", "UnknownOffering", "k8s-9-99").await?;
    all_run(&stage, &[("plain", 2)], PATIENCE).await?;

    quota_is_told_in_vpsies_words(&stage).await?;
    a_lost_answer_buys_no_second_machine(&stage).await
}

async fn the_process_is_live_and_says_what_is_missing(stage: &Stage) -> Result<()> {
    let what = "the process is live and says what is missing";
    stage
        .until(what, Duration::from_secs(60), || async {
            let (live, _) = stage.get("/healthz").await?;
            let (_, why) = stage.get("/readyz").await?;
            Ok((live != 200 || !why.to_lowercase().contains("credential"))
                .then(|| format!("healthz {live}, readyz {why}")))
        })
        .await?;
    for series in [
        "vpsie_api_requests_total",
        "vpsie_api_errors_total",
        "rebalancer_operations_total",
    ] {
        stage.metric(series, &[]).await?;
    }
    let closed = stage
        .metric("vpsie_api_circuit_breaker_state", &["kubernetes", "closed"])
        .await?;
    ensure!(closed == 1.0, "the breaker starts closed");
    Ok(())
}

/// Waits until the group's Ready condition has this reason and a message with this word.
async fn condition(stage: &Stage, name: &str, reason: &str, word: &str) -> Result<()> {
    let groups: Api<NodeGroup> = Api::namespaced(stage.client.clone(), "kube-system");
    stage
        .until(&format!("{name} says {reason}"), PATIENCE, || async {
            let group = groups.get(name).await?;
            let condition = group
                .status
                .as_ref()
                .and_then(|s| autoscaler_api::conditions::get(&s.conditions, "Ready").cloned());
            let text = format!("{condition:?}");
            let as_wanted = condition.is_some_and(|c| {
                c.reason.as_deref() == Some(reason) && c.message.unwrap_or_default().contains(word)
            });
            Ok((!as_wanted).then_some(text))
        })
        .await
        .map(drop)
}

/// VPSie says it as HTTP 500; the group says it in VPSie's words.
async fn quota_is_told_in_vpsies_words(stage: &Stage) -> Result<()> {
    let workers = stage.cloud.inventory().vms.iter().filter(|vm| !vm.master).count();
    stage
        .cloud
        .set_worker_limit(Some(u32::try_from(workers).unwrap_or(u32::MAX)));
    stage.apply(&deployment("more", 6, "900m", json!({}))).await?;
    let (reason, words) = ("ClusterCapacityLimitReached", "exceeds the allowed limit");
    condition(stage, "general", reason, words).await
}

/// An order whose answer is lost is looked for, not sent again.
async fn a_lost_answer_buys_no_second_machine(stage: &Stage) -> Result<()> {
    stage.cloud.set_worker_limit(None);
    stage
        .cloud
        .inject(Fault::once("/add/slave", Effect::DropAfterApply));
    let wake = ["annotate", "nodegroup", "general", "-n", "kube-system"];
    let wake = [&wake[..], &["reconcile-trigger=1", "--overwrite"]].concat();
    stage.plane.kubectl(&wake, "").await?;
    stage
        .until("more pods run", PATIENCE, || async {
            let running = running(stage, "more").await?;
            Ok((running < 2).then(|| format!("{running} run")))
        })
        .await?;
    machines_nodes_and_records_agree(stage, PATIENCE).await
}
