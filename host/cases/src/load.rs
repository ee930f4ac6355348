//! The case files of a folder.

use crate::format::Case;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Projects that behaviours are taken from.
const PROJECTS: [&str; 3] = ["cluster-autoscaler", "karpenter", "kubernetes"];

/// A file with its case, or with what is wrong with it.
pub struct File {
    /// `topic/name`.
    pub name: String,
    pub text: String,
    pub case: Result<Case>,
}

/// Every case below the folder, by name.
///
/// # Errors
/// Where a folder or a file cannot be read.
pub fn load(folder: &Path) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for topic in entries(folder)? {
        if !topic.is_dir() {
            continue;
        }
        for path in entries(&topic)? {
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let name = path.strip_prefix(folder).unwrap_or(&path).with_extension("");
            files.push(File {
                name: name.display().to_string(),
                case: parse(&text),
                text,
            });
        }
    }
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = listed.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    Ok(paths)
}

/// Reads a case.
///
/// # Errors
/// What is wrong with it, with the path of the field.
pub fn parse(text: &str) -> Result<Case> {
    // `n` and `on` are names here, as in YAML 1.2.
    let options = serde_saphyr::options! { strict_booleans: true };
    let value: serde_json::Value =
        serde_saphyr::from_str_with_options(text, options).context("this is no YAML")?;
    let case: Case = serde_path_to_error::deserialize(value)
        .map_err(|error| anyhow::anyhow!("{}: {}", error.path(), error.inner()))?;
    if case.about.trim().is_empty() {
        bail!("about: it is empty");
    }
    if !case.source.is_empty() && !is_source(&case.source) {
        bail!(
            "source: {:?} does not name a project, a path in it and a behaviour",
            case.source
        );
    }
    let kinds = ["scale-up", "node-selection", "rebalance"];
    if let Some(other) = case.config.keys().find(|kind| !kinds.contains(&kind.as_str())) {
        bail!(
            "config.{other}: no such kind of policy, there are {}",
            kinds.join(", ")
        );
    }
    if case.expect == Default::default() {
        bail!("expect: it is empty");
    }
    Ok(case)
}

/// `project path/in/it, behaviour`.
fn is_source(text: &str) -> bool {
    let Some((place, behaviour)) = text.split_once(", ") else {
        return false;
    };
    let mut words = place.split(' ');
    let (project, path) = (words.next(), words.next());
    project.is_some_and(|project| PROJECTS.contains(&project))
        && path.is_some_and(|path| path.contains('/'))
        && !behaviour.trim().is_empty()
}
