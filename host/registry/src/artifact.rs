//! A component as an OCI artifact, in the layout that the CNCF gives for Wasm: a manifest, a configuration that says what
//! is imported and exported, and one layer, which is the component.
//!
//! *Invariant:* the same component always makes the same artifact, byte by byte, so that pushing it again changes
//! nothing and its digest can be known beforehand. Hence no time stands in it.

use crate::error::Error;
use crate::reference::is_sha256;
use crate::sha256;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// What tools call a layer that is one component: today's name, and the one before the layout for Wasm.
const WASM: [&str; 2] = ["application/wasm", "application/vnd.wasm.content.layer.v1+wasm"];
/// A manifest lists layers; one with thousands is none of ours.
pub(crate) const MANIFEST_BYTES: usize = 1 << 20;
/// The layout wants a time of creation. This one is nobody's.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// What an artifact says of its component.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub name: String,
    pub version: String,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

/// An artifact that is ready to be pushed.
#[derive(Clone, Debug)]
pub struct Artifact {
    pub(crate) manifest: Bytes,
    pub(crate) config: Bytes,
    pub(crate) component: Bytes,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    config: Descriptor,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(skip_deserializing)]
    annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(skip_deserializing, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: &'static str,
    architecture: &'static str,
    /// The word of the layout for "a component"; ours ask for nothing of WASI.
    os: &'static str,
    layer_digests: [String; 1],
    component: Interfaces<'a>,
}

#[derive(Serialize)]
struct Interfaces<'a> {
    exports: &'a [String],
    imports: &'a [String],
}

impl Descriptor {
    fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: format!("sha256:{}", sha256(bytes)),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        }
    }
}

/// The file that a component of this name is written to by tools that go by what the layer says (oras), and that write
/// none where it says nothing.
fn file_name(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let name: String = name
        .chars()
        .map(|letter| if plain(letter) { letter } else { '-' })
        .collect();
    match name.trim_start_matches('.') {
        "" => "policy.wasm".to_owned(),
        name => format!("{name}.wasm"),
    }
}

impl Artifact {
    /// # Errors
    /// Never, as far as anybody knows: what is written are texts and numbers.
    pub fn new(component: Vec<u8>, said: &Said) -> Result<Self, Error> {
        fn json(value: &impl Serialize) -> Result<Bytes, Error> {
            let bytes = serde_json::to_vec(value);
            bytes
                .map(Bytes::from)
                .map_err(|error| Error::Artifact(error.to_string()))
        }
        let annotation =
            |name: &str, value: &str| (format!("org.opencontainers.image.{name}"), value.to_owned());
        let mut layer = Descriptor::of(WASM[0], &component);
        layer.annotations = [annotation("title", &file_name(&said.name))].into();
        let config = json(&Config {
            created: CREATED,
            architecture: "wasm",
            os: "wasip2",
            layer_digests: [layer.digest.clone()],
            component: Interfaces {
                exports: &said.exports,
                imports: &said.imports,
            },
        })?;
        let manifest = json(&Manifest {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            config: Descriptor::of(CONFIG, &config),
            layers: vec![layer],
            annotations: [
                annotation("title", &said.name),
                annotation("version", &said.version),
            ]
            .into(),
        })?;
        Ok(Self {
            manifest,
            config,
            component: component.into(),
        })
    }

    /// Of the manifest, in hexadecimal digits: what a ScalingPolicy names.
    pub fn digest(&self) -> String {
        sha256(&self.manifest)
    }
}

