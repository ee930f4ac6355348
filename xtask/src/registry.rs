//! A real container registry (the CNCF's distribution) for tests that push and pull, built like the control plane and kept
//! beside it. It is an entry of its own, so that one changes without the other.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{cache, go, talk};

/// Builds the executable, unless the cache has it.
pub fn build(workspace: &Path) -> Result<PathBuf> {
    let module = workspace.join("tests/control-plane/registry");
    let key = cache::key(
        &go::FILES.map(|file| module.join(file)),
        &[env::consts::OS, env::consts::ARCH],
    )?;
    let built = cache::entry(&format!("registry/{key}"), |folder| {
        let go = go::command()?;
        talk::note("  building a container registry from source: once per machine");
        go::build(&go, &module, &folder.join("registry"), "")
    })?;
    Ok(built.join("registry"))
}
