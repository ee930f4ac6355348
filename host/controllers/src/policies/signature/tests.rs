use super::*;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

pub(super) const COMPONENT: &str = "thrifty 1.0.0 scale-up";

/// Keys of minisign.
pub(super) const RELEASE: &str = "RWRyZWxlYXNlMYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
pub(super) const INTERN: &str = "RWRpbnRlcm4wMoE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";
/// Of the component, with the key of the releases.
pub(super) const SIGNED: &str = "untrusted comment: test
RURyZWxlYXNlMfGLKKWR0pFQ6Fqi27DnqXTj6palm2HXBZUAwjJCO5XyzVzHeQQBa39WEwucnH19HHB/uawBZhVUz6iJjBi1NQA=
trusted comment: release
Jh1Q5uWkeLQYGq3piypbs9ivyS2ph/2eBP3j4HjiVrlTvhagp6csLIjehMpGycfI+lBq9wbw+1HfW/w32X+xBg==
";
/// Of the same, with the other key.
pub(super) const SIGNED_BY_INTERN: &str = "untrusted comment: test
RURpbnRlcm4wMh6flDKnkJ7T4giDuMbNrpie0j3+t+18ULZ+Aue9wMVV8gAr57AnNtWDPTMftjOrDweBRP+Y9DTQF+0aWGfFcQE=
trusted comment: release
kV7WsGaVf/NlQFe7S4K//+tazryTQ+DCcGBdHbItnXniMBbdqbK1YdLzYiKJAZzvwIub5/iNu3jQV1Kb2bo4Aw==
";

// What cosign made for the component: how is in fixtures/README.md.
pub(super) const COSIGN: &str = include_str!("fixtures/cosign.pub");
pub(super) const COSIGN_OTHER: &str = include_str!("fixtures/other.pub");
pub(super) const LINE: &str = include_str!("fixtures/component.sig");
const OLD_BUNDLE: &str = include_str!("fixtures/component.bundle");
pub(super) const BUNDLE: &str = include_str!("fixtures/component.sigstore.json");

/// The text with one part of it replaced, which must be there.
pub(super) fn with(text: &str, part: &str, other: &str) -> String {
    assert!(text.contains(part), "{part} is not in {text}");
    text.replacen(part, other, 1)
}

/// The bundle as a value, changed.
fn bundle(change: impl FnOnce(&mut Value)) -> String {
    let mut bundle: Value = serde_json::from_str(BUNDLE).unwrap();
    change(&mut bundle);
    bundle.to_string()
}

fn keys(of: &[(&str, &str)]) -> Keys {
    Keys {
        secret: "vpsie-policy-keys".to_owned(),
        required: true,
        keys: of
            .iter()
            .map(|(name, text)| ((*name).to_owned(), Key::read(text.trim()).unwrap()))
            .collect(),
    }
}

#[test]
fn who_signed_is_told_from_every_form_of_a_signature() {
    let all = keys(&[
        ("a.pub", INTERN),
        ("b.pub", COSIGN_OTHER),
        ("cosign.pub", COSIGN),
        ("release.pub", RELEASE),
    ]);
    let without_digest = bundle(|bundle| {
        bundle["messageSignature"]
            .as_object_mut()
            .unwrap()
            .remove("messageDigest");
    });
    for (form, signature, signer) in [
        ("minisign", SIGNED, "release.pub"),
        ("a line", LINE, "cosign.pub"),
        ("an old bundle", OLD_BUNDLE, "cosign.pub"),
        ("a bundle", BUNDLE, "cosign.pub"),
        ("a bundle without digest", &without_digest, "cosign.pub"),
    ] {
        let verified = all.verify(COMPONENT.as_bytes(), Some(signature));
        assert_eq!(verified.unwrap().name, signer, "{form}");
        // Of other bytes, none is.
        let refusal = all
            .verify(b"thrifty 1.0.1 scale-up", Some(signature))
            .unwrap_err();
        assert_eq!(refusal.reason, "SignatureInvalid", "{form}");
    }
}

