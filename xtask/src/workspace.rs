//! Where things are: the checkout, the target folder, and cargo itself.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context, Result};

/// A checkout of this project.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub root: PathBuf,
}

impl Workspace {
    /// The checkout in which cargo runs this program. It is found anew at run time, because two checkouts may
    /// share one target folder and then share the compiled program too.
    pub fn find() -> Result<Self> {
        let start = match env::var_os("CARGO_MANIFEST_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => env::current_dir().context("finding the current folder")?,
        };
        let root = start
            .ancestors()
            .find(|folder| folder.join("Cargo.lock").is_file());
        let root =
            root.with_context(|| format!("{} lies in no checkout of this project", start.display()))?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// `target` in the checkout, wherever cargo's own target folder was moved to: the host's build looks for
    /// the policies here.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// cargo, to be run in the workspace, with the environment that the user gave it.
    #[must_use]
    pub fn cargo(&self) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.root);
        // `cargo run` sets these for xtask itself; passed on, they would make a nested cargo rebuild whatever
        // reads them.
        let of_this_package = env::vars_os().map(|(name, _)| name).filter(|name| {
            let name = name.to_string_lossy();
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_BIN_NAME"
        });
        for name in of_this_package {
            cargo.env_remove(name);
        }
        cargo
    }
}
