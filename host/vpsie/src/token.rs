//! Reads the reply of a token exchange, of which there are two shapes and several spellings of time.

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

use crate::decode::DecodeError;

/// A token as the server gave it.
#[derive(Debug, Clone)]
pub(crate) struct NewToken {
    pub(crate) secret: SecretString,
    pub(crate) expires_at: Option<Timestamp>,
}

/// Reads the reply of a token exchange, in either of its two shapes, with or without an envelope's `data`.
pub(crate) fn read_token(body: &Value) -> Result<NewToken, DecodeError> {
    let places = [body.pointer("/token/access"), body.get("accessToken")];
    let nested = [
        body.pointer("/data/token/access"),
        body.pointer("/data/accessToken"),
    ];
    let access = places.into_iter().chain(nested).flatten().next();
    let access =
        access.ok_or_else(|| DecodeError::new("token.access", "is missing, and so is accessToken"))?;
    let secret = match access {
        Value::String(secret) => Some(secret.as_str()),
        other => other.get("token").and_then(Value::as_str),
    };
    let secret = secret
        .filter(|secret| !secret.is_empty())
        .ok_or_else(|| DecodeError::new("token.access.token", "should be text"))?;
    Ok(NewToken {
        secret: SecretString::from(secret),
        expires_at: access.get("expires").and_then(read_time),
    })
}

/// A time in any of the spellings that servers use; an unreadable one is no time.
fn read_time(value: &Value) -> Option<Timestamp> {
    // Seconds of any plausible year are below this, milliseconds above.
    const MILLISECONDS_FROM: i64 = 100_000_000_000;
    match value {
        Value::String(text) => text.parse().ok().or_else(|| {
            let local: jiff::civil::DateTime = text.parse().ok()?;
            Some(local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
        }),
        Value::Number(number) => match number.as_i64()? {
            milliseconds if milliseconds >= MILLISECONDS_FROM => {
                Timestamp::from_millisecond(milliseconds).ok()
            }
            seconds => Timestamp::from_second(seconds).ok(),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;

    #[test]
    fn both_shapes_of_the_reply_are_read() {
        let end: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
        for (body, expires) in [
            (
                json!({"error": false, "token": {"access": {"token": "t", "expires": "2026-05-01T12:00:00Z"}}}),
                Some(end),
            ),
            (
                json!({"error": false, "accessToken": {"token": "t", "expires": "2026-05-01T14:00:00+02:00"}}),
                Some(end),
            ),
            (
                json!({"data": {"accessToken": {"token": "t", "expires": "2026-05-01 12:00:00"}}}),
                Some(end),
            ),
            (
                json!({"token": {"access": {"token": "t", "expires": 1_777_636_800}}}),
                Some(end),
            ),
            (
                json!({"token": {"access": {"token": "t", "expires": 1_777_636_800_000_i64}}}),
                Some(end),
            ),
            (
                json!({"token": {"access": {"token": "t", "expires": "soon"}}}),
                None,
            ),
            (json!({"accessToken": "t"}), None),
        ] {
            let token = read_token(&body).unwrap();
            assert_eq!(token.secret.expose_secret(), "t", "{body}");
            assert_eq!(token.expires_at, expires, "{body}");
        }
        for body in [
            json!({}),
            json!({"token": "t"}),
            json!({"accessToken": {"token": ""}}),
            json!(true),
        ] {
            assert!(read_token(&body).is_err(), "{body}");
        }
    }
}
