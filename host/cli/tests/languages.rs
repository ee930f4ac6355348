//! The same policies in Rust, Python and JavaScript: projects as `policy new` makes them, built by the tools of their
//! languages, judged by the same cases.
//!
//! A component with an interpreter in it takes ten seconds and more to compile: each is compiled once.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::wasm_target::Toolchain;
use xtask::workspace::Workspace;
use xtask::{node, python};

const COMPONENTIZE_PY: &str = "0.25.1";
const COMPONENTIZE_JS: &str = "0.23.0";
/// Where cargo builds the projects of these tests: what they depend on is built once for all.
const PROJECTS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/projects");

/// What a new project's author is told to begin with.
const FIRST: [&str; 2] = ["test", "--build"];

/// A kind of policy with a second case of its project, and a configuration that it refuses.
struct Kind {
    name: &'static str,
    config: &'static str,
    expect: &'static str,
    refused: &'static str,
    complaint: &'static str,
}

const SCALE_UP: Kind = Kind {
    name: "scale-up",
    config: "scale-up: {minPods: 4}",
    expect: "demand: {}\nrejected: {shop: TooFew, huge: TooFew}\n",
    refused: "scale-up: {minPodz: 1}",
    complaint: "/minPodz: unknown field",
};
const NODE_SELECTION: Kind = Kind {
    name: "node-selection",
    config: "node-selection: {maxNodes: 1}",
    expect: "purchases: {web/small: 1}\nleft: {shop: 3}\n",
    refused: "node-selection: {maxNodez: 1}",
    complaint: "/maxNodez: unknown field",
};
const REBALANCE: Kind = Kind {
    name: "rebalance",
    config: "rebalance: {idleSeconds: 30}",
    expect: "removals: {batches: [[fresh, idle]]}\n",
    refused: "rebalance: {idleSecondz: 1}",
    complaint: "/idleSecondz: unknown field",
};
const KINDS: [Kind; 3] = [SCALE_UP, NODE_SELECTION, REBALANCE];

/// Runs `policy …` in a folder, and returns whether it succeeds and what it prints.
fn policy(folder: &Path, arguments: &[&str], prepare: &dyn Fn(&mut Command)) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vpsie-autoscaler"));
    command.arg("policy").args(arguments).current_dir(folder);
    prepare(&mut command);
    let output = command.output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.success(), text)
}

/// A project as it is made, with two cases more. Always in the same place, so that it replaces the last run's.
fn project(lang: &str, kind: &Kind) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("languages")
        .join(lang);
    let name = format!("my-{}", kind.name);
    let project = folder.join(&name);
    if project.exists() {
        std::fs::remove_dir_all(&project).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    let made = policy(
        &folder,
        &["new", &name, "--lang", lang, "--kind", kind.name],
        &|_| {},
    );
    assert!(made.0, "{}", made.1);
    let next = format!("policy {}\n", FIRST.join(" "));
    assert!(made.1.ends_with(&next), "{}", made.1);
    for (name, config, expect) in [
        ("configured", kind.config, kind.expect),
        ("refused", kind.refused, kind.expect),
    ] {
        let case = project.join("cases").join(name);
        std::fs::create_dir_all(&case).unwrap();
        std::fs::copy(
            project.join("cases/first/snapshot.yaml"),
            case.join("snapshot.yaml"),
        )
        .unwrap();
        std::fs::write(case.join("config.yaml"), config).unwrap();
        std::fs::write(case.join("expect.yaml"), expect).unwrap();
    }
    project
}

/// Builds the project, and sees the two cases hold and the configuration refused.
fn passes(lang: &str, kind: &Kind, prepare: &dyn Fn(&mut Command)) -> PathBuf {
    let project = project(lang, kind);
    let (_, text) = policy(&project, &FIRST, prepare);
    for said in [
        "ok    cases/first (",
        "ok    cases/configured (",
        "FAIL  cases/refused\n",
        kind.complaint,
        "3 cases, 1 fail",
    ] {
        assert!(
            text.contains(said),
            "{lang} {}: no {said:?} in\n{text}",
            kind.name
        );
    }
    project
}

#[test]
fn in_rust() {
    let toolchain = Toolchain::get(&Workspace::find().unwrap()).unwrap();
    let prepare = |command: &mut Command| {
        command
            .env("CARGO_TARGET_DIR", PROJECTS)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_MANIFEST_DIR");
        toolchain.apply(command);
    };
    for kind in KINDS {
        let project = passes("rust", &kind, &prepare);
        let (good, text) = policy(&project, &["check", "target/policy.wasm"], &|_| {});
        assert!(good && text.contains(kind.name), "{text}");
    }
}

#[test]
fn in_python() {
    let tools = python::package("componentize-py", COMPONENTIZE_PY).unwrap();
    let mut path = tools.join("bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let prepare = |command: &mut Command| {
        command.env("PATH", &path).env("PYTHONPATH", &tools);
    };
    for kind in KINDS {
        passes("python", &kind, &prepare);
    }
}

#[test]
fn in_javascript() {
    let tools = node::package("@bytecodealliance/componentize-js", COMPONENTIZE_JS).unwrap();
    let prepare = |command: &mut Command| {
        command.env("PATH", &tools.path);
    };
    for kind in KINDS {
        passes("javascript", &kind, &prepare);
    }
}
