//! `cargo xtask COMMAND`: everything this project needs beyond plain cargo, in Rust, so that a fresh machine
//! needs no other tool installed first.

use std::process::ExitCode;

use anyhow::{Result, bail};
use xtask::{control_plane, policies, rivals, talk, verify, workspace::Workspace};

const HELP: &str = "\
cargo xtask COMMAND

  demo [-- ARGS]   build the policies and the host, then run `vpsie-autoscaler demo ARGS`
  test             everything CI checks: format, lints, rules, tests, end to end on a real control plane
                     --only STEP   one step by its name (repeatable; `--list` prints the names)
                     --skip-e2e    leave out what needs the real control plane
  policies         build the WebAssembly policies into target/policies
  crds             write crds/*.yaml from the Rust types
  control-plane    build etcd, Kubernetes and kwok into the cache and print the folder
  bench-rivals     the same decisions by Karpenter, Cluster Autoscaler and us, in one table
                     --only H3     one shape or workload (repeatable)
                     --runs N      runs of each contender (default 10)
                     --json        every run, as JSON
                     --cluster-autoscaler DIR   a checkout of Cluster Autoscaler; without it, it is left out
  help             this text

Progress goes to standard error, data to standard output.
VPSIE_AUTOSCALER_CACHE names the cache folder (default: vpsie-autoscaler in the user's cache folder).
KUBEBUILDER_ASSETS, where set, provides etcd, kube-apiserver and kubectl.
VPSIE_AUTOSCALER_KEEP, where set, keeps the folders of test control planes (logs, kubeconfig files).
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            talk::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<ExitCode> {
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[] as &[String]),
    };
    let workspace = Workspace::find()?;
    match command {
        "demo" => return demo(&workspace, rest),
        "test" => verify::run(&workspace, &verify::Options::parse(rest)?)?,
        "policies" => {
            no_arguments(command, rest)?;
            policies::build(&workspace)?;
        }
        "crds" => {
            no_arguments(command, rest)?;
            let mut generate = workspace.cargo();
            generate.args(["run", "--package", "autoscaler-api", "--bin", "generate-crds"]);
            talk::step("writing crds/ from the Rust types", || talk::run(&mut generate))?;
        }
        "control-plane" => {
            no_arguments(command, rest)?;
            let binaries = talk::step("building the control plane", || {
                control_plane::build(&workspace.root)
            })?;
            println!("{}", binaries.folder().display());
        }
        "bench-rivals" => rivals::run(&workspace, &rivals::Options::parse(rest)?)?,
        "help" | "--help" | "-h" => print!("{HELP}"),
        other => bail!("there is no command `{other}`\n\n{HELP}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn no_arguments(command: &str, rest: &[String]) -> Result<()> {
    match rest.first() {
        Some(first) => bail!("`{command}` takes no argument, got `{first}`"),
        None => Ok(()),
    }
}

/// Builds everything and hands the terminal to the demo; its exit code is ours.
fn demo(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    policies::build(workspace)?;
    let mut build = workspace.cargo();
    build.args([
        "build",
        "--package",
        "vpsie-autoscaler",
        "--bin",
        "vpsie-autoscaler",
    ]);
    talk::step("building the host (minutes the first time)", || {
        talk::run(&mut build)
    })?;

    let arguments = match arguments.split_first() {
        Some((first, rest)) if first == "--" => rest,
        _ => arguments,
    };
    let mut demo = workspace.cargo();
    demo.args([
        "run",
        "--quiet",
        "--package",
        "vpsie-autoscaler",
        "--bin",
        "vpsie-autoscaler",
        "--",
        "demo",
    ]);
    demo.args(arguments);
    let status = talk::status(&mut demo)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
