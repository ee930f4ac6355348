//! Why a policy is not in use, in the words of its condition.

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
}
