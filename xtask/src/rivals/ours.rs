//! Our decisions, by the program `decide` of `tests/rivals`: one process per run.

use super::contender::{Contender, Run, Task};
use super::measure::Child;
use crate::{policies, talk, workspace::Workspace};
use anyhow::{Context, Result};
use serde_json::Value;
use std::{path::PathBuf, process::Command};

pub(super) struct Ours {
    program: PathBuf,
}

pub(super) fn build(workspace: &Workspace) -> Result<Ours> {
    policies::build(workspace)?;
    talk::step("building our side for speed (minutes the first time)", || {
        let mut build = workspace.cargo();
        build.args([
            "build",
            "--release",
            "--package",
            "autoscaler-rivals",
            "--bin",
            "decide",
        ]);
        build.arg("--message-format=json-render-diagnostics");
        let said = build
            .stderr(std::process::Stdio::inherit())
            .output()
            .context("starting cargo")?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let program = said
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
            .next_back()
            .context("cargo built no program `decide`")?;
        Ok(Ours { program })
    })
}

impl Ours {
    /// The ids of all workloads.
    pub(super) fn workloads(&self) -> Result<Vec<String>> {
        let listed = talk::output(Command::new(&self.program).arg("list"))?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// The first one is what the others are held against.
    pub(super) fn contenders(&self, workload: &str) -> Vec<Contender> {
        // Nothing is asked of a policy where pods merely look for room: one row is enough.
        let who: &[(&str, &str)] = if workload.starts_with("H6/") {
            &[("ours", "native")]
        } else {
            &[("ours", "wasm"), ("ours, policies native", "native")]
        };
        who.iter()
            .map(|(name, with)| {
                let (program, workload) = (self.program.clone(), workload.to_owned());
                Contender {
                    name: (*name).to_owned(),
                    task: Task {
                        command: Box::new(move || {
                            let mut command = Command::new(&program);
                            command.arg(&workload).arg(with);
                            command
                        }),
                        read: Box::new(read),
                    },
                    price: None,
                }
            })
            .collect()
    }
}

fn read(child: &Child) -> Result<Run> {
    let said: Value = serde_json::from_str(child.output.trim()).context("reading what `decide` printed")?;
    let number = |name: &str| said[name].as_u64();
    let (bought, removed) = (number("bought").unwrap_or(0), number("removed").unwrap_or(0));
    let waiting = number("waiting").unwrap_or(0);
    let breaches = number("breaches").unwrap_or(0);
    let waits_on_purpose = said["workload"].as_str().is_some_and(|id| id.starts_with("H6/"));
    let flaw = if breaches > 0 {
        Some(format!(
            "an invalid plan, {breaches} breaches, the first: {}",
            said["first_breaches"][0].as_str().unwrap_or_default()
        ))
    } else {
        (waiting > 0 && !waits_on_purpose).then(|| format!("{waiting} pods without a place"))
    };
    let loops = number("loops").unwrap_or(1);
    Ok(Run {
        seconds: said["seconds"].as_f64().context("`decide` told no time")?,
        cpu_seconds: said["cpu_seconds"].as_f64(),
        peak_memory: number("memory_peak").or(child.peak_memory),
        nodes: Some(bought + removed),
        price: said["hourly"].as_f64().filter(|price| *price != 0.0),
        flaw,
        remark: (loops > 1).then(|| format!("in {loops} loops")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_or_partial_plan_is_a_flaw() {
        for (workload, breaches, waiting, flaw) in [
            ("H1/1000", 0, 0, None),
            ("H1/1000", 0, 3, Some("3 pods without a place")),
            ("H6/1-30-1000", 0, 3, None),
            (
                "H1/1000",
                2,
                0,
                Some("an invalid plan, 2 breaches, the first: Taints: x"),
            ),
        ] {
            let line = serde_json::json!({
                "workload": workload, "seconds": 0.5, "loops": 2, "bought": 7, "removed": 0, "hourly": 1.5,
                "waiting": waiting, "breaches": breaches, "first_breaches": ["Taints: x"], "memory_peak": 1024,
            });
            let child = Child {
                output: line.to_string(),
                ..Child::default()
            };
            let run = read(&child).unwrap();
            assert_eq!(run.flaw.as_deref(), flaw, "{workload}");
            assert_eq!((run.seconds, run.nodes, run.price), (0.5, Some(7), Some(1.5)));
            assert_eq!(run.remark.as_deref(), Some("in 2 loops"));
        }
    }
}
