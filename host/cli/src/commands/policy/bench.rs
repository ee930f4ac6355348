//! `policy bench`: how long a policy takes, and how much of its limits.

use super::desk::{config, config_of, desk_of_project, share};
use crate::arguments::PolicyBench;
use anyhow::{Context, bail};
use autoscaler_cases::{Asking, Desk, read};
use autoscaler_core::decision::{Answer, Kind, Question, questions};
use autoscaler_core::model::Snapshot;
use autoscaler_core::packing::{Placement, place_pending};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

pub(super) fn run(options: &PolicyBench) -> anyhow::Result<()> {
    let desk = desk_of_project(&options.desk)?;
    if options.runs == 0 {
        bail!("--runs: at least one run is needed");
    }
    let mut rows = Vec::new();
    for file in &options.snapshots {
        let source = read(file, options.catalogue.as_deref())?;
        let config = config(&options.desk.config, source.config.clone())?;
        for kind in desk.kinds() {
            let ask = |question: &Question, placement: &Placement| {
                measured(
                    &desk,
                    question,
                    placement,
                    &config_of(&config, kind),
                    options.runs,
                )
            };
            rows.extend(bench(
                file,
                kind,
                source.snapshot(),
                &desk,
                &config_of(&config, Kind::ScaleUp),
                &ask,
            )?);
        }
    }
    if rows.is_empty() {
        bail!("the policies on the desk have nothing to decide in these snapshots");
    }
    if options.json {
        let text = serde_json::to_string_pretty(&rows).context("writing the report as JSON")?;
        return super::super::print(&format!("{text}\n"));
    }
    super::super::print(&table(&rows))
}

/// One row for a kind; none where the snapshot has nothing to ask.
fn bench(
    file: &Path,
    kind: Kind,
    snapshot: &Arc<Snapshot>,
    desk: &Desk,
    scale_up: &str,
    ask: &dyn Fn(&Question, &Placement) -> anyhow::Result<Value>,
) -> anyhow::Result<Option<Value>> {
    let placement = place_pending(snapshot);
    let question = match kind {
        Kind::Rebalance => questions::rebalance(&placement, &|_| true),
        Kind::ScaleUp | Kind::NodeSelection if placement.unplaced.is_empty() => return Ok(None),
        Kind::ScaleUp => questions::scale_up(&placement, &|_| true),
        Kind::NodeSelection => {
            let questions = questions::growth(&placement, &|_| true);
            let first = questions.scale_up();
            let Answer::ScaleUp(demand) = desk.ask(&first, &placement, scale_up)?.report.answer else {
                return Ok(None);
            };
            questions.node_selection(demand.groups)
        }
    };
    if matches!(&question, Question::Rebalance { fleet, .. } if fleet.names.is_empty()) {
        return Ok(None);
    }
    let mut row = ask(&question, &placement)?;
    row["snapshot"] = file.display().to_string().into();
    row["kind"] = kind.as_str().into();
    Ok(Some(row))
}

fn measured(
    desk: &Desk,
    question: &Question,
    placement: &Placement,
    config: &str,
    runs: u32,
) -> anyhow::Result<Value> {
    let asking = Asking::new(desk);
    for _ in 0..runs {
        asking.with(|ask| ask(question, placement, config).map(drop))?;
    }
    let reports = asking.reports();
    let mut micros: Vec<u64> = reports
        .iter()
        .map(|asked| u64::try_from(asked.report.duration.as_micros()).unwrap_or(u64::MAX))
        .collect();
    micros.sort_unstable();
    let at = |percent: usize| {
        micros
            .get((micros.len() - 1) * percent / 100)
            .copied()
            .unwrap_or(0)
    };
    let fuel = reports
        .iter()
        .map(|asked| asked.report.fuel_used)
        .max()
        .unwrap_or(0);
    let memory = reports
        .iter()
        .map(|asked| asked.report.memory_peak)
        .max()
        .unwrap_or(0);
    Ok(json!({
        "runs": runs, "p50Micros": at(50), "p99Micros": at(99), "fuel": fuel, "fuelLimit": desk.limits().fuel,
        "memoryBytes": memory, "memoryLimit": desk.limits().memory_bytes,
    }))
}

fn table(rows: &[Value]) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let millis = |value: &Value| format!("{}.{:03}", number(value) / 1000, number(value) % 1000);
    let mut out = String::new();
    for row in rows {
        let (fuel, memory) = (number(&row["fuel"]), number(&row["memoryBytes"]));
        let _ = writeln!(
            out,
            "{} {}: p50 {} ms, p99 {} ms; fuel {fuel} ({}); memory {} KiB ({}); {} runs",
            row["snapshot"].as_str().unwrap_or_default(),
            row["kind"].as_str().unwrap_or_default(),
            millis(&row["p50Micros"]),
            millis(&row["p99Micros"]),
            share(fuel, number(&row["fuelLimit"])),
            memory >> 10,
            share(memory, number(&row["memoryLimit"])),
            row["runs"]
        );
    }
    out
}
