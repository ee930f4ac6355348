//! `policy test`: cases against components, with a report for people and one for machines.

use super::desk::{desk_of_build, desk_of_project};
use crate::arguments::PolicyTest;
use anyhow::{Context, bail};
use autoscaler_cases::{Asking, Desk, FolderCase, Verdict, judge, parse};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What became of a case.
struct Result {
    name: String,
    took: Duration,
    /// None where it holds.
    failure: Option<String>,
}

pub(super) fn run(options: &PolicyTest) -> anyhow::Result<()> {
    let desk = if options.build {
        desk_of_build(&options.desk)?
    } else {
        desk_of_project(&options.desk)?
    };
    let default = [PathBuf::from("cases")];
    let roots = if options.cases.is_empty() {
        &default[..]
    } else {
        &options.cases
    };
    let mut cases = Vec::new();
    for root in roots {
        find(root, &mut cases)?;
    }
    if cases.is_empty() {
        let names: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
        bail!(
            "there is no case in {}: a case is a folder with a snapshot and expect.yaml",
            names.join(", ")
        );
    }
    if options.bless {
        for case in cases.iter().filter(|case| case.is_dir()) {
            FolderCase::read(case, true)?
                .bless(&desk)
                .with_context(|| format!("blessing {}", case.display()))?;
            eprintln!("vpsie-autoscaler: {} says what happens now", case.display());
        }
    }
    let results: Vec<Result> = cases.iter().map(|case| judged(case, &desk)).collect();
    if let Some(file) = &options.junit {
        std::fs::write(file, junit(&results))
            .with_context(|| format!("--junit: writing {}", file.display()))?;
    }
    let failed = results.iter().filter(|result| result.failure.is_some()).count();
    super::super::print(&text(&results))?;
    if failed > 0 {
        bail!("{failed} of {} cases fail", results.len());
    }
    Ok(())
}

/// The cases at and below a path, by name.
fn find(path: &Path, cases: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let is_file = path.is_file();
    if is_file || FolderCase::is_at(path) {
        cases.push(path.to_owned());
        return Ok(());
    }
    let listed =
        std::fs::read_dir(path).with_context(|| format!("looking for cases in {}", path.display()))?;
    let mut below = Vec::new();
    for entry in listed {
        let entry = entry
            .with_context(|| format!("looking for cases in {}", path.display()))?
            .path();
        let is_case = entry.extension().is_some_and(|extension| extension == "yaml");
        if entry.is_dir() || is_case {
            below.push(entry);
        }
    }
    below.sort();
    below.iter().try_for_each(|entry| find(entry, cases))
}

fn judged(case: &Path, desk: &Desk) -> Result {
    let begun = Instant::now();
    let verdict = if case.is_dir() {
        FolderCase::read(case, false).and_then(|case| case.judge(desk))
    } else {
        one_file(case, desk)
    };
    Result {
        name: case.display().to_string(),
        took: begun.elapsed(),
        failure: match verdict {
            Ok(Verdict::Holds) => None,
            Ok(Verdict::Fails(text)) => Some(text),
            Err(error) => Some(format!("{error:#}")),
        },
    }
}

/// A case that is one YAML file.
fn one_file(file: &Path, desk: &Desk) -> anyhow::Result<Verdict> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let case = parse(&text)?;
    let asking = Asking::twice(desk);
    asking.with(|ask| judge(&case, ask))?;
    Ok(Verdict::Holds)
}

fn text(results: &[Result]) -> String {
    let mut out = String::new();
    for result in results {
        let _ = match &result.failure {
            None => writeln!(out, "ok    {} ({} ms)", result.name, result.took.as_millis()),
            Some(text) => writeln!(
                out,
                "FAIL  {}\n      {}",
                result.name,
                text.replace('\n', "\n      ")
            ),
        };
    }
    let failed = results.iter().filter(|result| result.failure.is_some()).count();
    let _ = writeln!(out, "{} cases, {failed} fail", results.len());
    out
}

/// The report that CI systems read.
fn junit(results: &[Result]) -> String {
    let failed = results.iter().filter(|result| result.failure.is_some()).count();
    let seconds = |took: Duration| format!("{:.3}", took.as_secs_f64());
    let all: Duration = results.iter().map(|result| result.took).sum();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuite name=\"policy\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" time=\"{}\">",
        results.len(),
        seconds(all)
    );
    for result in results {
        let (name, time) = (escaped(&result.name), seconds(result.took));
        let _ = match &result.failure {
            None => writeln!(
                out,
                "  <testcase classname=\"policy\" name=\"{name}\" time=\"{time}\"/>"
            ),
            Some(text) => writeln!(
                out,
                "  <testcase classname=\"policy\" name=\"{name}\" time=\"{time}\">\n    <failure message=\"{}\">{}</failure>\n  </testcase>",
                escaped(text.lines().next().unwrap_or_default()),
                escaped(text)
            ),
        };
    }
    out.push_str("</testsuite>\n");
    out
}

/// Text in XML. Characters that XML has no way to write are left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            character if character.is_control() => {}
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_xml_whatever_a_case_says() {
        let result = |failure: Option<&str>| Result {
            name: "cases/a\"<b>".to_owned(),
            took: Duration::from_millis(1500),
            failure: failure.map(str::to_owned),
        };
        let report = junit(&[result(None), result(Some("first & \u{1b}[1m\nsecond"))]);
        assert!(
            report.contains("tests=\"2\" failures=\"1\" errors=\"0\" time=\"3.000\""),
            "{report}"
        );
        assert!(
            report.contains("name=\"cases/a&quot;&lt;b&gt;\" time=\"1.500\"/>"),
            "{report}"
        );
        assert!(
            report.contains("<failure message=\"first &amp; [1m\">first &amp; [1m\nsecond</failure>"),
            "{report}"
        );
    }
}
