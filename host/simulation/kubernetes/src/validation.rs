//! Validation: metadata of every object, and the few rules of built-in kinds that a controller can run into.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use crate::error::FieldError;
use crate::resources::ResourceType;
use crate::{custom, metadata as meta};

const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED_RULE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// A fixed pattern; one that does not compile matches nothing, and the tests below would show it.
fn pattern(text: &str) -> Option<Regex> {
    Regex::new(text).ok()
}

static SUBDOMAIN: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"));
static LABEL: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"));
static LABEL_VALUE: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"));
static QUALIFIED: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$"));

fn matches(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// Rules about metadata that hold for every object.
pub(crate) fn metadata(resource: &ResourceType, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = meta::text(object, "name");
    if !name.is_empty() {
        let label = resource.is("", "namespaces");
        if label && name.len() > 63 {
            errors.push(FieldError::invalid(
                "metadata.name",
                &json!(name),
                "must be no more than 63 bytes",
            ));
        } else if name.len() > 253 {
            errors.push(FieldError::invalid(
                "metadata.name",
                &json!(name),
                "must be no more than 253 bytes",
            ));
        }
        if label && !matches(&LABEL, name) {
            errors.push(FieldError::invalid("metadata.name", &json!(name), LABEL_RULE));
        } else if !label && !matches(&SUBDOMAIN, name) {
            errors.push(FieldError::invalid("metadata.name", &json!(name), SUBDOMAIN_RULE));
        }
    }
    for (key, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
        qualified_name("metadata.labels", key, &mut errors);
        let value = value.as_str().unwrap_or_default();
        if value.len() > 63 {
            errors.push(FieldError::invalid(
                "metadata.labels",
                &json!(value),
                "must be no more than 63 bytes",
            ));
        }
        if !matches(&LABEL_VALUE, value) {
            errors.push(FieldError::invalid(
                "metadata.labels",
                &json!(value),
                LABEL_VALUE_RULE,
            ));
        }
    }
    for key in object["metadata"]["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key)
    {
        qualified_name("metadata.annotations", &key.to_lowercase(), &mut errors);
    }
    for finalizer in meta::finalizers(object) {
        qualified_name("metadata.finalizers", finalizer, &mut errors);
        if resource.custom.is_none() && !finalizer.contains('/') && !is_standard_finalizer(finalizer) {
            errors.push(FieldError::invalid(
                "metadata.finalizers[0]",
                &json!(finalizer),
                "name is neither a standard finalizer name nor is it fully qualified",
            ));
        }
    }
    let references = object["metadata"]["ownerReferences"].as_array();
    let mut controllers = 0;
    for reference in references.into_iter().flatten() {
        let path = "metadata.ownerReferences";
        for key in ["apiVersion", "kind", "name", "uid"] {
            if reference[key].as_str().unwrap_or_default().is_empty() {
                let detail = match key {
                    "apiVersion" => "version must not be empty",
                    "kind" => "must not be empty",
                    _ => "must not be empty",
                };
                errors.push(FieldError::invalid(format!("{path}.{key}"), &json!(""), detail));
            }
        }
        controllers += usize::from(reference["controller"] == true);
    }
    if controllers > 1 {
        errors.push(FieldError::invalid(
            "metadata.ownerReferences",
            &object["metadata"]["ownerReferences"],
            "Only one reference can have Controller set to true",
        ));
    }
    errors
}

fn is_standard_finalizer(name: &str) -> bool {
    matches!(name, "kubernetes" | "orphan" | "foregroundDeletion")
}

fn qualified_name(field: &str, key: &str, errors: &mut Vec<FieldError>) {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(prefix) = prefix {
        if prefix.is_empty() {
            errors.push(FieldError::invalid(
                field,
                &json!(key),
                "prefix part must be non-empty",
            ));
        } else if !matches(&SUBDOMAIN, prefix) {
            errors.push(FieldError::invalid(
                field,
                &json!(key),
                format!("prefix part {SUBDOMAIN_RULE}"),
            ));
        }
    }
    if name.is_empty() {
        errors.push(FieldError::invalid(
            field,
            &json!(key),
            "name part must be non-empty",
        ));
    } else if name.len() > 63 {
        errors.push(FieldError::invalid(
            field,
            &json!(key),
            "name part must be no more than 63 bytes",
        ));
    }
    if !matches(&QUALIFIED, name) {
        errors.push(FieldError::invalid(field, &json!(key), QUALIFIED_RULE));
    }
}

/// Rules about the change of metadata.
pub(crate) fn metadata_update(old: &Value, new: &Value) -> Vec<FieldError> {
    if !meta::is_terminating(old) {
        return Vec::new();
    }
    let before = meta::finalizers(old);
    let mut added: Vec<&str> = meta::finalizers(new)
        .into_iter()
        .filter(|finalizer| !before.contains(finalizer))
        .collect();
    if added.is_empty() {
        return Vec::new();
    }
    added.sort_unstable();
    let shown: Vec<String> = added.iter().map(|name| format!("\"{name}\"")).collect();
    vec![FieldError::forbidden(
        "metadata.finalizers",
        format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            shown.join(", ")
        ),
    )]
}

/// Rules about the content of an object.
pub(crate) fn object(resource: &ResourceType, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    if let Some(custom) = &resource.custom {
        return custom::validate(custom, object, old);
    }
    let mut errors = Vec::new();
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => pod_spec(&object["spec"], "spec", &mut errors),
        ("", "nodes") => taints(&object["spec"]["taints"], &mut errors),
        ("apps", "deployments" | "replicasets" | "daemonsets" | "statefulsets") => {
            workload(object, &mut errors)
        }
        ("policy", "poddisruptionbudgets") => {
            let spec = &object["spec"];
            if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
                errors.push(FieldError::invalid(
                    "spec",
                    spec,
                    "minAvailable and maxUnavailable cannot be both set",
                ));
            }
        }
        ("coordination.k8s.io", "leases") => {
            if object["spec"]["leaseDurationSeconds"]
                .as_i64()
                .is_some_and(|seconds| seconds <= 0)
            {
                errors.push(FieldError::invalid(
                    "spec.leaseDurationSeconds",
                    &object["spec"]["leaseDurationSeconds"],
                    "must be greater than 0",
                ));
            }
            if object["spec"]["leaseTransitions"]
                .as_i64()
                .is_some_and(|count| count < 0)
            {
                errors.push(FieldError::invalid(
                    "spec.leaseTransitions",
                    &object["spec"]["leaseTransitions"],
                    "must be greater than or equal to 0",
                ));
            }
        }
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            errors.extend(custom::validate_definition(object))
        }
        _ => {}
    }
    errors
}

