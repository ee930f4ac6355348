//! `cargo xtask test`: all that has to hold before a change lands, in the order in which it is cheapest to
//! learn that it does not.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{control_plane, deny, dependency_rule, policies, registry, talk, workspace::Workspace};

/// The package with the tests that need the real control plane.
const END_TO_END: &str = "autoscaler-tests";

type Check = fn(&Workspace, &Options) -> Result<()>;

/// Name, headline, and what is done.
const STEPS: [(&str, &str, Check); 7] = [
    ("format", "the code is formatted", format),
    (
        "rules",
        "the crate graph points down and the core is pure",
        |workspace, _| dependency_rule::check(workspace),
    ),
    (
        "deny",
        "licences, bans and sources of all dependencies",
        |workspace, _| deny::check(workspace),
    ),
    (
        "policies",
        "the policies build and ask for nothing of WASI",
        |workspace, _| policies::build(workspace),
    ),
    ("lint", "no warning from the compiler or from clippy", lint),
    (
        "control-plane",
        "etcd, Kubernetes, kwok and a container registry are built",
        |workspace, options| {
            if options.skip_e2e {
                Ok(())
            } else {
                control_plane::build(&workspace.root)?;
                registry::build(&workspace.root).map(drop)
            }
        },
    ),
    (
        "test",
        "unit, property, integration, documentation and end-to-end tests",
        test,
    ),
];

/// What of it is wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    only: Vec<String>,
    skip_e2e: bool,
    list: bool,
}

impl Options {
    /// Reads the flags of `cargo xtask test`.
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--skip-e2e" => options.skip_e2e = true,
                "--list" => options.list = true,
                "--only" => {
                    let step = rest.next().context("--only needs the name of a step")?;
                    if !STEPS.iter().any(|(name, ..)| name == step) {
                        bail!("there is no step `{step}`; the steps are {}", names());
                    }
                    options.only.push(step.clone());
                }
                other => bail!("`test` does not know `{other}`; it takes --only STEP, --skip-e2e, --list"),
            }
        }
        Ok(options)
    }

    fn wants(&self, step: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == step)
    }
}

fn names() -> String {
    STEPS.map(|(name, ..)| name).join(", ")
}

/// Runs the steps that are wanted; the first that fails ends the run.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if options.list {
        for (name, headline, _) in STEPS {
            println!("{name:<14} {headline}");
        }
        return Ok(());
    }
    let started = Instant::now();
    let mut times = Vec::new();
    for (index, (name, headline, check)) in STEPS.iter().enumerate() {
        if !options.wants(name) {
            continue;
        }
        let began = Instant::now();
        talk::step(
            &format!("[{}/{}] {name}: {headline}", index + 1, STEPS.len()),
            || check(workspace, options),
        )
        .with_context(|| format!("step `{name}` (again alone: cargo xtask test --only {name})"))?;
        times.push(format!("{name} {}", talk::duration(began.elapsed())));
    }
    talk::note(&format!(
        "✓ all of it in {}: {}",
        talk::duration(started.elapsed()),
        times.join(", ")
    ));
    Ok(())
}

fn format(workspace: &Workspace, _: &Options) -> Result<()> {
    talk::run(workspace.cargo().args(["fmt", "--all", "--check"]))
}

fn lint(workspace: &Workspace, _: &Options) -> Result<()> {
    let mut clippy = workspace.cargo();
    clippy.args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]);
    talk::run(&mut clippy)
}

fn test(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut test = workspace.cargo();
    test.args(["test", "--locked", "--workspace", "--no-fail-fast"]);
    if options.skip_e2e {
        talk::note(&format!(
            "  without the end-to-end tests (the package {END_TO_END})"
        ));
        test.args(["--exclude", END_TO_END]);
    }
    talk::run(&mut test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags() {
        let parse =
            |text: &str| Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parse("").unwrap(), Options::default());
        let options = parse("--only lint --skip-e2e --only test").unwrap();
        assert!(
            options.skip_e2e && options.wants("lint") && options.wants("test") && !options.wants("format")
        );
        for (text, complaint) in [
            ("--only lnit", "lnit"),
            ("--only", "name of a step"),
            ("--fast", "--fast"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(complaint), "{text}: {error}");
        }
    }
}
