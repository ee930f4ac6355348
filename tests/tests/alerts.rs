//! The alerts: those that the runbooks name exist, ask for metrics that the controller has, and
//! each has a case that shows it firing and clearing. promtool runs the cases where it is
//! installed (Debian has it in the package `prometheus`); `PROMTOOL` may name it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use autoscaler_api::parse_manifest;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus")
}

fn spec() -> Result<Value> {
    parse_manifest(&std::fs::read_to_string(folder().join("alerts.yaml"))?).map_err(Into::into)
}

/// The rules as an object of the Prometheus operator; `BLESS=1` writes it.
#[test]
fn the_operator_gets_the_same_rules() -> Result<()> {
    let head = "# Made of alerts.yaml by `BLESS=1 cargo test --workspace --test alerts`.\n\
        apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: vpsie-autoscaler\n  \
        namespace: kube-system\nspec:\n";
    let rules = std::fs::read_to_string(folder().join("alerts.yaml"))?;
    let lines = rules.lines().skip_while(|line| line.starts_with('#'));
    let object: String = lines.fold(head.to_owned(), |text, line| format!("{text}  {line}\n"));
    let path = folder().join("prometheus-rule.yaml");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &object)?;
    }
    ensure!(
        std::fs::read_to_string(&path)? == object,
        "prometheus-rule.yaml is stale: run this test with BLESS=1"
    );
    Ok(())
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
    std::fs::read_dir(folder().join("tests"))?
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
        "VPSieAPICredentialsInvalid",
        "VPSieAPIRateLimited",
        "VPSieAutoscalerQuotaPause",
        "VPSieAutoscalerStuckPhase",
        "VPSieAutoscalerPolicyTripped",
        "RebalancerRollbackTriggered",
        "RebalancerOperationFailed",
        "RebalancerOperationStuck",
        "RebalancerDrainBlocked",
        "RebalancerRollbackStuck",
    ] {
        ensure!(present.contains(name), "{name} is missing");
    }
    Ok(())
}

#[test]
fn alerts_ask_for_metrics_that_exist() -> Result<()> {
    let documented = std::fs::read_to_string(folder().join("../../docs/metrics.md"))?;
    let mut metrics = 0;
    for (alert, expression) in alerts()? {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let prefixes = ["vpsie_", "rebalancer_", "credential_"];
        for word in words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))) {
            metrics += 1;
            // The series of a histogram.
            let word = ["_sum", "_count", "_bucket"]
                .iter()
                .find_map(|end| word.strip_suffix(end))
                .unwrap_or(word);
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
        let whole = firing.chunks(3).all(|case| case == [false, true, false]);
        ensure!(whole && !firing.is_empty(), "{alert}: {firing:?}");
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
    let mut command = Command::new(&promtool);
    command.args(["test", "rules"]);
    command.args(cases()?.into_iter().map(|(path, _)| path));
    let output = command.output().context("running promtool")?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    Ok(())
}