#[test]
fn a_signature_that_proves_nothing_is_refused_in_one_line() {
    let ours: &[_] = &[("cosign.pub", COSIGN)];
    let cut = |places: usize| LINE.trim()[..LINE.trim().len() - places].to_owned();
    let other_digest = bundle(|bundle| {
        bundle["messageSignature"]["messageDigest"]["digest"] = BASE64_STANDARD.encode([1; 32]).into();
    });
    let of_chain = bundle(|bundle| {
        bundle["verificationMaterial"] =
            json!({"x509CertificateChain": {"certificates": [{"rawBytes": "MIIB"}]}});
    });
    let attestation = bundle(|bundle| {
        bundle.as_object_mut().unwrap().remove("messageSignature");
        bundle["dsseEnvelope"] = json!({"payload": "e30=", "payloadType": "application/vnd.in-toto+json"});
    });
    let keyless = "the bundle was signed with a certificate (keyless), which nothing here can check; sign with a key pair: \
                   `cosign sign-blob --key cosign.key`";
    let other_kind = "the bundle is not of a SHA-256, so its key is of another kind than ECDSA on P-256, the only one that is \
                      read for cosign; sign with a key of `cosign generate-key-pair`";
    let nobody = "not made for this component with any of the keys in Secret kube-system/vpsie-policy-keys (cosign.pub); \
                  sign exactly these bytes, or add the key";
    let whole = "put the whole file there that `cosign sign-blob --key --bundle` writes";
    let row =
        |signature: &str, keys, reason, wrong: &str| (signature.to_owned(), keys, reason, wrong.to_owned());
    let invalid = |signature: &str, wrong: &str| row(signature, ours, "SignatureInvalid", wrong);
    let table = [
        row(
            LINE,
            &[("b.pub", COSIGN_OTHER)],
            "SignatureInvalid",
            &with(nobody, "cosign.pub", "b.pub"),
        ),
        row(
            BUNDLE,
            &[("b.pub", COSIGN_OTHER)],
            "SignatureInvalid",
            &with(nobody, "cosign.pub", "b.pub"),
        ),
        row(
            LINE,
            &[("release.pub", RELEASE)],
            "SignatureKeysMissing",
            "a signature of cosign, and Secret kube-system/vpsie-policy-keys has no key of cosign (only release.pub); put \
             the signer's .pub file there",
        ),
        row(
            SIGNED,
            ours,
            "SignatureKeysMissing",
            "a signature of minisign, and Secret kube-system/vpsie-policy-keys has no key of minisign (only cosign.pub); \
             put the signer's .pub file there",
        ),
        row(
            LINE,
            &[],
            "SignatureKeysMissing",
            "there is no key to check it with; put public keys of minisign or cosign into Secret \
             kube-system/vpsie-policy-keys",
        ),
        // Cut within a group of four, and between two groups.
        invalid(
            &cut(1),
            "that base64 breaks off; it takes the whole line that `cosign sign-blob --key` prints",
        ),
        invalid(&cut(4), nobody),
        invalid("", nobody),
        invalid(
            "trust me",
            "that is no signature; it takes all four lines of a .minisig file, or what `cosign sign-blob --key` prints or \
             writes with --bundle",
        ),
        invalid(
            &SIGNED[..90],
            "that is no minisign signature; it takes all four lines of the .minisig file",
        ),
        invalid(
            &other_digest,
            &format!(
                "the bundle is of bytes with the SHA-256 {}, and the component has {}; sign exactly these bytes",
                "01".repeat(32),
                crate::policies::source::sha256(COMPONENT.as_bytes())
            ),
        ),
        invalid(include_str!("fixtures/p384.sigstore.json"), other_kind),
        invalid(include_str!("fixtures/ed25519.sigstore.json"), other_kind),
        invalid(include_str!("fixtures/certificate.sigstore.json"), keyless),
        invalid(include_str!("fixtures/certificate.bundle"), keyless),
        invalid(&of_chain, keyless),
        invalid(
            &attestation,
            "the bundle is an attestation about something, and no signature of the component; sign the component itself \
             with `cosign sign-blob --key`",
        ),
        invalid(
            &bundle(|bundle| bundle["messageSignature"]["signature"] = "MEU".into()),
            &format!("messageSignature.signature of the bundle is no base64; {whole}"),
        ),
        invalid(
            &bundle(|bundle| bundle["messageSignature"]["messageDigest"]["digest"] = "*".into()),
            &format!("messageSignature.messageDigest.digest of the bundle is no base64; {whole}"),
        ),
        invalid(
            r#"{"base64Signature": "*"}"#,
            &format!("base64Signature of the bundle is no base64; {whole}"),
        ),
        invalid(
            &bundle(|bundle| bundle["mediaType"] = "text/plain".into()),
            &format!(
                "mediaType of the bundle is text/plain, and not application/vnd.dev.sigstore.bundle…; {whole}"
            ),
        ),
        invalid(
            "{}",
            &format!(
                "that JSON is no bundle of cosign: neither messageSignature nor base64Signature is in it; {whole}"
            ),
        ),
        invalid(
            "{\"mediaType\": ",
            &format!(
                "that JSON is no bundle of cosign (EOF while parsing a value at line 1 column 13); {whole}"
            ),
        ),
    ];
    for (signature, of, reason, wrong) in table {
        let refusal = keys(of)
            .verify(COMPONENT.as_bytes(), Some(&signature))
            .unwrap_err();
        assert_eq!(
            (refusal.reason, refusal.message),
            (reason, format!("spec.signature: {wrong}")),
            "{signature}"
        );
    }
}

