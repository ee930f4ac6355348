//! Karpenter's own scheduling benchmark, from the module that `tests/rivals/karpenter/go.mod` pins, and a file of
//! ours beside it that tells what the plan costs.

use super::contender::{Contender, Task};
use super::go_benchmark::{TestBinary, copy_tree, read};
use crate::{cache, go, talk};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const MODULE: &str = "sigs.k8s.io/karpenter";
const PACKAGE: &str = "pkg/controllers/provisioning/scheduling";

/// Workload, contender's name, benchmark, and what the price is asked for.
const BENCHMARKS: [(&str, &str, &str, &str, &str); 6] = [
    ("H1/1000", "Karpenter", "Scheduling1000", "diverse", "1000"),
    ("H1/5000", "Karpenter", "Scheduling5000", "diverse", "5000"),
    ("H1/10000", "Karpenter", "Scheduling10000", "diverse", "10000"),
    ("H1/20000", "Karpenter", "Scheduling20000", "diverse", "20000"),
    (
        "H2/4000",
        "Karpenter, respecting preferences",
        "RespectPreferences",
        "respect-preferences",
        "4000",
    ),
    (
        "H2/4000",
        "Karpenter, ignoring preferences",
        "IgnorePreferences",
        "ignore-preferences",
        "4000",
    ),
];

pub(super) fn has(workload: &str) -> bool {
    BENCHMARKS.iter().any(|(of, ..)| *of == workload)
}

pub(super) struct Karpenter {
    version: String,
    tests: TestBinary,
}

/// Fetches and compiles what the cache does not have yet.
pub(super) fn build(workspace: &Path) -> Result<Karpenter> {
    let pins = workspace.join("tests/rivals/karpenter");
    let files = ["go.mod", "go.sum", "price_test.go"].map(|file| pins.join(file));
    let version = pinned(&files[0])?;
    let key = cache::key(&files, &[env::consts::OS, env::consts::ARCH])?;
    let entry = cache::entry(&format!("rivals/karpenter-{key}"), |folder| {
        talk::step(
            "building Karpenter's benchmark (minutes, once per machine)",
            || {
                let go = go::command()?;
                let module = download(&go, &version, &files[1])?;
                let source = folder.join("source");
                copy_tree(&module, &source)?;
                fs::copy(&files[2], source.join(PACKAGE).join("price_test.go"))
                    .context("placing the file that tells the price")?;
                TestBinary::compile(
                    &go,
                    &source,
                    PACKAGE,
                    "test_performance",
                    folder.join("karpenter.test"),
                )
                .map(drop)
            },
        )
    })?;
    Ok(Karpenter {
        version,
        tests: TestBinary::at(&entry.join("source"), PACKAGE, entry.join("karpenter.test")),
    })
}

/// The folder of the module in Go's own cache; its checksum must be the pinned one.
fn download(go: &Path, version: &str, sums: &Path) -> Result<PathBuf> {
    let mut download = Command::new(go);
    download.args(["mod", "download", "-json", &format!("{MODULE}@{version}")]);
    download.current_dir(env::temp_dir()).env("GOTOOLCHAIN", "local");
    let said: Value = serde_json::from_str(&talk::output(&mut download)?)
        .context("reading what `go mod download` printed")?;
    let text = |name: &str| {
        said[name]
            .as_str()
            .with_context(|| format!("`go mod download` told no {name}"))
    };
    let sum = text("Sum")?;
    let pinned = fs::read_to_string(sums).with_context(|| format!("reading {}", sums.display()))?;
    if !pinned
        .lines()
        .any(|line| line == format!("{MODULE} {version} {sum}"))
    {
        bail!("{MODULE} {version} has the checksum {sum}, which is not the pinned one");
    }
    Ok(PathBuf::from(text("Dir")?))
}

/// The version that the module file requires.
fn pinned(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    text.lines()
        .find_map(|line| line.strip_prefix(&format!("require {MODULE} ")))
        .map(|version| version.trim().to_owned())
        .with_context(|| format!("{} requires {MODULE}", path.display()))
}

impl Karpenter {
    pub(super) fn contenders(&self, workload: &str) -> Vec<Contender> {
        BENCHMARKS
            .iter()
            .filter(|(of, ..)| *of == workload)
            .map(|(_, name, benchmark, kind, pods)| {
                let (tests, pricing) = (self.tests.clone(), self.tests.clone());
                Contender {
                    name: format!("{name} {}", self.version),
                    task: Task {
                        command: Box::new(move || tests.command(&format!("^Benchmark{benchmark}$"))),
                        read: Box::new(read),
                    },
                    price: Some(Task {
                        command: Box::new(move || {
                            let mut command = pricing.command("^BenchmarkPricedPlan$");
                            command.env("PRICED_KIND", kind).env("PRICED_PODS", pods);
                            command
                        }),
                        read: Box::new(read),
                    }),
                }
            })
            .collect()
    }
}
