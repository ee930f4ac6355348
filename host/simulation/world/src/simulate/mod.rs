//! `vpsie-autoscaler simulate`: a scenario from a file, played on virtual time by the controllers themselves, once for
//! each variant that is to be compared.

mod file;
mod objects;
mod page;
mod play;
mod report;

pub use file::{Candidate, Problem, ScenarioFile};
pub use page::page;
pub use report::{Column, Report, Sample};

use crate::Error;

/// Plays the scenario as it is or in its variants, then once with each candidate.
///
/// # Errors
/// When an object is refused, a policy is not taken, or the simulation itself fails.
pub fn simulate(
    file: &ScenarioFile,
    candidates: &[Candidate],
    seed: u64,
    mut tell: impl FnMut(&str),
) -> Result<Report, Error> {
    let variants = file.plays(candidates)?;
    let mut columns = Vec::new();
    for variant in variants {
        tell(&variant.name);
        columns.push(crate::clock::run_virtually(play::play(file, &variant, seed))?);
    }
    Ok(Report {
        title: file.title.clone(),
        seed,
        hours: file.duration.as_secs_f64() / 3600.0,
        columns,
    })
}
