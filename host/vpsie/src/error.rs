//! What can go wrong with a call, sorted by what the caller should do about it.

use std::time::Duration;

use crate::decode::DecodeError;
use crate::transport::TransportError;

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The settings cannot work; nothing was sent.
    #[error("{message}")]
    Configuration {
        /// What is wrong.
        message: String,
    },
    /// No credentials have been set; nothing was sent.
    #[error("{doing}: no VPSie credentials have been given")]
    CredentialsMissing {
        /// What was being done.
        doing: &'static str,
    },
    /// The account's password, which removing a VM takes, has not been given; nothing was sent.
    #[error("{doing}: the account's password is missing: give it as accountPassword in the VPSie secret")]
    AccountPasswordMissing {
        /// What was being done.
        doing: &'static str,
    },
    /// The credentials were refused (401, or the words for it).
    #[error("{doing}: VPSie refused the credentials: {message}")]
    Unauthorized {
        /// What was being done.
        doing: &'static str,
        /// The provider's words.
        message: String,
    },
    /// The credentials are valid but may not do this (403).
    #[error("{doing}: VPSie does not allow it: {message}")]
    Forbidden {
        /// What was being done.
        doing: &'static str,
        /// The provider's words.
        message: String,
    },
    /// The thing does not exist (404, or a reply without data).
    #[error("{doing}: VPSie does not know it: {message}")]
    NotFound {
        /// What was being done.
        doing: &'static str,
        /// The provider's words.
        message: String,
    },
    /// A quota of the account or cluster is used up, whatever the HTTP status.
    #[error("{doing}: quota exceeded: {message}")]
    LimitReached {
        /// What was being done.
        doing: &'static str,
        /// The provider's words.
        message: String,
    },
    /// Something of the kind exists already (409, or a second group of a size).
    #[error("{doing}: VPSie has it already: {message}")]
    Conflict {
        /// What was being done.
        doing: &'static str,
        /// The provider's words.
        message: String,
    },
    /// Refused for good: other 4xx, or HTTP 200 with `error: true`.
    #[error("{doing}: VPSie refused: {message}")]
    Rejected {
        /// What was being done.
        doing: &'static str,
        /// HTTP status of the refusal.
        status: u16,
        /// The provider's words.
        message: String,
    },
    /// The server asks for fewer requests (429).
    #[error("{doing}: VPSie limits the rate of requests")]
    RateLimited {
        /// What was being done.
        doing: &'static str,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// A failure that may pass, of a call that certainly changed nothing.
    #[error("{doing}: VPSie is failing: {message}")]
    Transient {
        /// What was being done.
        doing: &'static str,
        /// HTTP status, where a reply came.
        status: Option<u16>,
        /// The provider's words, or what happened to the connection.
        message: String,
        /// Why there was no reply.
        #[source]
        source: Option<TransportError>,
    },
    /// A request that changes something was sent and its fate is unknown. Look before sending it again.
    #[error("{doing}: whether it happened is unknown: {message}")]
    OutcomeUnknown {
        /// What was being done.
        doing: &'static str,
        /// HTTP status, where a reply came.
        status: Option<u16>,
        /// The provider's words, or what happened to the connection.
        message: String,
        /// Why there was no reply.
        #[source]
        source: Option<TransportError>,
    },
    /// The reply is not what the API sends.
    #[error("{doing}: VPSie's reply cannot be read")]
    Decode {
        /// What was being done.
        doing: &'static str,
        /// Where and why.
        #[source]
        source: DecodeError,
    },
    /// The circuit breaker is open; nothing was sent.
    #[error("{doing}: not sent, the circuit breaker is open for another {} s", retry_in.as_secs_f64().ceil())]
    CircuitOpen {
        /// What was being done.
        doing: &'static str,
        /// When a probe may go.
        retry_in: Duration,
    },
}

/// A kind of error without its circumstances: the stable words for conditions, events and metrics.
impl Error {
    /// One stable CamelCase word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Configuration { .. } => "Configuration",
            Self::CredentialsMissing { .. } => "CredentialsMissing",
            Self::AccountPasswordMissing { .. } => "AccountPasswordMissing",
            Self::Unauthorized { .. } => "Unauthorized",
            Self::Forbidden { .. } => "Forbidden",
            Self::NotFound { .. } => "NotFound",
            Self::LimitReached { .. } => "LimitReached",
            Self::Conflict { .. } => "Conflict",
            Self::Rejected { .. } => "Rejected",
            Self::RateLimited { .. } => "RateLimited",
            Self::Transient { .. } => "Transient",
            Self::OutcomeUnknown { .. } => "OutcomeUnknown",
            Self::Decode { .. } => "Decode",
            Self::CircuitOpen { .. } => "CircuitOpen",
        }
    }

    /// The value of the metric label `error_type`; one of [`ERROR_TYPES`].
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::CredentialsMissing { .. }
            | Self::AccountPasswordMissing { .. }
            | Self::Unauthorized { .. } => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::RateLimited { .. } => "rate_limited",
            Self::Transient { status: Some(_), .. } | Self::OutcomeUnknown { status: Some(_), .. } => {
                "server_error"
            }
            Self::LimitReached { .. } | Self::Conflict { .. } | Self::Rejected { .. } => "client_error",
            Self::CircuitOpen { .. } => "circuit_open",
            Self::Configuration { .. }
            | Self::Decode { .. }
            | Self::Transient { status: None, .. }
            | Self::OutcomeUnknown { status: None, .. } => "request_failed",
        }
    }

    /// The provider's own words, where it said any.
    pub fn provider_message(&self) -> Option<&str> {
        match self {
            Self::Unauthorized { message, .. }
            | Self::Forbidden { message, .. }
            | Self::NotFound { message, .. }
            | Self::LimitReached { message, .. }
            | Self::Conflict { message, .. }
            | Self::Rejected { message, .. }
            | Self::Transient {
                message,
                status: Some(_),
                ..
            }
            | Self::OutcomeUnknown {
                message,
                status: Some(_),
                ..
            } => Some(message),
            _ => None,
        }
    }

    /// Whether the request may have taken effect although it failed.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. })
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::Transient { .. }
                | Self::OutcomeUnknown { .. }
                | Self::Decode { .. }
                | Self::CircuitOpen { .. }
        )
    }

    /// Whether the failure speaks against the server's health: only these move the circuit breaker.
    pub(crate) fn is_server_failure(&self) -> bool {
        matches!(self, Self::Transient { .. } | Self::OutcomeUnknown { .. })
    }
}

/// Every value of [`Error::error_type`], so that each series can exist from the start.
pub const ERROR_TYPES: [&str; 8] = [
    "unauthorized",
    "forbidden",
    "not_found",
    "rate_limited",
    "server_error",
    "client_error",
    "circuit_open",
    "request_failed",
];
