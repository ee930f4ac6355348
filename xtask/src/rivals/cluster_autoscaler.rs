//! Cluster Autoscaler's own benchmarks, from a checkout that the user names.
//!
//! It cannot be fetched as a Go module: its module file replaces one of its parts by a folder beside it, which a
//! published module does not contain. Tried with the branch `cluster-autoscaler-release-1.37` of its repository.

use super::contender::{Contender, Run, Task};
use super::go_benchmark::{TestBinary, copy_tree, read};
use super::measure::Child;
use crate::{cache, go, talk};
use anyhow::{Context, Result};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The Go module within the checkout.
const MODULE: &str = "cluster-autoscaler";
const ESTIMATOR: &str = "estimator";
const LOOP: &str = "core/bench";
const FILTER: &str = "core/podlistprocessor";
const PACKAGES: [(&str, &str); 3] = [
    (ESTIMATOR, "estimator.test"),
    (LOOP, "loop.test"),
    (FILTER, "filter.test"),
];

/// Workload, contender's name, package, benchmark, further flags, nodes that the benchmark itself insists on.
type Benchmark = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    Option<u64>,
);

const DEFAULT: &str = "Cluster Autoscaler";
const NO_GC: &str = "Cluster Autoscaler without garbage collection";
const BASIC: &str = "Cluster Autoscaler, basic snapshot";
const DELTA: &str = "Cluster Autoscaler, delta snapshot";

const BENCHMARKS: [Benchmark; 16] = [
    (
        "H3/51000",
        DEFAULT,
        ESTIMATOR,
        "^BenchmarkBinpackingEstimate$",
        &[],
        Some(2595),
    ),
    (
        "H3/51000",
        "Cluster Autoscaler, fast path",
        ESTIMATOR,
        "^BenchmarkFastPath$",
        &[],
        None,
    ),
    (
        "H4/50000",
        DEFAULT,
        LOOP,
        "^BenchmarkRunOnceScaleUp$",
        &[],
        Some(1000),
    ),
    (
        "H4/50000",
        NO_GC,
        LOOP,
        "^BenchmarkRunOnceScaleUp$",
        &["-gc=false"],
        Some(1000),
    ),
    (
        "H5/2000",
        DEFAULT,
        LOOP,
        "^BenchmarkRunOnceScaleDown$",
        &[],
        Some(1200),
    ),
    (
        "H5/2000",
        NO_GC,
        LOOP,
        "^BenchmarkRunOnceScaleDown$",
        &["-gc=false"],
        Some(1200),
    ),
    ("H6/1-30-1000", BASIC, FILTER, "/^basic:_1_nodes", &[], None),
    ("H6/1-30-1000", DELTA, FILTER, "/^delta:_1_nodes", &[], None),
    ("H6/10-300-1000", BASIC, FILTER, "/^basic:_10_nodes", &[], None),
    ("H6/10-300-1000", DELTA, FILTER, "/^delta:_10_nodes", &[], None),
    ("H6/100-3000-1000", BASIC, FILTER, "/^basic:_100_nodes", &[], None),
    ("H6/100-3000-1000", DELTA, FILTER, "/^delta:_100_nodes", &[], None),
    ("H6/200-200-60000", BASIC, FILTER, "/^basic:_200_nodes", &[], None),
    ("H6/200-200-60000", DELTA, FILTER, "/^delta:_200_nodes", &[], None),
    (
        "H6/1000-1000-12000",
        BASIC,
        FILTER,
        "/^basic:_1000_nodes",
        &[],
        None,
    ),
    (
        "H6/1000-1000-12000",
        DELTA,
        FILTER,
        "/^delta:_1000_nodes",
        &[],
        None,
    ),
];

pub(super) fn has(workload: &str) -> bool {
    BENCHMARKS.iter().any(|(of, ..)| *of == workload)
}

pub(super) struct ClusterAutoscaler {
    entry: PathBuf,
}

/// Copies and compiles what the cache does not have yet.
pub(super) fn build(workspace: &Path, checkout: &Path) -> Result<ClusterAutoscaler> {
    let module = [checkout.join(MODULE), checkout.to_owned()]
        .into_iter()
        .find(|folder| folder.join("go.mod").is_file() && folder.join(ESTIMATOR).is_dir())
        .with_context(|| format!("{} is no checkout of Cluster Autoscaler", checkout.display()))?;
    let ours = workspace.join("tests/rivals/cluster-autoscaler/fast_path_test.go");
    let files = [
        module.join("go.mod"),
        module.join("go.sum"),
        module.join("version/version.go"),
        module.join("core/static_autoscaler.go"),
        module.join("estimator/binpacking_estimator.go"),
        ours.clone(),
    ];
    let key = cache::key(&files, &[env::consts::OS, env::consts::ARCH])?;
    let entry = cache::entry(&format!("rivals/cluster-autoscaler-{key}"), |folder| {
        talk::step(
            "building Cluster Autoscaler's benchmarks (minutes, once per machine)",
            || {
                let go = go::command()?;
                let source = folder.join("source");
                copy_tree(&module, &source)?;
                fs::copy(&ours, source.join(ESTIMATOR).join("fast_path_test.go"))
                    .context("placing the benchmark of the fast path")?;
                for (package, binary) in PACKAGES {
                    TestBinary::compile(&go, &source, package, "", folder.join(binary))?;
                }
                Ok(())
            },
        )
    })?;
    Ok(ClusterAutoscaler { entry })
}

impl ClusterAutoscaler {
    pub(super) fn contenders(&self, workload: &str) -> Vec<Contender> {
        BENCHMARKS
            .iter()
            .filter(|(of, ..)| *of == workload)
            .map(|(_, name, package, benchmark, flags, nodes)| {
                let binary = PACKAGES
                    .iter()
                    .find(|(of, _)| of == package)
                    .map_or("", |(_, binary)| binary);
                let tests = TestBinary::at(&self.entry.join("source"), package, self.entry.join(binary));
                let pattern = match benchmark.strip_prefix('/') {
                    Some(part) => format!("^BenchmarkFilterOutSchedulable$/{part}"),
                    None => (*benchmark).to_owned(),
                };
                Contender {
                    name: (*name).to_owned(),
                    task: Task {
                        command: Box::new(move || {
                            let mut command = tests.command(&pattern);
                            command.args(*flags);
                            command
                        }),
                        read: Box::new(move |child: &Child| with_nodes(read(child)?, *nodes)),
                    },
                    price: None,
                }
            })
            .collect()
    }
}

/// These benchmarks do not print the number of nodes, they fail where it is another.
fn with_nodes(run: Run, nodes: Option<u64>) -> Result<Run> {
    Ok(Run {
        nodes: run.nodes.or(nodes),
        ..run
    })
}
