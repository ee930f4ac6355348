//! Whose components are trusted: minisign keys from a Secret.
//!
//! AutoscalerConfig decides whether a signature is demanded. One that is given is checked in any case: a field that
//! says who made a component must not be decoration.

use super::source::Refusal;
use crate::runtime::chain;
use autoscaler_api::AutoscalerConfig;
use autoscaler_api::scaling_policy::ScalingPolicySpec;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use minisign_verify::{PublicKey, Signature};
use std::collections::BTreeMap;

/// Where the keys lie, beside the controller's other secret.
const NAMESPACE: &str = "kube-system";

/// The key that a component was signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signer {
    /// In the secret.
    pub(super) name: String,
    key: PublicKey,
}

/// The keys at one moment.
pub(super) struct Keys {
    secret: String,
    required: bool,
    /// By their names in the secret.
    keys: BTreeMap<String, PublicKey>,
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
            let text = text.trim();
            let key = PublicKey::decode(text).or_else(|_| PublicKey::from_base64(text));
            match key {
                Ok(key) => drop(keys.insert(name, key)),
                Err(_) => {
                    let text = format!(
                        "Secret {NAMESPACE}/{secret}: {name} is no minisign public key; put the text of the .pub file \
                         there"
                    );
                    return Err(Refusal::new("SignatureKeysUnreadable", text));
                }
            }
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
        let Some(signature) = signature else {
            return Err(Refusal::new(
                "SignatureMissing",
                "spec.signature: AutoscalerConfig demands one (spec.policies.requireSignature); sign the component with \
                 `minisign -S` and put the text of its .minisig file here",
            ));
        };
        if self.keys.is_empty() {
            let text = format!(
                "spec.signature: there is no key to check it with; put minisign public keys into Secret \
                 {NAMESPACE}/{}",
                self.secret
            );
            return Err(Refusal::new("SignatureKeysMissing", text));
        }
        let signature = Signature::decode(signature.trim()).map_err(|_| {
            Refusal::new(
                "SignatureInvalid",
                "spec.signature: that is no minisign signature; it takes all four lines of the .minisig file",
            )
        })?;
        let mut keys = self.keys.iter();
        // Signatures of the old form, without a hash before, are not taken.
        let signer = keys.find(|(_, key)| key.verify(bytes, &signature, false).is_ok());
        let signer = signer.map(|(name, key)| Signer {
            name: name.clone(),
            key: key.clone(),
        });
        signer.ok_or_else(|| {
            let names: Vec<&str> = self.keys.keys().map(String::as_str).collect();
            let text = format!(
                "spec.signature: not made for this component with any of the keys in Secret {NAMESPACE}/{} ({}); sign \
                 exactly these bytes, or add the key",
                self.secret,
                names.join(", ")
            );
            Refusal::new("SignatureInvalid", text)
        })
    }
}
