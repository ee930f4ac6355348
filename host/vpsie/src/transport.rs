//! Moves one request and its reply; knows nothing of what they mean.
//!
//! The one judgement made here: whether a request that failed may have reached the server, because that
//! decides between "try again" and "look first".

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};

use crate::error::Error;

/// Carries requests to the API.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends the request (absolute URL) and reads the whole reply, whatever its status.
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError>;
}

/// Why no reply came.
#[derive(Clone)]
pub struct TransportError {
    /// Whether the request may have reached the server.
    pub maybe_sent: bool,
    /// Whether time ran out.
    pub timed_out: bool,
    source: Arc<dyn StdError + Send + Sync>,
}

impl TransportError {
    /// An error with its cause.
    pub fn new(
        source: impl Into<Box<dyn StdError + Send + Sync>>,
        maybe_sent: bool,
        timed_out: bool,
    ) -> Self {
        Self {
            maybe_sent,
            timed_out,
            source: Arc::from(source.into()),
        }
    }
}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportError")
            .field("maybe_sent", &self.maybe_sent)
            .field("timed_out", &self.timed_out)
            .field("source", &self.source)
            .finish()
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.maybe_sent {
            "waiting for VPSie's reply"
        } else {
            "connecting to VPSie"
        })
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

/// Settings of [`HttpTransport`]. The deadline of a whole request is the client's:
/// [`crate::Settings::request_timeout`].
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Deadline of connecting.
    pub connect_timeout: Duration,
    /// Idle connections kept.
    pub idle_connections: usize,
    /// Largest reply that is read, in bytes.
    pub body_limit: usize,
    /// Allows `http://` to hosts other than this one: the token then travels in the clear.
    pub allow_plain_http: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_connections: 8,
            body_limit: 32 << 20,
            allow_plain_http: false,
        }
    }
}

/// HTTP/1.1 and TLS (rustls with ring) over pooled connections. Follows no redirect: a token goes to the
/// host that it was meant for only.
pub struct HttpTransport {
    settings: HttpSettings,
    remote: reqwest::Client,
    // A proxy of the environment is for the world outside, not for this machine.
    loopback: reqwest::Client,
}

impl HttpTransport {
    /// Builds the connection pools.
    pub fn new(settings: HttpSettings) -> Result<Self, Error> {
        // The process may have chosen a provider already; then that one serves.
        drop(rustls::crypto::ring::default_provider().install_default());
        let build = |builder: reqwest::ClientBuilder| {
            builder
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(settings.connect_timeout)
                .pool_max_idle_per_host(settings.idle_connections)
                .build()
                .map_err(|error| Error::Configuration {
                    message: format!("setting up the VPSie connection: {error}"),
                })
        };
        let remote = build(reqwest::Client::builder())?;
        let loopback = build(reqwest::Client::builder().no_proxy())?;
        Ok(Self {
            settings,
            remote,
            loopback,
        })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let local = is_loopback(request.uri().host().unwrap_or_default());
        if request.uri().scheme_str() != Some("https") && !local && !self.settings.allow_plain_http {
            return Err(TransportError::new(
                "http:// is allowed to this machine only, because the token would travel in the clear; use https://",
                false,
                false,
            ));
        }
        let client = if local { &self.loopback } else { &self.remote };
        let request = reqwest::Request::try_from(request).map_err(|error| failure(error, false))?;
        let mut response = client.execute(request).await.map_err(|error| {
            let maybe_sent = !(error.is_connect() || error.is_builder());
            failure(error, maybe_sent)
        })?;

        let mut reply = Response::new(Bytes::new());
        *reply.status_mut() = response.status();
        *reply.headers_mut() = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(error, true))? {
            if body.len() + chunk.len() > self.settings.body_limit {
                let limit = self.settings.body_limit;
                return Err(TransportError::new(
                    format!("the reply is larger than {limit} bytes"),
                    true,
                    false,
                ));
            }
            body.extend_from_slice(&chunk);
        }
        *reply.body_mut() = Bytes::from(body);
        Ok(reply)
    }
}

/// The URL is left out: errors say what was being done, and it names the cluster a second time.
fn failure(error: reqwest::Error, maybe_sent: bool) -> TransportError {
    let timed_out = error.is_timeout();
    TransportError::new(error.without_url(), maybe_sent, timed_out)
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("api.vpsie.com", false),
            ("127.0.0.1.example.com", false),
            ("10.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }

    #[tokio::test]
    async fn a_token_is_not_sent_in_the_clear_to_another_machine() {
        let transport = HttpTransport::new(HttpSettings::default()).unwrap();
        let request = Request::get("http://192.0.2.1/apps/v2/x")
            .body(Bytes::new())
            .unwrap();
        let error = transport.send(request).await.unwrap_err();
        assert!(!error.maybe_sent);
        assert!(error.source().unwrap().to_string().contains("https://"));
    }

    #[tokio::test]
    async fn a_refused_connection_was_surely_not_sent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let transport = HttpTransport::new(HttpSettings::default()).unwrap();
        let request = Request::get(format!("http://{address}/"))
            .body(Bytes::new())
            .unwrap();
        assert!(!transport.send(request).await.unwrap_err().maybe_sent);
    }
}
