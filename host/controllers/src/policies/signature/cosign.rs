//! Signatures as cosign makes them with a key pair: ECDSA on P-256 over SHA-256, which `cosign generate-key-pair` is for.

use crate::policies::source;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use webpki::ring::ECDSA_P256_SHA256;
use webpki::{Error, RawPublicKeyEntity};

/// A public key on P-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key(SubjectPublicKeyInfoDer<'static>);

impl Key {
    /// Of the text of a `cosign.pub`. The error goes on after the name of the key.
    pub(super) fn from_pem(text: &str) -> Result<Self, String> {
        if text.contains("PRIVATE KEY-----") {
            let wrong = "is a private key, which only the signer may have; take it out and put the text of cosign.pub \
                         there";
            return Err(wrong.to_owned());
        }
        let sections: Result<Vec<_>, _> = SubjectPublicKeyInfoDer::pem_slice_iter(text.as_bytes()).collect();
        let mut sections = sections.map_err(|_| {
            "is PEM that cannot be read; put the text of cosign.pub there, from its BEGIN to its END"
                .to_owned()
        })?;
        let (Some(spki), true) = (sections.pop(), sections.is_empty()) else {
            return Err(
                "is PEM without exactly one PUBLIC KEY; put the text of one cosign.pub there".to_owned(),
            );
        };
        let key = Self(spki);
        // The library says what a key is for only when it is asked to use it.
        match key.check(&[], &[]) {
            Err(Error::InvalidSignatureForPublicKey) => Ok(key),
            Err(Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {
                let wrong = "is a key of another kind than ECDSA on P-256, the only one that is read for cosign; make one \
                             with `cosign generate-key-pair`";
                Err(wrong.to_owned())
            }
            _ => Err("is no public key inside its PEM; put the text of cosign.pub there".to_owned()),
        }
    }

    pub(super) fn verifies(&self, bytes: &[u8], der: &[u8]) -> bool {
        self.check(bytes, der).is_ok()
    }

    fn check(&self, bytes: &[u8], der: &[u8]) -> Result<(), Error> {
        RawPublicKeyEntity::try_from(&self.0)?.verify_signature(ECDSA_P256_SHA256, bytes, der)
    }
}

/// A signature.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signature {
    /// The two numbers of ECDSA, in ASN.1.
    pub(super) der: Vec<u8>,
    /// The hash of the bytes that it is of, in hexadecimal digits, where that is said beside it.
    pub(super) sha256: Option<String>,
}

impl Signature {
    /// Whether the hash beside it, if there is one, is that of the bytes.
    pub(super) fn is_of(&self, bytes: &[u8]) -> Result<(), String> {
        let Some(told) = &self.sha256 else {
            return Ok(());
        };
        let real = source::sha256(bytes);
        if *told == real {
            return Ok(());
        }
        Err(format!(
            "the bundle is of bytes with the SHA-256 {told}, and the component has {real}; sign exactly these bytes"
        ))
    }
}
