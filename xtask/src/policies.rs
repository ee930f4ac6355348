//! Builds the policies: each guest crate to a core module by cargo, and that to a component by the
//! `wit-component` library. A component that asks for anything of WASI is refused: a policy has no clock,
//! network, files or randomness, and one that thinks it has would only fail later.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use wit_component::{ComponentEncoder, DecodedWasm};

use crate::{
    talk,
    wasm_target::{TARGET, Toolchain},
    workspace::Workspace,
};

/// Folders whose crates are guests, and where under `target/policies` their components go.
const GUESTS: [(&str, &str); 3] = [
    ("policies", ""),
    ("policies/cookbook", "cookbook"),
    ("tests/guests", "test"),
];

/// Variables that a host build may have set and a guest build must not see: flags and wrappers are meant for
/// the host, and a shared target folder would make the two builds wait for one another's lock.
const NOT_FOR_GUESTS: [&str; 7] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
];

/// A crate that becomes a component.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Guest {
    /// The package, as cargo names it.
    package: String,
    /// The component, relative to `target/policies`.
    component: PathBuf,
}

/// Builds every guest of the workspace into `target/policies`.
pub fn build(workspace: &Workspace) -> Result<()> {
    talk::step("building the policies", || {
        let guests = guests(workspace)?;
        let toolchain = Toolchain::get(workspace)?;
        compile(workspace, &toolchain, &guests)?;
        for guest in &guests {
            encode(workspace, guest).with_context(|| format!("making a component of {}", guest.package))?;
        }
        Ok(())
    })
}

/// The guests among the workspace's members: libraries under the guests' folders that can be linked alone.
fn guests(workspace: &Workspace) -> Result<Vec<Guest>> {
    let mut metadata = workspace.cargo();
    metadata.args(["metadata", "--format-version=1", "--no-deps"]);
    let metadata: serde_json::Value =
        serde_json::from_str(&talk::output(&mut metadata)?).context("reading cargo's metadata")?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo's metadata lists packages")?;
    let mut guests: Vec<Guest> = packages
        .iter()
        .filter_map(|package| guest(&workspace.root, package))
        .collect();
    guests.sort();
    if guests.is_empty() {
        bail!("the workspace has no guest crates");
    }
    Ok(guests)
}

fn guest(root: &Path, package: &serde_json::Value) -> Option<Guest> {
    let manifest = Path::new(package["manifest_path"].as_str()?);
    let folder = manifest.parent()?.strip_prefix(root).ok()?;
    let (_, place) = GUESTS
        .iter()
        .find(|(parent, _)| folder.parent() == Some(Path::new(parent)))?;
    let linked_alone = package["targets"].as_array()?.iter().any(|target| {
        let kinds = target["kind"].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "cdylib"))
    });
    let name = folder.file_name()?.to_str()?;
    linked_alone.then(|| Guest {
        package: package["name"].as_str().unwrap_or(name).to_owned(),
        component: Path::new(place).join(format!("{name}.wasm")),
    })
}

/// One cargo for all guests: what they share is compiled once.
fn compile(workspace: &Workspace, toolchain: &Toolchain, guests: &[Guest]) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--profile", "guest", "--target", TARGET, "--lib"]);
    for guest in guests {
        cargo.args(["--package", &guest.package]);
    }
    cargo.arg("--target-dir").arg(workspace.target().join("guests"));
    for name in NOT_FOR_GUESTS {
        cargo.env_remove(name);
    }
    toolchain.apply(&mut cargo);
    talk::run(&mut cargo)
}

