//! `policy build`: the tools of a language make a component of a project, which is then loaded as the controller would
//! load it.

use crate::arguments::PolicyBuild;
use anyhow::{Context, bail};
use autoscaler_policy::Engine;
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wit_component::ComponentEncoder;

/// No operating system, hence nothing to import but the contract.
const TARGET: &str = "wasm32-unknown-unknown";

pub(super) fn run(options: &PolicyBuild) -> anyhow::Result<()> {
    let project = &options.path;
    let file = match &options.out {
        Some(file) => file.clone(),
        None => project.join(super::desk::BUILT),
    };
    let component = component(project, &file, &options.profile)?;
    let engine = Engine::new().context("starting the policy engine")?;
    let policy = engine.compile(&component).context("loading what was built")?;
    std::fs::write(&file, &component).with_context(|| format!("writing {}", file.display()))?;
    let kinds: Vec<&str> = policy
        .kinds()
        .map(autoscaler_core::decision::Kind::as_str)
        .collect();
    super::super::print(&format!(
        "{}\n  kinds   {}\n  bytes   {}\n  digest  {}\n",
        file.display(),
        kinds.join(", "),
        component.len(),
        policy.digest()
    ))
}

/// Has the tools of the project's language make the component that is to lie in `file`, and makes its folder.
pub(super) fn component(project: &Path, file: &Path, profile: &str) -> anyhow::Result<Vec<u8>> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    if project.join("Cargo.toml").is_file() {
        rust(project, profile)
    } else if project.join("app.py").is_file() {
        python(project, file)
    } else if project.join("policy.js").is_file() {
        javascript(project, file)
    } else {
        bail!(
            "{}: there is no Cargo.toml, app.py or policy.js; `policy new` makes a project",
            project.display()
        );
    }
}

fn rust(project: &Path, profile: &str) -> anyhow::Result<Vec<u8>> {
    let module = module(&project.join("Cargo.toml"), profile)?;
    let bytes = std::fs::read(&module).with_context(|| format!("reading {}", module.display()))?;
    // The module's world is in it: the SDK's macros put it there.
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true);
    encoder
        .module(&bytes)
        .context("making a component of what cargo built")?;
    encoder.encode().context("making a component of what cargo built")
}

/// Has cargo build the crate, and finds the module that it made.
fn module(manifest: &Path, profile: &str) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--lib", "--target", TARGET, "--profile", profile])
        .arg("--message-format=json-render-diagnostics")
        .arg("--manifest-path")
        .arg(manifest)
        .stderr(Stdio::inherit());
    let output = command
        .output()
        .context("running cargo: is Rust installed (rustup), and cargo in the PATH?")?;
    if !output.status.success() {
        bail!(
            "cargo could not build it; where it says that `core` or `std` cannot be found, `rustup target add {TARGET}` \
             gets them"
        );
    }
    let manifest = manifest.canonicalize().context("finding the manifest")?;
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = |message: &Value| {
        let path = message["manifest_path"].as_str().map(Path::new);
        message["reason"] == "compiler-artifact" && path.is_some_and(|path| path == manifest)
    };
    let artifact = messages.find(ours);
    let files = artifact
        .iter()
        .filter_map(|message| message["filenames"].as_array())
        .flatten();
    let module = files
        .filter_map(Value::as_str)
        .find(|file| file.ends_with(".wasm"))
        .map(PathBuf::from);
    module.context(
        "cargo built no WebAssembly module: Cargo.toml needs `[lib] crate-type = [\"cdylib\", \"rlib\"]`",
    )
}

/// CPython with the program in it. Its imports of WASI become traps: there is no clock, no file and no randomness.
fn python(project: &Path, file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut tool = Command::new("componentize-py");
    tool.args([
        "-d",
        "vendor/wit",
        "-w",
        &world(project)?,
        "componentize",
        "--stub-wasi",
        "app",
        "-o",
    ]);
    made(
        tool,
        project,
        file,
        "componentize-py: `pip install componentize-py` gets it",
    )
}

/// What of WASI a JavaScript engine would ask for.
const FEATURES: [&str; 5] = ["random", "stdio", "clocks", "http", "fetch-event"];

/// A JavaScript engine with the program in it, and with all features off that need something of WASI.
fn javascript(project: &Path, file: &Path) -> anyhow::Result<Vec<u8>> {
    let installed = project.join("node_modules/.bin/componentize-js");
    let program = match installed.canonicalize() {
        Ok(path) => path.into_os_string(),
        Err(_) => OsString::from("componentize-js"),
    };
    let mut tool = Command::new(program);
    tool.args([
        "policy.js",
        "--wit",
        "vendor/wit",
        "--world-name",
        &world(project)?,
    ]);
    tool.args(FEATURES.iter().flat_map(|feature| ["--disable", feature]));
    tool.arg("-o");
    made(
        tool,
        project,
        file,
        "componentize-js: `npm install` in the project gets it",
    )
}

/// Runs a tool in the project, with the file that it writes as its last argument.
fn made(mut tool: Command, project: &Path, file: &Path, missing: &str) -> anyhow::Result<Vec<u8>> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let unfinished = folder
        .canonicalize()
        .with_context(|| format!("finding {}", folder.display()))?
        .join("policy.unfinished.wasm");
    // What the tool says is no data of ours.
    let status = tool
        .arg(&unfinished)
        .current_dir(project)
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("running {missing}"))?;
    if !status.success() {
        bail!("the tool could not make a component of the project");
    }
    let component =
        std::fs::read(&unfinished).with_context(|| format!("reading {}", unfinished.display()))?;
    std::fs::remove_file(&unfinished).with_context(|| format!("removing {}", unfinished.display()))?;
    Ok(component)
}

/// The world of the project: `policy.json` names its kind.
fn world(project: &Path) -> anyhow::Result<String> {
    let file = project.join("policy.json");
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let value: Value =
        serde_json::from_str(&text).with_context(|| format!("understanding {}", file.display()))?;
    let kind = value["kind"].as_str().unwrap_or_default();
    let known = autoscaler_core::decision::Kind::ALL;
    if !known.iter().any(|known| known.as_str() == kind) {
        let known: Vec<&str> = known.iter().map(|kind| kind.as_str()).collect();
        bail!(
            "{}: kind is {kind:?}; there are {}",
            file.display(),
            known.join(", ")
        );
    }
    Ok(format!("{kind}-policy"))
}
