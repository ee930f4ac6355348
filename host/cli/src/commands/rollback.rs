//! `rollback`: asks the controller to undo a rebalance operation, and waits until it is over.

use crate::arguments;
use anyhow::{Context, bail};
use autoscaler_api::rebalance::RebalancePhase;
use autoscaler_api::{Rebalance, labels};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::time::Duration;

/// Time between two looks at the record.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) fn run(options: &arguments::Rollback) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let said = runtime.block_on(ask(options))?;
    super::print(&format!("{said}\n"))
}

async fn ask(options: &arguments::Rollback) -> anyhow::Result<String> {
    let config = super::cluster(options.kubeconfig.as_deref()).await?;
    let client = kube::Client::try_from(config).context("making a Kubernetes client")?;
    let api = Api::<Rebalance>::namespaced(client, &options.namespace);
    let name = &options.name;
    let found = format!("reading the Rebalance {}/{name}", options.namespace);
    let object = api.get(name).await.with_context(|| found.clone())?;
    let phase = object.status.map(|status| status.phase).unwrap_or_default();
    if phase.is_final() {
        bail!(
            "the operation {name} is {} already: there is nothing to roll back",
            phase.as_str()
        );
    }
    let patch = json!({"metadata": {"annotations": {labels::ROLLBACK: "requested"}}});
    api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .with_context(|| format!("annotating the Rebalance {}/{name}", options.namespace))?;
    eprintln!("rollback of {name} requested");
    if !options.wait {
        return Ok(format!("{name}: rollback requested"));
    }
    let mut said = String::new();
    loop {
        let object = api.get(name).await.with_context(|| found.clone())?;
        let status = object.status.unwrap_or_default();
        let message = status.message.unwrap_or_default();
        if status.phase.is_final() {
            let line = format!("{name}: {}: {message}", status.phase.as_str());
            // An operation that was just about to end may have got there first.
            return match status.phase {
                RebalancePhase::RolledBack | RebalancePhase::Completed => Ok(line),
                _ => bail!(line),
            };
        }
        if message != said {
            eprintln!("{}: {message}", status.phase.as_str());
            said = message;
        }
        tokio::time::sleep(LOOK).await;
    }
}
