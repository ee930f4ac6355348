//! How xtask speaks: on standard error, one line when a step begins, one when it ends with its duration, and
//! a sign of life in between when a step takes long and has no progress of its own.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// How long a silent step may stay silent.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// Says that `title` begins, does it, and says how long it took.
pub fn step<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    note(&format!("▸ {title}"));
    let started = Instant::now();
    let result = work();
    let outcome = if result.is_ok() { "done" } else { "failed" };
    note(&format!("  {outcome} in {}", duration(started.elapsed())));
    result
}

/// One line of talk.
pub fn note(line: &str) {
    eprintln!("{line}");
}

/// The error and its causes, once, at the very end.
pub fn error(error: &anyhow::Error) {
    note(&format!("\nxtask: {error:#}"));
}

/// `7.4 s` or `3 min 20 s`.
#[must_use]
pub fn duration(time: Duration) -> String {
    if time < Duration::from_secs(60) {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {:02} s", time.as_secs() / 60, time.as_secs() % 60)
    }
}

/// Runs `command` on the terminal that xtask has, and fails when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

/// Runs `command` on the terminal that xtask has and returns how it ended.
pub fn status(command: &mut Command) -> Result<ExitStatus> {
    command
        .status()
        .with_context(|| format!("starting `{}`", line(command)))
}

/// Runs `command` and returns its standard output; on failure the error carries what it said.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting `{}`", line(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` ended with {}: {}",
            line(command),
            output.status,
            said.trim()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("reading what `{}` printed", line(command)))
}

/// Runs a command that prints one line on standard error per unit of work, and says every ten seconds how
/// many units are done. All it said is in the error when it fails.
pub fn run_counting(command: &mut Command, label: &str, unit: &str) -> Result<()> {
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::inherit())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{}`", line(command)))?;
    let (lines, received) = channel();
    let reader = child
        .stderr
        .take()
        .map(|stream| thread::spawn(move || read_lines(stream, &lines)));

    let mut said = Vec::new();
    let mut next_sign = Instant::now() + SIGN_OF_LIFE;
    loop {
        match received.recv_timeout(next_sign.saturating_duration_since(Instant::now())) {
            Ok(line) => said.push(line),
            Err(RecvTimeoutError::Timeout) => {
                note(&format!(
                    "  {label}: {} {unit}, {}",
                    said.len(),
                    duration(started.elapsed())
                ));
                next_sign += SIGN_OF_LIFE;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child
        .wait()
        .with_context(|| format!("waiting for `{}`", line(command)))?;
    if let Some(reader) = reader {
        // Its channel is closed, so it has ended; a panic in it would have shown itself on the terminal.
        drop(reader.join());
    }
    if !status.success() {
        let tail = &said[said.len().saturating_sub(40)..];
        bail!("`{}` ended with {status}:\n{}", line(command), tail.join("\n"));
    }
    Ok(())
}

fn read_lines(stream: impl Read, lines: &Sender<String>) {
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        if lines.send(line).is_err() {
            return;
        }
    }
}

/// The command as one would type it, without its environment.
fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_reports_what_it_said() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo the cause >&2; exit 3"]);
        let error = run_counting(&mut command, "test", "lines")
            .unwrap_err()
            .to_string();
        assert!(error.contains("the cause") && error.contains('3'), "{error}");

        let mut command = Command::new("sh");
        command.args(["-c", "echo another cause >&2; exit 4"]);
        let error = output(&mut command).unwrap_err().to_string();
        assert!(error.contains("another cause") && error.contains('4'), "{error}");
    }

    #[test]
    fn durations_read_like_a_person_says_them() {
        for (milliseconds, text) in [
            (0, "0.0 s"),
            (7_440, "7.4 s"),
            (60_000, "1 min 00 s"),
            (200_400, "3 min 20 s"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), text);
        }
    }
}
