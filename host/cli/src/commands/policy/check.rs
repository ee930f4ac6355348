//! `policy check`: a component on the desk, loaded exactly as the controller loads it.

use crate::arguments::PolicyCheck;
use anyhow::{Context, bail};
use autoscaler_policy::{Engine, Limits};
use serde_json::{Value, json};
use std::fmt::Write;

pub(super) fn run(options: &PolicyCheck) -> anyhow::Result<()> {
    let file = &options.file;
    let component = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let engine = Engine::new().context("starting the policy engine")?;
    let policy = engine
        .compile(&component)
        .with_context(|| format!("checking {}", file.display()))?;

    let mut kinds = Vec::new();
    let mut problems = 0;
    for kind in policy.kinds() {
        let Some(description) = policy.description(kind) else {
            continue;
        };
        let diagnostics = match options.config.as_deref() {
            Some(config) => policy
                .validate_config(kind, config, &Limits::default())
                .with_context(|| format!("having {kind} validate --config"))?,
            None => Vec::new(),
        };
        problems += diagnostics.len();
        let diagnostics: Vec<Value> = diagnostics
            .iter()
            .map(|found| json!({"path": found.path, "message": found.message, "hint": found.hint}))
            .collect();
        // A schema that is no JSON is shown as the text that it is.
        let schema = serde_json::from_str(&description.config_schema)
            .unwrap_or_else(|_| Value::from(description.config_schema.as_str()));
        kinds.push(json!({
            "kind": kind.as_str(), "name": description.name, "version": description.version,
            "configSchema": schema, "diagnostics": diagnostics,
        }));
    }
    let report = json!({"digest": policy.digest(), "bytes": component.len(), "kinds": kinds});
    let text = if options.json {
        format!(
            "{}\n",
            serde_json::to_string_pretty(&report).context("writing the report as JSON")?
        )
    } else {
        table(&report)
    };
    super::super::print(&text)?;
    if problems > 0 {
        bail!("--config: the policy found {problems} problem(s)");
    }
    Ok(())
}

fn table(report: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "digest  {}\nbytes   {}",
        text(&report["digest"]),
        report["bytes"]
    );
    for kind in report["kinds"].as_array().into_iter().flatten() {
        let _ = writeln!(
            out,
            "{:<16}{} {}",
            text(&kind["kind"]),
            text(&kind["name"]),
            text(&kind["version"])
        );
        for found in kind["diagnostics"].as_array().into_iter().flatten() {
            let _ = writeln!(out, "  {}: {}", text(&found["path"]), text(&found["message"]));
            if found["hint"] != "" {
                let _ = writeln!(out, "    {}", text(&found["hint"]));
            }
        }
    }
    out
}
