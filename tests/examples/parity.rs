//! The large parity run: `cargo run -p autoscaler-tests --example parity -- --seeds 0..2000`.
//!
//! Prints its progress, each disagreement shrunk into a case file, and in the last line how many clusters and
//! pairs were compared and how many pairs disagree. A range of seeds can be run in parts. With `--templates` the
//! pods of each cluster are judged on a node that does not exist yet, and compared once it does. With `--cases` the
//! scheduler is asked about the case files again, as one does for a new version of Kubernetes.

use std::{ops::Range, time::Instant};

use anyhow::{Context, Result, bail};
use autoscaler_tests::parity::{
    case::{self, Case},
    compare::{Comparison, compare},
    generate::{Size, cluster},
    oracle::Oracle,
    shrink::shrink,
    template,
};

const USAGE: &str = "usage: parity [--seeds FIRST..AFTER_LAST] [--no-shrink] [--templates] | --cases";

struct Options {
    seeds: Range<u64>,
    shrink: bool,
    templates: bool,
    cases: bool,
}

fn options() -> Result<Options> {
    let mut options = Options {
        seeds: 0..20,
        shrink: true,
        templates: false,
        cases: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seeds" => {
                let text = arguments.next().context(USAGE)?;
                let (first, end) = text.split_once("..").context(USAGE)?;
                options.seeds = first.parse().context(USAGE)?..end.parse().context(USAGE)?;
            }
            "--no-shrink" => options.shrink = false,
            "--cases" => options.cases = true,
            "--templates" => options.templates = true,
            _ => bail!(USAGE),
        }
    }
    Ok(options)
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = options()?;
    let oracle = Oracle::start().await?;
    if options.cases {
        return ask_about_cases(&oracle).await;
    }
    let began = Instant::now();
    let (mut sum, mut asked_again) = (Comparison::default(), 0);
    let clusters = options.seeds.end.saturating_sub(options.seeds.start);
    for (done, seed) in (1_u64..).zip(options.seeds.clone()) {
        let mut found = ask(&oracle, seed, options.templates).await?;
        if !found.disagreements.is_empty() {
            // Once more: the scheduler may have looked before its own watches had caught up.
            asked_again += 1;
            found = ask(&oracle, seed, options.templates).await?;
        }
        for disagreement in &found.disagreements {
            println!("seed {seed}: {disagreement}");
        }
        if options.shrink
            && !options.templates
            && !found.disagreements.is_empty()
            && let Some((_, answer)) = shrink(&oracle, &cluster(seed, Size::default())).await?
        {
            let differs = compare(&answer)?.disagreements;
            let about = format!("Seed {seed}, shrunk.");
            let path = Case::new(about, &answer)?.write(&format!("seed-{seed}"))?;
            println!("seed {seed}: shrunk into {}: {differs:?}", path.display());
        }
        sum.add(found);
        if done % 50 == 0 || done == clusters {
            println!(
                "{done} of {clusters} clusters, {} pairs ({} % feasible), {} disagreements, {} clusters asked again, {:.0} s",
                sum.pairs,
                sum.feasible * 100 / sum.pairs.max(1),
                sum.disagreements.len(),
                asked_again,
                began.elapsed().as_secs_f64(),
            );
        }
    }
    println!("refused by rule: {:?}", sum.refusals);
    println!(
        "seeds {}..{}: {clusters} clusters, {} pairs, {} disagreements",
        options.seeds.start,
        options.seeds.end,
        sum.pairs,
        sum.disagreements.len()
    );
    if sum.disagreements.is_empty() {
        return Ok(());
    }
    bail!("the scheduler and we disagree")
}

async fn ask(oracle: &Oracle, seed: u64, templates: bool) -> Result<Comparison> {
    let cluster = cluster(seed, Size::default());
    let asked = async {
        if templates {
            return template::ask(oracle, seed, &cluster).await;
        }
        compare(&oracle.ask(&cluster).await?)
    };
    asked.await.with_context(|| format!("seed {seed}"))
}

async fn ask_about_cases(oracle: &Oracle) -> Result<()> {
    let cases = case::all()?;
    let mut stale = 0;
    for (name, case) in &cases {
        let answer = oracle
            .ask(&case.cluster())
            .await
            .with_context(|| format!("case {name}"))?;
        if answer.feasible != case.feasible {
            stale += 1;
            println!(
                "{name}: the scheduler says {:?}, the file {:?}",
                answer.feasible, case.feasible
            );
        }
    }
    println!(
        "{} cases, {stale} of which the scheduler answers otherwise now",
        cases.len()
    );
    if stale > 0 {
        bail!("case files and scheduler differ");
    }
    Ok(())
}
