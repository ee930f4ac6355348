//! Logs go to standard error, so that standard output stays data.

use crate::arguments::LogFormat;
use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Sets up logging for the whole process.
pub(crate) fn init(level: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(level)
        .with_context(|| format!("--log-level {level:?}: use error, warn, info, debug or trace"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let done = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_ansi(false).try_init(),
    };
    done.map_err(|error| anyhow::anyhow!("setting up the log: {error}"))
}
