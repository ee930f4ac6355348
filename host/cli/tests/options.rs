//! The guide's table of options says what the schemas of the built-in policies say.

use std::path::Path;

#[test]
fn the_guide_has_every_option_as_its_schema_tells_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide = std::fs::read_to_string(root.join("docs/policies.md")).unwrap();
    let mut rows = 0;
    for kind in ["scale-up", "node-selection", "rebalance"] {
        let text = std::fs::read_to_string(root.join(format!("policies/{kind}/config.schema.json"))).unwrap();
        let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (name, option) in schema["properties"].as_object().unwrap() {
            let means = option["description"].as_str().unwrap();
            let row = format!("| `{kind}` | `{name}` | {} | {means} |", option["default"]);
            assert!(guide.contains(&row), "docs/policies.md lacks\n{row}");
            rows += 1;
        }
    }
    let known = guide.lines().filter(|line| {
        ["| `scale-up` | `", "| `node-selection` | `", "| `rebalance` | `"]
            .iter()
            .any(|begin| line.starts_with(begin))
    });
    assert_eq!(known.filter(|line| line.matches('|').count() == 5).count(), rows);
}
