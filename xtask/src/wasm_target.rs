//! The compiler and standard library for `wasm32-unknown-unknown`, by the first way that works here:
//! the toolchain has them, rustup fetches them, or Debian's packages are unpacked into the cache.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{cache, talk, workspace::Workspace};

/// The target of every policy: no operating system, hence nothing to import but the contract.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// What a guest's cargo needs in its environment to compile for [`TARGET`].
#[derive(Debug, Default, Clone)]
pub struct Toolchain {
    environment: Vec<(&'static str, String)>,
}

impl Toolchain {
    /// Gets the target, fetching what is missing.
    pub fn get(workspace: &Workspace) -> Result<Self> {
        if present(&mut rustc(workspace)) {
            return Ok(Self::default());
        }
        talk::note(&format!(
            "  the Rust toolchain lacks {TARGET}: asking rustup for it"
        ));
        let mut add = Command::new("rustup");
        add.current_dir(&workspace.root).args(["target", "add", TARGET]);
        match talk::output(&mut add) {
            Ok(_) if present(&mut rustc(workspace)) => return Ok(Self::default()),
            Ok(_) => talk::note("  rustup added it to another toolchain than cargo uses"),
            Err(error) => talk::note(&format!("  rustup could not: {error:#}")),
        }
        talk::note("  unpacking Debian's Rust for WebAssembly beside the system instead");
        from_debian(workspace).context("no way left to get the WebAssembly target")
    }

    /// Applies the environment to a guest's cargo.
    pub fn apply(&self, cargo: &mut Command) {
        cargo.envs(self.environment.iter().map(|(name, value)| (name, value)));
    }
}

fn rustc(workspace: &Workspace) -> Command {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(&workspace.root);
    rustc
}

/// Whether this compiler has a standard library for the target.
fn present(rustc: &mut Command) -> bool {
    let library = talk::output(rustc.args(["--print", "target-libdir", "--target", TARGET]));
    library.is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

/// Debian's compiler for the web has an LLVM that knows the target, and packages the standard library for it as
/// source: each guest build compiles it (`build-std`), once per target folder.
fn from_debian(workspace: &Workspace) -> Result<Toolchain> {
    let folder = cache::entry("debian-rust-web", |folder| {
        let packages = debian_packages()?;
        let mut download = Command::new("apt-get");
        download.current_dir(folder).arg("download").args(&packages);
        talk::output(&mut download).context("downloading Debian's Rust for WebAssembly")?;
        for file in fs::read_dir(folder)? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "deb") {
                talk::output(Command::new("dpkg").arg("-x").arg(&file).arg(folder.join("root")))?;
                fs::remove_file(&file)?;
            }
        }
        Ok(())
    })?;
    let root = folder.join("root");
    let compiler = root.join("usr/bin/rustc");
    if !compiler.is_file() {
        bail!("{} has no compiler", root.display());
    }
    let libraries = library_folders(&root)?;
    let linker = rust_lld(workspace)?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    Ok(Toolchain {
        environment: vec![
            ("RUSTC", text(&compiler)),
            ("LD_LIBRARY_PATH", libraries.join(":")),
            ("RUSTC_BOOTSTRAP", "1".to_owned()),
            ("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort".to_owned()),
            ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", text(&linker)),
        ],
    })
}

/// Of all that the compiler's package depends on: itself, and the shared libraries that its LLVM is linked to
/// and a small system may lack.
const WANTED: [&str; 12] = [
    "rustc-web",
    "libstd-rust-web",
    "libllvm",
    "libLLVM",
    "libz3",
    "libedit",
    "libxml2",
    "libbsd",
    "libmd0",
    "libicu",
    "libtinfo",
    "libffi",
];

/// The packages with the compiler, the library, its source and the LLVM that the compiler is linked to.
fn debian_packages() -> Result<Vec<String>> {
    let depends = talk::output(Command::new("apt-cache").args([
        "depends",
        "--recurse",
        "--no-recommends",
        "--no-suggests",
        "--no-conflicts",
        "--no-breaks",
        "--no-replaces",
        "--no-enhances",
        "rustc-web",
    ]))
    .context("looking for Debian's package rustc-web")?;
    let mut packages: Vec<String> = depends
        .lines()
        .filter(|line| !line.starts_with([' ', '<', '|']))
        .filter(|name| WANTED.iter().any(|wanted| name.starts_with(wanted)))
        .map(str::to_owned)
        .collect();
    for name in ["libstd-rust-web-dev", "rust-web-src"] {
        if !packages.iter().any(|package| package == name) {
            packages.push(name.to_owned());
        }
    }
    Ok(packages)
}

/// The folders with shared libraries among what was unpacked.
fn library_folders(root: &Path) -> Result<Vec<String>> {
    let mut folders = Vec::new();
    let mut open = vec![root.join("usr/lib")];
    while let Some(folder) = open.pop() {
        let mut has_library = false;
        for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else if entry.file_name().to_string_lossy().contains(".so") {
                has_library = true;
            }
        }
        if has_library {
            folders.push(folder.to_string_lossy().into_owned());
        }
    }
    folders.sort();
    Ok(folders)
}

/// The linker that comes with rustup's toolchain.
fn rust_lld(workspace: &Workspace) -> Result<PathBuf> {
    let sysroot = talk::output(rustc(workspace).args(["--print", "sysroot"]))?;
    let version = talk::output(rustc(workspace).arg("-vV"))?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("finding the host of the Rust toolchain")?;
    let linker = Path::new(sysroot.trim()).join(format!("lib/rustlib/{host}/bin/rust-lld"));
    if !linker.is_file() {
        bail!("the Rust toolchain has no linker at {}", linker.display());
    }
    Ok(linker)
}
