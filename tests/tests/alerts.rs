//! The alerts: those that the runbooks name exist, ask for metrics that the controller has, and
//! each has a case that shows it firing and clearing. promtool runs the cases where it is
//! installed (Debian has it in the package `prometheus`); `PROMTOOL` may name it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use autoscaler_api::parse_manifest;
use serde_json::Value;

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring")
}

fn spec() -> Result<Value> {
    let rule = parse_manifest(&std::fs::read_to_string(
        monitoring().join("prometheus-rule.yaml"),
    )?)?;
    Ok(rule["spec"].clone())
}

fn alerts() -> Result<Vec<(String, String)>> {
    let spec = spec()?;
    let rules = spec["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|group| group["rules"].as_array())
        .flatten();
    rules
        .map(|rule| {
            let text = |key: &str| {
                rule[key]
                    .as_str()
                    .map(str::to_owned)
                    .with_context(|| format!("{key} of {rule}"))
            };
            Ok((text("alert")?, text("expr")?))
        })
        .collect()
}

fn cases() -> Result<Vec<(PathBuf, Value)>> {
    std::fs::read_dir(monitoring().join("tests"))?
        .map(|entry| {
            let path = entry?.path();
            let case = parse_manifest(&std::fs::read_to_string(&path)?)?;
            Ok((path, case))
        })
        .collect()
}

#[test]
fn the_alerts_of_the_runbooks_exist() -> Result<()> {
    let present: BTreeSet<String> = alerts()?.into_iter().map(|(name, _)| name).collect();
    for name in [
        "VPSieAutoscalerScaleUpFailure",
        "VPSieAPIHighErrorRate",
        "VPSieAPICircuitBreakerOpen",
        "RebalancerRollbackTriggered",
        "RebalancerOperationFailed",
    ] {
        ensure!(present.contains(name), "{name} is missing");
    }
    Ok(())
}

#[test]
fn alerts_ask_for_metrics_that_exist() -> Result<()> {
    let documented = std::fs::read_to_string(monitoring().join("../../docs/metrics.md"))?;
    let mut metrics = 0;
    for (alert, expression) in alerts()? {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let prefixes = ["vpsie_", "rebalancer_", "credential_"];
        for word in words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))) {
            metrics += 1;
            ensure!(
                documented.contains(&format!("| `{word}` |")),
                "{alert} asks for {word}, which docs/metrics.md lacks"
            );
        }
    }
    ensure!(metrics > 0, "no metric was found in the expressions");
    Ok(())
}

#[test]
fn every_alert_has_a_case_that_fires_and_then_clears() -> Result<()> {
    let steps: Vec<Value> = cases()?
        .iter()
        .flat_map(|(_, case)| case["tests"].as_array().cloned().unwrap_or_default())
        .flat_map(|test| test["alert_rule_test"].as_array().cloned().unwrap_or_default())
        .collect();
    for (alert, _) in alerts()? {
        let firing: Vec<bool> = steps
            .iter()
            .filter(|step| step["alertname"] == alert.as_str())
            .map(|step| {
                step["exp_alerts"]
                    .as_array()
                    .is_some_and(|alerts| !alerts.is_empty())
            })
            .collect();
        ensure!(firing == [false, true, false], "{alert}: {firing:?}");
    }
    Ok(())
}

#[test]
fn promtool_agrees() -> Result<()> {
    let promtool = std::env::var_os("PROMTOOL").unwrap_or_else(|| "promtool".into());
    if Command::new(&promtool).arg("--version").output().is_err() {
        eprintln!("promtool is not installed: its cases did not run");
        return Ok(());
    }
    let folder = tempfile::tempdir().context("creating a folder")?;
    // JSON is YAML.
    std::fs::write(folder.path().join("alerts.yaml"), serde_json::to_vec(&spec()?)?)?;
    let mut command = Command::new(&promtool);
    command.current_dir(folder.path()).args(["test", "rules"]);
    for (path, _) in cases()? {
        let name = path.file_name().context("file name")?;
        std::fs::copy(&path, folder.path().join(name))?;
        command.arg(name);
    }
    let output = command.output().context("running promtool")?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    Ok(())
}
