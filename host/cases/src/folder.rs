//! A case of a policy: a folder with a snapshot, the configuration, and what must come of it.
//!
//! | File | Holds |
//! |---|---|
//! | `snapshot.yaml`, `.json` or `.json.gz` | the cluster: in shorthand, from kubectl, or a decision record |
//! | `catalogue.yaml` | the offerings, for a cluster from kubectl |
//! | `config.yaml` | configuration by kind of policy; none for the defaults |
//! | `expect.yaml` | expectations in the words of the scheduling cases, and `invariants` |

use crate::desk::{Asking, Desk};
use crate::expectation::Expectation;
use crate::judge::Judge;
use crate::pipeline::{self, Config};
use crate::source::{self, Source, yaml};
use anyhow::{Context, Result, bail};
use autoscaler_core::decision::Kind;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const SNAPSHOTS: [&str; 3] = ["snapshot.yaml", "snapshot.json", "snapshot.json.gz"];
const EXPECTATION: &str = "expect.yaml";

/// What must hold whatever the plan is. That it passes the checker, and that the same question gets the same answer
/// at the same fuel, must always hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Invariants {
    /// The checker changes nothing in the plan.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    untrimmed: bool,
    /// No pod is left that a group could hold.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    serves_all: bool,
    /// Fuel of each answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_fuel: Option<u64>,
    /// Memory of each answer.
    #[serde(rename = "maxMemoryMiB", skip_serializing_if = "Option::is_none")]
    max_memory_mib: Option<u64>,
}

impl Invariants {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Default, Deserialize, Serialize)]
struct Expected {
    #[serde(default, skip_serializing_if = "Invariants::is_empty")]
    invariants: Invariants,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

/// A case that was read.
pub struct FolderCase {
    folder: PathBuf,
    source: Source,
    config: Config,
    expect: Expectation,
    invariants: Invariants,
}

/// How a case went.
pub enum Verdict {
    Holds,
    /// What was expected, and what was found.
    Fails(String),
}

impl FolderCase {
    /// Whether the folder is a case.
    pub fn is_at(folder: &Path) -> bool {
        SNAPSHOTS.iter().any(|name| folder.join(name).is_file())
    }

    /// Reads the folder. `blessed` reads one whose expectations are yet to be written.
    ///
    /// # Errors
    /// What is missing or cannot be understood, with its file.
    pub fn read(folder: &Path, blessed: bool) -> Result<Self> {
        let mut snapshots = SNAPSHOTS
            .iter()
            .map(|name| folder.join(name))
            .filter(|file| file.is_file());
        let Some(snapshot) = snapshots.next() else {
            bail!("{}: there is no {}", folder.display(), SNAPSHOTS.join(", nor a "));
        };
        if let Some(other) = snapshots.next() {
            bail!(
                "{} and {}: one snapshot is enough",
                snapshot.display(),
                other.display()
            );
        }
        let catalogue = Some(folder.join("catalogue.yaml")).filter(|file| file.is_file());
        let source = source::read(&snapshot, catalogue.as_deref())?;
        let file = folder.join("config.yaml");
        let config = if file.is_file() {
            let text = text(&file)?;
            let config: Config = yaml(&text).with_context(|| format!("reading {}", file.display()))?;
            if let Some(other) = config
                .keys()
                .find(|key| !Kind::ALL.iter().any(|kind| kind.as_str() == *key))
            {
                let known = Kind::ALL.map(Kind::as_str).join(", ");
                bail!(
                    "{}: {other}: no such kind of policy, there are {known}",
                    file.display()
                );
            }
            config
        } else {
            source.config.clone()
        };
        let file = folder.join(EXPECTATION);
        let (expect, invariants) = match file.is_file() {
            true => expected(&text(&file)?).with_context(|| format!("reading {}", file.display()))?,
            false if blessed => Default::default(),
            false => bail!(
                "{}: there is no {EXPECTATION}; --bless writes it",
                folder.display()
            ),
        };
        Ok(Self {
            folder: folder.to_owned(),
            source,
            config,
            expect,
            invariants,
        })
    }

    /// Judges it.
    ///
    /// # Errors
    /// Where a policy fails.
    pub fn judge(&self, desk: &Desk) -> Result<Verdict> {
        let asking = Asking::twice(desk);
        let judged = asking.with(|ask| {
            Judge::new(&self.source.scene, &self.expect, &self.config, ask).all()?;
            self.hold(desk, ask)
        });
        let judged = judged.and_then(|()| self.within(&asking));
        Ok(match judged {
            Ok(()) => Verdict::Holds,
            Err(error) => Verdict::Fails(format!("{error:#}")),
        })
    }

