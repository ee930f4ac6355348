//! `simulate`: a scenario from a file, on virtual time, once for each policy that is to be compared.

use crate::arguments::{LogFormat, Simulate};
use anyhow::Context;
use autoscaler_api::scaling_policy::PolicyKind;
use autoscaler_policy::CompiledPolicy;
use autoscaler_simulation::simulate::{Candidate, ScenarioFile, page, simulate};
use std::path::Path;
use std::sync::Arc;

pub(crate) fn run(options: &Simulate) -> anyhow::Result<()> {
    if let Some(level) = &options.log_level {
        crate::logging::init(level, LogFormat::Text)?;
    }
    let name = options.scenario.display();
    let text = std::fs::read_to_string(&options.scenario).with_context(|| format!("reading {name}"))?;
    let file = ScenarioFile::parse(&text).with_context(|| format!("understanding {name}"))?;
    // Kept until the end: every play would compile them again.
    let loaded: Vec<(Candidate, Arc<CompiledPolicy>)> = options
        .policies
        .iter()
        .map(|argument| candidate(argument))
        .collect::<Result<_, _>>()?;
    let candidates: Vec<Candidate> = loaded.iter().map(|(candidate, _)| candidate.clone()).collect();
    let tell = |play: &str| eprintln!("playing {:.1} h: {play}", file.duration.as_secs_f64() / 3600.0);
    let report =
        simulate(&file, &candidates, options.seed, tell).with_context(|| format!("playing {name}"))?;
    if let Some(target) = &options.report {
        std::fs::write(target, page(&report)).with_context(|| format!("writing {}", target.display()))?;
    }
    if options.json {
        let text = serde_json::to_string_pretty(&report).context("writing the report as JSON")?;
        return super::print(&format!("{text}\n"));
    }
    super::print(&report.text())
}

/// Reads what `--policy` names. A component that does not load ends the command here, with the reason.
fn candidate(argument: &str) -> anyhow::Result<(Candidate, Arc<CompiledPolicy>)> {
    let (file, config) = match argument.split_once(',') {
        Some((file, config)) => (Path::new(file), Some(Path::new(config))),
        None => (Path::new(argument), None),
    };
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let engine = autoscaler_simulation::engine().context("starting the policy engine")?;
    let compiled = engine
        .compile(&bytes)
        .with_context(|| format!("loading {}", file.display()))?;
    let config = config.map(|config| {
        let text =
            std::fs::read_to_string(config).with_context(|| format!("reading {}", config.display()))?;
        serde_json::from_str(&text).with_context(|| format!("understanding {}", config.display()))
    });
    let kinds = PolicyKind::ALL
        .into_iter()
        .filter(|kind| compiled.kinds().any(|decides| decides.as_str() == kind.as_str()));
    let candidate = Candidate {
        name: file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        file: file.to_owned(),
        kinds: kinds.collect(),
        config: config.transpose()?,
    };
    Ok((candidate, compiled))
}
