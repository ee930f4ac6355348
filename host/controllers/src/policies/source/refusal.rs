//! Why a policy is not in use, in the words of its condition.

use autoscaler_registry::Error;

/// One line for people: what is wrong, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policies) struct Refusal {
    /// One stable word.
    pub(in crate::policies) reason: &'static str,
    /// The line.
    pub(in crate::policies) message: String,
}

impl Refusal {
    pub(in crate::policies) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// A fetch that failed. `credentials` says how somebody else may be let in.
    pub(in crate::policies) fn fetching(field: &str, error: &Error, credentials: &str) -> Self {
        let mend = match error {
            Error::Forbidden { .. } => format!("; {credentials}"),
            error if error.is_passing() => "; it is tried again by itself".to_owned(),
            _ => String::new(),
        };
        Self::new(error.reason(), format!("{field}: {error}{mend}"))
    }
}
