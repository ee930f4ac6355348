//! From the bytes of a component to a policy that can be asked.

use crate::bindings::{growth, selection, shrinkage, types};
use crate::call::{Call, Target};
use crate::engine::Engine;
use crate::error::{CallError, LoadError};
use crate::lift::printable;
use crate::limits::Limits;
use crate::schema::ConfigSchema;
use autoscaler_core::decision::Kind;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use wasmtime::component::Component;

/// The largest component. Guests in interpreted languages bring their interpreter along: 18 MB for Python.
const COMPONENT_BYTES: usize = 32 << 20;
/// What every name of this package begins with.
const PACKAGE: &str = "vpsie:autoscaler/";
/// The interfaces that a component may import.
const IMPORTS: [&str; 3] = ["types", "log", "what-if"];
/// Characters of names, versions and diagnostics that are kept.
const TEXT_CHARS: usize = 1000;
/// The largest configuration schema.
const SCHEMA_CHARS: usize = 64 << 10;

/// What a component says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    pub name: String,
    pub version: String,
    /// JSON Schema of the configuration.
    pub config_schema: String,
}

/// One complaint about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// JSON pointer into the configuration.
    pub path: String,
    pub message: String,
    pub hint: String,
}

/// A component, compiled and checked, that answers one or more kinds of questions.
pub struct CompiledPolicy {
    engine: Engine,
    digest: String,
    kinds: BTreeMap<Kind, Exported>,
}

/// One interface that the component exports.
struct Exported {
    target: Target,
    description: Description,
    schema: ConfigSchema,
}

/// SHA-256 of a component, as `sha256:` and hexadecimal digits.
pub(crate) fn digest(component: &[u8]) -> String {
    let digits: String = Sha256::digest(component)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{digits}")
}

impl CompiledPolicy {
    pub(crate) fn compile(engine: &Engine, bytes: &[u8], digest: String) -> Result<Self, LoadError> {
        let component = Component::from_binary(engine.wasmtime(), bytes)
            .map_err(|error| LoadError::Compile(error.into()))?;
        let ty = component.component_type();
        for (import, _) in ty.imports(engine.wasmtime()) {
            if !IMPORTS.iter().any(|interface| is_ours(import, interface)) {
                return Err(LoadError::ForbiddenImport {
                    import: import.to_owned(),
                });
            }
        }
        let exports: Vec<&str> = ty.exports(engine.wasmtime()).map(|(name, _)| name).collect();
        let mut kinds = BTreeMap::new();
        for kind in Kind::ALL {
            if exports.iter().any(|name| is_ours(name, kind.as_str())) {
                kinds.insert(kind, Exported::new(engine, &component, kind)?);
            }
        }
        if kinds.is_empty() {
            // What is ours but for its version.
            let interface = |name: &str| {
                let rest = name.strip_prefix(PACKAGE)?;
                let (interface, _) = rest.split_once('@')?;
                Kind::ALL.into_iter().find(|kind| kind.as_str() == interface)
            };
            if let Some(export) = exports.iter().find(|name| interface(name).is_some()) {
                return Err(LoadError::OtherVersion {
                    export: printable(export, TEXT_CHARS),
                });
            }
            return Err(LoadError::NoKind {
                exports: printable(&exports.join(", "), TEXT_CHARS),
            });
        }
        Ok(Self {
            engine: engine.clone(),
            digest,
            kinds,
        })
    }

    /// `sha256:` and the digest of the component.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The kinds of questions that it answers.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> + '_ {
        self.kinds.keys().copied()
    }

    /// What it says of itself as an answerer of this kind of question; none where it does not answer it.
    pub fn description(&self, kind: Kind) -> Option<&Description> {
        self.kinds.get(&kind).map(|exported| &exported.description)
    }

    /// What there is to say against a configuration (JSON): by the schema of the component, and where that has
    /// nothing, by the policy itself. Empty is good.
    ///
    /// # Errors
    /// Where the policy does not answer this kind of question, or fails while it looks.
    pub fn validate_config(
        &self,
        kind: Kind,
        config: &str,
        limits: &Limits,
    ) -> Result<Vec<Diagnostic>, CallError> {
        let target = self.target(kind)?;
        let by_schema = self
            .kinds
            .get(&kind)
            .map(|exported| exported.schema.complaints(config));
        if let Some(complaints) = by_schema.filter(|complaints| !complaints.is_empty()) {
            return Ok(complaints);
        }
        let call = Call::new(&self.engine, target, limits);
        let diagnostics = call.validate_config(config)?;
        Ok(diagnostics.iter().map(diagnostic).collect())
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn target(&self, kind: Kind) -> Result<&Target, CallError> {
        let exported = self.kinds.get(&kind);
        exported
            .map(|exported| &exported.target)
            .ok_or_else(|| CallError::BadConfig(format!("the component does not export {kind}")))
    }
}

