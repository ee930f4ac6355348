//! The same two policies in Rust, Python and JavaScript: projects as `policy new` makes them, built by the tools of
//! their languages, judged by the same cases. The projects in Rust are built by the tutorial.
//!
//! A component with an interpreter in it takes a compiler without optimisation a minute, and it is compiled a dozen
//! times here: `cargo test --release --test languages`.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use xtask::{node, python};

const COMPONENTIZE_PY: &str = "0.25.1";
const COMPONENTIZE_JS: &str = "0.23.0";

/// Runs `policy …` in a folder, and returns what it prints.
fn policy(folder: &Path, arguments: &[&str], environment: &[(&str, OsString)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_vpsie-autoscaler"))
        .arg("policy")
        .args(arguments)
        .current_dir(folder)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{arguments:?}:\n{text}");
    text
}

/// Cases beyond the first one, by kind: configuration, and what must come of it.
fn more_cases(project: &Path, kind: &str) {
    let (config, expect) = match kind {
        "scale-up" => (
            "scale-up: {minPods: 4}",
            "demand: {}\nrejected: {shop: TooFew, huge: TooFew}\n",
        ),
        _ => (
            "node-selection: {maxNodes: 1}",
            "purchases: {web/small: 1}\nleft: {shop: 3}\n",
        ),
    };
    let case = project.join("cases/configured");
    std::fs::create_dir_all(&case).unwrap();
    std::fs::copy(
        project.join("cases/first/snapshot.yaml"),
        case.join("snapshot.yaml"),
    )
    .unwrap();
    std::fs::write(case.join("config.yaml"), config).unwrap();
    std::fs::write(case.join("expect.yaml"), expect).unwrap();
}

fn passes(lang: &str, environment: &[(&str, OsString)], limits: &[&str]) {
    for kind in ["scale-up", "node-selection"] {
        let folder = tempfile::tempdir().unwrap();
        policy(
            folder.path(),
            &["new", "mine", "--lang", lang, "--kind", kind],
            &[],
        );
        let project = folder.path().join("mine");
        // What an interpreter takes is its own matter.
        let expect = project.join("cases/first/expect.yaml");
        let text = std::fs::read_to_string(&expect).unwrap();
        std::fs::write(&expect, text.replace("maxFuel: 1000000", "maxFuel: 1000000000")).unwrap();
        more_cases(&project, kind);
        policy(&project, &["build"], environment);
        let text = policy(&project, &[&["test"], limits].concat(), &[]);
        assert!(text.contains("2 cases, 0 fail"), "{text}");
        let complaint = Command::new(env!("CARGO_BIN_EXE_vpsie-autoscaler"))
            .args([
                "policy",
                "check",
                "target/policy.wasm",
                "--config",
                r#"{"minPodz": 1}"#,
            ])
            .current_dir(&project)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&complaint.stdout).into_owned();
        assert!(text.contains("/minPodz: unknown field"), "{text}");
    }
}

fn in_path(folder: &Path) -> OsString {
    let mut path = folder.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

#[test]
#[cfg_attr(debug_assertions, ignore = "minutes in a debug build")]
fn in_python() {
    let tools = python::package("componentize-py", COMPONENTIZE_PY).unwrap();
    let environment = [
        ("PATH", in_path(&tools.join("bin"))),
        ("PYTHONPATH", tools.into_os_string()),
    ];
    passes("python", &environment, &[]);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "minutes in a debug build")]
fn in_javascript() {
    let modules = node::package("@bytecodealliance/componentize-js", COMPONENTIZE_JS).unwrap();
    let environment = [("PATH", in_path(&modules.join(".bin")))];
    passes("javascript", &environment, &[]);
}