/// The digest of the one layer of a manifest that is a component.
///
/// # Errors
/// Where there is none, or more than one, or the manifest is none.
pub fn component_of(manifest: &[u8]) -> Result<String, Error> {
    let Ok(manifest) = serde_json::from_slice::<Manifest>(manifest) else {
        let text = "what lies there is no OCI manifest; push it as an OCI artifact";
        return Err(Error::Artifact(text.to_owned()));
    };
    let is_wasm = |layer: &&Descriptor| WASM.contains(&layer.media_type.as_str());
    let mut layers = manifest.layers.iter().filter(is_wasm);
    let (Some(layer), None) = (layers.next(), layers.next()) else {
        let types: Vec<&str> = manifest
            .layers
            .iter()
            .map(|layer| layer.media_type.as_str())
            .collect();
        let wasm = WASM[0];
        let wrong = if types.is_empty() {
            format!(
                "the artifact has no layers, as an index of several platforms has none; name the digest of the artifact \
                 itself, with one layer of {wasm}"
            )
        } else {
            format!(
                "the artifact has not exactly one layer of {wasm} (it has: {}); push one component, as `policy push`, `wkg \
                 oci push` or `oras push REFERENCE FILE:{wasm}` does",
                types.join(", ")
            )
        };
        return Err(Error::Artifact(wrong));
    };
    let digest = layer
        .digest
        .strip_prefix("sha256:")
        .filter(|digits| is_sha256(digits));
    digest.map(str::to_owned).ok_or_else(|| {
        Error::Artifact("the layer has no sha256 digest; push it again with a newer tool".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_component_is_the_same_artifact() {
        let said = Said {
            name: "mine".to_owned(),
            version: "1.0.0".to_owned(),
            imports: vec!["a:b/log@0.1.0".to_owned()],
            exports: vec!["a:b/scale-up@0.1.0".to_owned()],
        };
        let artifact = Artifact::new(b"wasm".to_vec(), &said).unwrap();
        assert_eq!(
            artifact.digest(),
            Artifact::new(b"wasm".to_vec(), &said).unwrap().digest()
        );
        assert_ne!(
            artifact.digest(),
            Artifact::new(b"Wasm".to_vec(), &said).unwrap().digest()
        );
        assert_eq!(component_of(&artifact.manifest).unwrap(), sha256(b"wasm"));
        let manifest = String::from_utf8(artifact.manifest.to_vec()).unwrap();
        let (layer, config) = (sha256(b"wasm"), sha256(&artifact.config));
        let whole = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:CONFIG","size":SIZE},"layers":[{"mediaType":"application/wasm","digest":"sha256:LAYER","size":4,"annotations":{"org.opencontainers.image.title":"mine.wasm"}}],"annotations":{"org.opencontainers.image.title":"mine","org.opencontainers.image.version":"1.0.0"}}"#;
        let size = artifact.config.len().to_string();
        let whole = whole
            .replace("CONFIG", &config)
            .replace("SIZE", &size)
            .replace("LAYER", &layer);
        assert_eq!(manifest, whole);
        let config = String::from_utf8(artifact.config.to_vec()).unwrap();
        let whole = r#"{"created":"1970-01-01T00:00:00Z","architecture":"wasm","os":"wasip2","layerDigests":["sha256:LAYER"],"component":{"exports":["a:b/scale-up@0.1.0"],"imports":["a:b/log@0.1.0"]}}"#;
        assert_eq!(config, whole.replace("LAYER", &layer));
    }

    #[test]
    fn the_file_of_a_component_stays_in_its_folder() {
        for (name, file) in [
            ("first-fit_2.0", "first-fit_2.0.wasm"),
            ("", "policy.wasm"),
            ("..", "policy.wasm"),
            ("../../etc/passwd", "-..-etc-passwd.wasm"),
            ("größer: 1 000", "gr--er--1-000.wasm"),
        ] {
            assert_eq!(file_name(name), file, "{name}");
        }
    }

    /// Manifests as the named tools wrote them, of one component.
    #[test]
    fn what_other_tools_push_is_read() {
        const LAYER: &str = "0c41f721800afb1ca5aba14459f424ac7a848f8b5af148a59e34f8524104d886";
        for (tool, manifest) in [
            ("wkg 0.16.1", include_str!("fixtures/wkg.json")),
            (
                "oras 1.3.6 push REFERENCE FILE:application/wasm",
                include_str!("fixtures/oras.json"),
            ),
            (
                "one that writes annotations without any",
                r#"{"layers":[{"mediaType":"application/wasm","digest":"sha256:0c41f721800afb1ca5aba14459f424ac7a848f8b5af148a59e34f8524104d886","size":1,"annotations":null}],"annotations":null}"#,
            ),
        ] {
            assert_eq!(component_of(manifest.as_bytes()).unwrap(), LAYER, "{tool}");
        }
        // oras without the type of the file, and an index.
        for (manifest, text) in [
            (
                include_str!("fixtures/oras-untyped.json"),
                "the artifact has not exactly one layer of application/wasm (it has: \
                 application/vnd.oci.image.layer.v1.tar); push one component, as `policy push`, `wkg oci push` or `oras \
                 push REFERENCE FILE:application/wasm` does",
            ),
            (
                r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
                "the artifact has no layers, as an index of several platforms has none; name the digest of the artifact \
                 itself, with one layer of application/wasm",
            ),
        ] {
            assert_eq!(component_of(manifest.as_bytes()).unwrap_err().to_string(), text);
        }
    }
}
