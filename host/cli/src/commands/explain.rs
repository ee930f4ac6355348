//! `explain`: what a running controller says of one thing.

use crate::arguments::{self, SubjectKind};
use anyhow::{Context, bail};
use autoscaler_controllers::explain::Explanation;
use reqwest::{StatusCode, Url};
use std::time::Duration;

/// A controller that does not answer by then is not well.
const PATIENCE: Duration = Duration::from_secs(10);
const HOW: &str = "run this in its pod (kubectl -n kube-system exec deploy/vpsie-autoscaler -- vpsie-autoscaler explain …), \
    or after kubectl -n kube-system port-forward deploy/vpsie-autoscaler 8080";

pub(crate) fn run(options: &arguments::Explain) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let explanation = runtime.block_on(ask(options))?;
    if options.json {
        let text = serde_json::to_string_pretty(&explanation).context("writing the answer as JSON")?;
        return super::print(&format!("{text}\n"));
    }
    super::print(&explanation.text())
}

async fn ask(options: &arguments::Explain) -> anyhow::Result<Explanation> {
    let url = address(options)?;
    let client = reqwest::Client::builder().timeout(PATIENCE).build();
    let client = client.context("setting up the connection")?;
    let asking = || format!("asking the controller at {} ({HOW})", options.address);
    let answer = client.get(url).send().await.with_context(asking)?;
    let status = answer.status();
    let text = answer.text().await.with_context(asking)?;
    match status {
        StatusCode::OK => serde_json::from_str(&text).with_context(|| format!("reading the answer {text:?}")),
        StatusCode::NOT_FOUND if text.starts_with("explaining ") => bail!("{}", text.trim_end()),
        _ => bail!(
            "{} answered {status}: is it the controller's address? {}",
            options.address,
            text.trim_end()
        ),
    }
}

fn address(options: &arguments::Explain) -> anyhow::Result<Url> {
    let (kind, name) = &options.subject;
    let path: &[&str] = match kind {
        SubjectKind::Pod => &["explain", "pod", &options.namespace, name],
        SubjectKind::NodeGroup => &["explain", "nodegroup", &options.namespace, name],
        SubjectKind::Node => &["explain", "node", name],
    };
    let wrong = || {
        format!(
            "--address {}: it is written like http://127.0.0.1:8080",
            options.address
        )
    };
    let mut url = Url::parse(&options.address).with_context(wrong)?;
    match url.path_segments_mut() {
        Ok(mut segments) => segments.pop_if_empty().extend(path),
        Err(()) => bail!(wrong()),
    };
    Ok(url)
}
