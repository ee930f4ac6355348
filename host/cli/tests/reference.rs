//! `docs/cli.md` is what `--help` prints. `BLESS=1` rewrites it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

const INTRODUCTION: &str = "\
# Command line

<!-- Generated from --help by host/cli/tests/reference.rs; BLESS=1 rewrites it. -->

`vpsie-autoscaler` prints data on standard output and talk on standard error. Durations are written like `500ms`,
`30s` or `1m30s`.
";

/// What the program prints, in an environment that shows nothing of this machine.
fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_vpsie-autoscaler"))
        .args(arguments)
        .arg("--help")
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    // The alignment of multi-line help leaves blanks at the ends of lines.
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The commands under a list of arguments, as the help text names them.
fn commands(text: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

fn write(arguments: &[&str], page: &mut String) {
    let text = help(arguments);
    let title = ["vpsie-autoscaler"]
        .iter()
        .chain(arguments)
        .copied()
        .collect::<Vec<_>>()
        .join(" ");
    write!(page, "\n## {title}\n\n```text\n{}\n```\n", text.trim_end()).unwrap();
    for name in commands(&text) {
        let deeper: Vec<&str> = arguments.iter().copied().chain([name.as_str()]).collect();
        write(&deeper, page);
    }
}

#[test]
fn the_reference_is_up_to_date() {
    let mut page = INTRODUCTION.to_owned();
    write(&[], &mut page);
    assert!(
        page.contains("## vpsie-autoscaler run\n"),
        "no command was found in\n{page}"
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        present == page,
        "docs/cli.md is stale: run this test with BLESS=1"
    );
}
