//! Names the error of a reply, or of its absence.
//!
//! VPSie reports business limits as HTTP 500 and refusals as HTTP 200, so the provider's message is judged
//! before the status. For a request that changes something a 5xx, a gateway's page, a truncated reply and a
//! lost connection all mean the same: *unknown*, look before sending again.

use std::time::Duration;

use http::StatusCode;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::settings::Settings;
use crate::transport::TransportError;

/// What a reply that is not a success says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusal {
    /// The provider's words, cleaned.
    pub(crate) message: String,
    /// `code` of the envelope.
    pub(crate) code: Option<u16>,
    /// Whether the body was the API's envelope at all, rather than a gateway's page.
    pub(crate) envelope: bool,
    /// `Retry-After`, where sent.
    pub(crate) retry_after: Option<Duration>,
}

/// Names the error of a reply. `status` is the HTTP status, which may well be 200.
pub(crate) fn classify(
    endpoint: &Endpoint,
    settings: &Settings,
    status: StatusCode,
    refusal: Refusal,
) -> Error {
    let doing = endpoint.doing;
    let Refusal {
        message,
        code,
        envelope,
        retry_after,
    } = refusal;
    let words = message.to_lowercase();
    let says = |patterns: &[String]| {
        patterns
            .iter()
            .any(|p| !p.is_empty() && words.contains(&p.to_lowercase()))
    };
    // A 200 that carries a refusal tells the real status in its envelope, if at all.
    let effective = if status.is_success() {
        code.unwrap_or(200)
    } else {
        status.as_u16()
    };
    let message = if message.is_empty() {
        format!("HTTP status {}", status.as_u16())
    } else {
        message
    };

    if says(&settings.limit_patterns) {
        return Error::LimitReached { doing, message };
    }
    if says(&settings.stock_patterns) {
        let status = status.as_u16();
        return Error::Rejected {
            doing,
            status,
            message,
        };
    }
    if says(&settings.conflict_patterns) {
        return Error::Conflict { doing, message };
    }
    if words.contains("please authenticate") {
        return Error::Unauthorized { doing, message };
    }
    match effective {
        401 => Error::Unauthorized { doing, message },
        403 => Error::Forbidden { doing, message },
        404 => Error::NotFound { doing, message },
        409 => Error::Conflict { doing, message },
        429 => Error::RateLimited { doing, retry_after },
        _ if envelope && status.is_success() => {
            if words == "not found" {
                Error::NotFound { doing, message }
            } else {
                Error::Rejected {
                    doing,
                    status: status.as_u16(),
                    message,
                }
            }
        }
        408 | 500..=599 => unknown_or_transient(endpoint, Some(status.as_u16()), message, None),
        // A page instead of an envelope under a 2xx or 3xx: some gateway answered, not the API.
        200..=399 => unknown_or_transient(endpoint, Some(status.as_u16()), message, None),
        _ => Error::Rejected {
            doing,
            status: status.as_u16(),
            message,
        },
    }
}

/// Names the error of a request that got no reply.
pub(crate) fn unanswered(endpoint: &Endpoint, source: TransportError) -> Error {
    let message = if source.timed_out {
        "no answer within the time allowed (timeout)"
    } else if source.maybe_sent {
        "the connection broke before the answer"
    } else {
        "no connection"
    };
    if source.maybe_sent {
        unknown_or_transient(endpoint, None, message.to_owned(), Some(source))
    } else {
        Error::Transient {
            doing: endpoint.doing,
            status: None,
            message: message.to_owned(),
            source: Some(source),
        }
    }
}