fn pod_spec(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let containers = spec["containers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if containers.is_empty() {
        errors.push(FieldError::required(format!("{path}.containers"), ""));
    }
    let mut names: Vec<&str> = Vec::new();
    for (index, container) in containers.iter().enumerate() {
        let at = |field: &str| format!("{path}.containers[{index}].{field}");
        let name = container["name"].as_str().unwrap_or_default();
        if name.is_empty() {
            errors.push(FieldError::required(at("name"), ""));
        } else if names.contains(&name) {
            errors.push(FieldError::duplicate(at("name"), &json!(name)));
        }
        names.push(name);
        if container["image"].as_str().unwrap_or_default().is_empty() {
            errors.push(FieldError::required(at("image"), ""));
        }
    }
}

fn taints(taints: &Value, errors: &mut Vec<FieldError>) {
    let mut seen = Vec::new();
    for (index, taint) in taints.as_array().into_iter().flatten().enumerate() {
        // The real server says `metadata` here.
        let path = format!("metadata.taints[{index}]");
        qualified_name(
            &format!("{path}.key"),
            taint["key"].as_str().unwrap_or_default(),
            errors,
        );
        let effect = taint["effect"].as_str().unwrap_or_default();
        if !matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
            let supported = ["NoSchedule", "PreferNoSchedule", "NoExecute"].map(str::to_owned);
            errors.push(FieldError::unsupported(
                format!("{path}.effect"),
                &json!(effect),
                &supported,
            ));
        }
        let identity = (taint["key"].clone(), effect.to_owned());
        if seen.contains(&identity) {
            let mut error = FieldError::duplicate(path, &Value::Null);
            error.detail = format!(
                "Duplicate value: {{\"Key\":{},\"Value\":{},\"Effect\":\"{effect}\",\"TimeAdded\":null}}: taints must be unique by key and effect pair",
                taint["key"],
                json!(taint["value"].as_str().unwrap_or_default()),
            );
            errors.push(error);
        }
        seen.push(identity);
    }
}

fn workload(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    if spec["replicas"].as_i64().is_some_and(|replicas| replicas < 0) {
        errors.push(FieldError::invalid(
            "spec.replicas",
            &spec["replicas"],
            "must be greater than or equal to 0",
        ));
    }
    let selector = crate::selector::LabelSelector::from_object(spec.get("selector"));
    match selector {
        Some(selector) if !selector.is_empty() => {
            if !selector.matches(&spec["template"]) {
                errors.push(FieldError::invalid(
                    "spec.template.metadata.labels",
                    &spec["template"]["metadata"]["labels"],
                    "`selector` does not match template `labels`",
                ));
            }
        }
        _ => errors.push(FieldError::required("spec.selector", "")),
    }
    pod_spec(&spec["template"]["spec"], "spec.template.spec", errors);
}

/// Rules about the change of an object through its main endpoint.
pub(crate) fn object_update(resource: &ResourceType, old: &Value, new: &Value) -> Vec<FieldError> {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") if mutable_pod_spec(old) != mutable_pod_spec(new) => vec![FieldError::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        )],
        ("apps", _) if old["spec"]["selector"] != new["spec"]["selector"] => vec![FieldError::invalid(
            "spec.selector",
            &new["spec"]["selector"],
            "field is immutable",
        )],
        _ => Vec::new(),
    }
}

/// A pod's specification without the fields that may change.
fn mutable_pod_spec(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    for key in [
        "activeDeadlineSeconds",
        "tolerations",
        "terminationGracePeriodSeconds",
        "schedulingGates",
    ] {
        meta::set(&mut spec, key, None);
    }
    for list in ["containers", "initContainers"] {
        for container in spec
            .get_mut(list)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            meta::set(container, "image", None);
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::metadata;
    use crate::resources::built_in;

    #[test]
    fn names_and_labels_are_checked() {
        let types = built_in();
        let maps = types.iter().find(|t| t.plural == "configmaps").unwrap();
        for (object, fields) in [
            (json!({"metadata": {"name": "a.b-1"}}), vec![]),
            (json!({"metadata": {"name": "A"}}), vec!["metadata.name"]),
            (
                json!({"metadata": {"name": "a", "labels": {"a b": "c"}}}),
                vec!["metadata.labels"],
            ),
            (
                json!({"metadata": {"name": "a", "labels": {"x.io/a": "-c"}}}),
                vec!["metadata.labels"],
            ),
            (
                json!({"metadata": {"name": "a", "finalizers": ["x.io/f"]}}),
                vec![],
            ),
        ] {
            let found: Vec<String> = metadata(maps, &object).into_iter().map(|e| e.field).collect();
            assert_eq!(found, fields, "{object}");
        }
    }
}
