//! Gets a token for a call: from the store, or by an exchange that all callers share.

use secrecy::ExposeSecret;
use serde_json::json;

use bytes::Bytes;

use crate::auth::{Authenticator, Credentials, Decision, Grant};
use crate::call::{Inner, Sending};
use crate::client::segment;
use crate::endpoint::{self, Endpoint};
use crate::error::Error;
use crate::settings::TokenBody;
use crate::token::{NewToken, read_token};

impl Inner {
    /// A token for `endpoint`, from the store or by an exchange that all callers share.
    pub(crate) async fn authorise(&self, endpoint: &Endpoint) -> Result<Grant, Error> {
        // Asked first: while the breaker is open nothing is sent, so no token is needed either.
        self.check_breaker(endpoint)?;
        if let Some(result) = self.ready_token(endpoint) {
            return result;
        }
        let _turn = self.auth.exchanging.lock().await;
        // Whoever had the turn before may have brought it.
        let (credentials, generation) = match self.auth.decide((self.now)()) {
            Decision::Exchange {
                credentials,
                generation,
            } => (credentials, generation),
            Decision::Use(grant) => return Ok(grant),
            Decision::Missing => {
                return Err(Error::CredentialsMissing {
                    doing: endpoint.doing,
                });
            }
            Decision::Refused(error) => return Err(error),
        };
        let result = self.exchange(&credentials).await;
        let now = (self.now)();
        match result {
            Ok(token) => {
                self.watch_credentials(|auth| auth.store(generation, token, now, &self.settings));
                match self.auth.decide(now) {
                    Decision::Use(grant) => Ok(grant),
                    Decision::Missing => Err(Error::CredentialsMissing {
                        doing: endpoint.doing,
                    }),
                    Decision::Refused(error) => Err(error),
                    // The credentials were replaced during the exchange.
                    Decision::Exchange { .. } => Err(Error::Transient {
                        doing: endpoint::AUTHENTICATE.doing,
                        status: None,
                        message: "the credentials were replaced meanwhile".to_owned(),
                        source: None,
                    }),
                }
            }
            Err(error) => self
                .watch_credentials(|auth| auth.exchange_failed(generation, &error, now, &self.settings))
                .ok_or(error),
        }
    }

    fn ready_token(&self, endpoint: &Endpoint) -> Option<Result<Grant, Error>> {
        match self.auth.decide((self.now)()) {
            Decision::Use(grant) => Some(Ok(grant)),
            Decision::Missing => Some(Err(Error::CredentialsMissing {
                doing: endpoint.doing,
            })),
            Decision::Refused(error) => Some(Err(error)),
            Decision::Exchange { .. } => None,
        }
    }

    async fn exchange(&self, credentials: &Credentials) -> Result<NewToken, Error> {
        let endpoint = &endpoint::AUTHENTICATE;
        let Credentials::Client {
            client_id,
            client_secret,
        } = credentials
        else {
            return Err(Error::CredentialsMissing {
                doing: endpoint.doing,
            });
        };
        let secret = client_secret.expose_secret();
        let (body, content_type) = match self.settings.token_body {
            TokenBody::Json => (
                json!({ "clientId": client_id, "clientSecret": secret }).to_string(),
                "application/json",
            ),
            TokenBody::Form => (
                format!("clientId={}&clientSecret={}", segment(client_id), segment(secret)),
                "application/x-www-form-urlencoded",
            ),
        };
        let body = Bytes::from(body);
        let sending = Sending {
            endpoint,
            path: "/auth/from/api",
            body,
            content_type,
            token: None,
            attempt: 1,
        };
        let reply = match self.send(sending).await {
            // A refusal of the exchange is one of the credentials, whatever status the server chose for it.
            Err(Error::Rejected { doing, message, .. }) => {
                return Err(Error::Unauthorized { doing, message });
            }
            other => other?,
        };
        read_token(&reply.body).map_err(|source| self.unreadable(endpoint, source))
    }

    /// Runs a change of the authenticator and reports the status if it is another one afterwards.
    pub(crate) fn watch_credentials<T>(&self, change: impl FnOnce(&Authenticator) -> T) -> T {
        let before = self.auth.status();
        let result = change(&self.auth);
        let after = self.auth.status();
        if before != after {
            if after.valid == Some(false) && before.valid != after.valid {
                tracing::warn!(problem = after.problem, "VPSie does not accept the credentials");
            }
            self.observer.credentials(&after);
            self.changed();
        }
        result
    }
}
