//! Go benchmarks from somebody's source: copied into the cache, compiled once, run one at a time.

use super::contender::Run;
use super::measure::Child;
use crate::talk;
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A compiled test package and the folder that it expects to run in.
#[derive(Debug, Clone)]
pub(super) struct TestBinary {
    pub(super) folder: PathBuf,
    pub(super) binary: PathBuf,
}

impl TestBinary {
    /// Compiles the tests of `package` (a folder within `source`) to `binary`.
    pub(super) fn compile(
        go: &Path,
        source: &Path,
        package: &str,
        tags: &str,
        binary: PathBuf,
    ) -> Result<Self> {
        let mut build = Command::new(go);
        build.current_dir(source).args(["test", "-c", "-v"]);
        build.arg(format!("-tags={tags}")).arg("-o").arg(&binary);
        build.arg(format!("./{package}"));
        build
            .env("GOTOOLCHAIN", "local")
            .env("GOWORK", "off")
            .env("GOFLAGS", "-mod=mod -buildvcs=false");
        build.env_remove("GOOS").env_remove("GOARCH");
        talk::run_counting(&mut build, package, "packages fetched or compiled")
            .with_context(|| format!("compiling the benchmarks of {package}"))?;
        Ok(Self::at(source, package, binary))
    }

    /// One that was compiled before.
    pub(super) fn at(source: &Path, package: &str, binary: PathBuf) -> Self {
        Self {
            folder: source.join(package),
            binary,
        }
    }

    /// Runs one benchmark once: `-benchtime=1x`, because several of them keep state from one iteration to the next.
    pub(super) fn command(&self, benchmark: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .current_dir(&self.folder)
            .args(["-test.run", "^$", "-test.benchtime", "1x"]);
        command.arg("-test.bench").arg(benchmark);
        command
    }
}

/// Reads the line that a benchmark prints: a name, the iterations, then numbers with their units.
pub(super) fn read(child: &Child) -> Result<Run> {
    let line = child
        .output
        .lines()
        .find(|line| line.starts_with("Benchmark") && line.contains("ns/op"));
    let Some(line) = line else {
        bail!("no benchmark ran: {}", child.output.trim());
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |unit: &str| {
        let at = words.iter().position(|word| *word == unit)?;
        words.get(at.checked_sub(1)?)?.parse::<f64>().ok()
    };
    let nanoseconds = number("ns/op").with_context(|| format!("reading `{line}`"))?;
    Ok(Run {
        seconds: nanoseconds / 1e9,
        cpu_seconds: number("cpu-seconds").or(child.cpu_seconds),
        peak_memory: child.peak_memory,
        nodes: number("nodes").map(|nodes| nodes as u64),
        price: number("price"),
        flaw: number("unplaced")
            .filter(|unplaced| *unplaced > 0.0)
            .map(|unplaced| format!("{unplaced} pods without a place")),
        remark: None,
    })
}

/// Copies a folder. What is copied can be written, wherever it comes from: the module cache is read-only.
pub(super) fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("creating {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry.with_context(|| format!("reading {}", from.display()))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry
            .file_type()
            .with_context(|| format!("looking at {}", source.display()))?;
        if kind.is_dir() {
            if entry.file_name() != ".git" {
                copy_tree(&source, &target)?;
            }
        } else if kind.is_file() {
            let bytes = fs::read(&source).with_context(|| format!("reading {}", source.display()))?;
            fs::write(&target, bytes).with_context(|| format!("writing {}", target.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_benchmark() {
        let child = |line: &str| Child {
            output: format!("goos: linux\n{line}\nPASS\n"),
            cpu_seconds: Some(9.0),
            ..Child::default()
        };
        let run = read(&child(
            "BenchmarkX1000-2   \t   1\t 776000000 ns/op\t  200.0 nodes\t 12.82 pods/sec",
        ))
        .unwrap();
        assert_eq!(
            (run.seconds, run.nodes, run.cpu_seconds),
            (0.776, Some(200), Some(9.0))
        );
        assert_eq!((run.price, run.flaw), (None, None));
        let run = read(&child(
            "BenchmarkPriced 1 1000000000 ns/op 1.5 cpu-seconds 20.25 price 3.000 unplaced",
        ))
        .unwrap();
        assert_eq!((run.price, run.cpu_seconds), (Some(20.25), Some(1.5)));
        assert_eq!(run.flaw.as_deref(), Some("3 pods without a place"));
        assert!(read(&child("")).is_err(), "nothing ran");
    }

    #[test]
    fn copies_can_be_written_and_leave_the_history_out() {
        let folder = tempfile::TempDir::new().unwrap();
        let from = folder.path().join("from");
        fs::create_dir_all(from.join("a/.git")).unwrap();
        fs::write(from.join("a/file"), "text").unwrap();
        let mut read_only = fs::metadata(from.join("a/file")).unwrap().permissions();
        read_only.set_readonly(true);
        fs::set_permissions(from.join("a/file"), read_only).unwrap();
        let to = folder.path().join("to");
        copy_tree(&from, &to).unwrap();
        fs::write(to.join("a/file"), "another").unwrap();
        assert!(!to.join("a/.git").exists());
    }
}