fn unknown_or_transient(
    endpoint: &Endpoint,
    status: Option<u16>,
    message: String,
    source: Option<TransportError>,
) -> Error {
    let doing = endpoint.doing;
    if endpoint.mutating {
        Error::OutcomeUnknown {
            doing,
            status,
            message,
            source,
        }
    } else {
        Error::Transient {
            doing,
            status,
            message,
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::{ADD_NODE, CREATE_GROUP, GET_CLUSTER};
    use crate::error::ERROR_TYPES;

    // endpoint, status, code, message, envelope -> reason, error_type
    type Case = (
        &'static Endpoint,
        u16,
        Option<u16>,
        &'static str,
        bool,
        &'static str,
        &'static str,
    );

    #[test]
    fn a_refusal_is_judged_by_its_message_before_its_status() {
        let cases: &[Case] = &[
            (
                &ADD_NODE,
                500,
                Some(500),
                "Worker nodes count exceeds the allowed limit 5",
                true,
                "LimitReached",
                "client_error",
            ),
            (
                &ADD_NODE,
                200,
                Some(500),
                "Your plan does not allow more",
                true,
                "LimitReached",
                "client_error",
            ),
            (
                &ADD_NODE,
                403,
                None,
                "QUOTA EXCEEDED",
                true,
                "LimitReached",
                "client_error",
            ),
            (
                &CREATE_GROUP,
                500,
                None,
                "Group g1 has the same selected Size",
                true,
                "Conflict",
                "client_error",
            ),
            (
                &ADD_NODE,
                500,
                None,
                "The selected size is out of stock",
                true,
                "Rejected",
                "client_error",
            ),
            (&CREATE_GROUP, 409, None, "busy", true, "Conflict", "client_error"),
            (&GET_CLUSTER, 401, None, "", false, "Unauthorized", "unauthorized"),
            (
                &GET_CLUSTER,
                200,
                None,
                "Please authenticate",
                true,
                "Unauthorized",
                "unauthorized",
            ),
            (
                &GET_CLUSTER,
                500,
                None,
                "Please authenticate.",
                true,
                "Unauthorized",
                "unauthorized",
            ),
            (&GET_CLUSTER, 403, None, "no", true, "Forbidden", "forbidden"),
            (
                &GET_CLUSTER,
                404,
                None,
                "Not found",
                true,
                "NotFound",
                "not_found",
            ),
            (
                &GET_CLUSTER,
                200,
                Some(404),
                "no such cluster",
                true,
                "NotFound",
                "not_found",
            ),
            (
                &GET_CLUSTER,
                200,
                None,
                "Not found",
                true,
                "NotFound",
                "not_found",
            ),
            (
                &GET_CLUSTER,
                200,
                None,
                "You entered the wrong password",
                true,
                "Rejected",
                "client_error",
            ),
            (
                &ADD_NODE,
                200,
                Some(500),
                "out of order",
                true,
                "Rejected",
                "client_error",
            ),
            (
                &ADD_NODE,
                400,
                None,
                "bad group",
                true,
                "Rejected",
                "client_error",
            ),
            (
                &ADD_NODE,
                422,
                None,
                "bad group",
                true,
                "Rejected",
                "client_error",
            ),
            (
                &ADD_NODE,
                429,
                None,
                "slow down",
                true,
                "RateLimited",
                "rate_limited",
            ),
            (
                &GET_CLUSTER,
                500,
                Some(500),
                "oops",
                true,
                "Transient",
                "server_error",
            ),
            (&GET_CLUSTER, 502, None, "", false, "Transient", "server_error"),
            (&GET_CLUSTER, 200, None, "", false, "Transient", "server_error"),
            (&GET_CLUSTER, 302, None, "", false, "Transient", "server_error"),
            (
                &ADD_NODE,
                500,
                Some(500),
                "oops",
                true,
                "OutcomeUnknown",
                "server_error",
            ),
            (&ADD_NODE, 504, None, "", false, "OutcomeUnknown", "server_error"),
            (&ADD_NODE, 200, None, "", false, "OutcomeUnknown", "server_error"),
        ];
        for (endpoint, status, code, message, envelope, reason, error_type) in cases {
            let refusal = Refusal {
                message: (*message).to_owned(),
                code: *code,
                envelope: *envelope,
                retry_after: None,
            };
            let status = StatusCode::from_u16(*status).unwrap();
            let error = classify(endpoint, &Settings::default(), status, refusal);
            assert_eq!(
                (error.reason(), error.error_type()),
                (*reason, *error_type),
                "{status} {message:?}"
            );
            assert!(ERROR_TYPES.contains(&error.error_type()));
        }
    }

    #[test]
    fn a_request_without_an_answer_is_unknown_only_if_it_may_have_arrived() {
        let lost = |maybe_sent, timed_out| TransportError::new("gone", maybe_sent, timed_out);
        for (endpoint, maybe_sent, timed_out, reason) in [
            (&ADD_NODE, true, false, "OutcomeUnknown"),
            (&ADD_NODE, true, true, "OutcomeUnknown"),
            (&ADD_NODE, false, false, "Transient"),
            (&GET_CLUSTER, true, true, "Transient"),
        ] {
            let error = unanswered(endpoint, lost(maybe_sent, timed_out));
            assert_eq!(error.reason(), reason);
            assert_eq!(error.error_type(), "request_failed");
            assert_eq!(error.to_string().contains("timeout"), timed_out, "{error}");
        }
    }

    #[test]
    fn what_an_operator_did_wrong_does_not_speak_against_the_server() {
        for status in [400, 401, 403, 404, 409, 422, 429] {
            let refusal = Refusal {
                envelope: true,
                ..Refusal::default()
            };
            let error = classify(
                &ADD_NODE,
                &Settings::default(),
                StatusCode::from_u16(status).unwrap(),
                refusal,
            );
            assert!(!error.is_server_failure(), "{status}");
        }
    }
}
