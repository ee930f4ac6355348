//! The page of the settings names each of them with its default, and none that does not exist.

use std::collections::BTreeMap;

use serde_json::Value;
use vpsie_client::Settings;

fn leaves(prefix: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                leaves(&path, field, into);
            }
        }
        leaf => {
            into.insert(prefix.to_owned(), leaf.clone());
        }
    }
}

#[test]
fn the_page_is_true() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/vpsie-settings.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut settings = BTreeMap::new();
    leaves(
        "",
        &serde_json::to_value(Settings::default()).unwrap(),
        &mut settings,
    );
    for (name, default) in &settings {
        match default {
            Value::Array(patterns) => {
                assert!(page.contains(&format!("| `{name}` | see below |")), "{name}");
                let flowing = page.split_whitespace().collect::<Vec<_>>().join(" ");
                let listed: Vec<String> = patterns
                    .iter()
                    .map(|pattern| format!("`{}`", pattern.as_str().unwrap()))
                    .collect();
                let line = format!("- `{name}`: {}", listed.join(", "));
                assert!(flowing.contains(&line), "{line}");
            }
            default => {
                let default = default.to_string().replace(env!("CARGO_PKG_VERSION"), "VERSION");
                let row = format!("| `{name}` | `{default}` |");
                assert!(page.contains(&row), "the page lacks {row}");
            }
        }
    }
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    for name in rows.filter_map(|row| row.split('`').next()) {
        assert!(settings.contains_key(name), "{name} is no setting");
    }
}
