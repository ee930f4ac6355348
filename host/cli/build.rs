//! Writes out what the macros in the SDK's `bindings.rs` make of `wit/`, for the projects that `policy new` makes. With the
//! macros a project would build a parser of WebAssembly first, which is two thirds of its first build.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::{env, fs};
use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator};
use wit_bindgen_rust::{Opts, WithOption};

/// Module, world, and whether the vocabulary is that of the first module.
const MODULES: [(&str, &str, bool); 4] = [
    ("shared", "policy", false),
    ("scale_up", "scale-up-policy", true),
    ("node_selection", "node-selection-policy", true),
    ("rebalance", "rebalance-policy", true),
];
/// Interfaces of the vocabulary, with their modules.
const VOCABULARY: [(&str, &str); 3] = [("types", "types"), ("log", "log"), ("what-if", "what_if")];

fn main() -> Result<()> {
    let root = env::var_os("CARGO_MANIFEST_DIR").context("this build script runs under cargo")?;
    let root = Path::new(&root).join("../..");
    let (wit, macros) = (root.join("wit"), root.join("policies/sdk/src/bindings.rs"));
    for path in [&wit, &macros] {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let macros = fs::read_to_string(&macros).context("reading the SDK's bindings.rs")?;
    let (mut out, _) = macros
        .split_once("pub mod ")
        .map(|(head, rest)| (head.to_owned(), rest))
        .context("the SDK's bindings.rs has no module")?;
    if macros.matches("generate!").count() != MODULES.len() {
        bail!("the SDK's bindings.rs has other worlds than build.rs");
    }
    for (module, world, shares) in MODULES {
        if !macros.contains(&format!("world: \"{world}\"")) {
            bail!("the SDK's bindings.rs has no world {world}");
        }
        out.push_str(&format!(
            "pub mod {module} {{\n{}\n}}\n\n",
            bindings(&wit, world, shares)?
        ));
    }
    let folder = env::var_os("OUT_DIR").context("this build script runs under cargo")?;
    fs::write(
        Path::new(&folder).join("bindings.rs"),
        out.trim_end().to_owned() + "\n",
    )
    .context("writing the bindings")
}

fn bindings(wit: &Path, world: &str, shares: bool) -> Result<String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).context("reading wit/")?;
    let world = resolve.select_world(&[package], Some(world))?;
    let with = VOCABULARY.iter().filter(|_| shares).map(|(interface, module)| {
        let path = format!("crate::bindings::shared::vpsie::autoscaler::{module}");
        (
            format!("vpsie:autoscaler/{interface}@0.1.0"),
            WithOption::Path(path),
        )
    });
    let options = Opts {
        format: true,
        additional_derive_attributes: vec!["PartialEq".to_owned()],
        pub_export_macro: shares,
        with: with.collect(),
        ..Opts::default()
    };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files)?;
    let (_, text) = files.iter().next().context("nothing was generated")?;
    Ok(String::from_utf8(text.to_vec())?)
}
