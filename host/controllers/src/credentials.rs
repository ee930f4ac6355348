//! The VPSie credentials: watches one Secret and hands what it says to the client, at once and without a
//! restart. A missing or wrong secret is said clearly and breaks nothing.

use crate::context::Context;
use crate::runtime::chain;
use crate::runtime::events::EventType;
use futures::StreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use vpsie_client::{Client, Credentials};

/// Keys of the secret's data.
mod keys {
    pub(super) const CLIENT_ID: &str = "clientId";
    pub(super) const CLIENT_SECRET: &str = "clientSecret";
    pub(super) const TOKEN: &str = "token";
    pub(super) const URL: &str = "url";
    pub(super) const ACCOUNT_PASSWORD: &str = "accountPassword";
}

/// What a secret says.
#[derive(Debug)]
struct Content {
    credentials: Option<Credentials>,
    url: Option<String>,
    /// What removing a VM asks for.
    account_password: Option<SecretString>,
    /// A token and a client pair at once.
    conflict: bool,
    /// Why there are no credentials in it.
    problem: Option<String>,
}

/// Reads a secret's data. A complete client pair wins over a token, because it can be renewed.
fn read(data: &BTreeMap<String, ByteString>) -> Content {
    let text = |key: &str| {
        let bytes = data.get(key)?;
        // Secrets are often made from files with a newline at the end.
        let text = std::str::from_utf8(&bytes.0).ok()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let (id, secret, token) = (
        text(keys::CLIENT_ID),
        text(keys::CLIENT_SECRET),
        text(keys::TOKEN),
    );
    let conflict = (id.is_some() || secret.is_some()) && token.is_some();
    let half = match (&id, &secret) {
        (Some(_), None) => Some(keys::CLIENT_SECRET),
        (None, Some(_)) => Some(keys::CLIENT_ID),
        _ => None,
    };
    let (credentials, problem) = match (id, secret, token) {
        (Some(client_id), Some(secret), _) => (
            Some(Credentials::Client {
                client_id,
                client_secret: SecretString::from(secret),
            }),
            None,
        ),
        (_, _, Some(token)) => (Some(Credentials::Token(SecretString::from(token))), None),
        _ => (
            None,
            Some(match half {
                Some(key) => format!("the key {key} is missing or empty"),
                None => "it has neither clientId and clientSecret nor token".to_owned(),
            }),
        ),
    };
    Content {
        credentials,
        url: text(keys::URL),
        account_password: text(keys::ACCOUNT_PASSWORD).map(SecretString::from),
        conflict,
        problem,
    }
}

/// What a secret says, for commands that ask once: the credentials, and the address if it names one.
///
/// # Errors
/// Why there are no credentials in it.
pub fn of_secret(secret: &Secret) -> Result<(Credentials, Option<String>), String> {
    let content = read(&secret.data.clone().unwrap_or_default());
    let problem = content.problem.unwrap_or_default();
    let credentials = content.credentials.ok_or(problem)?;
    Ok((credentials, content.url))
}

/// Watches the secret until `shutdown`. Runs on every replica: a standby that takes over can act at once.
pub(crate) async fn run(context: Arc<Context>, namespace: String, name: String, shutdown: CancellationToken) {
    let api = Api::<Secret>::namespaced(context.reads.clone(), &namespace);
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut changes = watcher(api, only)
        .backoff(autoscaler_cluster::Pauses::default())
        .boxed();
    let mut keeper = Keeper::new(&context, format!("{namespace}/{name}"));
    let mut listed = None;
    loop {
        let change = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            change = changes.next() => change,
        };
        match change {
            Some(Ok(watcher::Event::Init)) => listed = None,
            Some(Ok(watcher::Event::InitApply(secret))) => listed = Some(secret),
            Some(Ok(watcher::Event::InitDone)) => keeper.take(listed.take().as_ref()),
            Some(Ok(watcher::Event::Apply(secret))) => keeper.take(Some(&secret)),
            Some(Ok(watcher::Event::Delete(_))) => keeper.take(None),
            Some(Err(error)) => tracing::warn!(
                secret = keeper.name,
                "watching the VPSie credentials failed: {}",
                chain(&error)
            ),
            None => return,
        }
    }
}

/// Hands each new content to the client, once.
struct Keeper<'a> {
    context: &'a Context,
    name: String,
    /// The URL that counts when the secret names none.
    own_url: String,
    /// The data that the client has; `None` before the first look.
    given: Option<Option<BTreeMap<String, ByteString>>>,
}

impl<'a> Keeper<'a> {
    fn new(context: &'a Context, name: String) -> Self {
        let own_url = context.vpsie.settings().base_url.clone();
        Self {
            context,
            name,
            own_url,
            given: None,
        }
    }

