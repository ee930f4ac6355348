//! `fake-vpsie`: the API of VPSie without machines, to try the controller with.
//!
//! The first line of standard output is the address; what follows is a YAML stream with a secret and a node
//! group that fit it, ready for `kubectl apply -f -`.

use crate::arguments::{FakeVpsie, LogFormat};
use anyhow::Context;
use autoscaler_simulation::Joiner;
use fake_vpsie::{Config, FakeVpsie as Server};
use serde_json::json;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub(crate) fn run(options: &FakeVpsie) -> anyhow::Result<()> {
    crate::logging::init(&options.log_level, LogFormat::Text)?;
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(serve(options))
}

async fn serve(options: &FakeVpsie) -> anyhow::Result<()> {
    let config = options
        .config
        .as_deref()
        .map_or_else(|| Ok(Config::default()), read)?;
    let now: fake_vpsie::Now = Arc::new(jiff::Timestamp::now);
    let listener = tokio::net::TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("listening on {}", options.listen))?;
    let address = listener.local_addr().context("reading the own address")?;
    let server = Server::new(config.clone(), now.clone());

    let shutdown = CancellationToken::new();
    let joining = match options.kubeconfig.as_deref() {
        Some(file) => {
            let cluster = super::cluster(Some(file)).await?;
            let client = kube::Client::try_from(cluster).context("making a Kubernetes client")?;
            let joiner = Joiner::new(&server, client, now).with_kwok();
            tracing::info!(kubeconfig = %file.display(), "machines join this cluster");
            Some(tokio::spawn(joiner.run(shutdown.clone())))
        }
        None => None,
    };
    super::print(&welcome(&format!("http://{address}"), &config)?)?;
    tracing::info!(%address, "serving; GET /_fake tells how to look inside and how to break things");
    let served = tokio::select! {
        biased;
        () = super::run::asked_to_stop() => Ok(()),
        served = server.serve(listener) => served.context("serving"),
    };
    shutdown.cancel();
    if let Some(joining) = joining {
        joining.await.context("joining machines")?;
    }
    served
}

fn read(file: &Path) -> anyhow::Result<Config> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    // JSON is YAML too.
    serde_saphyr::from_str(&text).with_context(|| format!("understanding {}", file.display()))
}

/// The address, and objects that make the controller use it.
fn welcome(url: &str, config: &Config) -> anyhow::Result<String> {
    let mut text = format!("{url}\n");
    let mut documents = Vec::new();
    let mut secret = json!({"url": url});
    if let Some(token) = config.access.tokens.first() {
        secret["token"] = json!(token);
    } else if let Some(client) = config.access.clients.first() {
        secret["clientId"] = json!(client.client_id);
        secret["clientSecret"] = json!(client.client_secret);
    }
    documents.push(json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "vpsie-secret", "namespace": "kube-system"}, "stringData": secret,
    }));
    if let Some(cluster) = config.clusters.first() {
        documents.push(json!({
            "apiVersion": autoscaler_api::API_VERSION, "kind": "NodeGroup",
            "metadata": {
                "name": "general", "namespace": "kube-system",
                "labels": {autoscaler_api::labels::MANAGED: autoscaler_api::labels::TRUE},
            },
            "spec": {
                "minNodes": 0, "maxNodes": 10,
                "datacenterID": cluster.datacenter, "resourceIdentifier": cluster.identifier,
                "offeringIDs": config.offers.iter().map(|offer| &offer.name).collect::<Vec<_>>(),
            },
        }));
    }
    for document in documents {
        let yaml = serde_saphyr::to_string(&document).context("writing YAML")?;
        let _ = write!(text, "---\n{}\n", yaml.trim_end());
    }
    Ok(text)
}