    /// The invariants of the plans.
    fn hold(&self, desk: &Desk, ask: crate::Ask<'_>) -> Result<()> {
        let found = self.found(desk, ask)?;
        if self.invariants.untrimmed {
            let trimmed = found.trimmed.iter().flatten();
            let struck = found.removals.iter().flat_map(|removals| &removals.struck);
            let changed: Vec<String> = trimmed
                .chain(struck)
                .map(|(who, code)| format!("{who}: {code}"))
                .collect();
            if !changed.is_empty() {
                bail!("untrimmed: the checker changes the plan: {}", changed.join(", "));
            }
        }
        let left = found.left.unwrap_or_default();
        if self.invariants.serves_all && !left.is_empty() {
            let names: Vec<String> = left
                .iter()
                .map(|(name, pods)| format!("{pods} of {name}"))
                .collect();
            bail!("servesAll: left without a place are {}", names.join(", "));
        }
        Ok(())
    }

    /// The invariants of the calls.
    fn within(&self, asking: &Asking<'_>) -> Result<()> {
        for asked in asking.reports() {
            let kind = asked.kind;
            if let Some(limit) = self.invariants.max_fuel
                && asked.report.fuel_used > limit
            {
                bail!("maxFuel: {kind} took {} of {limit}", asked.report.fuel_used);
            }
            if let Some(limit) = self.invariants.max_memory_mib
                && asked.report.memory_peak > limit << 20
            {
                bail!(
                    "maxMemoryMiB: {kind} took {} bytes of {limit} MiB",
                    asked.report.memory_peak
                );
            }
        }
        Ok(())
    }

    /// Writes down what happens as what is expected. What the case says of invariants stays.
    ///
    /// # Errors
    /// Where a policy fails, or the file cannot be written.
    pub fn bless(&self, desk: &Desk) -> Result<()> {
        let found = Asking::new(desk).with(|ask| self.found(desk, ask))?;
        let serde_json::Value::Object(rest) =
            serde_json::to_value(&found).context("writing the expectation")?
        else {
            bail!("an expectation is a map");
        };
        let expected = Expected {
            invariants: self.invariants.clone(),
            rest,
        };
        let text = serde_saphyr::to_string(&expected).context("writing the expectation")?;
        let file = self.folder.join(EXPECTATION);
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
    }

    /// Everything that comes of the questions which the policies on the desk answer.
    fn found(&self, desk: &Desk, ask: crate::Ask<'_>) -> Result<Expectation> {
        let judge = Judge::new(&self.source.scene, &self.expect, &self.config, ask);
        let kinds = desk.kinds();
        let snapshot = self.source.snapshot();
        let mut found = Expectation::default();
        if !snapshot.pods.is_empty() && kinds.iter().any(|kind| *kind != Kind::Rebalance) {
            let grown = judge.grown(&pipeline::grow(snapshot, &self.config, ask)?);
            found = Expectation {
                // Names of pods that a policy of another kind rejects are not this case's matter.
                demand: grown.demand.filter(|_| kinds.contains(&Kind::ScaleUp)),
                rejected: grown.rejected.filter(|_| kinds.contains(&Kind::ScaleUp)),
                unserved: grown.unserved.filter(|_| kinds.contains(&Kind::NodeSelection)),
                fallbacks: grown.fallbacks.filter(|_| kinds.contains(&Kind::NodeSelection)),
                purchases: grown.purchases,
                trimmed: grown.trimmed,
                cost: grown.cost,
                left: grown.left,
                ..found
            };
        }
        let managed = snapshot.nodes.iter().any(|node| node.group.is_some());
        if managed && kinds.contains(&Kind::Rebalance) {
            found.removals = Some(judge.shrunk(&pipeline::shrink(snapshot, &self.config, ask)?));
        }
        Ok(found)
    }
}

fn text(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

fn expected(text: &str) -> Result<(Expectation, Invariants)> {
    let mut all: serde_json::Map<String, serde_json::Value> = yaml(text)?;
    let invariants = all.remove("invariants").unwrap_or_else(|| serde_json::json!({}));
    let invariants = serde_path_to_error::deserialize(invariants)
        .map_err(|error| anyhow::anyhow!("invariants.{}: {}", error.path(), error.inner()))?;
    let expect = serde_path_to_error::deserialize(serde_json::Value::Object(all))
        .map_err(|error| anyhow::anyhow!("{}: {}", error.path(), error.inner()))?;
    Ok((expect, invariants))
}
