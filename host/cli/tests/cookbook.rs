//! The policies of the cookbook do what their cases say.

use std::path::Path;
use std::process::Command;

#[test]
fn every_policy_of_the_cookbook_passes_its_cases() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut policies = 0;
    for entry in std::fs::read_dir(root.join("policies/cookbook")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        policies += 1;
        let name = folder.file_name().unwrap().to_str().unwrap();
        let component = root.join(format!("target/policies/cookbook/{name}.wasm"));
        assert!(
            component.is_file(),
            "{name} is not built: run `cargo xtask policies` first"
        );
        let output = Command::new(env!("CARGO_BIN_EXE_vpsie-autoscaler"))
            .args(["policy", "test"])
            .arg(folder.join("cases"))
            .arg("--policy")
            .arg(&component)
            .output()
            .unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{name}:\n{text}");
        assert!(text.contains(", 0 fail"), "{name}:\n{text}");
        let page = std::fs::read_to_string(root.join("policies/cookbook/README.md")).unwrap();
        assert!(
            page.contains(&format!("| [{name}](")),
            "{name} is not in the cookbook's README"
        );
    }
    assert_eq!(policies, 6);
}
