//! Runs a process and watches what it uses. The kernel keeps the peak of its memory and its processor time while
//! it lives; both are looked at often, and once more when it has ended and nobody has asked for its exit code yet.

use anyhow::{Context, Result, bail};
use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Processor time in `/proc` comes in hundredths of a second on every Linux that runs this.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process printed and used.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Child {
    pub(super) output: String,
    /// None where the system has no `/proc`.
    pub(super) peak_memory: Option<u64>,
    pub(super) cpu_seconds: Option<f64>,
}

/// Runs the command to its end.
pub(super) fn measure(command: &mut Command) -> Result<Child> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let output = child
        .stdout
        .take()
        .map(|pipe| thread::spawn(move || all_of(pipe)));
    let talk = child
        .stderr
        .take()
        .map(|pipe| thread::spawn(move || all_of(pipe)));
    let (mut peak_memory, mut cpu_seconds) = (None, None);
    let folder = format!("/proc/{}", child.id());
    while let Ok(stat) = fs::read_to_string(format!("{folder}/stat")) {
        if let Ok(status) = fs::read_to_string(format!("{folder}/status")) {
            peak_memory = peak_in(&status).or(peak_memory);
        }
        let (ended, seconds) = usage_in(&stat);
        cpu_seconds = seconds.or(cpu_seconds);
        if ended {
            break;
        }
        thread::sleep(LOOK_EVERY);
    }
    let status = child.wait().with_context(|| format!("waiting for {name}"))?;
    let text = |reader: Option<thread::JoinHandle<String>>| {
        reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
    };
    let (output, talk) = (text(output), text(talk));
    if !status.success() {
        let said: Vec<&str> = output.lines().chain(talk.lines()).collect();
        let tail = said[said.len().saturating_sub(20)..].join("\n");
        bail!("{name} ended with {status}: {tail}");
    }
    Ok(Child {
        output,
        peak_memory,
        cpu_seconds,
    })
}

fn all_of(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    // What was read before an error is all there is.
    drop(pipe.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Peak memory in bytes, from `/proc/PID/status`.
fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Whether the process has ended, and its processor time so far, from `/proc/PID/stat`.
fn usage_in(stat: &str) -> (bool, Option<f64>) {
    // The name stands in parentheses and may hold anything.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map_or(stat, |(_, rest)| rest)
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok());
    let seconds = ticks(11)
        .zip(ticks(12))
        .map(|(user, system)| (f64::from(user) + f64::from(system)) / TICKS_PER_SECOND);
    (matches!(fields.first(), Some(&("Z" | "X"))), seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel() {
        assert_eq!(
            peak_in("VmPeak:\t 9 kB\nVmHWM:\t    1234 kB\n"),
            Some(1234 * 1024)
        );
        assert_eq!(peak_in("Name:\tx\n"), None);
        let rest = "1 2 3 0 -1 4194560 10 0 0 0 250 50 0 0 20 0 1 0";
        assert_eq!(usage_in(&format!("77 (a) b) R {rest}")), (false, Some(3.0)));
        assert_eq!(usage_in(&format!("77 (x) Z {rest}")), (true, Some(3.0)));
        assert_eq!(usage_in(""), (false, None));
    }

    #[test]
    fn a_process_and_its_end() {
        let mut good = Command::new("sh");
        good.args(["-c", "echo data; echo talk >&2"]);
        assert_eq!(measure(&mut good).unwrap().output, "data\n");
        let mut bad = Command::new("sh");
        bad.args(["-c", "echo the cause >&2; exit 3"]);
        let error = measure(&mut bad).unwrap_err().to_string();
        assert!(error.contains("the cause") && error.contains('3'), "{error}");
    }
}
