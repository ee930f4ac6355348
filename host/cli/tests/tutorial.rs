//! The tutorial is run as it is written, in an empty folder outside of this workspace, with the program that was just
//! built.

use std::path::Path;
use std::process::Command;
use xtask::wasm_target::Toolchain;
use xtask::workspace::Workspace;

/// Where cargo builds the projects of these tests: what they depend on is built once for all.
const PROJECTS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/projects");

/// The blocks of a page that are marked as shell.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        match (&mut open, line) {
            (None, "```sh") => open = Some(String::new()),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), line) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}

#[test]
fn the_tutorial_does_what_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy-tutorial.md");
    let blocks = blocks(&std::fs::read_to_string(page).unwrap());
    assert!(blocks.len() >= 5, "{blocks:?}");
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_vpsie-autoscaler"));
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let workspace = Workspace::find().unwrap();
    let mut shell = Command::new("bash");
    shell
        .args(["-euc", &blocks.concat()])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", PROJECTS)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_MANIFEST_DIR");
    // What rustup gives to everyone else.
    Toolchain::get(&workspace).unwrap().apply(&mut shell);
    let output = shell.output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{stdout}\n{stderr}");
    for said in [
        "first-steps is in first-steps",
        "ok    cases/first (",
        "grow default/web for 3 pods",
        "FirstFit: the first group that holds",
        "fuel    ",
        "shop: TooFew",
        "2 cases, 0 fail",
        "decision.json.gz: growth, the same plan, byte by byte",
        "decision.json.gz: growth, another plan",
        "minPods (integer, default 0)",
        "imports  vpsie:autoscaler/",
    ] {
        assert!(
            stdout.contains(said),
            "it does not say {said:?}:\n{stdout}\n{stderr}"
        );
    }
    let report = std::fs::read_to_string(folder.path().join("first-steps/target/report.xml")).unwrap();
    assert!(report.contains("tests=\"2\" failures=\"0\""), "{report}");
}
