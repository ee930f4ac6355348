//! Keys, certificates, tokens and kubeconfig files: the least that a control plane on loopback needs.

use std::{
    fs,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::io::Write;

/// Who talks to the API server with a fixed token: token, user, groups. The run's folder is readable by its
/// owner only and the server listens on loopback only, so well-known tokens do no harm.
const USERS: [(&str, &str, &str); 4] = [
    (ADMIN, "admin", "system:masters"),
    (KWOK, "kwok", "system:masters"),
    (SCHEDULER, "system:kube-scheduler", ""),
    (CONTROLLER_MANAGER, "system:kube-controller-manager", ""),
];

pub(super) const ADMIN: &str = "admin-of-a-test-cluster";
pub(super) const KWOK: &str = "kwok-of-a-test-cluster";
pub(super) const SCHEDULER: &str = "scheduler-of-a-test-cluster";
pub(super) const CONTROLLER_MANAGER: &str = "controller-manager-of-a-test-cluster";

/// The files that the components are pointed to.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) authority: PathBuf,
    pub(super) serving_certificate: PathBuf,
    pub(super) serving_key: PathBuf,
    pub(super) account_key: PathBuf,
    pub(super) account_public_key: PathBuf,
    pub(super) tokens: PathBuf,
    /// The authority's certificate, as clients of ours take it.
    pub(super) authority_der: Vec<u8>,
}

impl Credentials {
    /// Makes everything anew in `folder`.
    pub(super) fn create(folder: &Path) -> Result<Self> {
        let authority_key = KeyPair::generate().context("generating the authority's key")?;
        let mut parameters = CertificateParams::default();
        parameters
            .distinguished_name
            .push(DnType::CommonName, "test cluster authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority = parameters
            .self_signed(&authority_key)
            .context("signing the authority's certificate")?;
        let issuer = Issuer::new(parameters, authority_key);

        let serving_key = KeyPair::generate().context("generating the serving key")?;
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
        let mut parameters = CertificateParams::new(names).context("naming the serving certificate")?;
        parameters
            .distinguished_name
            .push(DnType::CommonName, "test cluster");
        let serving = parameters
            .signed_by(&serving_key, &issuer)
            .context("signing the serving certificate")?;

        let account_key = KeyPair::generate().context("generating the service-account key")?;
        let tokens: String = USERS
            .iter()
            .map(|(token, user, groups)| format!("{token},{user},{user},\"{groups}\"\n"))
            .collect();

        let file = |name: &str, content: &str| private_file(&folder.join(name), content);
        Ok(Self {
            authority: file("authority.crt", &authority.pem())?,
            serving_certificate: file("serving.crt", &serving.pem())?,
            serving_key: file("serving.key", &serving_key.serialize_pem())?,
            account_key: file("accounts.key", &account_key.serialize_pem())?,
            account_public_key: file("accounts.pub", &account_key.public_key_pem())?,
            tokens: file("tokens.csv", &tokens)?,
            authority_der: authority.der().to_vec(),
        })
    }

    /// Writes a kubeconfig for whoever holds `token`.
    pub(super) fn kubeconfig(&self, path: &Path, server: &str, token: &str) -> Result<PathBuf> {
        let document = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "test",
                "cluster": { "server": server, "certificate-authority": self.authority },
            }],
            "users": [{ "name": "user", "user": { "token": token } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "user" } }],
            "current-context": "test",
        });
        private_file(path, &document.to_string())
    }
}

/// Writes a file that only its owner can read.
pub(super) fn private_file(path: &Path, content: &str) -> Result<PathBuf> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("creating {}", path.display()))?;
    file.write_all(content.as_bytes())
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(path.to_owned())
}
