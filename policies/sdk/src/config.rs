//! Configurations: JSON texts read into the policy's own type, with errors that name the field.

use crate::types::Diagnostic;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The configuration of a policy that has none: only `{}` is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

impl NoConfig {
    /// The schema to describe it with.
    pub const SCHEMA: &str = r#"{"type":"object","additionalProperties":false}"#;
}

/// Reads a configuration. An empty text is `{}`.
pub(crate) fn parse<C: DeserializeOwned>(text: &str) -> Result<C, Diagnostic> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    let mut reader = serde_json::Deserializer::from_str(text);
    let config = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        Diagnostic::new(
            pointer,
            error.inner().to_string(),
            "see the policy's configuration schema",
        )
    })?;
    reader
        .end()
        .map_err(|error| Diagnostic::new("", error.to_string(), "the configuration is one JSON object"))?;
    Ok(config)
}

/// A path as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Config {
        seconds: u32,
        inner: Inner,
    }

    #[derive(Debug, PartialEq, Deserialize, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        list: Vec<u8>,
    }

    impl Default for Config {
        fn default() -> Self {
            Self {
                seconds: 7,
                inner: Inner::default(),
            }
        }
    }

    #[test]
    fn absent_fields_take_their_defaults() {
        for text in ["", "  ", "{}"] {
            assert_eq!(parse::<Config>(text), Ok(Config::default()), "{text:?}");
        }
    }

    #[test]
    fn an_error_names_the_field() {
        for (text, path, part) in [
            (r#"{"seconds":-1}"#, "/seconds", "-1"),
            (r#"{"inner":{"list":[1,300]}}"#, "/inner/list/1", "300"),
            (r#"{"secnds":1}"#, "/secnds", "unknown field"),
            ("[]x", "", ""),
            ("{} {}", "", "trailing"),
        ] {
            let diagnostic = parse::<Config>(text).expect_err(text);
            assert_eq!(diagnostic.path, path, "{text}");
            assert!(
                diagnostic.message.contains(part),
                "{text}: {}",
                diagnostic.message
            );
        }
    }
}
