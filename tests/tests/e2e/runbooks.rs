//! The commands of the runbooks, typed one by one in their order against a running system. Each must work: exit well,
//! but for a `grep` at the end, which may find nothing. What stands for a name is a name here, and what an operator does
//! inside the pod is done beside the process, because KWOK runs no containers.

use super::typing::{commands, head, run};
use super::world::{self, NAMESPACE, PACE, all_run, quick_cloud, running};
use anyhow::{Context, Result, ensure};
use autoscaler_api::VPSieNode;
use autoscaler_api::vpsie_node::Phase;
use autoscaler_tests::stage::Stage;
use fake_vpsie::{Effect, Fault};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const RUNBOOKS: [&str; 3] = ["scale-up-failure", "vpsie-api-errors", "orphans"];
/// What must find something in the trouble that the test makes.
const MUST_FIND: [&str; 7] = [
    "circuit_breaker_state",
    "grep vpsie_api",
    "grep circuit_breaker",
    "grep -E \"credential_",
    "grep -E \"rate_limit",
    "error|failed|provision",
    "quota exceeded\"",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_runbooks_works() -> Result<()> {
    let mut stage = Stage::set(quick_cloud()).await?;
    stage.secret("demo-token").await?;
    world::prepare(&stage, false).await?;
    stage.apply(&world::group("general", &["k8s-2-4"], 3)).await?;
    // The process runs beside the cluster; the Deployment stands for it where one is named.
    stage.apply(&stand_in()).await?;
    stage.start_controller(&PACE).await?;
    stage
        .apply(&world::deployment("web", 4, "600m", json!({})))
        .await?;
    all_run(&stage, &[("web", 4)], MINUTE).await?;
    // Something to see: a failure, a quota, a pod that fits nowhere.
    let refused = Effect::Status {
        status: 500,
        message: "Internal Server Error".to_owned(),
    };
    stage.cloud.inject(Fault::once("/add/slave", refused));
    stage.cloud.set_worker_limit(Some(2));
    world::scale(&stage, "web", 8).await?;
    stage
        .apply(&world::deployment("vast", 1, "64", json!({})))
        .await?;
    stage
        .until("VPSie has refused", MINUTE, || async {
            Ok((!stage.log().contains("quota exceeded")).then(|| "no quota yet".to_owned()))
        })
        .await?;
    ensure!(running(&stage, "web").await? >= 4);

    let mut failures = Vec::new();
    let mut typed = 0;
    for runbook in RUNBOOKS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/runbooks/{runbook}.md"));
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        for command in commands(&text) {
            typed += 1;
            let line = here(&stage, &command).await?;
            let output = run(&stage, &line).await?;
            let said = String::from_utf8_lossy(&output.stdout);
            let complaint = String::from_utf8_lossy(&output.stderr);
            println!("{runbook}$ {command}\n{}{complaint}", head(&said));
            let may_find_nothing =
                command.contains("| grep") && output.status.code() == Some(1) && complaint.is_empty();
            let must_find = MUST_FIND.iter().any(|part| command.contains(part));
            if !(output.status.success() || (may_find_nothing && !must_find)) {
                failures.push(format!(
                    "{runbook}: {command}\n  as {line}\n  {}: {said}{complaint}",
                    output.status
                ));
            }
        }
    }
    println!("{typed} commands typed");
    ensure!(
        failures.is_empty(),
        "{} commands do not work:\n{}",
        failures.len(),
        failures.join("\n")
    );
    ensure!(typed > 25, "only {typed} commands were found");
    Ok(())
}

/// A Deployment of the controller's name without pods.
fn stand_in() -> serde_json::Value {
    let labels = json!({"app": "vpsie-autoscaler"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "vpsie-autoscaler", "namespace": "kube-system"},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "controller"}]}},
        },
    })
}

/// A command with the names of this system in it.
async fn here(stage: &Stage, command: &str) -> Result<String> {
    let records: Api<VPSieNode> = Api::all(stage.client.clone());
    let records = records.list(&ListParams::default()).await?;
    let ready = records.iter().find(|record| is_ready(record));
    let ready = ready.or(records.items.first()).context("a VPSieNode")?;
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let pod = pods.list(&ListParams::default().labels("app=vast")).await?;
    let pod = pod.items.first().context("a pod")?.name_any();
    let inside = "kubectl exec -n kube-system deployment/vpsie-autoscaler --";
    let log = format!("cat {}", stage.log_path().display());
    let replacements = [
        (
            format!("{inside} curl -s localhost:8080"),
            format!("curl -s http://{}", stage.address()?),
        ),
        (
            format!("{inside} vpsie-autoscaler orphans"),
            stage.command_line("orphans").await?,
        ),
        (
            format!("{inside} vpsie-autoscaler explain"),
            stage.explain_command()?,
        ),
        (
            "pod/POD -n NAMESPACE".to_owned(),
            format!("pod/{pod} -n {NAMESPACE}"),
        ),
        (format!("{inside} "), String::new()),
        ("https://api.vpsie.com".to_owned(), stage.cloud_url().to_owned()),
        (
            "kubectl logs -n kube-system deployment/vpsie-autoscaler".to_owned(),
            log,
        ),
        (" --tail=100".to_owned(), " | tail -n 100".to_owned()),
        (" --tail=200".to_owned(), " | tail -n 20000".to_owned()),
        (" --tail=500".to_owned(), " | tail -n 20000".to_owned()),
        (
            "pod POD -n NAMESPACE".to_owned(),
            format!("pod {pod} -n {NAMESPACE}"),
        ),
        (
            "nodegroup NAME -n NAMESPACE".to_owned(),
            "nodegroup general -n kube-system".to_owned(),
        ),
        (
            "vpsienode NAME -n NAMESPACE".to_owned(),
            format!("vpsienode {} -n kube-system", ready.name_any()),
        ),
        (
            "scalingpolicy NAME".to_owned(),
            "scalingpolicy quick-removal".to_owned(),
        ),
        (
            "drain NODE".to_owned(),
            format!("drain {}", ready.node_name().unwrap_or_default()),
        ),
        ("'ID'".to_owned(), "demo-client".to_owned()),
        ("'SECRET'".to_owned(), "demo-secret".to_owned()),
        ("PASSWORD".to_owned(), "demo-password".to_owned()),
    ];
    let start = command.to_owned();
    Ok(replacements
        .iter()
        .fold(start, |line, (from, to)| line.replace(from, to)))
}

/// Whether a record has its node.
fn is_ready(record: &VPSieNode) -> bool {
    record.phase() == Phase::Ready && record.metadata.deletion_timestamp.is_none()
}
