//! What goes wrong on purpose: which requests, what happens to them, and how often.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A fault waiting for requests that it fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Fault {
    /// HTTP method; any if absent.
    #[serde(default)]
    pub method: Option<String>,
    /// Part of the path, as in `/add/slave`; any if absent.
    #[serde(default)]
    pub path: Option<String>,
    /// What happens.
    pub effect: Effect,
    /// Fitting requests that go through unharmed first.
    #[serde(default)]
    pub skip: u32,
    /// Requests that it hits; without end if absent.
    #[serde(default)]
    pub times: Option<u32>,
}

impl Fault {
    /// A fault that hits the next request whose path contains `path`.
    pub fn once(path: &str, effect: Effect) -> Self {
        Self {
            times: Some(1),
            ..Self::always(path, effect)
        }
    }

    /// A fault that hits every request whose path contains `path`.
    pub fn always(path: &str, effect: Effect) -> Self {
        Self {
            method: None,
            path: Some(path.to_owned()),
            effect,
            skip: 0,
            times: None,
        }
    }
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "kind",
    deny_unknown_fields
)]
pub enum Effect {
    /// The connection breaks before anything is done.
    DropBefore,
    /// The request is carried out, then the connection breaks.
    DropAfterApply,
    /// The answer takes this much longer; other faults may follow.
    Delay {
        /// How much longer.
        #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
        duration: Duration,
    },
    /// An error without doing anything.
    Status {
        /// HTTP status.
        status: u16,
        /// Words of the envelope.
        message: String,
    },
    /// An error although the request is carried out.
    StatusAfterApply {
        /// HTTP status.
        status: u16,
        /// Words of the envelope.
        message: String,
    },
    /// HTTP 200 with `error: true`, without doing anything.
    ErrorInOk {
        /// Words of the envelope.
        message: String,
    },
    /// The page of a gateway.
    HtmlPage {
        /// HTTP status.
        status: u16,
    },
    /// The request is carried out and half of the answer arrives.
    TruncatedJson,
    /// HTTP 429.
    RateLimited {
        /// Value of `Retry-After` in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// An order is accepted, but its machine never runs.
    NeverJoins,
    /// An order is accepted and forgotten: its machine is paid for and never shown.
    NeverListed,
    /// The request is carried out twice.
    Duplicate,
    /// The answer of the last request for the same path is given again.
    Stale,
}

/// Faults in the order in which they were put in.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn inject(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn all(&self) -> &[Fault] {
        &self.0
    }

    /// The effects for one request: every delay up to and including the first fault that is none.
    pub(crate) fn take(&mut self, method: &str, path: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        for fault in &mut self.0 {
            let fits = fault
                .method
                .as_deref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
                && fault.path.as_deref().is_none_or(|part| path.contains(part));
            if !fits || fault.times == Some(0) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.times = fault.times.map(|times| times - 1);
            effects.push(fault.effect.clone());
            if !matches!(fault.effect, Effect::Delay { .. }) {
                break;
            }
        }
        self.0.retain(|fault| fault.times != Some(0));
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_fit_by_method_and_path_and_wear_off() {
        let mut faults = Faults::default();
        faults.inject(Fault {
            skip: 1,
            ..Fault::once("/add/slave", Effect::DropBefore)
        });
        faults.inject(Fault::always(
            "/k8s",
            Effect::Delay {
                duration: Duration::from_secs(1),
            },
        ));
        faults.inject(Fault {
            method: Some("delete".to_owned()),
            ..Fault::once("/k8s", Effect::Duplicate)
        });
        let delay = Effect::Delay {
            duration: Duration::from_secs(1),
        };
        for (method, path, expected) in [
            ("GET", "/datacenter", vec![]),
            ("POST", "/k8s/x/add/slave", vec![delay.clone()]),
            ("POST", "/k8s/x/add/slave", vec![Effect::DropBefore]),
            ("POST", "/k8s/x/add/slave", vec![delay.clone()]),
            ("DELETE", "/k8s/x", vec![delay.clone(), Effect::Duplicate]),
            ("DELETE", "/k8s/x", vec![delay]),
        ] {
            assert_eq!(faults.take(method, path), expected, "{method} {path}");
        }
        assert_eq!(faults.all().len(), 1);
    }
}
