//! One module per command.

pub(crate) mod crds;
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod fake_vpsie;
pub(crate) mod fit;
pub(crate) mod orphans;
pub(crate) mod policy;
pub(crate) mod rollback;
pub(crate) mod run;
pub(crate) mod simulate;

use anyhow::Context;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::io::Write;
use std::path::Path;

/// Writes data to standard output; whoever reads may have gone away, which is no failure of ours.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("writing to standard output")
        }
        _ => Ok(()),
    }
}

/// How the cluster is reached: by the file, or as kubectl and pods do.
async fn cluster(kubeconfig: Option<&Path>) -> anyhow::Result<kube::Config> {
    match kubeconfig {
        Some(file) => {
            let read = Kubeconfig::read_from(file).with_context(|| format!("reading {}", file.display()))?;
            let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
            config.with_context(|| format!("using {}", file.display()))
        }
        None => kube::Config::infer()
            .await
            .context("finding a cluster: give --kubeconfig, or run in a pod"),
    }
}
