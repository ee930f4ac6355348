//! `fit`: which pending pod fits on which node of a dumped cluster.

use crate::arguments;
use anyhow::Context;
use autoscaler_cluster::{Dump, Fit};
use autoscaler_core::decision::Cause;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;
use std::path::Path;

pub(crate) fn run(options: &arguments::Fit) -> anyhow::Result<()> {
    let mut dump = Dump::default();
    for file in &options.from_dump {
        let (name, text) = read(file)?;
        dump.read(&name, &text)?;
    }
    for note in dump.notes() {
        eprintln!("vpsie-autoscaler: {note}");
    }
    let fit = Fit::of(dump.snapshot());
    if options.json {
        let text = serde_json::to_string_pretty(&fit).context("writing the answer as JSON")?;
        return super::print(&format!("{text}\n"));
    }
    super::print(&table(&fit))
}

/// The text of a file and what to call it.
fn read(file: &Path) -> anyhow::Result<(String, String)> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("reading standard input")?;
        return Ok(("standard input".to_owned(), text));
    }
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {name}"))?;
    Ok((name, text))
}

/// A paragraph per pod: where it fits, and the nodes that each rule keeps it from.
fn table(fit: &Fit) -> String {
    if fit.feasible.is_empty() {
        return "No pod is pending.\n".to_owned();
    }
    let mut out = String::new();
    for (pod, nodes) in &fit.feasible {
        let refusals = fit.refused.get(pod).into_iter().flatten();
        let mut by_rule: BTreeMap<Cause, Vec<&str>> = BTreeMap::new();
        for (node, cause) in refusals {
            by_rule.entry(*cause).or_default().push(node);
        }
        let all = nodes.len() + by_rule.values().map(Vec::len).sum::<usize>();
        let _ = writeln!(out, "{pod}: fits on {} of {all} nodes", nodes.len());
        if !nodes.is_empty() {
            let _ = writeln!(out, "  {:<16}{}", "fits", nodes.join(", "));
        }
        for (cause, nodes) in by_rule {
            let _ = writeln!(out, "  {:<16}{}", format!("{cause:?}"), nodes.join(", "));
        }
    }
    out
}
