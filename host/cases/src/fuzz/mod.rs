//! Fuzzing of policies: clusters made of seeds, sound ones and hostile ones, with the host's checker as the judge.
//!
//! What breaks a policy is made as small as possible and kept as a case folder: from then on it is a test. The same
//! seed makes the same cluster and the same case, on every machine.

mod generate;
mod minimise;
#[cfg(test)]
mod tests;
mod trial;

use crate::desk::Desk;
use crate::format::Cluster;
use crate::pipeline::Config;
use crate::scene::Scene;
use anyhow::{Context, Result};
use autoscaler_core::decision::{Kind, Oracle, Question};
use autoscaler_core::model::Snapshot;
use autoscaler_policy::{CallError, CallReport};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trial::{Failure, Trial};

/// How often a case may be tried to make it smaller, and how often one whose tries end at a limit: each of these takes
/// as long as the limit lets.
const TRIES: u32 = 150;
const SLOW_TRIES: u32 = 12;

/// Asks a policy; the desk's way, but for those who test this.
pub(crate) type Asking<'a> = &'a dyn Fn(&Question, &dyn Oracle) -> Result<CallReport, CallError>;

/// A way in which a policy fails, with the smallest cluster on which it does.
#[derive(Clone, Debug)]
pub struct Finding {
    pub kind: Kind,
    /// The stable word: of the call's failure, of the checker's refusal, or `Unstable`.
    pub reason: String,
    /// What it said the first time.
    pub text: String,
    /// The first seed.
    pub seed: u64,
    /// How many clusters showed it.
    pub times: u64,
    cluster: Value,
}

/// What was tried so far.
pub struct Fuzzer<'a> {
    desk: &'a Desk,
    config: &'a Config,
    findings: BTreeMap<(Kind, String), Finding>,
    /// Clusters, and answers that passed.
    pub clusters: u64,
    pub answers: u64,
    /// The most that an answer took.
    pub fuel: u64,
    pub memory_bytes: u64,
}

impl<'a> Fuzzer<'a> {
    pub fn new(desk: &'a Desk, config: &'a Config) -> Self {
        Self {
            desk,
            config,
            findings: BTreeMap::new(),
            clusters: 0,
            answers: 0,
            fuel: 0,
            memory_bytes: 0,
        }
    }

    /// Makes the cluster of a seed, and asks every policy on the desk about it.
    ///
    /// # Errors
    /// Where the cluster cannot be made: that is a fault of this, and not of the policy.
    pub fn try_seed(&mut self, seed: u64) -> Result<()> {
        let cluster = generate::cluster(seed);
        self.clusters += 1;
        let trial = self
            .trial(&cluster)
            .with_context(|| format!("making the cluster of seed {seed}"))?;
        self.answers += trial.answers;
        self.fuel = self.fuel.max(trial.fuel);
        self.memory_bytes = self.memory_bytes.max(trial.memory_bytes);
        for failure in trial.failures {
            let key = (failure.kind, failure.reason.clone());
            if let Some(known) = self.findings.get_mut(&key) {
                known.times += 1;
                continue;
            }
            let smallest = self.smallest(&cluster, &failure);
            self.findings.insert(
                key,
                Finding {
                    kind: failure.kind,
                    reason: failure.reason,
                    text: failure.text,
                    seed,
                    times: 1,
                    cluster: smallest,
                },
            );
        }
        Ok(())
    }

    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.values()
    }

    fn trial(&self, cluster: &Value) -> Result<Trial> {
        let scene = scene(cluster)?;
        Ok(Trial::of(
            &scene.snapshot,
            &self.desk.kinds(),
            &|question, oracle| self.ask(question, oracle),
        ))
    }

    fn ask(&self, question: &Question, oracle: &dyn Oracle) -> Result<CallReport, CallError> {
        let kind = question.kind();
        let config = self.config.get(kind.as_str());
        let config = config.map_or_else(|| "{}".to_owned(), ToString::to_string);
        let choice = self.desk.choice(kind, &config);
        let choice = choice.ok_or_else(|| CallError::BadConfig("no policy for this question".to_owned()))?;
        choice
            .policy
            .decide(question, &choice.config, &choice.limits, oracle)
    }

    fn smallest(&self, cluster: &Value, failure: &Failure) -> Value {
        let tries = if failure.is_slow() { SLOW_TRIES } else { TRIES };
        minimise::minimise(cluster, tries, &mut |smaller| {
            let trial = self.trial(smaller);
            trial.is_ok_and(|trial| trial.failures.iter().any(|found| failure.is_like(found)))
        })
    }
}

impl Finding {
    /// Writes the case, and returns its folder. A case of that name from an earlier run goes.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep(&self, folder: &Path, config: &Config) -> Result<PathBuf> {
        let folder = folder.join(format!("{}-{}", self.kind.as_str(), self.reason));
        std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let write = |name: &str, text: &str| {
            let file = folder.join(name);
            std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
        };
        let yaml = |value: &Value| serde_saphyr::to_string(value).context("writing the case");
        let about = format!(
            "{} {}, seed {}: {}",
            self.kind.as_str(),
            self.reason,
            self.seed,
            one_line(&self.text)
        );
        write(
            "snapshot.yaml",
            &yaml(&json!({"about": about, "cluster": self.cluster}))?,
        )?;
        // Nothing is expected but what always is: an answer, the same one twice, that the checker lets pass.
        write("expect.yaml", "{}\n")?;
        if !config.is_empty() {
            let config = serde_json::to_value(config).context("writing the configuration")?;
            write("config.yaml", &yaml(&config)?)?;
        }
        Ok(folder)
    }
}

/// What a policy says may have lines, and more than one wants to read.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 200;
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The cluster of a seed, for those who have others than policies to try on it.
///
/// # Errors
/// Where it cannot be made.
pub fn snapshot_of_seed(seed: u64) -> Result<Arc<Snapshot>> {
    Ok(scene(&generate::cluster(seed))?.snapshot)
}

fn scene(cluster: &Value) -> Result<Scene> {
    let cluster: Cluster = serde_path_to_error::deserialize(cluster)
        .map_err(|error| anyhow::anyhow!("{}: {}", error.path(), error.inner()))?;
    Scene::new(&cluster)
}
