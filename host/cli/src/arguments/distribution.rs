//! `policy push` and `policy pull`.

use clap::Args;
use std::path::PathBuf;

/// Loads the component as the controller does, pushes it as an OCI artifact in the layout of the CNCF for Wasm, and prints
/// the reference that a ScalingPolicy names. The same component always has the same digest; what the registry has already
/// is not sent again.
#[derive(Debug, Args)]
pub(crate) struct PolicyPush {
    /// The component.
    pub(crate) file: PathBuf,
    /// `registry.example/team/policy`, and a tag where one is wanted.
    pub(crate) reference: String,
    #[command(flatten)]
    pub(crate) registry: RegistryOptions,
}

/// Pulls what `policy push` and other tools for Wasm push, and checks both digests.
#[derive(Debug, Args)]
pub(crate) struct PolicyPull {
    /// `registry.example/team/policy@sha256:…`
    pub(crate) reference: String,
    /// Where the component goes; `-` is standard output. Default: the last part of the repository's name, with .wasm.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) registry: RegistryOptions,
}

/// Without a name, credentials come from docker's configuration (`config.json` in DOCKER_CONFIG or ~/.docker), where it
/// has some.
#[derive(Debug, Args)]
#[command(next_help_heading = "Registry")]
pub(crate) struct RegistryOptions {
    /// Name at the registry.
    #[arg(long, requires = "password_stdin")]
    pub(crate) username: Option<String>,
    /// Read the password from standard input.
    #[arg(long, requires = "username")]
    pub(crate) password_stdin: bool,
    /// Speak without TLS. For a registry on this machine only.
    #[arg(long)]
    pub(crate) plain_http: bool,
}
