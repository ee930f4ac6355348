//! Gets the bytes of a component from where a ScalingPolicy says they are, and checks their hash.
//!
//! Every source is bounded in size and, where somebody else has to answer, in time. What is known by its digest
//! beforehand is looked for in the cache first, so that it needs no network twice.

mod blobs;
mod oci;
mod refusal;
#[cfg(test)]
mod tests;

pub(super) use autoscaler_registry::{Bounds, sha256};
pub(super) use blobs::Blobs;
pub(super) use refusal::Refusal;

use crate::runtime::chain;
use autoscaler_api::scaling_policy::{ConfigMapSource, FileSource, HttpSource, PolicySource};
use autoscaler_registry::{Http, LARGEST};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use tokio::io::AsyncReadExt;

/// What a source holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// The name of a component in the binary.
    BuiltIn(String),
    /// A component, with its hash in hexadecimal digits.
    Component { bytes: Vec<u8>, sha256: String },
    /// What the caller has already.
    Unchanged,
}

/// Everything that sources are read with.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) client: Client,
    pub(super) blobs: Blobs,
    pub(super) bounds: Bounds,
}

impl Sources {
    /// Reads a source. `have` is the hash of the component that was loaded from the same source before.
    pub(super) async fn fetch(&self, source: &PolicySource, have: Option<&str>) -> Result<Fetched, Refusal> {
        // A digest in the spec cannot come to mean other bytes.
        if have.is_some() && (source.http.is_some() || source.oci.is_some()) {
            return Ok(Fetched::Unchanged);
        }
        let bytes = match source {
            PolicySource {
                built_in: Some(name), ..
            } => return Ok(Fetched::BuiltIn(name.clone())),
            PolicySource {
                config_map: Some(source),
                ..
            } => from_config_map(&self.client, source).await?,
            PolicySource {
                file: Some(source), ..
            } => from_file(source).await?,
            PolicySource {
                http: Some(source), ..
            } => self.download(source).await?,
            PolicySource {
                oci: Some(source), ..
            } => oci::pull(&self.client, source, self.bounds, &self.blobs).await?,
            _ => {
                let text = "spec.source names no source; set one of builtIn, configMap, oci, http and file";
                return Err(Refusal::new("InvalidSource", text));
            }
        };
        let sha256 = sha256(&bytes);
        if have == Some(sha256.as_str()) {
            return Ok(Fetched::Unchanged);
        }
        Ok(Fetched::Component { bytes, sha256 })
    }

    async fn download(&self, source: &HttpSource) -> Result<Vec<u8>, Refusal> {
        let wanted = &source.sha256;
        if let Some(bytes) = self.blobs.get(wanted).await {
            return Ok(bytes);
        }
        let downloaded = match Http::new(self.bounds) {
            Ok(http) => http.get(&source.url).await,
            Err(error) => Err(error),
        };
        let bytes = downloaded.map_err(|error| {
            let hint = "what is behind an address is fetched without any: make it readable for all, or use oci with a \
                        pullSecret, configMap or file";
            Refusal::fetching("spec.source.http.url", &error, hint)
        })?;
        let found = sha256(&bytes);
        if found != *wanted {
            let text = format!(
                "spec.source.http.sha256: the file has {found}, not {wanted}; write the hash of the file that you \
                 mean, or look who changed it"
            );
            return Err(Refusal::new("DigestMismatch", text));
        }
        Ok(bytes)
    }
}

async fn from_config_map(client: &Client, source: &ConfigMapSource) -> Result<Vec<u8>, Refusal> {
    let (namespace, key) = (source.namespace_or_default(), source.key_or_default());
    let what = format!("ConfigMap {namespace}/{}", source.name);
    let api = Api::<ConfigMap>::namespaced(client.clone(), &namespace);
    let map = match api.get_opt(&source.name).await {
        Ok(Some(map)) => map,
        Ok(None) => {
            let text = format!("spec.source.configMap: {what} not found; create it, or correct the name");
            return Err(Refusal::new("SourceNotFound", text));
        }
        Err(error) => {
            return Err(Refusal::new(
                "SourceUnreadable",
                format!(
                    "spec.source.configMap: reading {what}: {}; the controller may read those of kube-system",
                    chain(&error)
                ),
            ));
        }
    };
    if let Some(bytes) = map.binary_data.and_then(|mut data| data.remove(&key)) {
        return Ok(bytes.0);
    }
    let Some(text) = map.data.and_then(|mut data| data.remove(&key)) else {
        return Err(Refusal::new(
            "SourceNotFound",
            format!(
                "spec.source.configMap.key: {what} has no key {key} in binaryData; put the component there"
            ),
        ));
    };
    // Some tools can only write text: then it is the same bytes in base64.
    let compact: String = text.split_whitespace().collect();
    serde_json::from_value::<ByteString>(compact.into())
        .map(|bytes| bytes.0)
        .map_err(|_| {
            Refusal::new(
                "SourceUnreadable",
                format!(
                    "spec.source.configMap.key: {key} of {what} stands in data and is no base64; put the component into \
                     binaryData"
                ),
            )
        })
}

async fn from_file(source: &FileSource) -> Result<Vec<u8>, Refusal> {
    let what = format!("file {}", source.path);
    let refused = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Refusal::new(
            "SourceNotFound",
            format!("spec.source.file.path: {what} not found; it must be mounted into the controller's pod"),
        ),
        _ => Refusal::new(
            "SourceUnreadable",
            format!("spec.source.file.path: reading {what}: {error}; the controller runs as user 65532"),
        ),
    };
    let file = tokio::fs::File::open(&source.path).await.map_err(refused)?;
    let mut bytes = Vec::new();
    // One byte more than allowed, to tell an end from a limit.
    let limit = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).await.map_err(refused)?;
    if bytes.len() > LARGEST {
        let text = format!(
            "spec.source.file.path: {what} is larger than {} MiB, the most that is loaded; is it the component itself?",
            LARGEST >> 20
        );
        Err(Refusal::new("SourceTooLarge", text))
    } else {
        Ok(bytes)
    }
}
