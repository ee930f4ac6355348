//! A child process that cannot outlive the test process, however that ends.
//!
//! Each child runs under a small shell that reads a pipe whose other end only the test process holds. When
//! the test process drops it, or dies of anything (a panic, `SIGKILL`, an out-of-memory kill), the pipe
//! closes and the shell kills the child. This needs no `unsafe`, no signal handling and no process table.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// `$@` is the command. The reader is a child of its own so that the shell can wait for the command and pass
/// its status on; descriptor 3 is there because a shell gives background commands an empty standard input.
const GUARD: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
{ read -r _ <&3; kill -KILL $child; } 2>/dev/null &
reader=$!
wait $child
status=$?
kill $reader 2>/dev/null
exit $status
"#;

/// Removes `$1` once the pipe closes. The other guards kill at the same moment, hence the second look.
const JANITOR: &str = r#"
read -r _
for _ in 1 2 3 4 5; do rm -rf "$1" 2>/dev/null && exit; sleep 0.2; done
"#;

/// A running child. Dropping it kills the child.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    guard: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with `arguments` in `folder`, which also gets its log. Nothing of the environment
    /// reaches it but what is given here: a proxy or a kubeconfig of the developer's must not.
    pub(crate) fn start(folder: &Path, program: &Path, arguments: &[String]) -> Result<Self> {
        let name = program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let log = folder.join(format!("{name}.log"));
        let mut command = shell(GUARD);
        command
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .envs(environment(folder));
        let output = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        command
            .stdout(output.try_clone().context("sharing the log file")?)
            .stderr(output);
        let guard = command.spawn().with_context(|| format!("starting {name}"))?;
        Ok(Self { name, guard, log })
    }

    /// Fails, with the end of its log, when the child has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self
            .guard
            .try_wait()
            .with_context(|| format!("looking after {}", self.name))?
        {
            None => Ok(()),
            Some(status) => bail!("ended with {status}: {}", self.log_tail()),
        }
    }

    /// The last lines that the child logged, under its name.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        format!(
            "{}:\n{}",
            self.name,
            lines[lines.len().saturating_sub(20)..].join("\n")
        )
    }

    /// Tells the guard to kill the child, without waiting for it.
    pub(crate) fn release(&mut self) {
        drop(self.guard.stdin.take());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.release();
        // Nothing can be done about an error here, and the guard ends without our help.
        drop(self.guard.wait());
    }
}

/// Removes a folder when this process ends, if it is not removed before.
#[derive(Debug)]
pub(crate) struct Janitor(Child);

impl Janitor {
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let mut command = shell(JANITOR);
        command.arg(folder).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(
            command
                .spawn()
                .context("starting the janitor of the test folder")?,
        ))
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", script, "control-plane"])
        .stdin(Stdio::piped());
    command
}

/// A home of its own, because every one of these programs reads or writes dot files.
pub(crate) fn environment(folder: &Path) -> BTreeMap<&'static str, PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    BTreeMap::from([
        ("PATH", path.into()),
        ("HOME", folder.to_owned()),
        ("TMPDIR", folder.to_owned()),
    ])
}
