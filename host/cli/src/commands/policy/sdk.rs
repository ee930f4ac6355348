//! The SDK as it lies in this binary. It is not published in any registry: a new project gets it as source, with the
//! interface that it was generated from, and so builds anywhere and for ever against what it was written for.

/// Files of the SDK and the interface, by their place in a project.
pub(super) const FILES: [(&str, &str); 14] = [
    ("vendor/policies/sdk/Cargo.toml", MANIFEST),
    (
        "vendor/policies/sdk/src/bindings.rs",
        // Written out by build.rs.
        include_str!(concat!(env!("OUT_DIR"), "/bindings.rs")),
    ),
    (
        "vendor/policies/sdk/src/config.rs",
        include_str!("../../../../../policies/sdk/src/config.rs"),
    ),
    (
        "vendor/policies/sdk/src/export.rs",
        include_str!("../../../../../policies/sdk/src/export.rs"),
    ),
    (
        "vendor/policies/sdk/src/lib.rs",
        include_str!("../../../../../policies/sdk/src/lib.rs"),
    ),
    (
        "vendor/policies/sdk/src/log.rs",
        include_str!("../../../../../policies/sdk/src/log.rs"),
    ),
    (
        "vendor/policies/sdk/src/policy.rs",
        include_str!("../../../../../policies/sdk/src/policy.rs"),
    ),
    (
        "vendor/policies/sdk/src/rows.rs",
        include_str!("../../../../../policies/sdk/src/rows.rs"),
    ),
    (
        "vendor/policies/sdk/src/testing.rs",
        include_str!("../../../../../policies/sdk/src/testing.rs"),
    ),
    (
        "vendor/policies/sdk/src/types.rs",
        include_str!("../../../../../policies/sdk/src/types.rs"),
    ),
    (
        "vendor/policies/sdk/src/what_if.rs",
        include_str!("../../../../../policies/sdk/src/what_if.rs"),
    ),
    (
        "vendor/wit/types.wit",
        include_str!("../../../../../wit/types.wit"),
    ),
    (
        "vendor/wit/policies.wit",
        include_str!("../../../../../wit/policies.wit"),
    ),
    ("vendor/README.md", README),
];

/// The SDK's manifest outside our workspace.
const MANIFEST: &str = r#"[package]
name = "policy-sdk"
version = "0.1.0"
edition = "2024"
license = "Apache-2.0"
publish = false

[dependencies]
serde = { version = "1.0", features = ["derive"] }
serde_json = "1.0"
serde_path_to_error = "0.1"
wit-bindgen = { version = "0.63", default-features = false, features = ["bitflags", "realloc", "std"] }
"#;

const README: &str = "\
The SDK for policies of vpsie-autoscaler and the interface it is generated from, as `policy new` put them here.
A component that is built with it runs in every autoscaler of the interface version 0.1.
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn nothing_of_the_sdk_is_missing_and_its_dependencies_are_those_of_the_workspace() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (folder, place) in [
            ("policies/sdk/src", "vendor/policies/sdk/src"),
            ("wit", "vendor/wit"),
        ] {
            for file in std::fs::read_dir(root.join(folder)).unwrap() {
                let name = file.unwrap().file_name().into_string().unwrap();
                let place = format!("{place}/{name}");
                assert!(
                    FILES.iter().any(|(known, _)| *known == place),
                    "{place} is not embedded"
                );
            }
        }
        let workspace = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let own = std::fs::read_to_string(root.join("policies/sdk/Cargo.toml")).unwrap();
        let dependencies = |text: &str| -> Vec<String> {
            let lines = text.lines().skip_while(|line| *line != "[dependencies]").skip(1);
            lines
                .take_while(|line| !line.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let names: Vec<String> = dependencies(&own)
            .iter()
            .filter_map(|line| Some(line.split_once(".workspace")?.0.to_owned()))
            .collect();
        let embedded = dependencies(MANIFEST);
        assert_eq!(names.len(), embedded.len());
        // The macros are written out.
        let workspace = workspace.replace("\"macros\", ", "");
        for (name, line) in names.iter().zip(&embedded) {
            assert!(line.starts_with(name.as_str()), "{line} in place of {name}");
            assert!(
                workspace.lines().any(|known| known == line),
                "the workspace does not say {line}"
            );
        }
    }
}
