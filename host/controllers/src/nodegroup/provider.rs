//! VPSie's side of a NodeGroup: can it be asked, does it take the credentials, does its quota let anything be bought.
//! Pure: three conditions, whose words stay the same for as long as the matter does.

use autoscaler_api::conditions::{ConditionStatus, reasons, types};
use autoscaler_api::node_group::CreationPause;
use vpsie_client::{CredentialsStatus, Family};

/// What is known of VPSie.
pub(super) struct ProviderView<'a> {
    /// Parts of the API whose circuit breaker is not closed.
    pub(super) broken: &'a [Family],
    pub(super) credentials: &'a CredentialsStatus,
    /// The pause that runs now.
    pub(super) pause: Option<&'a CreationPause>,
}

/// One condition.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) type_: &'static str,
    pub(super) status: ConditionStatus,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl ProviderView<'_> {
    pub(super) fn conditions(&self) -> [Seen; 3] {
        [self.available(), self.credentials(), self.creation()]
    }

    /// Why nothing is ordered, for as long as that is so.
    pub(super) fn pause_text(&self) -> Option<String> {
        self.pause.map(|pause| {
            format!(
                "quota exceeded: {}; nothing is ordered until {}",
                pause.message, pause.until.0
            )
        })
    }

    fn available(&self) -> Seen {
        let text = breakers_open(self.broken);
        Seen {
            type_: types::VPSIE_AVAILABLE,
            status: text.is_none().into(),
            reason: if text.is_none() {
                reasons::CIRCUIT_CLOSED
            } else {
                reasons::CIRCUIT_OPEN
            },
            message: text.unwrap_or_else(|| "no circuit breaker is open".to_owned()),
        }
    }

    fn credentials(&self) -> Seen {
        let known = self.credentials;
        let (status, reason, message) = match (known.present, known.valid) {
            (false, _) => (
                ConditionStatus::False,
                reasons::CREDENTIALS_MISSING,
                "no VPSie credentials have been given".to_owned(),
            ),
            (true, None) => (
                ConditionStatus::Unknown,
                reasons::CREDENTIALS_NOT_TRIED,
                "VPSie has not been asked with these credentials yet".to_owned(),
            ),
            (true, Some(true)) => {
                let end = known.expires_at.map_or_else(
                    || "does not tell when it ends".to_owned(),
                    |end| format!("ends at {end} and is renewed before"),
                );
                (
                    ConditionStatus::True,
                    reasons::CREDENTIALS_ACCEPTED,
                    format!("VPSie accepts them; the token {end}"),
                )
            }
            (true, Some(false)) => (
                ConditionStatus::False,
                known.problem.unwrap_or(reasons::CREDENTIALS_REJECTED),
                "VPSie refuses the credentials".to_owned(),
            ),
        };
        Seen {
            type_: types::CREDENTIALS_VALID,
            status,
            reason,
            message,
        }
    }

    fn creation(&self) -> Seen {
        let text = self.pause_text();
        Seen {
            type_: types::CREATION_PAUSED,
            status: text.is_some().into(),
            reason: if text.is_some() {
                reasons::QUOTA_EXCEEDED
            } else {
                reasons::WITHIN_LIMITS
            },
            message: text.unwrap_or_else(|| "nodes may be ordered".to_owned()),
        }
    }
}

/// What keeps VPSie from being asked.
pub(super) fn breakers_open(broken: &[Family]) -> Option<String> {
    let names: Vec<&str> = broken.iter().map(|family| family.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "VPSie is failing: the circuit breaker is open for {}; it is probed until it answers",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn credentials(present: bool, valid: Option<bool>, problem: Option<&'static str>) -> CredentialsStatus {
        CredentialsStatus {
            present,
            valid,
            expires_at: None,
            problem,
        }
    }

    #[test]
    fn each_fact_is_a_condition_of_its_own() {
        let until = Timestamp::from_second(1_800_000_000).unwrap();
        let pause = CreationPause {
            refusals: 1,
            last_refusal_time: Time(until),
            until: Time(until),
            message: "count exceeds the allowed limit 5".to_owned(),
        };
        let ending = CredentialsStatus {
            expires_at: Some(until),
            ..credentials(true, Some(true), None)
        };
        // broken, credentials, pause -> which condition, status, reason, words
        let table = [
            (
                &[][..],
                ending.clone(),
                None,
                0,
                "True",
                "CircuitClosed",
                "no circuit",
            ),
            (
                &[Family::Auth, Family::Kubernetes],
                ending.clone(),
                None,
                0,
                "False",
                "CircuitOpen",
                "auth, kubernetes",
            ),
            (
                &[],
                credentials(false, None, None),
                None,
                1,
                "False",
                "CredentialsMissing",
                "have been given",
            ),
            (
                &[],
                credentials(true, None, None),
                None,
                1,
                "Unknown",
                "NotTried",
                "yet",
            ),
            (
                &[],
                credentials(true, Some(true), None),
                None,
                1,
                "True",
                "Accepted",
                "does not tell",
            ),
            (
                &[],
                ending.clone(),
                None,
                1,
                "True",
                "Accepted",
                "ends at 2027-01-15T08:00:00Z",
            ),
            (
                &[],
                credentials(true, Some(false), Some("Forbidden")),
                None,
                1,
                "False",
                "Forbidden",
                "refuses",
            ),
            (
                &[],
                ending.clone(),
                None,
                2,
                "False",
                "WithinLimits",
                "may be ordered",
            ),
            (
                &[],
                ending,
                Some(&pause),
                2,
                "True",
                "QuotaExceeded",
                "quota exceeded: count exceeds the allowed limit 5",
            ),
        ];
        for (row, (broken, credentials, pause, which, status, reason, words)) in table.into_iter().enumerate()
        {
            let view = ProviderView {
                broken,
                credentials: &credentials,
                pause,
            };
            let seen = &view.conditions()[which];
            assert_eq!((seen.status.as_str(), seen.reason), (status, reason), "row {row}");
            assert!(seen.message.contains(words), "row {row}: {}", seen.message);
        }
    }
}
