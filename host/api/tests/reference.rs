//! `docs/crds.md` is what the schemas say. `BLESS=1` rewrites it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fmt::Write as _;
use std::path::Path;

use autoscaler_api::all_crds;
use serde_json::Value;

const INTRODUCTION: &str = "\
# Custom resources

<!-- Generated from the schemas in crds/ by host/api/tests/reference.rs; BLESS=1 rewrites it. -->

API version `autoscaler.vpsie.com/v1alpha1`. A field with a star must be given. A default is filled in by the
API server where the field's parent is given, and holds otherwise, too. \"Without effect in this version\" means:
the field is accepted, nothing acts on it, and the object's condition `UnsupportedFields` says so as soon as
somebody counts on it. Rules are checked by the API server when an object is written.
";

#[test]
fn the_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/crds.md");
    let page = page();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        present == page,
        "docs/crds.md is stale: run this test with BLESS=1"
    );
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for crd in all_crds().unwrap() {
        let names = &crd.spec.names;
        let short = names.short_names.clone().unwrap_or_default().join("`, `");
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap()["openAPIV3Schema"].clone();
        writeln!(page, "\n## {}\n", names.kind).unwrap();
        writeln!(page, "{}", text(&schema)).unwrap();
        let scope = match crd.spec.scope.as_str() {
            "Namespaced" => "in a namespace",
            _ => "for the whole cluster",
        };
        writeln!(
            page,
            "\n`kubectl get {}`, short `{short}`; {scope}.\n",
            names.plural
        )
        .unwrap();
        page.push_str("| Field | Type | Default | Meaning |\n|---|---|---|---|\n");
        let mut rules = Vec::new();
        collect_rules("", &schema, &mut rules);
        for part in ["spec", "status"] {
            let schema = &schema["properties"][part];
            fields(part, schema, &mut page);
            collect_rules(part, schema, &mut rules);
        }
        if !rules.is_empty() {
            page.push_str("\nRules:\n\n");
            for rule in rules {
                writeln!(page, "- {rule}").unwrap();
            }
        }
    }
    page
}

fn fields(path: &str, schema: &Value, page: &mut String) {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let star = if required.contains(&name.as_str()) {
            " \\*"
        } else {
            ""
        };
        let default = field
            .get("default")
            .map_or_else(String::new, |value| format!("`{value}`"));
        writeln!(
            page,
            "| `{path}`{star} | {} | {default} | {} |",
            kind(field),
            text(field)
        )
        .unwrap();
        // Conditions have the same fields everywhere.
        if name == "conditions" {
            continue;
        }
        fields(&path, field, page);
        fields(&format!("{path}[]"), &field["items"], page);
    }
}

fn kind(field: &Value) -> String {
    if let Some(values) = field["enum"].as_array() {
        let values: Vec<String> = values
            .iter()
            .filter_map(Value::as_str)
            .map(|value| format!("`{value}`"))
            .collect();
        return values.join(", ");
    }
    if field["x-kubernetes-int-or-string"] == Value::Bool(true) {
        return "quantity".to_owned();
    }
    let base = match field["type"].as_str().unwrap_or("any") {
        "array" => format!("list of {}", kind(&field["items"])),
        "object" if field["additionalProperties"].is_object() => {
            format!("map to {}", kind(&field["additionalProperties"]))
        }
        "string" if field["format"] == "date-time" => "time".to_owned(),
        other => other.to_owned(),
    };
    let bound = |name: &str| field.get(name).and_then(Value::as_f64);
    match (bound("minimum"), bound("maximum")) {
        (Some(low), Some(high)) => format!("{base}, {low}–{high}"),
        (Some(low), None) => format!("{base}, at least {low}"),
        (None, Some(high)) => format!("{base}, at most {high}"),
        (None, None) => base,
    }
}

/// The description on one line, fit for a table.
fn text(field: &Value) -> String {
    let text = field["description"].as_str().unwrap_or_default();
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

fn collect_rules(path: &str, schema: &Value, rules: &mut Vec<String>) {
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        // A message that is computed stands in an expression; its rule says enough.
        let message = rule["message"].as_str().map_or_else(
            || format!("`{}`", rule["rule"].as_str().unwrap_or_default()),
            str::to_owned,
        );
        let place = if path.is_empty() {
            String::new()
        } else {
            format!("`{path}`: ")
        };
        let line = format!("{place}{message}");
        if !rules.contains(&line) {
            rules.push(line);
        }
    }
    if path.is_empty() {
        return;
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        collect_rules(&format!("{path}.{name}"), field, rules);
    }
    if schema["items"].is_object() {
        collect_rules(&format!("{path}[]"), &schema["items"], rules);
    }
}
