//! A container registry on loopback, the CNCF's, with a folder of its own: open to everybody, or to one name and password.

use crate::control_plane::process::{Janitor, Process};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use xtask::workspace::Workspace;

/// Who is let in by [`Access::Ann`].
pub const USERNAME: &str = "ann";
pub const PASSWORD: &str = "hunter2";
/// Both, as registries keep them: bcrypt at its least cost.
const HTPASSWD: &str = "ann:$2a$04$oRl0IQDUVP6qIcfqERqcceJEGo5nBD98HgVtv/a.dZNjXI4RzcCQO\n";
const START_LIMIT: Duration = Duration::from_secs(60);

/// Who may push and pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Everybody,
    Ann,
}

/// A running registry. It ends with this process, whatever that ends of.
#[derive(Debug)]
pub struct Registry {
    _process: Process,
    _janitor: Janitor,
    folder: PathBuf,
    address: String,
}

impl Registry {
    /// Builds it where this machine has none yet, and starts it.
    pub async fn start(access: Access) -> Result<Self> {
        let workspace = Workspace::find()?;
        let program = tokio::task::spawn_blocking(move || xtask::registry::build(&workspace.root))
            .await
            .context("building the registry")??;
        let folder = TempDir::with_prefix("registry-")
            .context("creating the registry's folder")?
            .keep();
        let janitor = Janitor::start(&folder)?;
        let mut config = json!({
            "version": "0.1", "log": {"level": "info", "accesslog": {"disabled": true}},
            "storage": {"filesystem": {"rootdirectory": folder.join("data")}},
            "http": {"addr": "127.0.0.1:0"},
        });
        if access == Access::Ann {
            let file = folder.join("htpasswd");
            std::fs::write(&file, HTPASSWD).context("writing the registry's passwords")?;
            config["auth"] = json!({"htpasswd": {"realm": "registry", "path": file}});
        }
        let file = folder.join("config.yaml");
        std::fs::write(&file, config.to_string()).context("writing the registry's configuration")?;
        let arguments = ["serve".to_owned(), file.display().to_string()];
        let mut process = Process::start(&folder, &program, &arguments)?;
        let address = listening(&folder.join("registry.log"), &mut process).await?;
        Ok(Self {
            _process: process,
            _janitor: janitor,
            folder,
            address,
        })
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it keeps what was pushed.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

/// It takes a free port, and says in its log which.
async fn listening(log: &Path, process: &mut Process) -> Result<String> {
    let begun = Instant::now();
    loop {
        process.check()?;
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let address = text
            .split("listening on ")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        if let Some(address) = address.filter(|address| address.starts_with("127.0.0.1:")) {
            return Ok(address.to_owned());
        }
        if begun.elapsed() > START_LIMIT {
            bail!(
                "the registry does not listen after {START_LIMIT:?}: {}",
                process.log_tail()
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
