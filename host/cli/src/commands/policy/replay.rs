//! `policy replay`: recorded decisions once more, by the same policies or by others.

use super::desk::{config, config_of, desk, money};
use crate::arguments::PolicyReplay;
use anyhow::{Context, bail};
use autoscaler_cases::{Config, Desk};
use autoscaler_core::decision::Kind;
use autoscaler_policy::record::{Asked, Choice, Record, Round, Totals, decode, difference, replay, totals};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

pub(super) fn run(options: &PolicyReplay) -> anyhow::Result<()> {
    let desk = desk(&options.desk)?;
    let config = config(&options.desk.config, Config::new())?;
    let (mut reports, mut broken, mut other) = (Vec::new(), 0_usize, 0_usize);
    for file in &options.records {
        let report = one(file, &desk, &config).with_context(|| format!("replaying {}", file.display()))?;
        broken += usize::from(report["verdict"] == "broken");
        other += usize::from(report["verdict"] == "different");
        if !options.json {
            super::super::print(&text(&report))?;
        }
        reports.push(report);
    }
    if options.json {
        let text = serde_json::to_string_pretty(&reports).context("writing the reports as JSON")?;
        super::super::print(&format!("{text}\n"))?;
    }
    if broken > 0 {
        bail!(
            "{broken} of {} decisions come to another plan although the same policies decide",
            reports.len()
        );
    }
    if other > 0 && options.fail_on_difference {
        bail!("{other} of {} decisions come to another plan", reports.len());
    }
    Ok(())
}

fn one(file: &Path, desk: &Desk, config: &Config) -> anyhow::Result<Value> {
    let bytes = std::fs::read(file).context("reading it")?;
    let record = decode(&bytes)?;
    let rounds = replay(&record, &|kind, asked| choose(desk, config, kind, asked))?;
    let same_policies = policies(&record.rounds) == policies(&rounds);
    let equal = plans(&record.rounds)? == plans(&rounds)?;
    let (fuel_then, fuel_now) = (fuel(&record.rounds), fuel(&rounds));
    let verdict = match (equal, same_policies) {
        (true, _) => "equal",
        (false, true) => "broken",
        (false, false) => "different",
    };
    Ok(json!({
        "record": file.display().to_string(), "subject": record.subject.as_str(), "host": record.host,
        "nowMs": record.snapshot.now_ms, "verdict": verdict, "samePolicies": same_policies,
        "difference": difference(&record.snapshot, &record.rounds, &rounds),
        "then": summary(&record, &record.rounds, fuel_then), "now": summary(&record, &rounds, fuel_now),
    }))
}

/// A component of the command line decides what it exports. The one that decided then is taken from the binary, if it
/// is in it; another one is not put in its place unasked.
fn choose(desk: &Desk, config: &Config, kind: Kind, asked: Option<&Asked>) -> Option<Choice> {
    let own = config.contains_key(kind.as_str());
    let mut choice = desk.choice(kind, &config_of(config, kind))?;
    let Some(asked) = asked else {
        return Some(choice);
    };
    let same = choice.policy.digest() == asked.digest;
    if !same && !desk.answers(kind) {
        return None;
    }
    if same && !own {
        choice.config.clone_from(&asked.config);
        choice.limits = asked.limits.into();
    }
    choice.name.clone_from(&asked.policy);
    Some(choice)
}

/// The plans as bytes.
fn plans(rounds: &[Round]) -> anyhow::Result<Vec<u8>> {
    let plans: Vec<_> = rounds.iter().map(|round| (&round.plan, &round.notes)).collect();
    serde_json::to_vec(&plans).context("writing the plans as JSON")
}

/// Who decided what on which terms.
fn policies(rounds: &[Round]) -> Vec<(Kind, &str, &str)> {
    let calls = rounds.iter().flat_map(|round| &round.calls);
    calls
        .filter_map(|call| {
            let asked = &call.taken.as_ref()?.asked;
            Some((call.kind, asked.digest.as_str(), asked.config.as_str()))
        })
        .collect()
}

fn fuel(rounds: &[Round]) -> u64 {
    let calls = rounds.iter().flat_map(|round| &round.calls);
    calls
        .filter_map(|call| call.taken.as_ref())
        .map(|taken| taken.fuel)
        .sum()
}

fn summary(record: &Record, rounds: &[Round], fuel: u64) -> Value {
    let Totals {
        nodes_bought,
        nodes_removed,
        hourly_micros,
        pods_left,
    } = totals(record, rounds);
    json!({
        "nodesBought": nodes_bought, "nodesRemoved": nodes_removed, "hourly": money(hourly_micros),
        "podsLeft": pods_left, "fuel": fuel,
    })
}

fn text(report: &Value) -> String {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}: {}, {}",
        word(&report["record"]),
        word(&report["subject"]),
        match word(&report["verdict"]).as_str() {
            "equal" => "the same plan, byte by byte",
            "broken" => "ANOTHER PLAN by the same policies",
            _ => "another plan",
        }
    );
    for line in report["difference"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "  {}", word(line));
    }
    for (title, key, unit) in [
        ("nodes bought", "nodesBought", ""),
        ("nodes removed", "nodesRemoved", ""),
        ("price", "hourly", " per hour"),
        ("pods left", "podsLeft", ""),
        ("fuel", "fuel", ""),
    ] {
        let (then, now) = (word(&report["then"][key]), word(&report["now"][key]));
        let line = if then == now {
            then
        } else {
            format!("{then} → {now}")
        };
        let _ = writeln!(out, "  {title:<14}{line}{unit}");
    }
    out
}
