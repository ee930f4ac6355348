//! What every controller stands on: a work queue, the leader's Lease, events and metrics.
//!
//! kube's own `Controller` is not used: its scheduler orders by hash map and its back-off draws random
//! numbers, and the same controllers must do the same thing twice on virtual time.

pub mod events;
pub mod lease;
pub mod metrics;
pub mod queue;

use std::error::Error;
use std::fmt::Write as _;

/// An error with the one stable word that metric, event, condition and documentation share.
pub trait Reasoned: Error {
    /// A CamelCase word.
    fn reason(&self) -> &'static str;
}

impl Reasoned for crate::Error {
    fn reason(&self) -> &'static str {
        Self::reason(self)
    }
}

/// An error with its whole cause chain in one line, for the one place where it is reported.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some libraries repeat the cause in their own text.
        let next = error.to_string();
        if !text.ends_with(&next) {
            let _ = write!(text, ": {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("reading the secret")]
    struct Outer(#[source] std::io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("asking: {0}")]
    struct Repeating(#[source] Outer);

    #[test]
    fn a_chain_names_each_cause_once() {
        let outer = Outer(std::io::Error::other("connection refused"));
        assert_eq!(chain(&outer), "reading the secret: connection refused");
        assert_eq!(
            chain(&Repeating(outer)),
            "asking: reading the secret: connection refused"
        );
    }
}
