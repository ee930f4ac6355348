//! A configuration held against the JSON Schema that its component brings along.
//!
//! The component is not trusted: its patterns run in an engine without backtracking, and nothing is fetched.

use crate::compile::Diagnostic;
use crate::lift::printable;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

/// Complaints that are told; a configuration that has more is another one altogether.
const COMPLAINTS: usize = 20;
/// Characters of a complaint.
const TEXT_CHARS: usize = 300;

pub(crate) struct ConfigSchema {
    validator: Validator,
    schema: Value,
}

impl ConfigSchema {
    /// # Errors
    /// What is wrong with the schema itself.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let schema: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .build(&schema)
            .map_err(|error| printable(&error.to_string(), TEXT_CHARS))?;
        Ok(Self { validator, schema })
    }

    /// In the order of their paths; empty is good.
    pub(crate) fn complaints(&self, config: &str) -> Vec<Diagnostic> {
        // An empty text is `{}`, as the SDK reads it.
        let config = if config.trim().is_empty() { "{}" } else { config };
        let config: Value = match serde_json::from_str(config) {
            Ok(config) => config,
            Err(error) => {
                return vec![Diagnostic {
                    path: String::new(),
                    message: format!("it is no JSON: {error}"),
                    hint: String::new(),
                }];
            }
        };
        let errors = self.validator.iter_errors(&config);
        let mut complaints: Vec<Diagnostic> = errors
            .take(COMPLAINTS)
            .map(|error| self.complaint(&error))
            .collect();
        complaints.sort_by(|one, other| (&one.path, &one.message).cmp(&(&other.path, &other.message)));
        complaints
    }

    fn complaint(&self, error: &ValidationError<'_>) -> Diagnostic {
        let mut path = error.instance_path().as_str().to_owned();
        // The library points at the object; the option that nobody knows is what is wrong.
        if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind()
            && let Some(name) = unexpected.first()
        {
            path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        }
        let (message, hint) = (error.to_string(), self.hint(error));
        Diagnostic {
            path: printable(&path, TEXT_CHARS),
            message: printable(&message, TEXT_CHARS),
            hint: printable(&hint, TEXT_CHARS),
        }
    }

    /// What would do instead.
    fn hint(&self, error: &ValidationError<'_>) -> String {
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { .. } => {
                // The schema's path ends in the keyword; beside it are the properties.
                let at = error.schema_path().as_str();
                let parent = at.rsplit_once('/').map_or("", |(parent, _)| parent);
                let properties = self
                    .schema
                    .pointer(parent)
                    .and_then(|schema| schema.get("properties"));
                let names: Vec<&str> = properties
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name.as_str())
                    .collect();
                if names.is_empty() {
                    "there are no options".to_owned()
                } else {
                    format!("there are {}", names.join(", "))
                }
            }
            ValidationErrorKind::Required { property } => {
                format!("add {}", property.as_str().unwrap_or_default())
            }
            ValidationErrorKind::Enum { options } => format!("one of {options}"),
            ValidationErrorKind::Type {
                kind: TypeKind::Single(expected),
            } => format!("write a value of type {expected}"),
            ValidationErrorKind::Minimum { limit } | ValidationErrorKind::ExclusiveMinimum { limit } => {
                format!("write more, the limit is {limit}")
            }
            ValidationErrorKind::Maximum { limit } | ValidationErrorKind::ExclusiveMaximum { limit } => {
                format!("write less, the limit is {limit}")
            }
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r##"{
        "type": "object",
        "additionalProperties": false,
        "required": ["zone"],
        "properties": {
            "zone": {"type": "string", "pattern": "^(a+)+$"},
            "count": {"type": "integer", "minimum": 1, "maximum": 9},
            "order": {"enum": ["price", "stock"]},
            "inner": {"$ref": "#/$defs/inner"}
        },
        "$defs": {"inner": {"type": "object", "additionalProperties": false, "properties": {"deep": {"type": "boolean"}}}}
    }"##;

    #[test]
    fn a_violation_is_told_with_its_path_and_a_hint() {
        let schema = ConfigSchema::new(SCHEMA).unwrap();
        for (config, expected) in [
            (r#"{"zone": "aa"}"#, vec![]),
            ("{", vec![("", "it is no JSON", "")]),
            ("{}", vec![("", "\"zone\" is a required property", "add zone")]),
            (
                r#"{"zone": "aa", "cuont": 3}"#,
                vec![(
                    "/cuont",
                    "'cuont' was unexpected",
                    "there are count, inner, order, zone",
                )],
            ),
            (
                r#"{"zone": "aa", "count": "x"}"#,
                vec![(
                    "/count",
                    "is not of type \"integer\"",
                    "write a value of type integer",
                )],
            ),
            (
                r#"{"zone": "aa", "count": 0}"#,
                vec![("/count", "less than the minimum", "write more, the limit is 1")],
            ),
            (
                r#"{"zone": "aa", "count": 10, "order": "luck"}"#,
                vec![
                    ("/count", "greater than the maximum", "write less, the limit is 9"),
                    ("/order", "is not one of", "one of [\"price\",\"stock\"]"),
                ],
            ),
            (
                r#"{"zone": "aa", "inner": {"deep": 1}}"#,
                vec![("/inner/deep", "is not of type", "write a value of type boolean")],
            ),
        ] {
            let complaints = schema.complaints(config);
            assert_eq!(complaints.len(), expected.len(), "{config}: {complaints:?}");
            for (complaint, (path, message, hint)) in complaints.iter().zip(expected) {
                assert_eq!(
                    (complaint.path.as_str(), complaint.hint.as_str()),
                    (path, hint),
                    "{config}"
                );
                assert!(complaint.message.contains(message), "{config}: {complaint:?}");
            }
        }
    }

    #[test]
    fn a_pattern_of_a_hostile_component_takes_no_time() {
        let schema = ConfigSchema::new(SCHEMA).unwrap();
        let long = format!(r#"{{"zone": "{}!"}}"#, "a".repeat(50_000));
        assert_eq!(schema.complaints(&long).len(), 1);
    }

    #[test]
    fn what_is_no_schema_is_refused_and_nothing_is_fetched_for_it() {
        for text in [
            "",
            "[]",
            r#"{"type": "thing"}"#,
            r##"{"$ref": "#/$defs/none"}"##,
            r#"{"$ref": "https://schemas.example/x.json"}"#,
            r#"{"pattern": "(?=a)b"}"#,
        ] {
            assert!(ConfigSchema::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn schemas_that_turn_in_circles_come_to_an_end() {
        for text in [
            r##"{"$ref": "#"}"##,
            r##"{"allOf": [{"$ref": "#"}]}"##,
            r##"{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}"##,
            r##"{"not": {"anyOf": [{"$ref": "#"}]}}"##,
            r##"{"properties": {"a": {"$ref": "#"}}}"##,
        ] {
            if let Ok(schema) = ConfigSchema::new(text) {
                let _ = schema.complaints(r#"{"a": {"a": {"a": 1}}}"#);
            }
        }
    }
}
