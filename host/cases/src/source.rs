//! A snapshot from whatever describes one: a record of a decision, the shorthand of a case, or what kubectl printed.

use crate::format::{Cluster, Offering};
use crate::pipeline::Config;
use crate::scene::{Scene, catalogued};
use anyhow::{Context, Result, bail};
use autoscaler_cluster::{Dump, Inputs};
use autoscaler_core::model::Snapshot;
use autoscaler_policy::record::{self, Record};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Removals per loop for a cluster that kubectl printed: the setting is not in it.
const REMOVAL_BUDGET: u32 = 100;

/// A cluster to decide about.
pub struct Source {
    pub(crate) scene: Scene,
    /// Configuration of the policies, where the source has it.
    pub config: Config,
    /// The record that it was taken from.
    pub record: Option<Record>,
    /// What was left out, for people.
    pub notes: Vec<String>,
}

impl Source {
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.scene.snapshot
    }
}

/// The offerings of VPSie, for a cluster that kubectl printed.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    offerings: Vec<Offering>,
}

/// What is read of a case here; its expectations are another matter.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shorthand {
    cluster: Cluster,
    #[serde(default)]
    config: Config,
    #[serde(default, rename = "source")]
    _source: serde::de::IgnoredAny,
    #[serde(default, rename = "about")]
    _about: serde::de::IgnoredAny,
    #[serde(default, rename = "expect")]
    _expect: serde::de::IgnoredAny,
}

/// Reads a cluster: a decision record, a case (`cluster:` in YAML), or what `kubectl get … -o yaml` or `-o json`
/// printed, NodeGroups included; `catalogue` then has the offerings.
///
/// # Errors
/// What cannot be understood, with its place.
pub fn read(file: &Path, catalogue: Option<&Path>) -> Result<Source> {
    let name = file.display().to_string();
    let bytes = std::fs::read(file).with_context(|| format!("reading {name}"))?;
    if bytes.starts_with(&[0x1f, 0x8b]) || is_record(&bytes) {
        let record = record::decode(&bytes).with_context(|| format!("reading {name}"))?;
        return Ok(Source {
            scene: Scene::of(record.snapshot.clone()),
            config: Config::new(),
            record: Some(record),
            notes: Vec::new(),
        });
    }
    let text =
        String::from_utf8(bytes).with_context(|| format!("{name} is neither text nor a decision record"))?;
    if is_shorthand(&text) {
        let shorthand: Shorthand = yaml(&text).with_context(|| format!("reading {name}"))?;
        return Ok(Source {
            scene: Scene::new(&shorthand.cluster).with_context(|| name.clone())?,
            config: shorthand.config,
            record: None,
            notes: Vec::new(),
        });
    }
    dumped(&name, &text, catalogue)
}

/// Whether the document says so in its first words.
fn is_record(bytes: &[u8]) -> bool {
    let begin = &bytes[..bytes.len().min(200)];
    String::from_utf8_lossy(begin).contains(record::FORMAT)
}

fn is_shorthand(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("cluster:"))
}

/// YAML into a type, with the path of what does not fit.
pub(crate) fn yaml<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    let options = serde_saphyr::options! { strict_booleans: true };
    let value: serde_json::Value =
        serde_saphyr::from_str_with_options(text, options).context("this is no YAML")?;
    serde_path_to_error::deserialize(value)
        .map_err(|error| anyhow::anyhow!("{}: {}", error.path(), error.inner()))
}

fn dumped(name: &str, text: &str, catalogue: Option<&Path>) -> Result<Source> {
    let catalogue: Catalogue = match catalogue {
        Some(file) => {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(file).with_context(|| format!("reading {name}"))?;
            yaml(&text).with_context(|| format!("reading {name}"))?
        }
        None => Catalogue::default(),
    };
    let mut dump = Dump::default();
    dump.read(name, text)?;
    let notes = dump.notes();
    let now = dump.latest().unwrap_or_default();
    let index = dump.index_at(now);
    let groups = index.node_groups();
    if groups.is_empty() {
        bail!(
            "{name} has no NodeGroup: nothing can be decided; add what `kubectl get nodegroups -A -o yaml` prints"
        );
    }
    let mut offerings = BTreeMap::new();
    for group in groups {
        let datacenter = group.spec.datacenter_id.clone();
        let here = |offering: &&Offering| offering.zone.as_ref().is_none_or(|only| *only == datacenter);
        let offered = (1..).zip(catalogue.offerings.iter().filter(here));
        let offered = offered
            .map(|(size, offering)| catalogued(size, offering))
            .collect();
        offerings.insert(datacenter, offered);
    }
    let inputs = Inputs {
        now_ms: now.as_millisecond(),
        seed: now.as_millisecond().unsigned_abs(),
        offerings,
        removal_budget: REMOVAL_BUDGET,
        ..Inputs::default()
    };
    Ok(Source {
        scene: Scene::of(Arc::new(index.snapshot(&inputs))),
        config: Config::new(),
        record: None,
        notes,
    })
}
