//! Credentials and the token made of them: which token to send, when to renew it, what to say about both.
//!
//! Only bookkeeping; [`crate::client`] does the sending. A token is renewed ahead of its end by one caller
//! while the others wait for it, and credentials that were refused rest for a while instead of being sent
//! with every call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::error::Error;
use crate::settings::Settings;
use crate::token::NewToken;

/// What proves to VPSie who we are.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// An access token made in the console; VPSie knows when it ends, we do not.
    Token(SecretString),
    /// An API client, exchanged for short-lived tokens.
    Client {
        /// Its id.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
}

/// What is known about the credentials, for a condition and for metrics. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsStatus {
    /// Whether any have been given.
    pub present: bool,
    /// Whether VPSie accepted them the last time; `None` before the first answer.
    pub valid: Option<bool>,
    /// End of the present token, where known.
    pub expires_at: Option<Timestamp>,
    /// [`Error::reason`] of the last refusal.
    pub problem: Option<&'static str>,
}

/// A token to send, with what is needed to say later that it was refused.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) token: SecretString,
    serial: u64,
}

/// What a caller that needs a token should do.
pub(crate) enum Decision {
    Use(Grant),
    Exchange {
        credentials: Arc<Credentials>,
        generation: u64,
    },
    Missing,
    Refused(Error),
}

pub(crate) struct Authenticator {
    state: Mutex<State>,
    /// Held by the one caller that exchanges.
    pub(crate) exchanging: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    credentials: Option<Arc<Credentials>>,
    // Counts replacements of the credentials and tokens: an answer to an older one is not news.
    generation: u64,
    token: Option<Token>,
    resting: Option<(Timestamp, Error)>,
    status: CredentialsStatus,
}

struct Token {
    secret: SecretString,
    serial: u64,
    renew_at: Timestamp,
    expires_at: Timestamp,
}

