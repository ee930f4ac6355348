//! Field readers for serde's `deserialize_with`, one per kind of field: a number may come as text, a flag as
//! 0 or 1, and what is missing may be missing, null, false or empty. Use them together with `default`.

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::Value;

pub(crate) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            number
                .as_f64()
                .filter(|f| f.fract() == 0.0 && f.abs() < 9e15)
                .map(|f| f as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn is_absent(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false)) || value.as_str().is_some_and(|s| s.trim().is_empty())
}

/// A number that must be there.
pub(crate) fn number<'de, D: Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
    integer(&Value::deserialize(d)?).ok_or_else(|| serde::de::Error::custom("should be a whole number"))
}

/// A number that may be missing.
pub(crate) fn maybe_number<'de, D: Deserializer<'de>>(d: D) -> Result<Option<i64>, D::Error> {
    let value = Value::deserialize(d)?;
    if is_absent(&value) {
        return Ok(None);
    }
    integer(&value)
        .map(Some)
        .ok_or_else(|| serde::de::Error::custom("should be a whole number"))
}

/// An amount of something, which may be missing but not negative.
pub(crate) fn maybe_amount<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    maybe_number(d)?
        .map(|number| u64::try_from(number).map_err(|_| serde::de::Error::custom("should not be negative")))
        .transpose()
}

/// A price, which may be missing.
pub(crate) fn maybe_price<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
    let value = Value::deserialize(d)?;
    if is_absent(&value) {
        return Ok(None);
    }
    let price = match &value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().trim_start_matches('$').parse().ok(),
        _ => None,
    };
    match price {
        Some(price) if price.is_finite() && price >= 0.0 => Ok(Some(price)),
        _ => Err(serde::de::Error::custom("should be a price")),
    }
}

/// Text that may be missing; a number is read as text.
pub(crate) fn maybe_text<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    let value = Value::deserialize(d)?;
    match &value {
        absent if is_absent(absent) => Ok(None),
        Value::String(text) => Ok(Some(text.trim().to_owned())),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(serde::de::Error::custom("should be text")),
    }
}

/// Text that must be there.
pub(crate) fn text<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    maybe_text(d)?.ok_or_else(|| serde::de::Error::custom("should not be empty"))
}

/// A yes or no in any of its spellings; missing is no answer.
pub(crate) fn maybe_flag<'de, D: Deserializer<'de>>(d: D) -> Result<Option<bool>, D::Error> {
    match Value::deserialize(d)? {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(flag)),
        Value::Number(number) => Ok(Some(number.as_f64() != Some(0.0))),
        Value::String(text) => match text.trim().to_lowercase().as_str() {
            "" => Ok(None),
            "1" | "true" | "yes" => Ok(Some(true)),
            "0" | "false" | "no" => Ok(Some(false)),
            _ => Err(serde::de::Error::custom("should be true or false")),
        },
        _ => Err(serde::de::Error::custom("should be true or false")),
    }
}
