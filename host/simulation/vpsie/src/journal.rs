//! What was asked and answered, for assertions such as "exactly one node was ordered". Holds no secret.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// One request and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JournalEntry {
    /// Arrival.
    pub at: Timestamp,
    /// HTTP method.
    pub method: String,
    /// Path without the version prefix, as in `/k8s/cluster/all`.
    pub path: String,
    /// Body with every secret replaced.
    pub body: Value,
    /// HTTP status answered; `None` if the connection was dropped.
    pub status: Option<u16>,
    /// Whether the request was carried out (which a dropped connection hides).
    pub applied: bool,
}

/// Names of fields that hold secrets, in lower case.
const SECRET_FIELDS: [&str; 6] = [
    "clientsecret",
    "password",
    "vmpassword",
    "newpassword",
    "token",
    "userdata",
];

pub(crate) fn without_secrets(body: &Value) -> Value {
    match body {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                let secret = SECRET_FIELDS.contains(&name.to_lowercase().as_str());
                let value = if secret {
                    Value::from("[secret]")
                } else {
                    without_secrets(value)
                };
                (name.clone(), value)
            })
            .collect(),
        Value::Array(items) => items.iter().map(without_secrets).collect(),
        other => other.clone(),
    }
}
