//! Who is calling: static tokens, exchanged tokens with an end, and the headers they come in.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::{Access, Header, TokenShape};

/// Tokens given out, with their ends.
#[derive(Debug, Default)]
pub(crate) struct Issued(BTreeMap<String, Timestamp>);

impl Issued {
    pub(crate) fn revoke_all(&mut self) {
        self.0.clear();
    }

    /// Whether a request with these headers may pass.
    pub(crate) fn admits(&self, access: &Access, headers: &HeaderMap, now: Timestamp) -> bool {
        let own = headers.get("vpsie-auth").and_then(|value| value.to_str().ok());
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
        let given = match access.header {
            Header::Any => own.or(bearer),
            Header::VpsieAuth => own,
            Header::Bearer => bearer,
        };
        given.is_some_and(|token| {
            access.tokens.iter().any(|known| known == token)
                || self.0.get(token).is_some_and(|end| now < *end)
        })
    }

    /// Exchanges an API client for a token named `token`; `None` if the client is not known.
    pub(crate) fn exchange(
        &mut self,
        access: &Access,
        body: &Value,
        token: String,
        now: Timestamp,
    ) -> Option<Value> {
        let text = |key| body.get(key).and_then(Value::as_str).unwrap_or_default();
        let (id, secret) = (text("clientId"), text("clientSecret"));
        access
            .clients
            .iter()
            .find(|client| client.client_id == id && client.client_secret == secret)?;
        let end = now
            .saturating_add(access.token_lifetime)
            .unwrap_or(Timestamp::MAX);
        let refresh = json!({ "token": format!("refresh-{token}"), "expires": end.to_string() });
        let reply = match access.token_shape {
            TokenShape::Nested => json!({
                "error": false,
                "token": { "access": { "token": token, "expires": end.to_string() }, "refresh": refresh },
            }),
            TokenShape::Flat => json!({
                "error": false,
                "code": 200,
                "message": "",
                "accessToken": { "token": token, "expires": end.to_string() },
                "refreshToken": refresh,
            }),
            TokenShape::WithoutExpiry => json!({ "error": false, "token": { "access": { "token": token } } }),
        };
        self.0.insert(token, end);
        Some(reply)
    }
}
