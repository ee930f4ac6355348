//! Custom resources: what a CRD says, turned into served types, pruning, defaults and validation.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::cel::{CompiledSchema, ErrorKind, RootContext, ValidationError, Validator, compile_schema};
use serde_json::{Value, json};

use crate::error::{ApiError, FieldError};
use crate::metadata;
use crate::resources::{ResourceType, ScalePaths};
use crate::{schema, structure};

/// One version of a custom resource.
#[derive(Debug)]
pub(crate) struct CustomType {
    /// The name of the CRD.
    pub(crate) definition: String,
    /// The structural schema.
    pub(crate) schema: Value,
    pub(crate) selectable_fields: Vec<String>,
    rules: CompiledSchema,
    root: RootContext,
}

fn words(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn json_path(value: &Value) -> Option<String> {
    value.as_str().map(|path| path.trim_start_matches('.').to_owned())
}

/// The types that a CRD serves.
pub(crate) fn resource_types(crd: &Value) -> Vec<ResourceType> {
    let spec = &crd["spec"];
    let names = &spec["names"];
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    versions
        .iter()
        .filter(|version| version["served"] == true)
        .map(|version| {
            let schema = version["schema"]["openAPIV3Schema"].clone();
            let scale = &version["subresources"]["scale"];
            let (group, kind) = (text(&spec["group"]), text(&names["kind"]));
            let custom = CustomType {
                definition: text(&crd["metadata"]["name"]),
                rules: compile_schema(&schema),
                root: RootContext {
                    api_version: format!("{group}/{}", text(&version["name"])),
                    api_group: group.clone(),
                    kind: kind.clone(),
                },
                schema,
                selectable_fields: version["selectableFields"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|field| json_path(&field["jsonPath"]))
                    .collect(),
            };
            ResourceType {
                group,
                version: text(&version["name"]),
                plural: text(&names["plural"]),
                singular: text(&names["singular"]),
                list_kind: text(&names["listKind"]),
                short_names: words(&names["shortNames"]),
                kind,
                namespaced: spec["scope"] == "Namespaced",
                status: version["subresources"]["status"].is_object(),
                scale: json_path(&scale["specReplicasPath"]).map(|spec| ScalePaths {
                    spec,
                    status: json_path(&scale["statusReplicasPath"]).unwrap_or_default(),
                    selector: json_path(&scale["labelSelectorPath"]),
                }),
                generation: true,
                unconditional_update: false,
                create_on_update: false,
                returns_deleted: false,
                decode: None,
                custom: Some(Arc::new(custom)),
            }
        })
        .collect()
}

/// Completes a CRD: names that follow from others, and the conditions that say it is served.
pub(crate) fn default_definition(crd: &mut Value) {
    let names = &mut crd["spec"]["names"];
    let kind = text(&names["kind"]);
    if names["singular"].is_null() {
        names["singular"] = json!(kind.to_lowercase());
    }
    if names["listKind"].is_null() {
        names["listKind"] = json!(format!("{kind}List"));
    }
    if crd["spec"]["conversion"].is_null() {
        crd["spec"]["conversion"] = json!({"strategy": "None"});
    }
    let time = crd["metadata"]["creationTimestamp"].clone();
    let accepted = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": time,
        })
    };
    let stored: Vec<Value> = crd["spec"]["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|version| version["storage"] == true)
        .map(|version| version["name"].clone())
        .collect();
    let status = json!({
        "acceptedNames": crd["spec"]["names"],
        "conditions": [
            accepted("NamesAccepted", "NoConflicts", "no conflicts found"),
            accepted("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "storedVersions": stored,
    });
    crd["status"] = status;
}

/// The rules on CRDs that a project breaks when it generates them wrongly.
pub(crate) fn validate_definition(crd: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &crd["spec"];
    let expected = format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"]));
    let name = metadata::text(crd, "name");
    if name != expected {
        errors.push(FieldError::invalid(
            "metadata.name",
            &json!(name),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if versions
        .iter()
        .filter(|version| version["storage"] == true)
        .count()
        != 1
    {
        errors.push(FieldError::invalid(
            "spec.versions",
            &spec["versions"],
            "must have exactly one version marked as storage version",
        ));
    }
    for (index, version) in versions.iter().enumerate() {
        if version["schema"]["openAPIV3Schema"].is_null() {
            let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
            errors.push(FieldError::required(path, "schemas are required"));
        }
    }
    errors
}

/// Prunes and defaults an object as its schema says. With `strict`, unknown fields are refused instead of dropped.
pub(crate) fn decode(
    custom: &CustomType,
    resource: &ResourceType,
    value: &mut Value,
    strict: bool,
) -> Result<(), ApiError> {
    let refuse = |why: String| {
        ApiError::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {kind}: {why}",
            resource.version,
            kind = resource.kind
        ))
    };
    let meta: ObjectMeta =
        serde_json::from_value(value["metadata"].take()).map_err(|error| refuse(error.to_string()))?;
    let mut dropped = Vec::new();
    structure::prune_object(&custom.schema, value, &mut dropped);
    if strict && !dropped.is_empty() {
        let list: Vec<String> = dropped
            .iter()
            .map(|path| format!("unknown field \"{path}\""))
            .collect();
        return Err(refuse(format!("strict decoding error: {}", list.join(", "))));
    }
    structure::default_object(&custom.schema, value);
    value["metadata"] = serde_json::to_value(&meta).map_err(|error| refuse(error.to_string()))?;
    Ok(())
}

/// Schema first; the rules only when nothing in the schema's way keeps them from being meaningful.
pub(crate) fn validate(custom: &CustomType, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = schema::validate_object(&custom.schema, object, old);
    let blocking = errors.iter().any(|error| {
        matches!(
            error.reason,
            "FieldValueNotSupported"
                | "FieldValueRequired"
                | "FieldValueTooLong"
                | "FieldValueTooMany"
                | "FieldValueTypeInvalid"
        )
    });
    if blocking {
        errors.push(FieldError::invalid_shown(
            "",
            "null",
            "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
        ));
        return errors;
    }
    let result =
        Validator::new().validate_compiled_with_context(&custom.rules, object, old, Some(&custom.root));
    if let Err(broken) = result {
        for error in broken {
            let unchanged = old.is_some_and(|old| {
                let (before, after) = (
                    schema::at_path(old, &error.field_path),
                    schema::at_path(object, &error.field_path),
                );
                before.is_some() && before == after
            });
            if unchanged && !error.rule.contains("oldSelf") {
                continue;
            }
            errors.push(rule_error(object, error));
        }
    }
    errors
}

fn rule_error(object: &Value, error: ValidationError) -> FieldError {
    let value = schema::at_path(object, &error.field_path).unwrap_or(&Value::Null);
    let message = match error.kind {
        ErrorKind::ValidationFailure => error.message.trim().to_owned(),
        _ => error.message,
    };
    match error.reason.as_deref() {
        Some("FieldValueForbidden") => return FieldError::forbidden(error.field_path, message),
        Some("FieldValueRequired") => return FieldError::required(error.field_path, &message),
        Some("FieldValueDuplicate") => return FieldError::duplicate(error.field_path, value),
        _ => {}
    }
    if value.is_object() || value.is_array() || value.is_null() {
        // The server leaves containers out of the message.
        return FieldError {
            field: error.field_path,
            reason: "FieldValueInvalid",
            detail: format!("Invalid value: {message}"),
        };
    }
    FieldError::invalid(error.field_path, value, message)
}
