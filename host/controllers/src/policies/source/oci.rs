//! Pulls a component from an OCI registry, by digest: the manifest, then its one layer of WebAssembly.
//!
//! The distribution API is two requests, so that a client library would be the larger part. The digest in the
//! reference fixes the manifest, and the manifest fixes the layer: what a registry sends besides is refused.

use super::blobs::Blobs;
use super::download::{Ask, Bounds, Download};
use super::{Refusal, sha256};
use autoscaler_api::scaling_policy::OciSource;
use reqwest::StatusCode;
use reqwest::header::WWW_AUTHENTICATE;
use serde::Deserialize;

const FIELD: &str = "spec.source.oci.image";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// What tools call a layer that is one component: today's name, and the one before the OCI guidance for Wasm.
const WASM: [&str; 2] = ["application/wasm", "application/vnd.wasm.content.layer.v1+wasm"];
/// A manifest lists layers; one with thousands is none of ours.
const MANIFEST_BYTES: usize = 1 << 20;

/// `registry/repository@sha256:digest`.
#[derive(Debug, PartialEq, Eq)]
struct Reference<'a> {
    registry: &'a str,
    repository: &'a str,
    /// Hexadecimal digits.
    digest: &'a str,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    digest: String,
}

#[derive(Deserialize)]
struct Token {
    #[serde(alias = "access_token")]
    token: Option<String>,
}

/// The bytes of the component.
pub(super) async fn pull(source: &OciSource, bounds: &Bounds, blobs: &Blobs) -> Result<Vec<u8>, Refusal> {
    let reference = Reference::parse(&source.image)?;
    let mut registry = Registry {
        download: Download::new(FIELD, bounds)?,
        base: reference.base(),
        token: None,
    };
    let manifest = match blobs.get(reference.digest).await {
        Some(manifest) => manifest,
        None => {
            let path = format!("manifests/sha256:{}", reference.digest);
            let bytes = registry.get(&path, Some(MANIFEST), MANIFEST_BYTES).await?;
            checked(bytes, reference.digest, "the manifest")?
        }
    };
    let layer = component_of(&manifest)?;
    // Small, and not yet proven to lead to a policy; the component is kept by those who have proven it.
    blobs.put(reference.digest, &manifest);
    match blobs.get(&layer).await {
        Some(bytes) => Ok(bytes),
        None => {
            let path = format!("blobs/sha256:{layer}");
            let bytes = registry.get(&path, None, bounds.bytes).await?;
            checked(bytes, &layer, "the layer")
        }
    }
}

fn checked(bytes: Vec<u8>, wanted: &str, what: &str) -> Result<Vec<u8>, Refusal> {
    let found = sha256(&bytes);
    if found == wanted {
        return Ok(bytes);
    }
    let text = format!(
        "{FIELD}: {what} that the registry sent has the digest sha256:{found}, not sha256:{wanted}; it was changed \
         on the way, or the registry is broken"
    );
    Err(Refusal::new("DigestMismatch", text))
}

/// The digest of the one layer that is a component.
fn component_of(manifest: &[u8]) -> Result<String, Refusal> {
    let invalid = |text: String| Refusal::new("InvalidArtifact", format!("{FIELD}: {text}"));
    let Ok(manifest) = serde_json::from_slice::<Manifest>(manifest) else {
        return Err(invalid(
            "what lies there is no OCI manifest; push it as an OCI artifact".into(),
        ));
    };
    let is_wasm = |layer: &&Layer| WASM.contains(&layer.media_type.as_str());
    let mut layers = manifest.layers.iter().filter(is_wasm);
    let (Some(layer), None) = (layers.next(), layers.next()) else {
        let types: Vec<&str> = manifest
            .layers
            .iter()
            .map(|layer| layer.media_type.as_str())
            .collect();
        return Err(invalid(format!(
            "the artifact has not exactly one layer of {} (it has: {}); an index of several platforms has none: name \
             the digest of the artifact itself",
            WASM[0],
            if types.is_empty() {
                "no layers".to_owned()
            } else {
                types.join(", ")
            }
        )));
    };
    let digest = layer.digest.strip_prefix("sha256:").filter(|digits| {
        digits.len() == 64
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    });
    digest
        .map(str::to_owned)
        .ok_or_else(|| invalid("the layer has no sha256 digest; push it again with a newer tool".into()))
}

