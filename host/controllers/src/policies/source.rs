//! Gets the bytes of a component from where a ScalingPolicy says they are, and checks their hash.

use autoscaler_api::scaling_policy::{ConfigMapSource, FileSource, HttpSource, PolicySource};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::io::AsyncReadExt;

use crate::runtime::chain;

/// Largest component. The built-in ones have some tens of KiB; one with an interpreter inside has megabytes.
const LARGEST: usize = 32 << 20;
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(30);
const MOVED_AT_MOST: usize = 5;

/// Why a policy is not in use, in the words of its condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// One stable word.
    pub(super) reason: &'static str,
    /// A sentence for people.
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

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

/// Reads a source. `have` is the hash of the component that was loaded from the same source before.
pub(super) async fn fetch(
    client: &Client,
    source: &PolicySource,
    have: Option<&str>,
) -> Result<Fetched, Refusal> {
    let bytes = match source {
        PolicySource {
            built_in: Some(name), ..
        } => return Ok(Fetched::BuiltIn(name.clone())),
        PolicySource {
            config_map: Some(source),
            ..
        } => from_config_map(client, source).await?,
        PolicySource {
            file: Some(source), ..
        } => from_file(source).await?,
        // Bytes with this hash cannot have changed.
        PolicySource {
            http: Some(source), ..
        } if have == Some(&source.sha256) => return Ok(Fetched::Unchanged),
        PolicySource {
            http: Some(source), ..
        } => from_http(source).await?,
        PolicySource {
            oci: Some(source), ..
        } => {
            let message = format!(
                "spec.source.oci ({}): this version does not pull from registries",
                source.image
            );
            return Err(Refusal::new("UnsupportedSource", message));
        }
        _ => return Err(Refusal::new("InvalidSource", "spec.source names no source")),
    };
    let sha256: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if let Some(wanted) = source
        .http
        .as_ref()
        .map(|source| &source.sha256)
        .filter(|wanted| **wanted != sha256)
    {
        let message = format!("spec.source.http: the file has the sha256 {sha256}, not {wanted}");
        return Err(Refusal::new("DigestMismatch", message));
    }
    if have == Some(sha256.as_str()) {
        return Ok(Fetched::Unchanged);
    }
    Ok(Fetched::Component { bytes, sha256 })
}

fn too_large(what: &str) -> Refusal {
    Refusal::new(
        "SourceTooLarge",
        format!("{what} is larger than {} MiB", LARGEST >> 20),
    )
}

async fn from_config_map(client: &Client, source: &ConfigMapSource) -> Result<Vec<u8>, Refusal> {
    let (namespace, key) = (source.namespace_or_default(), source.key_or_default());
    let what = format!("ConfigMap {namespace}/{}", source.name);
    let api = Api::<ConfigMap>::namespaced(client.clone(), &namespace);
    let map = match api.get_opt(&source.name).await {
        Ok(Some(map)) => map,
        Ok(None) => return Err(Refusal::new("SourceNotFound", format!("{what} not found"))),
        Err(error) => {
            return Err(Refusal::new(
                "SourceUnreadable",
                format!("reading {what}: {}", chain(&error)),
            ));
        }
    };
    if let Some(bytes) = map.binary_data.and_then(|mut data| data.remove(&key)) {
        return Ok(bytes.0);
    }
    let Some(text) = map.data.and_then(|mut data| data.remove(&key)) else {
        return Err(Refusal::new(
            "SourceNotFound",
            format!("{what} has no key {key} in binaryData"),
        ));
    };
    // Some tools can only write text: then it is the same bytes in base64.
    let compact: String = text.split_whitespace().collect();
    serde_json::from_value::<ByteString>(compact.into())
        .map(|bytes| bytes.0)
        .map_err(|_| {
            Refusal::new(
                "SourceUnreadable",
                format!("key {key} of {what} stands in data and is no base64"),
            )
        })
}

async fn from_file(source: &FileSource) -> Result<Vec<u8>, Refusal> {
    let what = format!("file {}", source.path);
    let refused = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Refusal::new("SourceNotFound", format!("{what} not found")),
        _ => Refusal::new("SourceUnreadable", format!("reading {what}: {error}")),
    };
    let file = tokio::fs::File::open(&source.path).await.map_err(refused)?;
    let mut bytes = Vec::new();
    // One byte more than allowed, to tell an end from a limit.
    let limit = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).await.map_err(refused)?;
    if bytes.len() > LARGEST {
        Err(too_large(&what))
    } else {
        Ok(bytes)
    }
}

