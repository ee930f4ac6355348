//! Whose components are trusted: public keys from a Secret, and who signed a component.
//!
//! AutoscalerConfig decides whether a signature is demanded. One that is given is checked in any case: a field that
//! says who made a component must not be decoration. A signature is checked with keys and with nothing else, so that a
//! restart without a network can do it again.

mod bundle;
mod cosign;
#[cfg(test)]
mod scene_tests;
#[cfg(test)]
mod tests;
mod tools;

use super::source::Refusal;
use crate::runtime::chain;
use autoscaler_api::AutoscalerConfig;
use autoscaler_api::scaling_policy::ScalingPolicySpec;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use std::collections::BTreeMap;
use tools::{Given, Key};

/// Where the keys lie, beside the controller's other secret.
const NAMESPACE: &str = "kube-system";

/// The key that a component was signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signer {
    /// In the secret.
    pub(super) name: String,
    key: Key,
}

/// The keys at one moment.
pub(super) struct Keys {
    secret: String,
    required: bool,
    /// By their names in the secret.
    keys: BTreeMap<String, Key>,
}

impl Keys {
    /// None where nobody asks for a signature and none is given.
    pub(super) async fn read(
        client: &Client,
        config: Option<&AutoscalerConfig>,
        spec: &ScalingPolicySpec,
    ) -> Result<Option<Self>, Refusal> {
        let trust = config
            .and_then(|config| config.spec.policies.clone())
            .unwrap_or_default();
        let required = trust.require_signature_or_default();
        if spec.source.built_in.is_some() || (!required && spec.signature.is_none()) {
            return Ok(None);
        }
        let secret = trust.keys_secret_or_default();
        let read = Api::<Secret>::namespaced(client.clone(), NAMESPACE)
            .get_opt(&secret)
            .await;
        let data = read.map_err(|error| {
            let text = format!(
                "Secret {NAMESPACE}/{secret} cannot be read: {}; let the controller's role get it",
                chain(&error)
            );
            Refusal::new("SignatureKeysUnreadable", text)
        })?;
        let mut keys = BTreeMap::new();
        for (name, bytes) in data.and_then(|secret| secret.data).unwrap_or_default() {
            let text = String::from_utf8(bytes.0).unwrap_or_default();
            let key = Key::read(text.trim()).map_err(|wrong| {
                let text = format!("Secret {NAMESPACE}/{secret}: {name} {wrong}");
                Refusal::new("SignatureKeysUnreadable", text)
            })?;
            keys.insert(name, key);
        }
        Ok(Some(Self {
            secret,
            required,
            keys,
        }))
    }

    /// Whether a component that was signed so may go on.
    pub(super) fn still_trust(&self, signer: Option<&Signer>) -> bool {
        !self.required || signer.is_some_and(|signer| self.keys.get(&signer.name) == Some(&signer.key))
    }

    /// Who signed the component.
    pub(super) fn verify(&self, bytes: &[u8], signature: Option<&str>) -> Result<Signer, Refusal> {
        let refuse = |reason, wrong: String| Refusal::new(reason, format!("spec.signature: {wrong}"));
        let Some(signature) = signature else {
            let wrong = "AutoscalerConfig demands one (spec.policies.requireSignature); sign the component with \
                         `minisign -S` or `cosign sign-blob --key`, and put what that writes here";
            return Err(refuse("SignatureMissing", wrong.to_owned()));
        };
        if self.keys.is_empty() {
            let wrong = format!(
                "there is no key to check it with; put public keys of minisign or cosign into Secret {NAMESPACE}/{}",
                self.secret
            );
            return Err(refuse("SignatureKeysMissing", wrong));
        }
        let given = Given::read(signature.trim())
            .and_then(|given| given.is_of(bytes).map(|()| given))
            .map_err(|wrong| refuse("SignatureInvalid", wrong))?;
        let (may, cannot): (Vec<_>, Vec<_>) = self.keys.iter().partition(|(_, key)| key.reads(&given));
        let names = |keys: &[(&String, &Key)]| {
            let names: Vec<&str> = keys.iter().map(|(name, _)| name.as_str()).collect();
            names.join(", ")
        };
        if may.is_empty() {
            let tool = given.tool();
            let wrong = format!(
                "a signature of {tool}, and Secret {NAMESPACE}/{} has no key of {tool} (only {}); put the signer's .pub \
                 file there",
                self.secret,
                names(&cannot)
            );
            return Err(refuse("SignatureKeysMissing", wrong));
        }
        let signer = may.iter().find(|(_, key)| key.verifies(bytes, &given));
        let Some((name, key)) = signer else {
            let wrong = format!(
                "not made for this component with any of the keys in Secret {NAMESPACE}/{} ({}); sign exactly these \
                 bytes, or add the key",
                self.secret,
                names(&may)
            );
            return Err(refuse("SignatureInvalid", wrong));
        };
        Ok(Signer {
            name: (*name).clone(),
            key: (*key).clone(),
        })
    }
}
