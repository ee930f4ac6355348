//! The files that `cosign sign-blob --bundle` writes: the Sigstore bundle, and what cosign wrote before there was one.
//!
//! Only what was signed with a key pair is read. Entries of a transparency log and timestamps may stand there; they prove
//! when something was signed, not by whom, and nothing is made of them.

use super::cosign::Signature;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Deserialize;
use serde::de::IgnoredAny;

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle";

/// Either form; the fields are those of both.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: Option<String>,
    verification_material: Option<Material>,
    message_signature: Option<MessageSignature>,
    dsse_envelope: Option<IgnoredAny>,
    /// Of the old form, like the next one.
    base64_signature: Option<String>,
    /// A certificate; empty or not there with a key pair.
    cert: Option<String>,
}

/// What a signature is to be checked with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    certificate: Option<IgnoredAny>,
    x509_certificate_chain: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageSignature {
    message_digest: Option<MessageDigest>,
    signature: String,
}

/// Empty with keys that hash in their own way.
#[derive(Default, Deserialize)]
#[serde(default)]
struct MessageDigest {
    algorithm: String,
    digest: String,
}

/// The signature in a bundle. Errors go on after the name of the field.
pub(super) fn read(text: &str) -> Result<Signature, String> {
    const WHOLE: &str = "put the whole file there that `cosign sign-blob --key --bundle` writes";
    let bundle: Bundle = serde_json::from_str(text)
        .map_err(|error| format!("that JSON is no bundle of cosign ({error}); {WHOLE}"))?;
    if bundle.has_certificate() {
        let wrong = "the bundle was signed with a certificate (keyless), which nothing here can check; sign with a key \
                     pair: `cosign sign-blob --key cosign.key`";
        return Err(wrong.to_owned());
    }
    let decode = |field: &str, text: &str| {
        let bytes = BASE64_STANDARD.decode(text);
        bytes.map_err(|_| format!("{field} of the bundle is no base64; {WHOLE}"))
    };
    match (
        bundle.media_type,
        bundle.message_signature,
        bundle.base64_signature,
    ) {
        (None, _, Some(signature)) => Ok(Signature {
            der: decode("base64Signature", &signature)?,
            sha256: None,
        }),
        (Some(media_type), ..) if !media_type.starts_with(MEDIA_TYPE) => Err(format!(
            "mediaType of the bundle is {media_type}, and not {MEDIA_TYPE}…; {WHOLE}"
        )),
        (Some(_), Some(message), _) => {
            let sha256 = match &message.message_digest {
                Some(digest) if digest.algorithm != "SHA2_256" => {
                    let wrong = "the bundle is not of a SHA-256, so its key is of another kind than ECDSA on P-256, the \
                                 only one that is read for cosign; sign with a key of `cosign generate-key-pair`";
                    return Err(wrong.to_owned());
                }
                Some(digest) => {
                    let bytes = decode("messageSignature.messageDigest.digest", &digest.digest)?;
                    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
                }
                None => None,
            };
            Ok(Signature {
                der: decode("messageSignature.signature", &message.signature)?,
                sha256,
            })
        }
        (Some(_), None, _) if bundle.dsse_envelope.is_some() => {
            let wrong = "the bundle is an attestation about something, and no signature of the component; sign the \
                         component itself with `cosign sign-blob --key`";
            Err(wrong.to_owned())
        }
        _ => Err(format!(
            "that JSON is no bundle of cosign: neither messageSignature nor base64Signature is in it; {WHOLE}"
        )),
    }
}

impl Bundle {
    fn has_certificate(&self) -> bool {
        let material = self.verification_material.as_ref();
        let in_material = material.is_some_and(|material| {
            material.certificate.is_some() || material.x509_certificate_chain.is_some()
        });
        in_material || self.cert.as_deref().is_some_and(|cert| !cert.is_empty())
    }
}
