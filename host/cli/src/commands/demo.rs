//! `demo`: the whole system in memory on virtual time.

use crate::arguments::{Demo, LogFormat};
use anyhow::Context;
use autoscaler_simulation::{demo, narrator::Sink};

pub(crate) fn run(options: &Demo) -> anyhow::Result<()> {
    if let Some(level) = &options.log_level {
        crate::logging::init(level, LogFormat::Text)?;
    }
    if options.json {
        let summary = demo::run(options.seed, None).context("running the demo")?;
        let text = serde_json::to_string_pretty(&summary).context("writing the summary as JSON")?;
        return super::print(&format!("{text}\n"));
    }
    // A reader that goes away ends the story, not the demo.
    let sink: Sink = Box::new(|line| drop(super::print(&format!("{line}\n"))));
    let summary = demo::run(options.seed, Some(sink)).context("running the demo")?;
    super::print(&format!("\n{}", summary.text()))
}
