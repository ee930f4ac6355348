//! The same decisions by Karpenter, by Cluster Autoscaler and by us, in turn on one machine: each rival runs its
//! own benchmark, from its own published source, which is kept in the cache and never in this repository.
//!
//! Every run is a process of its own (a rival's benchmark reuses state within one), and runs of different
//! contenders alternate, so that a machine that gets slower gets slower for all.

mod cluster_autoscaler;
mod contender;
mod go_benchmark;
mod karpenter;
mod measure;
mod ours;
mod table;

use crate::{talk, workspace::Workspace};
use anyhow::{Context, Result, bail};
use contender::{Contender, Row};
use std::path::PathBuf;

/// What to measure, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Shapes (`H3`) or workloads (`H3/51000`); none for all.
    only: Vec<String>,
    runs: usize,
    json: bool,
    /// A checkout of Cluster Autoscaler.
    cluster_autoscaler: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments after `bench-rivals`.
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            only: Vec::new(),
            runs: 10,
            json: false,
            cluster_autoscaler: None,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("`{argument}` needs a value"));
            match argument.as_str() {
                "--only" => options.only.push(value()?.clone()),
                "--runs" => {
                    let text = value()?;
                    options.runs = text
                        .parse()
                        .ok()
                        .filter(|runs| *runs > 0)
                        .with_context(|| format!("--runs {text}: a number from 1 up is wanted"))?;
                }
                "--json" => options.json = true,
                "--cluster-autoscaler" => options.cluster_autoscaler = Some(value()?.into()),
                other => bail!("`bench-rivals` knows no argument `{other}`"),
            }
        }
        Ok(options)
    }

    fn wants(&self, workload: &str) -> bool {
        self.only.is_empty()
            || self.only.iter().any(|wanted| {
                let rest = workload.strip_prefix(wanted.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }
}

/// Measures and prints the table.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let ours = ours::build(workspace)?;
    let known = ours.workloads()?;
    let workloads: Vec<&str> = known
        .iter()
        .map(String::as_str)
        .filter(|workload| options.wants(workload))
        .collect();
    if workloads.is_empty() {
        bail!("no workload matches; there are {}", known.join(", "));
    }
    let karpenter = if workloads.iter().any(|id| karpenter::has(id)) {
        Some(karpenter::build(&workspace.root)?)
    } else {
        None
    };
    let cluster_autoscaler = match &options.cluster_autoscaler {
        Some(checkout) if workloads.iter().any(|id| cluster_autoscaler::has(id)) => {
            Some(cluster_autoscaler::build(&workspace.root, checkout)?)
        }
        _ => None,
    };

    let mut rows = Vec::new();
    for workload in workloads {
        let mut contenders = ours.contenders(workload);
        if let Some(karpenter) = &karpenter {
            contenders.extend(karpenter.contenders(workload));
        }
        if let Some(cluster_autoscaler) = &cluster_autoscaler {
            contenders.extend(cluster_autoscaler.contenders(workload));
        } else if cluster_autoscaler::has(workload) {
            talk::note(&format!(
                "  {workload}: Cluster Autoscaler is left out: name a checkout with --cluster-autoscaler"
            ));
        }
        let title = format!(
            "{workload}: {} runs of {} contenders",
            options.runs,
            contenders.len()
        );
        rows.extend(talk::step(&title, || {
            Ok(in_turn(workload, &contenders, options.runs))
        })?);
    }
    if options.json {
        println!("{}", table::json(&rows));
    } else {
        print!("{}", table::render(&rows));
    }
    Ok(())
}

/// Every contender once, then every contender again. One that fails is not asked again.
fn in_turn(workload: &str, contenders: &[Contender], runs: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = contenders
        .iter()
        .map(|contender| Row::new(workload, &contender.name))
        .collect();
    for _ in 0..runs {
        for (contender, row) in contenders.iter().zip(&mut rows) {
            if row.failure.is_some() {
                continue;
            }
            match contender.run() {
                Ok(run) => row.runs.push(run),
                Err(error) => row.failure = Some(format!("{error:#}")),
            }
        }
    }
    for (contender, row) in contenders.iter().zip(&mut rows) {
        if row.failure.is_none()
            && let Some(price) = &contender.price
        {
            match price.run() {
                Ok(run) => row.priced(run),
                Err(error) => row.failure = Some(format!("pricing the plan: {error:#}")),
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        Options::parse(
            &arguments
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn arguments() {
        let options = parse(&["--only", "H3", "--only", "H1/1000", "--runs", "3", "--json"]).unwrap();
        assert_eq!((options.runs, options.json), (3, true));
        for (workload, wanted) in [
            ("H3/51000", true),
            ("H1/1000", true),
            ("H1/10000", false),
            ("H30/1", false),
        ] {
            assert_eq!(options.wants(workload), wanted, "{workload}");
        }
        assert!(parse(&[]).unwrap().wants("H8/1000"), "nothing named means all");
        for (arguments, word) in [
            (&["--runs", "0"][..], "--runs 0"),
            (&["--runs"], "needs a value"),
            (&["--fast"], "--fast"),
        ] {
            let error = parse(arguments).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
