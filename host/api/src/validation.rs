//! Checks manifests as the API server would, without one.
//!
//! The order is the server's: nulls that a field does not allow are dropped, the structure is
//! checked, defaults are applied, then the CEL rules run. Unknown fields are violations here, as
//! with `kubectl apply --validate=strict`: a misspelt field that is silently dropped is the worst
//! kind of configuration.

mod structural;

use kube::core::cel::Validator;
use serde_json::Value;

use crate::{API_VERSION, Error, all_crds};

/// One thing that the API server would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, such as `spec.maxNodes`; empty for the object itself.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

/// Reads one manifest in YAML or JSON.
pub fn parse_manifest(text: &str) -> Result<Value, Error> {
    serde_saphyr::from_str(text).map_err(|source| Error::Yaml(Box::new(source)))
}

/// Checks one manifest in YAML or JSON.
pub fn validate_manifest(text: &str) -> Result<Vec<Violation>, Error> {
    validate_object(&parse_manifest(text)?, None)
}

/// Checks an object; with `old`, also the rules about what may change.
pub fn validate_object(object: &Value, old: Option<&Value>) -> Result<Vec<Violation>, Error> {
    let schema = schema_of(object)?;
    let (mut object, mut old) = (object.clone(), old.cloned());
    structural::prune_nulls(&schema, &mut object);
    if let Some(old) = &mut old {
        structural::prune_nulls(&schema, old);
    }
    let mut violations = Vec::new();
    if object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
        && object.pointer("/metadata/generateName").is_none()
    {
        violations.push(Violation {
            path: "metadata.name".to_owned(),
            message: "required".to_owned(),
        });
    }
    structural::check(&schema, &object, &mut violations);
    if violations.is_empty()
        && let Err(errors) = Validator::new().validate(&schema, &object, old.as_ref())
    {
        violations.extend(errors.into_vec().into_iter().map(|e| Violation {
            path: e.field_path.trim_start_matches('.').to_owned(),
            message: e.message,
        }));
    }
    Ok(violations)
}

fn schema_of(object: &Value) -> Result<Value, Error> {
    let text = |key: &str| {
        object
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let crd = all_crds()?
        .into_iter()
        .find(|crd| crd.spec.names.kind == kind && api_version == API_VERSION)
        .ok_or(Error::UnknownKind { api_version, kind })?;
    let kind = crd.spec.names.kind.clone();
    let schema = crd
        .spec
        .versions
        .into_iter()
        .next()
        .and_then(|version| version.schema);
    serde_json::to_value(schema.and_then(|schema| schema.open_api_v3_schema))
        .map_err(|source| Error::Schema { kind, source })
}
