//! One bounded exchange with a server: so many bytes, so long, so many redirects, and an error that says what to do.

use crate::error::Error;
use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// What one exchange may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub bytes: usize,
    /// From a request to the last byte of its answer.
    pub time: Duration,
    pub redirects: usize,
}

/// Largest component. The built-in ones have some tens of KiB; one with an interpreter inside has megabytes.
pub const LARGEST: usize = 32 << 20;

impl Default for Bounds {
    /// An interpreter of 18 MB comes through a line of 5 Mbit/s in this time. Registries redirect once, to where
    /// their blobs lie.
    fn default() -> Self {
        Self {
            bytes: LARGEST,
            time: Duration::from_secs(30),
            redirects: 5,
        }
    }
}

/// A client whose answers are bounded.
pub struct Http {
    client: reqwest::Client,
    bounds: Bounds,
}

/// What is asked for, or handed over.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) accept: Option<&'static str>,
    pub(crate) body: Option<(&'a str, Bytes)>,
}

impl Request<'_> {
    pub(crate) fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            accept: None,
            body: None,
        }
    }
}

impl Http {
    /// # Errors
    /// Where this machine has no randomness, or no certificates that it trusts.
    pub fn new(bounds: Bounds) -> Result<Self, Error> {
        // The process may have chosen a provider already; then that one serves.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder()
            .timeout(bounds.time)
            .redirect(reqwest::redirect::Policy::limited(bounds.redirects))
            .build();
        let client = client.map_err(|error| Error::Client(chain(&error)))?;
        Ok(Self { client, bounds })
    }

    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The file behind an address.
    ///
    /// # Errors
    /// Where it is not to be had within the bounds.
    pub async fn get(&self, url: &str) -> Result<Vec<u8>, Error> {
        let response = self.send(&Request::get(address(url)?), None).await?;
        accept(response.status(), false)?;
        self.body(response, self.bounds.bytes).await
    }

    /// The answer, whatever its status.
    pub(crate) async fn send(
        &self,
        request: &Request<'_>,
        authorization: Option<&SecretString>,
    ) -> Result<Response, Error> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = request.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        if let Some(authorization) = authorization {
            let value = HeaderValue::try_from(authorization.expose_secret());
            let mut value = value.map_err(|_| {
                Error::Credentials("the registry's token or the password is no header value".to_owned())
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut sending = self
            .client
            .request(request.method.clone(), request.url.clone())
            .headers(headers);
        if let Some((media_type, body)) = &request.body {
            sending = sending.header(CONTENT_TYPE, *media_type).body(body.clone());
        }
        sending.send().await.map_err(|error| self.failed(error))
    }

    /// The body of an answer, as long as it is not too large.
    pub(crate) async fn body(&self, mut response: Response, limit: usize) -> Result<Vec<u8>, Error> {
        // What announces itself as too large is not even begun.
        let announced = response.content_length();
        if announced.is_some_and(|length| length > limit as u64) {
            return Err(Error::TooLarge(limit));
        }
        let mut bytes = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.failed(error))? {
            if bytes.len() + part.len() > limit {
                return Err(Error::TooLarge(limit));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }

    fn failed(&self, error: reqwest::Error) -> Error {
        // Before the address is taken away: it decides nothing here.
        if error.is_timeout() {
            return Error::Timeout(self.bounds.time);
        }
        if error.is_redirect() {
            return Error::Redirects(self.bounds.redirects);
        }
        let connecting = error.is_connect();
        let cause = chain(&error.without_url());
        if connecting {
            Error::Unreachable(cause)
        } else {
            Error::Broken(cause)
        }
    }
}

/// Whether an answer has a body for us. `given` tells whether it was asked for with credentials.
pub(crate) fn accept(status: StatusCode, given: bool) -> Result<(), Error> {
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::NOT_FOUND => Err(Error::NotFound),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::Forbidden {
            status: status.as_u16(),
            given,
        }),
        _ => Err(Error::Status(status.as_u16())),
    }
}

pub(crate) fn address(url: &str) -> Result<Url, Error> {
    Url::parse(url).map_err(|_| Error::Reference("that is no address of the form https://host/path"))
}

/// An error with its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
