//! Typing what a page says: the commands of its `sh` blocks, in a shell that has the kubectl of the control plane.

use anyhow::{Context, Result};
use autoscaler_tests::stage::Stage;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::Command;

/// The longest that a command may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The commands of a page's `sh` blocks, those of several lines joined, without remarks.
pub(crate) fn commands(page: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let (mut inside, mut goes_on) = (false, false);
    for line in page.lines().map(str::trim) {
        if line.starts_with("```") {
            inside = line == "```sh";
            continue;
        }
        if !inside || line.is_empty() || line.starts_with('#') {
            continue;
        }
        let text = line.split("   #").next().unwrap_or(line).trim();
        let part = text.trim_end_matches('\\').trim_end();
        match commands.last_mut().filter(|_| goes_on) {
            Some(command) => *command = format!("{command} {part}"),
            None => commands.push(part.to_owned()),
        }
        goes_on = text.ends_with('\\');
    }
    commands
}

/// Runs a line in a shell, as the administrator of the cluster.
pub(crate) async fn run(stage: &Stage, line: &str) -> Result<Output> {
    let kubectl = stage.plane.kubectl_path();
    let folder = kubectl.parent().context("kubectl's folder")?;
    let path = format!(
        "{}:{}",
        folder.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let shell = Command::new("sh")
        .args(["-c", line])
        .env("KUBECONFIG", stage.plane.kubeconfig_path())
        .env("PATH", path)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    tokio::time::timeout(LIMIT, shell)
        .await
        .with_context(|| format!("{line} does not end"))?
        .with_context(|| line.to_owned())
}

/// The first lines.
pub(crate) fn head(text: &str) -> String {
    text.lines().take(4).map(|line| format!("  {line}\n")).collect()
}

#[test]
fn commands_are_found_as_they_stand() {
    let page = "text\n```sh\nkubectl a   # says a\n\n# a remark\nkubectl b \\\n  --c=d | grep e\n```\n\
        ```yaml\nno: command\n```\n- in a list:\n\n  ```sh\n  kubectl f\n  ```\n";
    assert_eq!(
        commands(page),
        ["kubectl a", "kubectl b --c=d | grep e", "kubectl f"]
    );
}