fn encode(workspace: &Workspace, guest: &Guest) -> Result<()> {
    let file = format!("{}.wasm", guest.package.replace('-', "_"));
    let module = workspace
        .target()
        .join("guests")
        .join(TARGET)
        .join("guest")
        .join(file);
    let module = fs::read(&module).with_context(|| format!("reading {}", module.display()))?;
    let component = component(&module)?;
    let path = workspace.target().join("policies").join(&guest.component);
    let changed = write_if_changed(&path, &component)?;
    let outcome = if changed { "written" } else { "unchanged" };
    talk::note(&format!(
        "  {} {} KiB, {outcome}",
        guest.component.display(),
        component.len() / 1024
    ));
    Ok(())
}

/// Makes a component of a core module that carries its world, and refuses one that asks for WASI.
fn component(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true);
    encoder.module(module)?;
    let component = encoder.encode()?;
    refuse_wasi(&component)?;
    Ok(component)
}

fn refuse_wasi(component: &[u8]) -> Result<()> {
    let mut wasi = imports(component)?;
    wasi.retain(|name| name.starts_with("wasi:"));
    if !wasi.is_empty() {
        bail!("it imports {}: a policy gets nothing of WASI", wasi.join(", "));
    }
    Ok(())
}

/// The names of a component's imports.
fn imports(component: &[u8]) -> Result<Vec<String>> {
    let decoded = wit_component::decode(component).context("reading the component back")?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        bail!("what was encoded is no component");
    };
    let imports = resolve.worlds[world].imports.keys();
    Ok(imports.map(|key| resolve.name_world_key(key)).collect())
}

/// Leaves the file alone when it says this already: cargo rebuilds what embeds it by its time stamp.
fn write_if_changed(path: &Path, content: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(false);
    }
    let folder = path.parent().context("a component lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    // Another process may embed the old file right now: replace it whole.
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, content).with_context(|| format!("writing {}", unfinished.display()))?;
    fs::rename(&unfinished, path).with_context(|| format!("completing {}", path.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    /// A component, by the bytes of the binary format, that imports one empty instance of this name.
    fn importing(name: &str) -> Vec<u8> {
        let size = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
        let mut import = vec![1, 0, size(name.as_bytes())];
        import.extend(name.as_bytes());
        import.extend([5, 0]);
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        component.extend([7, 3, 1, 0x42, 0]);
        component.extend([10, size(&import)]);
        component.extend(import);
        component
    }

    #[test]
    fn what_imports_wasi_is_refused() {
        refuse_wasi(&importing("vpsie:autoscaler/log@0.1.0")).unwrap();
        let error = refuse_wasi(&importing("wasi:clocks/wall-clock@0.2.6"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("wasi:clocks/wall-clock@0.2.6"), "{error}");
    }

    #[test]
    fn guests_are_the_libraries_in_their_folders_that_can_be_linked_alone() {
        let package = |path: &str, kinds: &[&str]| {
            json!({
                "name": format!("policy-{}", path.rsplit('/').next().unwrap()),
                "manifest_path": format!("/checkout/{path}/Cargo.toml"),
                "targets": [{ "kind": kinds }],
            })
        };
        for (path, kinds, component) in [
            ("policies/scale-up", ["cdylib", "rlib"], Some("scale-up.wasm")),
            (
                "policies/cookbook/headroom",
                ["cdylib", "rlib"],
                Some("cookbook/headroom.wasm"),
            ),
            ("policies/sdk", ["lib", "lib"], None),
            ("tests/guests/traps", ["cdylib", "rlib"], Some("test/traps.wasm")),
            ("policies/deep/nested", ["cdylib", "rlib"], None),
            ("host/policy", ["cdylib", "rlib"], None),
        ] {
            let found = guest(Path::new("/checkout"), &package(path, &kinds));
            assert_eq!(
                found.map(|guest| guest.component),
                component.map(PathBuf::from),
                "{path}"
            );
        }
    }

    #[test]
    fn an_unchanged_component_keeps_its_time_stamp() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("policies/a.wasm");
        assert!(write_if_changed(&path, b"one").unwrap());
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        assert!(!write_if_changed(&path, b"one").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), written);
        assert!(write_if_changed(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }
}
