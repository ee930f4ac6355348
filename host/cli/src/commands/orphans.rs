//! `orphans`: which machines have no VPSieNode, and which VPSieNodes have no machine, right now.

use crate::arguments;
use anyhow::{Context, anyhow};
use autoscaler_controllers::of_secret;
use autoscaler_controllers::orphans::{Orphan, ask};
use autoscaler_controllers::runtime::metrics::Metrics;
use k8s_openapi::api::core::v1::Secret;
use std::fmt::Write;
use std::sync::Arc;
use vpsie_client::transport::HttpSettings;
use vpsie_client::{HttpTransport, Settings};

pub(crate) fn run(options: &arguments::Orphans) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let orphans = runtime.block_on(look(options))?;
    if options.json {
        let text = serde_json::to_string_pretty(&orphans).context("writing the answer as JSON")?;
        return super::print(&format!("{text}\n"));
    }
    super::print(&table(&orphans))
}

async fn look(options: &arguments::Orphans) -> anyhow::Result<Vec<Orphan>> {
    let config = super::cluster(options.kubeconfig.as_deref()).await?;
    let kubernetes = kube::Client::try_from(config).context("making a Kubernetes client")?;
    let (namespace, name) = (&options.secret_namespace, &options.secret_name);
    let secret = kube::Api::<Secret>::namespaced(kubernetes.clone(), namespace)
        .get(name)
        .await;
    let secret = secret.with_context(|| format!("reading the secret {namespace}/{name}"))?;
    let (credentials, url) =
        of_secret(&secret).map_err(|problem| anyhow!("the secret {namespace}/{name}: {problem}"))?;
    let mut settings = Settings::default();
    if let Some(url) = url.as_ref().or(options.vpsie_url.as_ref()) {
        settings.base_url.clone_from(url);
    }
    let transport =
        Arc::new(HttpTransport::new(HttpSettings::default()).context("setting up the VPSie connection")?);
    let now: autoscaler_controllers::Now = Arc::new(jiff::Timestamp::now);
    let vpsie = vpsie_client::Client::new(settings, transport, now, Arc::new(Metrics::new()))
        .context("setting up the VPSie client")?;
    vpsie.set_credentials(Some(credentials));
    Ok(ask(&kubernetes, &vpsie).await?)
}

/// A line per orphan.
fn table(orphans: &[Orphan]) -> String {
    if orphans.is_empty() {
        return "Every machine of ours has its VPSieNode, and every VPSieNode its machine.\n".to_owned();
    }
    let width = orphans.iter().map(|orphan| orphan.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for orphan in orphans {
        let _ = writeln!(
            out,
            "{:<8} {:<width$}  {}",
            orphan.kind.as_str(),
            orphan.name,
            orphan.what
        );
    }
    out
}
