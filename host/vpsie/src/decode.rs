//! Reads bodies leniently in form and strictly in meaning.
//!
//! Lenient: numbers may come as text, booleans as 0 and 1, fields may be missing or null, lists may be
//! `false`, unknown fields are ignored. Strict: an identifier that is not there, or a list that is not a
//! list, is an error and never an empty answer.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::lenient;

/// Where and why a body cannot be read. Never quotes the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{path}: {problem}")]
pub struct DecodeError {
    /// Place in the body, as in `data[3].id`.
    pub path: String,
    /// What is wrong there.
    pub problem: String,
}

impl DecodeError {
    pub(crate) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            problem: problem.into(),
        }
    }
}

/// A body that was understood as the API's envelope.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Envelope {
    pub(crate) error: bool,
    pub(crate) code: Option<u16>,
    pub(crate) message: String,
    pub(crate) body: Value,
}

/// What a body is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// Nothing at all.
    Empty,
    /// JSON.
    Envelope(Envelope),
    /// A gateway's page.
    Page,
    /// Something that begins like JSON and is not.
    Broken(DecodeError),
}

impl Body {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let text = bytes.trim_ascii_start();
        let Some(first) = text.first() else {
            return Self::Empty;
        };
        match serde_json::from_slice::<Value>(text) {
            Ok(body) => Self::Envelope(Envelope::of(body)),
            Err(error) if matches!(first, b'{' | b'[' | b'"') => Self::Broken(DecodeError::new(
                "body",
                format!("is not JSON ({})", category(&error)),
            )),
            Err(_) => Self::Page,
        }
    }
}

fn category(error: &serde_json::Error) -> String {
    let kind = if error.is_eof() {
        "ends too early"
    } else {
        "is malformed"
    };
    format!("it {kind} at line {} column {}", error.line(), error.column())
}

impl Envelope {
    fn of(body: Value) -> Self {
        let error = body.get("error").is_some_and(|flag| match flag {
            Value::Bool(flag) => *flag,
            Value::Number(number) => number.as_i64() != Some(0),
            // Some servers put the message itself there.
            Value::String(text) => !matches!(text.as_str(), "" | "0" | "false"),
            _ => false,
        });
        let text = |key| body.get(key).and_then(Value::as_str).unwrap_or_default();
        let message = match text("message") {
            "" if error => text("error"),
            message => message,
        };
        let code = body
            .get("code")
            .and_then(lenient::integer)
            .and_then(|code| u16::try_from(code).ok());
        Self {
            error,
            code,
            message: message.to_owned(),
            body,
        }
    }

    /// `data`, or the whole body for a server that sends no envelope.
    pub(crate) fn data(&self) -> &Value {
        match &self.body {
            Value::Object(fields) => fields
                .get("data")
                .or_else(|| fields.get("Data"))
                .unwrap_or(&Value::Null),
            other => other,
        }
    }
}

/// Whether the data says "there is none".
pub(crate) fn is_nothing(data: &Value) -> bool {
    matches!(data, Value::Null | Value::Bool(false))
}

/// Reads a list: an array, `rows` within an object, or nothing.
pub(crate) fn list<T: DeserializeOwned>(data: &Value) -> Result<Vec<T>, DecodeError> {
    let rows = match data {
        nothing if is_nothing(nothing) => return Ok(Vec::new()),
        Value::Array(rows) => rows,
        Value::Object(fields) => match fields.get("rows") {
            Some(Value::Array(rows)) => rows,
            _ => return Err(DecodeError::new("data", "is an object where a list is expected")),
        },
        _ => return Err(DecodeError::new("data", "is not a list")),
    };
    rows.iter()
        .enumerate()
        .map(|(index, row)| value(row, &format!("data[{index}]")))
        .collect()
}

/// Reads one value; `at` begins the path of an error.
pub(crate) fn value<T: DeserializeOwned>(value: &Value, at: &str) -> Result<T, DecodeError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = match error.path().to_string() {
            root if root == "." => at.to_owned(),
            inner => format!("{at}.{inner}"),
        };
        // serde's words quote the value found; the kind of problem is enough, and a body may hold a password.
        let words = error.inner().to_string();
        let problem = match words.as_str() {
            missing if missing.starts_with("missing field") => missing.to_owned(),
            ours if ours.starts_with("should ") => ours.to_owned(),
            _ => "has a type that is not expected".to_owned(),
        };
        DecodeError::new(path, problem)
    })
}

