//! `policy inspect`: all that can be known of a component without asking it for a decision.

use crate::arguments::PolicyInspect;
use anyhow::Context;
use autoscaler_policy::Engine;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Instant;
use wit_component::DecodedWasm;

pub(super) fn run(options: &PolicyInspect) -> anyhow::Result<()> {
    let file = options.file.display().to_string();
    let bytes = std::fs::read(&options.file).with_context(|| format!("reading {file}"))?;
    let engine = Engine::new().context("starting the policy engine")?;
    let begun = Instant::now();
    let policy = engine
        .compile(&bytes)
        .with_context(|| format!("loading {file}"))?;
    let compiled = begun.elapsed();
    let (imports, exports) = world(&bytes).with_context(|| format!("reading the interfaces of {file}"))?;
    let kinds: Vec<Value> = policy
        .kinds()
        .filter_map(|kind| {
            let said = policy.description(kind)?;
            // A schema that is no JSON is shown as the text that it is.
            let schema = serde_json::from_str(&said.config_schema)
                .unwrap_or_else(|_| Value::from(said.config_schema.as_str()));
            let world = format!("{}-policy", kind.as_str());
            Some(json!({
                "kind": kind.as_str(), "world": world, "name": said.name, "version": said.version,
                "configSchema": schema,
            }))
        })
        .collect();
    let report = json!({
        "file": file, "digest": policy.digest(), "bytes": bytes.len(), "compileMs": compiled.as_millis(),
        "imports": imports, "exports": exports, "kinds": kinds,
    });
    if options.json {
        let text = serde_json::to_string_pretty(&report).context("writing the report as JSON")?;
        return super::super::print(&format!("{text}\n"));
    }
    super::super::print(&table(&report))
}

/// Names of what a component imports and exports.
pub(super) fn world(bytes: &[u8]) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(bytes)? else {
        anyhow::bail!("it is a package of interfaces, no component");
    };
    let world = &resolve.worlds[world];
    let name = |key| resolve.name_world_key(key);
    Ok((
        world.imports.keys().map(name).collect(),
        world.exports.keys().map(name).collect(),
    ))
}

fn table(report: &Value) -> String {
    let mut out = String::new();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let list = |value: &Value| {
        let names: Vec<String> = value.as_array().into_iter().flatten().map(text).collect();
        names.join("\n         ")
    };
    let _ = writeln!(out, "digest   {}", text(&report["digest"]));
    let _ = writeln!(out, "bytes    {}", report["bytes"]);
    let _ = writeln!(out, "compile  {} ms", report["compileMs"]);
    let _ = writeln!(out, "imports  {}", list(&report["imports"]));
    let _ = writeln!(out, "exports  {}", list(&report["exports"]));
    for kind in report["kinds"].as_array().into_iter().flatten() {
        let _ = writeln!(
            out,
            "\n{}: {} {}",
            text(&kind["kind"]),
            text(&kind["name"]),
            text(&kind["version"])
        );
        let schema = &kind["configSchema"];
        let properties = schema["properties"].as_object();
        for (name, property) in properties.into_iter().flatten() {
            let default = match &property["default"] {
                Value::Null => String::new(),
                value => format!(", default {value}"),
            };
            let _ = writeln!(
                out,
                "  {name} ({}{default}) {}",
                text(&property["type"]),
                text(&property["description"]).trim_matches('"')
            );
        }
        if properties.is_none_or(serde_json::Map::is_empty) {
            let _ = writeln!(out, "  no configuration");
        }
    }
    out
}
