//! The conformance suite against the server in memory and against the real one: both have to give the transcripts
//! under `cases/conformance`, which were taken down from the real one.
//!
//! With `VPSIE_AUTOSCALER_RECORD` set the real server's answers are written there anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use autoscaler_tests::conformance::{Case, cases};
use autoscaler_tests::control_plane::ControlPlane;
use kube::Client;
use serde_json::Value;
use simulated_kubernetes::{ApiServer, Controllers, Delays};

fn recorded(case: &Case) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("cases/conformance")
        .join(format!("{}.json", case.name))
}

/// The steps at which two transcripts part.
fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let steps = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (expected, found) = (steps(expected), steps(found));
    let mut differences: Vec<String> = expected
        .iter()
        .zip(&found)
        .filter(|(expected, found)| expected != found)
        .map(|(expected, found)| format!("    expected {expected}\n    found    {found}"))
        .collect();
    if expected.len() != found.len() {
        differences.push(format!(
            "    expected {} steps, found {}",
            expected.len(),
            found.len()
        ));
    }
    differences
}

async fn check(client: &Client, case: &Case) -> Result<()> {
    let found = case.run(client).await?;
    let path = recorded(case);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let differences = differences(&serde_json::from_str(&text)?, &found);
    if !differences.is_empty() {
        bail!(
            "the answers differ from the recorded ones:\n{}",
            differences.join("\n")
        );
    }
    Ok(())
}

/// The cases to run: all, or the one that `VPSIE_AUTOSCALER_CASE` names.
fn chosen() -> Vec<Case> {
    let wanted = std::env::var("VPSIE_AUTOSCALER_CASE").ok();
    cases()
        .into_iter()
        .filter(|case| wanted.as_deref().is_none_or(|wanted| wanted == case.name))
        .collect()
}

fn report(failures: &[String]) -> Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    bail!(
        "{} of {} cases failed:\n{}",
        failures.len(),
        chosen().len(),
        failures.join("\n")
    )
}

#[tokio::test]
async fn the_server_in_memory_answers_as_recorded() -> Result<()> {
    let start = jiff::Timestamp::from_second(1_767_225_600)?;
    let begun = tokio::time::Instant::now();
    let now = move || start + jiff::SignedDuration::try_from(begun.elapsed()).unwrap_or_default();
    let server = ApiServer::new(Arc::new(now), 1);
    let delay = Duration::from_millis(10);
    let delays = Delays {
        node_ready: delay,
        pod_start: delay,
        pod_stop: delay,
        ..Delays::default()
    };
    let _controllers = Controllers::spawn(&server, delays);
    let client = server.client();
    let mut failures = Vec::new();
    for case in chosen() {
        if let Err(error) = check(&client, &case).await {
            failures.push(format!("  {}: {error:#}", case.name));
        }
    }
    report(&failures)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_server_answers_as_recorded() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    // A client that retries would hide every 429 for six minutes.
    let mut config = control_plane.config()?;
    config.default_retry = false;
    let client = Client::try_from(config)?;
    let record = std::env::var_os("VPSIE_AUTOSCALER_RECORD").is_some();
    let mut failures = Vec::new();
    for case in chosen() {
        let result = if record {
            write_down(&client, &case).await
        } else {
            check(&client, &case).await
        };
        if let Err(error) = result {
            failures.push(format!("  {}: {error:#}", case.name));
        }
    }
    report(&failures).with_context(|| control_plane.log_tails())
}

async fn write_down(client: &Client, case: &Case) -> Result<()> {
    let transcript = case.run(client).await?;
    let mut text = serde_json::to_string_pretty(&transcript)?;
    text.push('\n');
    std::fs::write(recorded(case), text)?;
    Ok(())
}