impl std::fmt::Debug for CompiledPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds: Vec<Kind> = self.kinds().collect();
        f.debug_struct("CompiledPolicy")
            .field("digest", &self.digest)
            .field("kinds", &kinds)
            .finish_non_exhaustive()
    }
}

impl Exported {
    fn new(engine: &Engine, component: &Component, kind: Kind) -> Result<Self, LoadError> {
        let mismatch = |error: wasmtime::Error| LoadError::Interface {
            kind,
            source: error.into(),
        };
        let instance = engine.linker().instantiate_pre(component).map_err(mismatch)?;
        let target = match kind {
            Kind::ScaleUp => growth::ScaleUpPolicyPre::new(instance).map(Target::ScaleUp),
            Kind::NodeSelection => {
                selection::NodeSelectionPolicyPre::new(instance).map(Target::NodeSelection)
            }
            Kind::Rebalance => shrinkage::RebalancePolicyPre::new(instance).map(Target::Rebalance),
        };
        let target = target.map_err(mismatch)?;
        let description = Call::new(engine, &target, &Limits::default())
            .describe()
            .map_err(|source| LoadError::Describe { kind, source })?;
        let schema = ConfigSchema::new(&description.config_schema)
            .map_err(|problem| LoadError::Schema { kind, problem })?;
        let description = Description {
            name: printable(&description.name, TEXT_CHARS),
            version: printable(&description.version, TEXT_CHARS),
            config_schema: description.config_schema.chars().take(SCHEMA_CHARS).collect(),
        };
        Ok(Self {
            target,
            description,
            schema,
        })
    }
}

fn diagnostic(diagnostic: &types::Diagnostic) -> Diagnostic {
    Diagnostic {
        path: printable(&diagnostic.path, TEXT_CHARS),
        message: printable(&diagnostic.message, TEXT_CHARS),
        hint: printable(&diagnostic.hint, TEXT_CHARS),
    }
}

/// Tells apart what people mistake for a component, before the compiler's message does it worse.
pub(crate) fn check_form(bytes: &[u8]) -> Result<(), LoadError> {
    if bytes.len() > COMPONENT_BYTES {
        return Err(LoadError::TooLarge {
            bytes: bytes.len(),
            limit: COMPONENT_BYTES,
        });
    }
    match bytes {
        [0, b'a', b's', b'm', 13, 0, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(LoadError::NotAComponent(
            "it is a core WebAssembly module; make a component of it with `wasm-tools component new`",
        )),
        _ => Err(LoadError::NotAComponent(
            "it is no WebAssembly binary; give the .wasm file of the component, not packed and not as text",
        )),
    }
}

/// Whether a name is that of an interface of ours in a version that this host speaks (0.1.x).
fn is_ours(name: &str, interface: &str) -> bool {
    let version = name
        .strip_prefix(PACKAGE)
        .and_then(|rest| rest.strip_prefix(interface))
        .and_then(|rest| rest.strip_prefix("@0.1."));
    version.is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_interfaces_in_our_version() {
        for (name, interface, expected) in [
            ("vpsie:autoscaler/log@0.1.0", "log", true),
            ("vpsie:autoscaler/log@0.1.17", "log", true),
            ("vpsie:autoscaler/log@0.2.0", "log", false),
            ("vpsie:autoscaler/log@0.1.0-rc1", "log", false),
            ("vpsie:autoscaler/log@0.1.", "log", false),
            ("vpsie:autoscaler/log", "log", false),
            ("vpsie:autoscaler/logs@0.1.0", "log", false),
            ("wasi:cli/log@0.1.0", "log", false),
        ] {
            assert_eq!(is_ours(name, interface), expected, "{name}");
        }
    }

    #[test]
    fn a_digest_says_how_it_was_made() {
        assert_eq!(
            digest(b""),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