    fn take(&mut self, secret: Option<&Secret>) {
        let data = secret.map(|secret| secret.data.clone().unwrap_or_default());
        if self.given.as_ref() == Some(&data) {
            return;
        }
        let content = data.as_ref().map(read);
        self.given = Some(data);
        self.set_url(
            secret,
            content.as_ref().and_then(|content| content.url.as_deref()),
        );
        let conflict = content.as_ref().is_some_and(|content| content.conflict);
        self.context.metrics.credential_conflict(conflict);
        if conflict {
            let both = "it has a token and a client pair: only one of them is used, a complete pair first";
            self.complain(secret, "CredentialConflict", both);
        }
        let Some(content) = content else {
            tracing::error!(
                "{} not found: VPSie cannot be used until the secret exists",
                self.name
            );
            self.context.vpsie.set_account_password(None);
            return self.context.vpsie.set_credentials(None);
        };
        self.context
            .vpsie
            .set_account_password(content.account_password.clone());
        if let Some(problem) = &content.problem {
            self.complain(secret, "CredentialsMissing", problem);
        }
        let present = content.credentials.is_some();
        self.context.vpsie.set_credentials(content.credentials);
        if present {
            tracing::info!(secret = self.name, "VPSie credentials read");
            tokio::spawn(try_out(self.context.vpsie.clone(), self.name.clone()));
        }
    }

    fn set_url(&self, secret: Option<&Secret>, url: Option<&str>) {
        if let Err(error) = self.context.vpsie.set_base_url(url.unwrap_or(&self.own_url)) {
            self.complain(secret, "InvalidURL", &chain(&error));
        }
    }

    fn complain(&self, secret: Option<&Secret>, reason: &str, problem: &str) {
        tracing::warn!(
            secret = self.name,
            reason,
            "the VPSie secret is not right: {problem}"
        );
        if let Some(secret) = secret {
            let regarding = secret.object_ref(&());
            self.context
                .events
                .publish(&regarding, EventType::Warning, reason, "ReadCredentials", problem);
        }
    }
}

/// Says at once whether VPSie takes new credentials, instead of at the first order.
async fn try_out(vpsie: Client, name: String) {
    match vpsie.authenticate().await {
        Ok(()) => tracing::info!(secret = name, "VPSie credentials are in use"),
        Err(error) => {
            let reason = error.reason();
            tracing::error!(
                secret = name,
                reason,
                "VPSie credentials do not work: {}",
                chain(&error)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    /// Credentials in words.
    fn words(credentials: Option<&Credentials>) -> String {
        match credentials {
            None => "none".to_owned(),
            Some(Credentials::Token(token)) => format!("token {}", token.expose_secret()),
            Some(Credentials::Client {
                client_id,
                client_secret,
            }) => {
                format!("client {client_id} {}", client_secret.expose_secret())
            }
        }
    }

    #[test]
    fn a_secret_is_read_in_every_shape() {
        let pair = [("clientId", "me"), ("clientSecret", "hunter2\n")];
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, bool, &'a str);
        let table: [Row<'_>; 8] = [
            (&pair, "client me hunter2", false, ""),
            (&[("token", " t \n")], "token t", false, ""),
            (&[pair[0], pair[1], ("token", "t")], "client me hunter2", true, ""),
            (&[pair[0], ("token", "t")], "token t", true, ""),
            (&[pair[0]], "none", false, "clientSecret is missing"),
            (&[pair[1]], "none", false, "clientId is missing"),
            (
                &[("clientId", "me"), ("clientSecret", " ")],
                "none",
                false,
                "clientSecret is missing or empty",
            ),
            (
                &[("password", "x")],
                "none",
                false,
                "neither clientId and clientSecret nor token",
            ),
        ];
        for (row, (entries, expected, conflict, problem)) in table.into_iter().enumerate() {
            let entries = entries
                .iter()
                .map(|(key, text)| ((*key).to_owned(), ByteString(text.as_bytes().to_vec())));
            let content = read(&entries.collect());
            assert_eq!(words(content.credentials.as_ref()), expected, "row {row}");
            assert_eq!(content.conflict, conflict, "row {row}");
            assert!(
                content.problem.clone().unwrap_or_default().contains(problem),
                "row {row}: {content:?}"
            );
            assert_eq!(content.problem.is_some(), !problem.is_empty(), "row {row}");
            assert!(!format!("{content:?}").contains("hunter2"), "a secret in Debug");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_no_credentials() {
        let data = BTreeMap::from([("token".to_owned(), ByteString(vec![0xff, 0xfe]))]);
        assert!(read(&data).credentials.is_none());
    }
}
