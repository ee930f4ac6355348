//! Durations as operators write them: `300s`, `5m`, `1h30m`.
//!
//! The text is kept as written, so that nothing changes when an object is written back; the value
//! is computed on demand. The schema refuses other texts before they are stored.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::Error;

/// A duration as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationString(pub String);

const RULE: &str = r"self.matches('^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$')";

impl DurationString {
    /// The value.
    pub fn value(&self) -> Result<Duration, Error> {
        parse_duration(&self.0)
    }
}

impl Default for DurationString {
    fn default() -> Self {
        Self("0s".to_owned())
    }
}

impl From<&str> for DurationString {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Display for DurationString {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for DurationString {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "DurationString".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "x-kubernetes-validations": [{
                "rule": RULE,
                "message": "must be a duration such as 300s, 5m or 1h30m",
            }],
        })
    }
}

/// Reads a sequence of numbers with the units `ms`, `s`, `m` and `h`.
pub fn parse_duration(text: &str) -> Result<Duration, Error> {
    let fail = |problem| Error::Duration {
        text: text.to_owned(),
        problem,
    };
    if text.is_empty() {
        return Err(fail("it is empty"));
    }
    let mut rest = text;
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, next) = tail.split_at(letters);
        let number: f64 = number.parse().map_err(|_| fail("a number is missing"))?;
        seconds += number
            * match unit {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "" => return Err(fail("a unit is missing")),
                _ => return Err(fail("the units are ms, s, m and h")),
            };
        rest = next;
    }
    // Milliseconds are the finest unit: rounding to them hides the error of the sum.
    let milliseconds = (seconds * 1000.0).round();
    if milliseconds > 1e15 {
        return Err(fail("it is longer than any operation"));
    }
    Ok(Duration::from_millis(milliseconds as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let table: [(&str, Option<u64>); 14] = [
            ("300s", Some(300_000)),
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("1.5h", Some(5_400_000)),
            ("10ms", Some(10)),
            ("0s", Some(0)),
            ("", None),
            ("300", None),
            ("s", None),
            ("5 m", None),
            ("-5m", None),
            ("5d", None),
            ("1..5s", None),
            ("99999999999999999999h", None),
        ];
        for (text, expected) in table {
            let read = parse_duration(text).ok().map(|d| d.as_millis() as u64);
            assert_eq!(read, expected, "{text:?}");
        }
    }
}
