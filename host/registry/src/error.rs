//! What can go wrong between here and a server. The texts are for whoever pushes and for whoever reads a status; each
//! adds what only they know: the field, or the flag.

use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Reference(&'static str),
    #[error("no HTTP client: {0}")]
    Client(String),
    #[error(
        "not all there after {0:?}; is the server quick enough, and does a network policy let it be reached?"
    )]
    Timeout(Duration),
    #[error("moved more than {0} times; name the address where it ends")]
    Redirects(usize),
    #[error("no connection ({0}); look at host, port and certificate, and at network policies")]
    Unreachable(String),
    #[error("the connection broke off ({0})")]
    Broken(String),
    #[error("the server answered {0}")]
    Status(u16),
    #[error("the server has nothing there (404); look for a typing error, or push it again")]
    NotFound,
    #[error("{} ({status})", if *.given { "the server refuses these credentials" } else { "the server wants credentials" })]
    Forbidden {
        status: u16,
        /// Whether it was given some.
        given: bool,
    },
    #[error("the registry refuses the push ({status} {code})")]
    Refused { status: u16, code: String },
    #[error("larger than {}, the most that is loaded; is it the component itself, and stripped?", amount(*.0))]
    TooLarge(usize),
    #[error(
        "{what} that the registry sent has the digest sha256:{found}, not sha256:{wanted}; it was changed on the way, or \
         the registry is broken"
    )]
    Digest {
        what: &'static str,
        found: String,
        wanted: String,
    },
    #[error("{0}")]
    Artifact(String),
    #[error("{0}")]
    Credentials(String),
    #[error("the registry names a place for tokens that cannot be asked: {0}")]
    TokenService(&'static str),
}

impl Error {
    /// The word that conditions and events use.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Reference(_) => "InvalidSource",
            Self::Timeout(_) => "SourceTimeout",
            Self::Redirects(_) => "SourceRedirects",
            Self::Unreachable(_) => "SourceUnreachable",
            Self::Client(_)
            | Self::Broken(_)
            | Self::Status(_)
            | Self::Refused { .. }
            | Self::TokenService(_) => "SourceUnreadable",
            Self::NotFound => "SourceNotFound",
            Self::Forbidden { .. } => "SourceForbidden",
            Self::TooLarge(_) => "SourceTooLarge",
            Self::Digest { .. } => "DigestMismatch",
            Self::Artifact(_) => "InvalidArtifact",
            Self::Credentials(_) => "PullSecretInvalid",
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Status(_))
    }
}

fn amount(bytes: usize) -> String {
    match (bytes >> 20, bytes >> 10) {
        (0, 0) => format!("{bytes} bytes"),
        (0, kib) => format!("{kib} KiB"),
        (mib, _) => format!("{mib} MiB"),
    }
}
