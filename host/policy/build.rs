//! Puts the built-in policies where `include_bytes!` finds them. They are WebAssembly and built beforehand by
//! `cargo xtask policies`: a cargo inside a build script would run under every check and editor, too.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Folder with the components; for packagers who build them elsewhere.
const FOLDER: &str = "VPSIE_POLICIES_DIR";
const POLICIES: [&str; 3] = ["scale-up.wasm", "node-selection.wasm", "rebalance.wasm"];

fn main() {
    println!("cargo::rerun-if-env-changed={FOLDER}");
    let (Some(manifest), Some(out)) = (env::var_os("CARGO_MANIFEST_DIR"), env::var_os("OUT_DIR")) else {
        println!("cargo::error=this build script runs under cargo only");
        return;
    };
    let folder = env::var_os(FOLDER).map_or_else(
        || Path::new(&manifest).join("../../target/policies"),
        PathBuf::from,
    );
    for name in POLICIES {
        let component = folder.join(name);
        println!("cargo::rerun-if-changed={}", component.display());
        if let Err(error) = fs::copy(&component, Path::new(&out).join(name)) {
            println!(
                "cargo::error=the built-in policy {} cannot be read ({error}): run `cargo xtask policies` first",
                component.display()
            );
        }
    }
}
