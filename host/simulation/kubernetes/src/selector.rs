//! Label selectors (query syntax and `LabelSelector` objects) and field selectors.

use serde_json::Value;

use crate::error::ApiError;
use crate::resources::ResourceType;

/// One requirement on labels.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    GreaterThan(String, i64),
    LessThan(String, i64),
}

impl Requirement {
    fn matches(&self, labels: &Value) -> bool {
        let label = |key: &str| labels.get(key).and_then(Value::as_str);
        match self {
            Self::In(key, values) => label(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Self::NotIn(key, values) => label(key).is_none_or(|v| !values.iter().any(|w| w == v)),
            Self::Exists(key) => label(key).is_some(),
            Self::Absent(key) => label(key).is_none(),
            Self::GreaterThan(key, bound) => number(label(key)).is_some_and(|v| v > *bound),
            Self::LessThan(key, bound) => number(label(key)).is_some_and(|v| v < *bound),
        }
    }
}

fn number(text: Option<&str>) -> Option<i64> {
    text.and_then(|t| t.parse().ok())
}

/// A conjunction of requirements on labels; empty means everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

impl LabelSelector {
    /// Reads the form of the `labelSelector` query parameter: `a=b,c in (d,e),!f`.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        split_top_level(text)
            .into_iter()
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| {
                requirement(part)
                    .ok_or_else(|| ApiError::bad_request(format!("unable to parse requirement: {part}")))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Reads a `LabelSelector` object. `None` (a nil selector) matches nothing; an empty one everything.
    pub(crate) fn from_object(selector: Option<&Value>) -> Option<Self> {
        let selector = selector?;
        let mut requirements = Vec::new();
        if let Some(labels) = selector.get("matchLabels").and_then(Value::as_object) {
            for (key, value) in labels {
                let value = value.as_str().unwrap_or_default().to_owned();
                requirements.push(Requirement::In(key.clone(), vec![value]));
            }
        }
        for expression in selector
            .get("matchExpressions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let key = expression["key"].as_str()?.to_owned();
            let values: Vec<String> = expression["values"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect();
            requirements.push(match expression["operator"].as_str()? {
                "In" => Requirement::In(key, values),
                "NotIn" => Requirement::NotIn(key, values),
                "Exists" => Requirement::Exists(key),
                "DoesNotExist" => Requirement::Absent(key),
                _ => return None,
            });
        }
        Some(Self(requirements))
    }

    /// Whether an object's labels satisfy every requirement.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.0.iter().all(|requirement| requirement.matches(labels))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Splits at commas that are not inside parentheses.
fn split_top_level(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_i32, 0);
    for (index, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(part: &str) -> Option<Requirement> {
    if let Some(key) = part.strip_prefix('!') {
        return Some(Requirement::Absent(label_key(key)?));
    }
    for (operator, negated) in [("!=", true), ("==", false), ("=", false)] {
        if let Some((key, value)) = part.split_once(operator) {
            let (key, values) = (label_key(key)?, vec![value.trim().to_owned()]);
            return Some(if negated {
                Requirement::NotIn(key, values)
            } else {
                Requirement::In(key, values)
            });
        }
    }
    if let Some((key, bound)) = part.split_once('>') {
        return Some(Requirement::GreaterThan(
            label_key(key)?,
            bound.trim().parse().ok()?,
        ));
    }
    if let Some((key, bound)) = part.split_once('<') {
        return Some(Requirement::LessThan(label_key(key)?, bound.trim().parse().ok()?));
    }
    if let Some((head, tail)) = part.split_once('(') {
        let values = tail
            .strip_suffix(')')?
            .split(',')
            .map(|v| v.trim().to_owned())
            .collect();
        let mut words = head.split_whitespace();
        let key = label_key(words.next()?)?;
        return match (words.next()?, words.next()) {
            ("in", None) => Some(Requirement::In(key, values)),
            ("notin", None) => Some(Requirement::NotIn(key, values)),
            _ => None,
        };
    }
    label_key(part).map(Requirement::Exists)
}

fn label_key(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty() && !text.contains(char::is_whitespace);
    fits.then(|| text.to_owned())
}

/// A conjunction of (in)equalities on the few fields that the server indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<FieldRequirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldRequirement {
    path: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    pub(crate) fn parse(text: &str, resource: &ResourceType) -> Result<Self, ApiError> {
        let mut requirements = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (path, value, equal) = if let Some((path, value)) = part.split_once("!=") {
                (path, value, false)
            } else if let Some((path, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (path, value, true)
            } else {
                return Err(ApiError::bad_request(format!(
                    "invalid field selector: '{part}'; can't understand '{part}'"
                )));
            };
            if !resource.selectable_fields().iter().any(|field| field == path) {
                return Err(ApiError::bad_request(format!(
                    "field label not supported: {path}"
                )));
            }
            requirements.push(FieldRequirement {
                path: path.to_owned(),
                value: value.to_owned(),
                equal,
            });
        }
        Ok(Self(requirements))
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|requirement| {
            let found = field_text(object, &requirement.path);
            (found == requirement.value) == requirement.equal
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The text of a dotted path; absent fields read as the empty string.
fn field_text(object: &Value, path: &str) -> String {
    let mut value = object;
    for segment in path.split('.') {
        value = &value[segment];
    }
    match value {
        Value::String(text) => text.clone(),
        // A node that was never cordoned has no such field; the selector sees `false`.
        Value::Null if path == "spec.unschedulable" => "false".to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::LabelSelector;

    #[test]
    fn label_selectors_match_as_documented() {
        let pod = json!({"metadata": {"labels": {"app": "web", "tier": "3"}}});
        for (text, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier", true),
            ("app!=web", false),
            ("missing!=web", true),
            ("app in (db, web)", true),
            ("app notin (db,web)", false),
            ("missing notin (db)", true),
            ("!app", false),
            ("!missing", true),
            ("tier>2,tier<4", true),
            ("tier>3", false),
        ] {
            let selector = LabelSelector::parse(text).unwrap();
            assert_eq!(selector.matches(&pod), expected, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["a b", "=x", "app in web", "tier>x"] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn selector_objects_distinguish_nil_from_empty() {
        let pod = json!({"metadata": {"labels": {"app": "web"}}});
        assert!(LabelSelector::from_object(None).is_none());
        let all = LabelSelector::from_object(Some(&json!({}))).unwrap();
        assert!(all.matches(&pod) && all.is_empty());
        let some = json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}],
        });
        assert!(LabelSelector::from_object(Some(&some)).unwrap().matches(&pod));
    }
}
