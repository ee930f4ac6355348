//! Names and passwords for registries, as docker's configuration and pull secrets of Kubernetes hold them.

use crate::error::Error;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A name and its password.
#[derive(Clone, Debug)]
pub struct Credentials {
    username: String,
    password: SecretString,
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    /// Base64 of `name:password`.
    auth: Option<SecretString>,
    username: Option<String>,
    password: Option<SecretString>,
}

impl Credentials {
    pub fn new(username: impl Into<String>, password: SecretString) -> Self {
        Self {
            username: username.into(),
            password,
        }
    }

    /// Those for a repository in docker's `config.json`, which is also what a pull secret holds; none where it has
    /// none. Of several that fit, the longest path wins.
    ///
    /// # Errors
    /// Where it is no such configuration, or keeps the password somewhere else. The content stands in no error.
    pub fn from_docker_config(
        config: &[u8],
        registry: &str,
        repository: &str,
    ) -> Result<Option<Self>, Error> {
        let config: DockerConfig = serde_json::from_slice(config).map_err(|error| {
            // Its own text quotes what it found.
            let (line, column) = (error.line(), error.column());
            let text = format!(
                "it is not of the form {{\"auths\": {{\"registry.example\": {{\"auth\": \"…\"}}}}}} (line {line}, column \
                 {column}); `kubectl create secret docker-registry` writes it so"
            );
            Error::Credentials(text)
        })?;
        let fitting = config.auths.iter().filter_map(|(key, entry)| {
            let path = path_of(key, registry)?;
            let fits = path.is_empty()
                || repository == path
                || repository
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.starts_with('/'));
            fits.then_some((path.len(), entry))
        });
        let Some((_, entry)) = fitting.max_by_key(|(length, _)| *length) else {
            return match config.helpers.get(registry) {
                Some(helper) => Err(in_helper(helper)),
                None => Ok(None),
            };
        };
        match (&config.store, entry.credentials()?) {
            (_, Some(credentials)) => Ok(Some(credentials)),
            (Some(store), None) => Err(in_helper(store)),
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn basic(&self) -> SecretString {
        let pair = format!("{}:{}", self.username, self.password.expose_secret());
        format!("Basic {}", STANDARD.encode(pair)).into()
    }
}

fn in_helper(helper: &str) -> Error {
    let text = format!(
        "the password for this registry lies in the credential helper {helper:?}, which is not run; give --username and \
         --password-stdin"
    );
    Error::Credentials(text)
}

/// The path behind the registry in a key such as `https://registry.example/team`; none where the key is another's.
fn path_of<'a>(key: &'a str, registry: &str) -> Option<&'a str> {
    let key = key
        .strip_prefix("https://")
        .or(key.strip_prefix("http://"))
        .unwrap_or(key);
    let rest = key.strip_prefix(registry)?;
    let path = match rest.strip_prefix('/') {
        Some(path) => path.trim_end_matches('/'),
        None if rest.is_empty() => "",
        None => return None,
    };
    // What docker once wrote behind the host.
    Some(if matches!(path, "v1" | "v2") { "" } else { path })
}

impl Entry {
    fn credentials(&self) -> Result<Option<Credentials>, Error> {
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            return Ok(Some(Credentials::new(username, password.clone())));
        }
        let Some(auth) = self.auth.as_ref().filter(|auth| !auth.expose_secret().is_empty()) else {
            return Ok(None);
        };
        let pair = STANDARD.decode(auth.expose_secret().trim()).ok();
        let pair = pair.and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = pair.as_deref().and_then(|pair| pair.split_once(':'));
        let (username, password) = pair.ok_or_else(|| {
            Error::Credentials("its `auth` for this registry is no base64 of name:password".to_owned())
        })?;
        Ok(Some(Credentials::new(username, password.to_owned().into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_configurations() {
        let auth = STANDARD.encode("ann:hunter2");
        let other = STANDARD.encode("bob:hunter3");
        let of = |key: &str| format!(r#"{{"auths": {{"{key}": {{"auth": "{auth}"}}}}}}"#);
        let table = [
            (of("r.example"), Ok(Some("ann"))),
            (of("https://r.example/v1/"), Ok(Some("ann"))),
            (of("r.example/team"), Ok(Some("ann"))),
            (of("r.example/team/p"), Ok(Some("ann"))),
            (of("r.example/tea"), Ok(None)),
            (of("r.example:5000"), Ok(None)),
            (of("r.example.org"), Ok(None)),
            (
                format!(
                    r#"{{"auths": {{"r.example/team": {{"auth": "{other}"}}, "r.example": {{"auth": "{auth}"}}}}}}"#
                ),
                Ok(Some("bob")),
            ),
            (
                r#"{"auths": {"r.example": {"username": "eve", "password": "hunter4"}}}"#.to_owned(),
                Ok(Some("eve")),
            ),
            (r#"{"auths": {"r.example": {}}}"#.to_owned(), Ok(None)),
            ("{}".to_owned(), Ok(None)),
            (r#"{"auths": "hunter2"}"#.to_owned(), Err("it is not of the form")),
            ("hunter2".to_owned(), Err("it is not of the form")),
            (
                r#"{"auths": {"r.example": {"auth": "hunter2"}}}"#.to_owned(),
                Err("no base64"),
            ),
            (
                r#"{"auths": {"r.example": {}}, "credsStore": "desktop"}"#.to_owned(),
                Err("credential helper \"desktop\""),
            ),
            (
                r#"{"credHelpers": {"r.example": "cloud"}}"#.to_owned(),
                Err("credential helper \"cloud\""),
            ),
        ];
        for (config, expected) in table {
            let got = Credentials::from_docker_config(config.as_bytes(), "r.example", "team/p");
            match (&got, expected) {
                (Ok(found), Ok(name)) => {
                    assert_eq!(found.as_ref().map(|found| &*found.username), name, "{config}");
                }
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{config}: {error}"),
                _ => panic!("{config}: {got:?}"),
            }
            assert!(!format!("{got:?}").contains("hunter"), "{config}: {got:?}");
        }
        let ann = Credentials::new("ann", "hunter2".to_owned().into());
        assert_eq!(ann.basic().expose_secret(), "Basic YW5uOmh1bnRlcjI=");
    }
}
