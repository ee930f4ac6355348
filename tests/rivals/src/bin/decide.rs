//! Decides one workload once and prints what came of it as a line of JSON. One process per run, so that the peak
//! of its memory is that of the decision.

use anyhow::{Context, Result, bail};
use autoscaler_rivals::{Components, Native, Policies, decide};
use serde_json::json;
use std::sync::Arc;

const USAGE: &str = "decide WORKLOAD wasm|native, or: decide list";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (id, with) = match arguments.as_slice() {
        [list] if list == "list" => {
            known().iter().for_each(|id| println!("{id}"));
            return Ok(());
        }
        [id, with] => (id, with),
        _ => bail!("{USAGE}"),
    };
    let workload = autoscaler_workloads::find(id)
        .with_context(|| format!("there is no workload {id}; there are {}", known().join(", ")))?;
    let policies: Box<dyn Policies> = match with.as_str() {
        "wasm" => Box::new(Components::new()?),
        "native" => Box::new(Native),
        other => bail!("`{other}` is neither wasm nor native"),
    };
    let snapshot = Arc::new((workload.snapshot)());
    let before = processor_seconds();
    let decided = decide(workload.decision, &snapshot, policies.as_ref())?;
    let spent = processor_seconds()
        .zip(before)
        .map(|(after, before)| after - before);
    let peak = peak_memory();
    let judged = decided.judge();
    let breaches: Vec<String> = judged
        .breaches
        .iter()
        .take(5)
        .map(|breach| format!("{:?}: {}", breach.rule, breach.what))
        .collect();
    println!(
        "{}",
        json!({
            "workload": workload.id,
            "seconds": decided.took.as_secs_f64(),
            "loops": decided.loops,
            "bought": judged.bought,
            "removed": judged.removed,
            "hourly": judged.hourly_micros as f64 / 1e6,
            "waiting": decided.waiting,
            "breaches": judged.breaches.len(),
            "first_breaches": breaches,
            "cpu_seconds": spent,
            "memory_peak": peak,
        })
    );
    Ok(())
}

fn known() -> Vec<&'static str> {
    autoscaler_workloads::ALL
        .iter()
        .map(|workload| workload.id)
        .collect()
}

/// The most memory that this process had at once, in bytes; none where the system has no such file.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Processor time of this thread, which does all the deciding.
fn processor_seconds() -> Option<f64> {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds as f64 / 1e9)
}