async fn from_http(source: &HttpSource) -> Result<Vec<u8>, Refusal> {
    // The process may have chosen a provider already; then that one serves.
    drop(rustls::crypto::ring::default_provider().install_default());
    let refused = |error: reqwest::Error| {
        // The address may carry a password; the refusal stands in a status that many may read.
        let error = error.without_url();
        Refusal::new(
            "SourceUnreadable",
            format!("downloading spec.source.http.url: {}", chain(&error)),
        )
    };
    let client = reqwest::Client::builder()
        .timeout(DOWNLOAD_TIMEOUT)
        .redirect(reqwest::redirect::Policy::limited(MOVED_AT_MOST))
        .build()
        .map_err(refused)?;
    let response = client.get(&source.url).send().await.map_err(refused)?;
    let mut response = response.error_for_status().map_err(refused)?;
    let mut bytes = Vec::new();
    while let Some(part) = response.chunk().await.map_err(refused)? {
        bytes.extend_from_slice(&part);
        if bytes.len() > LARGEST {
            return Err(too_large("the file behind spec.source.http.url"));
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeApi;
    use axum::routing::get;
    use serde_json::json;

    // sha256 of "component"
    fn hash(bytes: &[u8]) -> String {
        Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    async fn outcome(api: &FakeApi, source: serde_json::Value, have: Option<&str>) -> String {
        let source: PolicySource = serde_json::from_value(source).unwrap();
        match fetch(&api.client(), &source, have).await {
            Ok(Fetched::BuiltIn(name)) => format!("built-in {name}"),
            Ok(Fetched::Component { bytes, sha256 }) => {
                assert_eq!(sha256, hash(&bytes));
                format!("bytes {}", String::from_utf8(bytes).unwrap())
            }
            Ok(Fetched::Unchanged) => "unchanged".to_owned(),
            Err(refusal) => format!("{}: {}", refusal.reason, refusal.message),
        }
    }

    #[tokio::test]
    async fn every_source_yields_its_bytes_or_says_why_not() {
        let api = FakeApi::new();
        api.put(
            "configmaps",
            json!({"metadata": {"name": "p", "namespace": "kube-system"},
                   "binaryData": {"policy.wasm": "b25l"}, "data": {"text": "dHdv\n", "bad": "%%%"}}),
        );
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("p.wasm"), "three").unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://user:hunter2@{}", listener.local_addr().unwrap());
        let files = axum::Router::new().route("/p.wasm", get(async || "four"));
        tokio::spawn(async move { axum::serve(listener, files).await });
        let http =
            |path: &str, sha256: &str| json!({"http": {"url": format!("{base}/{path}"), "sha256": sha256}});
        let four = hash(b"four");
        let one = hash(b"one");
        let image = format!("registry.example/p@sha256:{four}");
        let table = [
            (json!({"builtIn": "scale-up"}), None, "built-in scale-up"),
            (json!({"configMap": {"name": "p"}}), None, "bytes one"),
            (
                json!({"configMap": {"name": "p"}}),
                Some(one.as_str()),
                "unchanged",
            ),
            (
                json!({"configMap": {"name": "p", "key": "text"}}),
                None,
                "bytes two",
            ),
            (
                json!({"configMap": {"name": "p", "key": "bad"}}),
                None,
                "SourceUnreadable: key bad",
            ),
            (
                json!({"configMap": {"name": "p", "key": "no"}}),
                None,
                "SourceNotFound: ConfigMap kube-system/p has no key no",
            ),
            (
                json!({"configMap": {"name": "q"}}),
                None,
                "SourceNotFound: ConfigMap kube-system/q not found",
            ),
            (json!({"file": {"path": path("p.wasm")}}), None, "bytes three"),
            (
                json!({"file": {"path": path("q.wasm")}}),
                None,
                "SourceNotFound: file",
            ),
            (http("p.wasm", &four), None, "bytes four"),
            (http("p.wasm", &four), Some(four.as_str()), "unchanged"),
            (http("p.wasm", &one), None, "DigestMismatch"),
            (
                http("missing", &four),
                None,
                "SourceUnreadable: downloading spec.source.http.url: HTTP status client error (404",
            ),
            (
                json!({"oci": {"image": image}}),
                None,
                "UnsupportedSource: spec.source.oci",
            ),
            (json!({}), None, "InvalidSource"),
        ];
        for (row, (source, have, expected)) in table.into_iter().enumerate() {
            let got = outcome(&api, source, have).await;
            assert!(
                got.starts_with(expected),
                "row {row}: {got:?} is not {expected:?}"
            );
            assert!(!got.contains("hunter2"), "row {row}: {got}");
        }
    }

    #[tokio::test]
    async fn a_file_without_an_end_is_refused() {
        let source = json!({"file": {"path": "/dev/zero"}});
        let got = outcome(&FakeApi::new(), source, None).await;
        assert!(got.starts_with("SourceTooLarge"), "{got}");
    }
}
