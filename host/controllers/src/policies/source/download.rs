//! One bounded download: so many bytes, so long, so many redirects, and an error that says what to do.
//!
//! The address never stands in an error: it may carry a password, and statuses are read by many.

use super::Refusal;
use crate::runtime::chain;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode};
use std::time::Duration;

/// What one download may take.
#[derive(Clone, Copy, Debug)]
pub(in crate::policies) struct Bounds {
    pub(in crate::policies) bytes: usize,
    /// From the first request to the last byte.
    pub(in crate::policies) time: Duration,
    pub(in crate::policies) redirects: usize,
}

impl Default for Bounds {
    /// An interpreter of 18 MB comes through a line of 5 Mbit/s in this time. Registries redirect once, to where
    /// their blobs lie.
    fn default() -> Self {
        Self {
            bytes: super::LARGEST,
            time: Duration::from_secs(30),
            redirects: 5,
        }
    }
}

/// What is asked for.
pub(super) struct Ask<'a> {
    pub(super) url: &'a str,
    pub(super) accept: Option<&'static str>,
    pub(super) token: Option<&'a str>,
    pub(super) limit: usize,
}

impl<'a> Ask<'a> {
    pub(super) fn new(url: &'a str, bounds: &Bounds) -> Self {
        Self {
            url,
            accept: None,
            token: None,
            limit: bounds.bytes,
        }
    }
}

/// A client for one fetch, with the words for its errors.
pub(super) struct Download<'a> {
    client: reqwest::Client,
    /// The field of the spec that the address comes from.
    field: &'static str,
    bounds: &'a Bounds,
}

impl<'a> Download<'a> {
    pub(super) fn new(field: &'static str, bounds: &'a Bounds) -> Result<Self, Refusal> {
        // The process may have chosen a provider already; then that one serves.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder()
            .timeout(bounds.time)
            .redirect(reqwest::redirect::Policy::limited(bounds.redirects))
            .build();
        let client = client.map_err(|error| {
            Refusal::new(
                "SourceUnreadable",
                format!("{field}: no HTTP client: {}", chain(&error)),
            )
        })?;
        Ok(Self {
            client,
            field,
            bounds,
        })
    }

    /// The answer, whatever its status.
    pub(super) async fn ask(&self, ask: &Ask<'_>) -> Result<Response, Refusal> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = ask.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        if let Some(token) = ask.token {
            let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
                let text = format!("{}: the registry's token is no header value", self.field);
                Refusal::new("SourceUnreadable", text)
            })?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let sent = self.client.get(ask.url).headers(headers).send().await;
        sent.map_err(|error| self.refused(error))
    }

    /// The body of an answer that has one for us.
    pub(super) async fn body(&self, mut response: Response, limit: usize) -> Result<Vec<u8>, Refusal> {
        self.accept(response.status())?;
        let too_large = || {
            let text = format!(
                "{}: larger than {}, the most that is loaded; is it the component itself, and stripped?",
                self.field,
                amount(limit)
            );
            Refusal::new("SourceTooLarge", text)
        };
        // What announces itself as too large is not even begun.
        if response
            .content_length()
            .is_some_and(|length| length > limit as u64)
        {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.refused(error))? {
            if bytes.len() + part.len() > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }

    pub(super) async fn get(&self, ask: &Ask<'_>) -> Result<Vec<u8>, Refusal> {
        self.body(self.ask(ask).await?, ask.limit).await
    }

    fn accept(&self, status: StatusCode) -> Result<(), Refusal> {
        if status.is_success() {
            return Ok(());
        }
        let field = self.field;
        Err(match status {
            StatusCode::NOT_FOUND => Refusal::new(
                "SourceNotFound",
                format!(
                    "{field}: the server has nothing there (404); look for a typing error, or push it again"
                ),
            ),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Refusal::new(
                "SourceForbidden",
                format!(
                    "{field}: the server wants credentials ({}); policies are fetched without any: make it readable \
                     for all, or use configMap or file",
                    status.as_u16()
                ),
            ),
            _ => Refusal::new(
                "SourceUnreadable",
                format!(
                    "{field}: the server answered {}; it is tried again by itself",
                    status.as_u16()
                ),
            ),
        })
    }

    fn refused(&self, error: reqwest::Error) -> Refusal {
        let field = self.field;
        // Before the address is taken away: it decides nothing here.
        if error.is_timeout() {
            let text = format!(
                "{field}: not all there after {:?}; can the controller's pod reach the server, and is it quick enough?",
                self.bounds.time
            );
            return Refusal::new("SourceTimeout", text);
        }
        if error.is_redirect() {
            let text = format!(
                "{field}: moved more than {} times; name the address where it ends",
                self.bounds.redirects
            );
            return Refusal::new("SourceRedirects", text);
        }
        let connecting = error.is_connect();
        let cause = chain(&error.without_url());
        if connecting {
            let text = format!(
                "{field}: no connection ({cause}); look at host, port and certificate, and at network policies"
            );
            return Refusal::new("SourceUnreachable", text);
        }
        Refusal::new(
            "SourceUnreadable",
            format!("{field}: the download broke off ({cause}); it is tried again by itself"),
        )
    }
}

fn amount(bytes: usize) -> String {
    match (bytes >> 20, bytes >> 10) {
        (0, 0) => format!("{bytes} bytes"),
        (0, kib) => format!("{kib} KiB"),
        (mib, _) => format!("{mib} MiB"),
    }
}
