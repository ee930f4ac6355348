//! `policy fuzz`.

use super::DeskOptions;
use clap::Args;
use std::path::PathBuf;

/// Makes clusters of seeds, sound ones and hostile ones, and asks about each of them twice, with the host's checker as the
/// judge. What traps, runs out of its limits, is refused, or answers another time otherwise, is made as small as possible
/// and kept as a case for `run` and `test`. Without --policy, target/policy.wasm of the present folder is tried, where
/// there is one; else the built-in policies.
#[derive(Debug, Args)]
pub(crate) struct PolicyFuzz {
    /// The component; more, and their configuration, by --policy and --config.
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) desk: DeskOptions,
    /// How many clusters. Default: 200, or as many as --seconds lets.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "seconds")]
    pub(crate) runs: Option<u64>,
    /// For how long.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: Option<u64>,
    /// The seed of the first cluster; each further one has the next.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Folder for the cases that are found.
    #[arg(long, value_name = "DIR", default_value = "fuzz-cases")]
    pub(crate) out: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}