impl<'a> Reference<'a> {
    fn parse(image: &'a str) -> Result<Self, Refusal> {
        let invalid = |text: &str| Refusal::new("InvalidSource", format!("{FIELD}: {text}"));
        let (name, digest) = image
            .split_once("@sha256:")
            .ok_or_else(|| invalid("no digest; write registry.example/policy@sha256:…"))?;
        let (registry, path) = name
            .split_once('/')
            .filter(|(registry, _)| registry.contains(['.', ':']) || *registry == "localhost")
            .ok_or_else(|| invalid("no registry; begin with its host: registry.example/policy@sha256:…"))?;
        // A tag beside a digest says nothing: the digest decides.
        let repository = path.split_once(':').map_or(path, |(repository, _)| repository);
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/');
        let names = || repository.split('/');
        if !repository.bytes().all(plain) || names().any(|part| part.is_empty() || part.starts_with('.')) {
            return Err(invalid(
                "the repository's name has other letters than a-z, 0-9, '.', '_', '-' and '/'",
            ));
        }
        Ok(Self {
            registry,
            repository,
            digest,
        })
    }

    /// Only a registry on the same machine is spoken to without TLS.
    fn base(&self) -> String {
        let host = self
            .registry
            .rsplit_once(':')
            .map_or(self.registry, |(host, _)| host);
        let scheme = match host {
            "localhost" | "127.0.0.1" | "[::1]" => "http",
            _ => "https",
        };
        format!("{scheme}://{}/v2/{}", self.registry, self.repository)
    }
}

struct Registry<'a> {
    download: Download<'a>,
    base: String,
    token: Option<String>,
}

impl Registry<'_> {
    async fn get(
        &mut self,
        path: &str,
        accept: Option<&'static str>,
        limit: usize,
    ) -> Result<Vec<u8>, Refusal> {
        let url = format!("{}/{path}", self.base);
        let mut ask = Ask {
            url: &url,
            accept,
            token: self.token.as_deref(),
            limit,
        };
        let response = self.download.ask(&ask).await?;
        if response.status() != StatusCode::UNAUTHORIZED || ask.token.is_some() {
            return self.download.body(response, limit).await;
        }
        // Public registries, too, want a token; they give it to anybody.
        let challenge = response.headers().get(WWW_AUTHENTICATE);
        let realm = challenge.and_then(|value| token_address(value.to_str().ok()?));
        let Some(realm) = realm else {
            return self.download.body(response, limit).await;
        };
        let for_token = Ask {
            url: &realm,
            accept: None,
            token: None,
            limit: MANIFEST_BYTES,
        };
        let answer = self.download.get(&for_token).await?;
        let token = serde_json::from_slice::<Token>(&answer)
            .ok()
            .and_then(|answer| answer.token);
        ask.token = token.as_deref();
        let bytes = self.download.get(&ask).await;
        self.token = token;
        bytes
    }
}

/// Where a token is had, of `Bearer realm="…",service="…",scope="…"`.
fn token_address(challenge: &str) -> Option<String> {
    let fields = challenge.strip_prefix("Bearer ")?;
    let field = |name: &str| {
        let start = fields.find(&format!("{name}=\""))? + name.len() + 2;
        fields[start..].split('"').next()
    };
    let mut url = reqwest::Url::parse(field("realm")?).ok()?;
    for name in ["service", "scope"] {
        if let Some(value) = field(name) {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_name_registry_repository_and_digest() {
        let digest = "a".repeat(64);
        for (image, expected) in [
            ("r.example/p", Ok("https://r.example/v2/p")),
            (
                "r.example:5000/team/p:1.0",
                Ok("https://r.example:5000/v2/team/p"),
            ),
            ("127.0.0.1:5000/p", Ok("http://127.0.0.1:5000/v2/p")),
            ("localhost/p", Ok("http://localhost/v2/p")),
            ("policy", Err("no registry")),
            ("team/policy", Err("no registry")),
            ("r.example/../p", Err("the repository's name")),
            ("r.example/p?x", Err("the repository's name")),
        ] {
            let image = format!("{image}@sha256:{digest}");
            let got = Reference::parse(&image).map(|reference| reference.base());
            match expected {
                Ok(base) => assert_eq!(got.as_deref().ok(), Some(base), "{image}: {got:?}"),
                Err(part) => assert!(
                    got.is_err_and(|refusal| refusal.message.contains(part)),
                    "{image}"
                ),
            }
        }
    }

    #[test]
    fn a_challenge_tells_where_the_token_is() {
        for (challenge, expected) in [
            (
                r#"Bearer realm="https://auth.example/token",service="r",scope="repository:p:pull""#,
                Some("https://auth.example/token?service=r&scope=repository%3Ap%3Apull"),
            ),
            (
                r#"Bearer realm="https://auth.example/t""#,
                Some("https://auth.example/t"),
            ),
            ("Basic realm=\"x\"", None),
            ("Bearer scope=\"x\"", None),
        ] {
            assert_eq!(token_address(challenge).as_deref(), expected, "{challenge}");
        }
    }
}