#[test]
fn what_is_no_public_key_is_refused_in_one_line() {
    let mend = "put the text of cosign.pub there";
    let pem = |label: &str, text: &str| format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
    let other_kind = "is a key of another kind than ECDSA on P-256, the only one that is read for cosign; make one with \
                      `cosign generate-key-pair`";
    let private = format!("is a private key, which only the signer may have; take it out and {mend}");
    let one = "is PEM without exactly one PUBLIC KEY; put the text of one cosign.pub there";
    let unreadable =
        "is PEM that cannot be read; put the text of cosign.pub there, from its BEGIN to its END";
    let inside = format!("is no public key inside its PEM; {mend}");
    let table = [
        (
            "no key".to_owned(),
            "is no public key of minisign or cosign; put the text of the .pub file there".to_owned(),
        ),
        (
            include_str!("fixtures/p384.pub").to_owned(),
            other_kind.to_owned(),
        ),
        (include_str!("fixtures/rsa.pub").to_owned(), other_kind.to_owned()),
        (
            include_str!("fixtures/ed25519.pub").to_owned(),
            other_kind.to_owned(),
        ),
        (pem("ENCRYPTED SIGSTORE PRIVATE KEY", "AAAA"), private.clone()),
        (pem("PRIVATE KEY", "AAAA"), private),
        (pem("CERTIFICATE", "AAAA"), one.to_owned()),
        (format!("{COSIGN}{COSIGN_OTHER}"), one.to_owned()),
        (pem("PUBLIC KEY", "AAAA"), inside.clone()),
        // The first half of a key.
        (pem("PUBLIC KEY", &COSIGN.lines().nth(1).unwrap()[..60]), inside),
        (pem("PUBLIC KEY", "*"), unreadable.to_owned()),
        (
            with(COSIGN, "-----END PUBLIC KEY-----", ""),
            unreadable.to_owned(),
        ),
    ];
    for (text, wrong) in table {
        assert_eq!(Key::read(text.trim()), Err(wrong), "{text}");
    }
}
