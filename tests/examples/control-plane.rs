//! Starts a real control plane with KWOK and keeps it until Ctrl-C, to try things by hand:
//! `cargo run -p autoscaler-tests --example control-plane`. The first line of its output is the kubeconfig file.

use anyhow::{Context, Result};
use autoscaler_tests::control_plane::{ControlPlane, Options};

#[tokio::main]
async fn main() -> Result<()> {
    let plane = ControlPlane::start(Options::default()).await?;
    println!("{}", plane.kubeconfig_path().display());
    eprintln!("kubectl: {}", plane.kubectl_path().display());
    eprintln!("Ctrl-C ends it");
    tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")
}
