//! Pulls a component from an OCI registry, by digest: the manifest, then its one layer of WebAssembly.
//!
//! The digest in the reference fixes the manifest, and the manifest fixes the layer: what a registry sends besides is
//! refused. Credentials come from a pull secret of Kubernetes, and are read only where something has to be fetched.

use super::blobs::Blobs;
use super::{Bounds, Refusal};
use crate::runtime::chain;
use autoscaler_api::scaling_policy::OciSource;
use autoscaler_registry::{Credentials, Error, Http, Reference, Registry, component_of};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

const IMAGE: &str = "spec.source.oci.image";
const PULL_SECRET: &str = "spec.source.oci.pullSecret";
/// Where pull secrets lie, beside the controller's other secrets.
const NAMESPACE: &str = "kube-system";
/// The type that `kubectl create secret docker-registry` makes, and its one key.
const TYPE: &str = "kubernetes.io/dockerconfigjson";
const KEY: &str = ".dockerconfigjson";

/// The bytes of the component, or why they are not to be had within the bounds.
pub(super) async fn pull(
    client: &Client,
    source: &OciSource,
    bounds: Bounds,
    blobs: &Blobs,
) -> Result<Vec<u8>, Refusal> {
    let words = |error: Error| Refusal::fetching(IMAGE, &error, &mend(source, &error));
    let reference = Reference::parse(&source.image).map_err(words)?;
    let digest = reference.digest().map_err(words)?;
    let known = blobs.get(digest).await;
    if let Some(manifest) = &known
        && let Some(component) = blobs.get(&component_of(manifest).map_err(words)?).await
    {
        return Ok(component);
    }
    let credentials = credentials(client, source, &reference).await?;
    let http = Http::new(bounds).map_err(words)?;
    // Only a registry on the same machine is spoken to without TLS.
    let mut registry = Registry::new(http, &reference, true, credentials).map_err(words)?;
    let fetching = async {
        let manifest = match known {
            Some(manifest) => manifest,
            None => registry.manifest(digest).await?,
        };
        let layer = component_of(&manifest)?;
        // Small, and not yet proven to lead to a policy; the component is kept by those who have proven it.
        blobs.put(digest, &manifest);
        match blobs.get(&layer).await {
            Some(component) => Ok(component),
            None => registry.component(&layer).await,
        }
    };
    // Each request is bounded, and so are all together.
    let fetched = tokio::time::timeout(bounds.time, fetching).await;
    fetched.unwrap_or(Err(Error::Timeout(bounds.time))).map_err(words)
}

fn mend(source: &OciSource, error: &Error) -> String {
    match (error, &source.pull_secret) {
        (Error::Forbidden { given: true, .. }, Some(name)) => {
            format!(
                "look at name and password in Secret {NAMESPACE}/{name}, and whether they may read the repository"
            )
        }
        _ => {
            format!("let {PULL_SECRET} name a secret of type {TYPE}, or make the repository readable for all")
        }
    }
}

/// What the pull secret has for this registry.
async fn credentials(
    client: &Client,
    source: &OciSource,
    reference: &Reference,
) -> Result<Option<Credentials>, Refusal> {
    let Some(name) = &source.pull_secret else {
        return Ok(None);
    };
    let what = format!("Secret {NAMESPACE}/{name}");
    let unreadable = |text: String| Refusal::new("PullSecretUnreadable", format!("{PULL_SECRET}: {text}"));
    let invalid = |text: String| Refusal::new("PullSecretInvalid", format!("{PULL_SECRET}: {text}"));
    let read = Api::<Secret>::namespaced(client.clone(), NAMESPACE)
        .get_opt(name)
        .await;
    let read = read.map_err(|error| {
        unreadable(format!(
            "reading {what}: {}; let a Role of {NAMESPACE} give the controller `get` on it",
            chain(&error)
        ))
    })?;
    let Some(secret) = read else {
        return Err(unreadable(format!(
            "{what} not found; make it with kubectl create secret docker-registry {name} -n {NAMESPACE}"
        )));
    };
    let data = secret.data.and_then(|mut data| data.remove(KEY));
    let (Some(TYPE), Some(data)) = (secret.type_.as_deref(), data) else {
        return Err(invalid(format!(
            "{what} is not of type {TYPE} with a key {KEY}; kubectl create secret docker-registry makes such a one"
        )));
    };
    let (registry, repository) = (reference.registry(), reference.repository());
    let found = Credentials::from_docker_config(&data.0, registry, repository);
    let found = found.map_err(|error| invalid(format!("{what}: {error}")))?;
    found.map(Some).ok_or_else(|| {
        invalid(format!(
            "{what} has nothing for {registry}; its `auths` must name the registry as {IMAGE} does"
        ))
    })
}
