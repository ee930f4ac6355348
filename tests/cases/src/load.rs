//! The case files of a folder.

use crate::format::Case;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// A file with its case, or with what is wrong with it.
pub struct File {
    /// `topic/name`.
    pub name: String,
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

/// Reads a case; an error names the field.
fn parse(text: &str) -> Result<Case> {
    // `n` and `on` are names here, as in YAML 1.2.
    let options = serde_saphyr::options! { strict_booleans: true };
    let value: serde_json::Value =
        serde_saphyr::from_str_with_options(text, options).context("this is no YAML")?;
    let case: Case = serde_path_to_error::deserialize(value)
        .map_err(|error| anyhow::anyhow!("{}: {}", error.path(), error.inner()))?;
    for (what, line) in [("source", &case.source), ("about", &case.about)] {
        if line.trim().is_empty() {
            bail!("{what}: it is empty");
        }
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

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn mistakes_are_named_with_their_field() {
        let whole = "source: s\nabout: a\ncluster: {nodes: [{name: n}], pods: [{name: p}]}\nexpect: {fits: {p: []}}\n";
        assert!(parse(whole).is_ok());
        for (from, to, part) in [
            ("source: s", "source: ''", "source: it is empty"),
            ("source: s\n", "", "missing field `source`"),
            (
                "name: p",
                "name: p, nodeSelektor: {}",
                "cluster.pods[0].nodeSelektor: unknown field",
            ),
            (
                "name: p",
                "name: p, spread: [{kee: z}]",
                "cluster.pods[0].spread[0].kee: unknown field",
            ),
            ("fits: {p: []}", "fit: {p: []}", "expect.fit: unknown field"),
            ("fits: {p: []}", "", "expect: it is empty"),
            (
                "about: a",
                "about: a\nconfig: {grow: {}}",
                "config.grow: no such kind",
            ),
            ("about: a", "about: [", "this is no YAML"),
        ] {
            let error = format!("{:#}", parse(&whole.replace(from, to)).expect_err(to));
            assert!(error.contains(part), "{to}: {error}");
        }
    }
}
