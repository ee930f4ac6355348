//! `policy fuzz`: made-up clusters against a policy, under the limits of production; what breaks it is kept as a case.

use super::desk::{config, desk, desk_of_project, put, share};
use crate::arguments::PolicyFuzz;
use anyhow::{Context, bail};
use autoscaler_cases::{Config, Finding, Fuzzer};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Clusters, where nobody says how many or for how long.
const RUNS: u64 = 200;

pub(super) fn run(options: &PolicyFuzz) -> anyhow::Result<()> {
    let desk = match &options.file {
        Some(file) => {
            let mut desk = desk(&options.desk)?;
            put(&mut desk, file)?;
            desk
        }
        None => desk_of_project(&options.desk)?,
    };
    let config = config(&options.desk.config, Config::new())?;
    let mut fuzzer = Fuzzer::new(&desk, &config);
    let runs = options.runs.unwrap_or(match options.seconds {
        Some(_) => u64::MAX,
        None => RUNS,
    });
    let (begun, time) = (Instant::now(), options.seconds.map(Duration::from_secs));
    let mut seeds = options.seed..options.seed.saturating_add(runs);
    while time.is_none_or(|time| begun.elapsed() < time)
        && let Some(seed) = seeds.next()
    {
        fuzzer.try_seed(seed)?;
    }
    if fuzzer.answers == 0 && fuzzer.findings().next().is_none() {
        bail!(
            "nobody was asked anything in {} clusters: give it more --runs, or another --seed",
            fuzzer.clusters
        );
    }
    let mut kept = Vec::new();
    for finding in fuzzer.findings() {
        kept.push((finding, finding.keep(&options.out, &config)?));
    }
    let summary = summary(&fuzzer, options.seed, &kept);
    let text = if options.json {
        let limits = desk.limits();
        let report = json!({
            "seed": options.seed, "clusters": fuzzer.clusters, "answers": fuzzer.answers,
            "fuel": fuzzer.fuel, "fuelLimit": limits.fuel,
            "memoryBytes": fuzzer.memory_bytes, "memoryLimit": limits.memory_bytes,
            "findings": kept.iter().map(told).collect::<Vec<_>>(),
        });
        let text = serde_json::to_string_pretty(&report).context("writing the report as JSON")?;
        format!("{text}\n")
    } else {
        let mut text = String::new();
        for (finding, folder) in &kept {
            let _ = writeln!(
                text,
                "{} {} in {} clusters, first at seed {}: {}\n  {}",
                finding.kind,
                finding.reason,
                finding.times,
                finding.seed,
                finding.text,
                folder.display()
            );
        }
        if kept.is_empty() {
            let limits = desk.limits();
            let _ = writeln!(
                text,
                "{summary}; at most {} of the fuel and {} of the memory",
                share(fuzzer.fuel, limits.fuel),
                share(fuzzer.memory_bytes, limits.memory_bytes)
            );
        }
        text
    };
    super::super::print(&text)?;
    if kept.is_empty() {
        Ok(())
    } else {
        bail!("{summary}")
    }
}

fn summary(fuzzer: &Fuzzer<'_>, seed: u64, kept: &[(&Finding, PathBuf)]) -> String {
    let of = format!(
        "{} clusters from seed {seed}, {} answers",
        fuzzer.clusters, fuzzer.answers
    );
    if kept.is_empty() {
        return format!("nothing found in {of}");
    }
    let words: Vec<String> = kept
        .iter()
        .map(|(finding, _)| format!("{} {} ×{}", finding.kind, finding.reason, finding.times))
        .collect();
    format!("found in {of}: {}", words.join(", "))
}

fn told((finding, folder): &(&Finding, PathBuf)) -> Value {
    json!({
        "kind": finding.kind.as_str(), "reason": finding.reason, "text": finding.text, "seed": finding.seed,
        "times": finding.times, "case": folder.display().to_string(),
    })
}
