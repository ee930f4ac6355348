//! Tools that are published as packages for Node.js, unpacked into the cache and installed nowhere else.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{cache, talk};

/// The folder `node_modules` with `package` at exactly `version`.
pub fn package(package: &str, version: &str) -> Result<PathBuf> {
    let entry = format!(
        "node/{}-{version}",
        package.trim_start_matches('@').replace('/', "-")
    );
    let folder = cache::entry(&entry, |folder| {
        talk::note(&format!("  fetching the Node.js package {package} {version}"));
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
        npm.arg(folder).arg(format!("{package}@{version}"));
        talk::output(&mut npm)
            .map(drop)
            .with_context(|| format!("fetching the Node.js package {package} (Node.js with npm is needed)"))
    })?;
    Ok(folder.join("node_modules"))
}
