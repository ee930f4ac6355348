//! The desk as a command, and the guests of the tests.

use std::path::Path;
use std::process::Command;

/// Path of a test guest, in `target/policies/test`.
pub(crate) fn guest(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../target/policies/test/{name}.wasm"));
    file.to_str().unwrap().to_owned()
}

/// Exit code, data and talk of `policy …`.
pub(crate) fn policy(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_vpsie-autoscaler"))
        .arg("policy")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}