/// Makes the provider's words fit for a log, an event and a condition.
pub(crate) fn clean_message(message: &str) -> String {
    const LONGEST: usize = 300;
    let mut clean: String = message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST)
        .collect::<String>();
    if message.chars().count() > LONGEST {
        clean.push('…');
    }
    clean.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    fn envelope(text: &str) -> Envelope {
        match Body::read(text.as_bytes()) {
            Body::Envelope(envelope) => envelope,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bodies_are_told_apart() {
        assert_eq!(Body::read(b"  "), Body::Empty);
        assert_eq!(Body::read(b"<html>Bad gateway</html>"), Body::Page);
        assert!(matches!(
            Body::read(b"{\"error\":false,\"data\":[{"),
            Body::Broken(_)
        ));
        for (text, error, code, message) in [
            (r#"{"error":false,"data":[]}"#, false, None, ""),
            (
                r#"{"error":true,"code":500,"message":"no"}"#,
                true,
                Some(500),
                "no",
            ),
            (
                r#"{"error":1,"code":"404","message":"no"}"#,
                true,
                Some(404),
                "no",
            ),
            (r#"{"error":"broken","code":99999}"#, true, None, "broken"),
            (r#"{"error":"false"}"#, false, None, ""),
            ("true", false, None, ""),
        ] {
            let read = envelope(text);
            assert_eq!(
                (read.error, read.code, read.message.as_str()),
                (error, code, message),
                "{text}"
            );
        }
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Row {
        #[serde(deserialize_with = "lenient::number")]
        id: i64,
        #[serde(default, deserialize_with = "lenient::maybe_amount")]
        ram: Option<u64>,
        #[serde(default, deserialize_with = "lenient::maybe_flag")]
        active: Option<bool>,
        #[serde(default, deserialize_with = "lenient::maybe_price")]
        price: Option<f64>,
        #[serde(default, deserialize_with = "lenient::maybe_text")]
        name: Option<String>,
    }

    #[test]
    fn rows_are_read_in_every_spelling() {
        let plain = Row {
            id: 3,
            ram: None,
            active: None,
            price: None,
            name: None,
        };
        for (row, expected) in [
            (json!({"id": 3}), plain),
            (
                json!({"id": "3", "ram": "2048", "active": 0, "price": "24.5", "name": 7, "new": {}}),
                Row {
                    id: 3,
                    ram: Some(2048),
                    active: Some(false),
                    price: Some(24.5),
                    name: Some("7".to_owned()),
                },
            ),
            (
                json!({"id": 3.0, "ram": null, "active": "1", "price": 24, "name": ""}),
                Row {
                    id: 3,
                    ram: None,
                    active: Some(true),
                    price: Some(24.0),
                    name: None,
                },
            ),
        ] {
            assert_eq!(value::<Row>(&row, "data").unwrap(), expected, "{row}");
        }
    }

    #[test]
    fn an_error_names_the_place_and_never_quotes_the_value() {
        for (data, path, problem) in [
            (
                json!([{"id": 1}, {"id": "hunter2"}]),
                "data[1].id",
                "should be a whole number",
            ),
            (json!([{"ram": 1}]), "data[0]", "missing field `id`"),
            (
                json!([{"id": 1, "ram": -5}]),
                "data[0].ram",
                "should not be negative",
            ),
            (json!(["hunter2"]), "data[0]", "has a type that is not expected"),
            (
                json!({"hunter2": 1}),
                "data",
                "is an object where a list is expected",
            ),
            (json!(true), "data", "is not a list"),
        ] {
            let error = list::<Row>(&data).unwrap_err();
            assert_eq!(
                (error.path.as_str(), error.problem.as_str()),
                (path, problem),
                "{data}"
            );
        }
    }

    #[test]
    fn no_list_is_an_empty_list() {
        for data in [
            json!(null),
            json!(false),
            json!([]),
            json!({"rows": [], "count": 0}),
        ] {
            assert_eq!(list::<Row>(&data).unwrap(), [], "{data}");
        }
    }

    #[test]
    fn messages_are_cut_and_cleaned() {
        assert_eq!(clean_message(" a\nb\u{1b}c "), "a b c");
        assert_eq!(clean_message(&"x".repeat(999)).chars().count(), 301);
    }
}
