//! The tools that components are signed with: how a key and a signature of each are told from the text.

use super::bundle;
use super::cosign;
use base64::DecodeError;
use base64::prelude::{BASE64_STANDARD, Engine};

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Minisign(minisign_verify::PublicKey),
    Cosign(cosign::Key),
}

impl Key {
    /// Of the text under one key of the secret. The error goes on after its name.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text.contains("-----BEGIN ") {
            return cosign::Key::from_pem(text).map(Self::Cosign);
        }
        minisign_verify::PublicKey::decode(text)
            .or_else(|_| minisign_verify::PublicKey::from_base64(text))
            .map(Self::Minisign)
            .map_err(|_| {
                "is no public key of minisign or cosign; put the text of the .pub file there".to_owned()
            })
    }

    /// Whether the signature is of the tool that the key is of.
    pub(super) fn reads(&self, given: &Given) -> bool {
        matches!(
            (self, given),
            (Self::Minisign(_), Given::Minisign(_)) | (Self::Cosign(_), Given::Cosign(_))
        )
    }

    /// Whether this key made the signature, and of these bytes.
    pub(super) fn verifies(&self, bytes: &[u8], given: &Given) -> bool {
        match (self, given) {
            // Signatures of the old form, without a hash before, are not taken.
            (Self::Minisign(key), Given::Minisign(signature)) => key.verify(bytes, signature, false).is_ok(),
            (Self::Cosign(key), Given::Cosign(signature)) => key.verifies(bytes, &signature.der),
            _ => false,
        }
    }
}

/// What `spec.signature` holds.
pub(super) enum Given {
    Minisign(minisign_verify::Signature),
    Cosign(cosign::Signature),
}

impl Given {
    /// Errors go on after the name of the field.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text.starts_with('{') {
            return bundle::read(text).map(Self::Cosign);
        }
        if let Ok(signature) = minisign_verify::Signature::decode(text) {
            return Ok(Self::Minisign(signature));
        }
        if text.starts_with("untrusted comment") {
            let wrong = "that is no minisign signature; it takes all four lines of the .minisig file";
            return Err(wrong.to_owned());
        }
        match BASE64_STANDARD.decode(text) {
            Ok(der) => Ok(Self::Cosign(cosign::Signature { der, sha256: None })),
            Err(DecodeError::InvalidByte(..)) => {
                let wrong = "that is no signature; it takes all four lines of a .minisig file, or what `cosign sign-blob \
                             --key` prints or writes with --bundle";
                Err(wrong.to_owned())
            }
            Err(_) => Err(
                "that base64 breaks off; it takes the whole line that `cosign sign-blob --key` prints"
                    .to_owned(),
            ),
        }
    }

    pub(super) fn tool(&self) -> &'static str {
        match self {
            Self::Minisign(_) => "minisign",
            Self::Cosign(_) => "cosign",
        }
    }

    /// Whether it does not say itself that it is of other bytes.
    pub(super) fn is_of(&self, bytes: &[u8]) -> Result<(), String> {
        match self {
            Self::Minisign(_) => Ok(()),
            Self::Cosign(signature) => signature.is_of(bytes),
        }
    }
}