impl Authenticator {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            exchanging: tokio::sync::Mutex::new(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the credentials; a token made of the old ones is forgotten. Returns the new status.
    pub(crate) fn replace(&self, credentials: Option<Credentials>) -> CredentialsStatus {
        let mut state = self.lock();
        let generation = state.generation + 1;
        *state = State {
            status: CredentialsStatus {
                present: credentials.is_some(),
                ..CredentialsStatus::default()
            },
            credentials: credentials.map(Arc::new),
            generation,
            ..State::default()
        };
        state.status.clone()
    }

    pub(crate) fn status(&self) -> CredentialsStatus {
        self.lock().status.clone()
    }

    pub(crate) fn decide(&self, now: Timestamp) -> Decision {
        let state = self.lock();
        let Some(credentials) = &state.credentials else {
            return Decision::Missing;
        };
        if let Credentials::Token(secret) = &**credentials {
            return Decision::Use(Grant {
                token: secret.clone(),
                serial: state.generation,
            });
        }
        let resting = state.resting.as_ref().filter(|(until, _)| now < *until);
        match (&state.token, resting) {
            (Some(token), resting)
                if now < token.renew_at || (now < token.expires_at && resting.is_some()) =>
            {
                Decision::Use(Grant {
                    token: token.secret.clone(),
                    serial: token.serial,
                })
            }
            (_, Some((_, error))) if !error.is_temporary() => Decision::Refused(error.clone()),
            _ => Decision::Exchange {
                credentials: credentials.clone(),
                generation: state.generation,
            },
        }
    }

    /// Keeps a new token, unless the credentials were replaced meanwhile.
    pub(crate) fn store(&self, generation: u64, token: NewToken, now: Timestamp, settings: &Settings) {
        let mut state = self.lock();
        if state.generation != generation {
            return;
        }
        let after = |duration: std::time::Duration| now.saturating_add(duration).unwrap_or(Timestamp::MAX);
        // An end in the past means that one of the two clocks is wrong: the token is probably good.
        let expires_at = token
            .expires_at
            .filter(|end| *end > now)
            .unwrap_or_else(|| after(settings.token_lifetime));
        let life = std::time::Duration::try_from(expires_at.duration_since(now)).unwrap_or_default();
        // A life shorter than the margin must not mean an exchange for every call.
        let margin = settings.token_renew_ahead.min(life / 2);
        state.generation += 1;
        let serial = state.generation;
        state.token = Some(Token {
            secret: token.secret,
            serial,
            renew_at: after(life - margin),
            expires_at,
        });
        state.resting = None;
        state.status = CredentialsStatus {
            present: true,
            valid: Some(true),
            expires_at: Some(expires_at),
            problem: None,
        };
    }

    /// Notes that an exchange failed. Returns a token that still works, if there is one.
    pub(crate) fn exchange_failed(
        &self,
        generation: u64,
        error: &Error,
        now: Timestamp,
        settings: &Settings,
    ) -> Option<Grant> {
        let mut state = self.lock();
        if state.generation != generation {
            return None;
        }
        let rest = now
            .saturating_add(settings.refused_credentials_pause)
            .unwrap_or(Timestamp::MAX);
        state.resting = Some((rest, error.clone()));
        if !error.is_temporary() {
            state.status.valid = Some(false);
            state.status.problem = Some(error.reason());
        }
        let token = state.token.as_ref().filter(|token| now < token.expires_at)?;
        Some(Grant {
            token: token.secret.clone(),
            serial: token.serial,
        })
    }

    /// Notes that VPSie accepted a token.
    pub(crate) fn accepted(&self, grant: &Grant) {
        let mut state = self.lock();
        if state.generation == grant.serial && state.status.valid != Some(true) {
            state.status.valid = Some(true);
            state.status.problem = None;
        }
    }

    /// Notes that VPSie refused a token. Returns whether there is or can be another one worth trying.
    /// The first refusal of an exchanged token says that it has ended, not that the credentials are bad;
    /// `again` says that a token made just now was refused too.
    pub(crate) fn refused(&self, grant: &Grant, error: &Error, again: bool) -> bool {
        let mut state = self.lock();
        if state.generation != grant.serial {
            return state.credentials.is_some();
        }
        let exchanged = state.token.take().is_some();
        state.status.expires_at = None;
        if again || !exchanged {
            state.status.valid = Some(false);
            state.status.problem = Some(error.reason());
        }
        exchanged
    }

    /// Takes every secret known here out of a text that the server wrote.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let state = self.lock();
        let mut secrets: Vec<&SecretString> = state.token.iter().map(|token| &token.secret).collect();
        match state.credentials.as_deref() {
            Some(Credentials::Token(secret)) => secrets.push(secret),
            Some(Credentials::Client { client_secret, .. }) => secrets.push(client_secret),
            None => {}
        }
        secrets
            .into_iter()
            .map(ExposeSecret::expose_secret)
            .filter(|secret| !secret.is_empty())
            .fold(text.to_owned(), |text, secret| text.replace(secret, "[secret]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Credentials {
        Credentials::Client {
            client_id: "id".to_owned(),
            client_secret: "s3cret".into(),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn token(expires_at: Option<Timestamp>) -> NewToken {
        NewToken {
            secret: "tok3n".into(),
            expires_at,
        }
    }

    fn generation(auth: &Authenticator, now: Timestamp) -> u64 {
        match auth.decide(now) {
            Decision::Exchange { generation, .. } => generation,
            _ => panic!("no exchange wanted"),
        }
    }

    #[test]
    fn a_token_is_renewed_ahead_but_a_short_one_not_for_every_call() {
        let settings = Settings::default();
        for (life, still_used, renewed) in [(3600, 3299, 3300), (120, 59, 60), (-5, 3299, 3300)] {
            let auth = Authenticator::new();
            auth.replace(Some(client()));
            auth.store(generation(&auth, at(0)), token(Some(at(life))), at(0), &settings);
            assert!(matches!(auth.decide(at(still_used)), Decision::Use(_)), "{life}");
            assert!(
                matches!(auth.decide(at(renewed)), Decision::Exchange { .. }),
                "{life}"
            );
        }
    }

    #[test]
    fn a_failed_renewal_uses_the_old_token_up_and_refused_credentials_rest() {
        let settings = Settings::default();
        let refusal = Error::Unauthorized {
            doing: "x",
            message: String::new(),
        };
        let auth = Authenticator::new();
        auth.replace(Some(client()));
        auth.store(generation(&auth, at(0)), token(Some(at(3600))), at(0), &settings);
        let renewal = generation(&auth, at(3400));
        assert!(
            auth.exchange_failed(renewal, &refusal, at(3400), &settings)
                .is_some()
        );
        assert!(
            matches!(auth.decide(at(3410)), Decision::Use(_)),
            "rests, and the old one works"
        );
        assert!(
            matches!(auth.decide(at(3430)), Decision::Exchange { .. }),
            "tries again"
        );
        assert!(
            auth.exchange_failed(renewal, &refusal, at(3601), &settings)
                .is_none()
        );
        assert!(matches!(auth.decide(at(3602)), Decision::Refused(_)));
        assert_eq!(auth.status().valid, Some(false));
        // New credentials are tried at once.
        auth.replace(Some(client()));
        assert!(matches!(auth.decide(at(3602)), Decision::Exchange { .. }));
    }

    #[test]
    fn an_answer_to_replaced_credentials_changes_nothing() {
        let auth = Authenticator::new();
        auth.replace(Some(client()));
        let old = generation(&auth, at(0));
        auth.replace(Some(client()));
        auth.store(old, token(None), at(0), &Settings::default());
        assert!(matches!(auth.decide(at(0)), Decision::Exchange { .. }));
    }

    #[test]
    fn a_refused_static_token_is_not_worth_another_try_but_a_replaced_one_is() {
        let refusal = Error::Unauthorized {
            doing: "x",
            message: String::new(),
        };
        let auth = Authenticator::new();
        auth.replace(Some(Credentials::Token("tok3n".into())));
        let Decision::Use(grant) = auth.decide(at(0)) else {
            panic!("no token")
        };
        assert!(!auth.refused(&grant, &refusal, false));
        assert_eq!(auth.status().problem, Some("Unauthorized"));
        auth.replace(Some(Credentials::Token("other".into())));
        assert!(auth.refused(&grant, &refusal, false));
    }

    #[test]
    fn secrets_are_taken_out_of_what_the_server_says_and_out_of_debug() {
        let auth = Authenticator::new();
        auth.replace(Some(client()));
        auth.store(generation(&auth, at(0)), token(None), at(0), &Settings::default());
        assert_eq!(auth.scrub("bad s3cret or tok3n"), "bad [secret] or [secret]");
        assert!(!format!("{:?} {:?}", client(), token(None)).contains("3cret"));
        assert!(!format!("{:?}", token(None)).contains("tok3n"));
    }
}
