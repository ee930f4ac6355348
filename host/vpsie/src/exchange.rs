//! Writes requests and reads replies: headers on the way out, envelope and refusals on the way in.

use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Request, Response, StatusCode};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::call::{Inner, Sending};
use crate::classify::{Refusal, classify};
use crate::decode::{Body, Envelope, clean_message};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::settings::AuthHeader;

const VPSIE_AUTH: HeaderName = HeaderName::from_static("vpsie-auth");

impl Inner {
    pub(crate) fn request(&self, sending: Sending<'_>) -> Result<Request<Bytes>, Error> {
        let Sending {
            endpoint,
            path,
            body,
            content_type,
            token,
            ..
        } = sending;
        let unfit = |what: &str| Error::Configuration {
            message: format!("{}: {what}", endpoint.doing),
        };
        let base = self.base.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut request = Request::builder()
            .method(endpoint.method.clone())
            .uri(self.settings.url(&base, endpoint.family, path))
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, self.settings.user_agent.as_str());
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        if let Some(token) = token {
            let header = |scheme: &str| {
                let mut value = HeaderValue::from_str(&format!("{scheme}{}", token.expose_secret()))
                    .map_err(|_| unfit("the VPSie token holds characters that no header can carry"))?;
                value.set_sensitive(true);
                Ok(value)
            };
            let (own, bearer) = match self.settings.auth_header {
                AuthHeader::VpsieAuth => (true, false),
                AuthHeader::Bearer => (false, true),
                AuthHeader::Both => (true, true),
            };
            if own {
                request = request.header(VPSIE_AUTH, header("")?);
            }
            if bearer {
                request = request.header(AUTHORIZATION, header("Bearer ")?);
            }
        }
        request
            .body(body)
            .map_err(|_| unfit("the settings do not make a valid request"))
    }

    pub(crate) fn interpret(&self, endpoint: &Endpoint, reply: &Response<Bytes>) -> Result<Envelope, Error> {
        let status = reply.status();
        let refuse = |refusal| Err(classify(endpoint, &self.settings, status, refusal));
        let retry_after = reply
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| self.retry_after(value));
        let no_envelope = Refusal {
            retry_after,
            ..Refusal::default()
        };
        match Body::read(reply.body()) {
            Body::Empty if matches!(status, StatusCode::NO_CONTENT | StatusCode::ACCEPTED) => Ok(Envelope {
                error: false,
                code: None,
                message: String::new(),
                body: Value::Null,
            }),
            Body::Broken(source) if status.is_success() => {
                if endpoint.mutating {
                    let message = format!("the reply {}", source.problem);
                    let status = Some(status.as_u16());
                    Err(Error::OutcomeUnknown {
                        doing: endpoint.doing,
                        status,
                        message,
                        source: None,
                    })
                } else {
                    Err(Error::Decode {
                        doing: endpoint.doing,
                        source,
                    })
                }
            }
            Body::Empty | Body::Page | Body::Broken(_) => refuse(no_envelope),
            Body::Envelope(envelope) => {
                // One refusal is told in words only.
                let wrong_password = envelope.message.to_lowercase().contains("wrong password");
                if status.is_success() && !envelope.error && !wrong_password {
                    return Ok(envelope);
                }
                refuse(Refusal {
                    message: self.scrub(&clean_message(&envelope.message)),
                    code: envelope.code,
                    envelope: true,
                    retry_after,
                })
            }
        }
    }

    /// Takes every secret known here out of a text that the server wrote.
    fn scrub(&self, text: &str) -> String {
        let text = self.auth.scrub(text);
        let password = self
            .account_password
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        match password.as_ref().map(ExposeSecret::expose_secret) {
            Some(password) if !password.is_empty() => text.replace(password, "[secret]"),
            _ => text,
        }
    }

    /// `Retry-After` in seconds or as a date.
    fn retry_after(&self, value: &HeaderValue) -> Option<Duration> {
        let text = value.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Some(Duration::try_from(until.duration_since((self.now)())).unwrap_or_default())
    }
}
