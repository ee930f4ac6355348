//! `policy fuzz`: a good policy comes through, each that misbehaves is found, and what is kept is a case.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use serde_json::Value;
use std::path::Path;
use support::{guest, policy};

#[test]
fn the_built_in_policies_come_through() {
    let folder = tempfile::tempdir().unwrap();
    let (code, data, talk) = policy(folder.path(), &["fuzz", "--runs", "30"]);
    assert_eq!(code, 0, "{data}{talk}");
    assert!(
        data.starts_with("nothing found in 30 clusters from seed 0, "),
        "{data}"
    );
    assert!(!folder.path().join("fuzz-cases").exists(), "nothing to keep");
    // So many clusters more, which ask for another time each.
    let (code, data, talk) = policy(
        folder.path(),
        &["fuzz", "--seconds", "1", "--seed", "1000", "--json"],
    );
    assert_eq!(code, 0, "{data}{talk}");
    let report: Value = serde_json::from_str(&data).unwrap();
    assert!(
        report["answers"].as_u64().unwrap() > 0 && report["findings"] == Value::Array(Vec::new()),
        "{report}"
    );
}

#[test]
fn whoever_misbehaves_is_found_and_kept_as_a_case() {
    // The guest, in how many clusters, the words that must be among what is found, and the limits that make it quick.
    let table: [(&str, &str, &[&str], &[&str]); 5] = [
        ("trap", "6", &["Trap"], &[]),
        ("spin", "6", &["OutOfFuel"], &["--fuel", "20000000"]),
        ("hog", "6", &["MemoryLimit"], &["--memory-mib", "4"]),
        ("garbage", "6", &["Garbage"], &[]),
        ("dice", "40", &["Trap", "Garbage"], &["--fuel", "50000000"]),
    ];
    for (name, runs, reasons, limits) in table {
        let folder = tempfile::tempdir().unwrap();
        let component = guest(name);
        let arguments = [&["fuzz", &component, "--runs", runs, "--json"], limits].concat();
        let (code, data, talk) = policy(folder.path(), &arguments);
        assert_eq!(code, 1, "{name}: {data}{talk}");
        assert!(
            talk.contains(&format!("found in {runs} clusters from seed 0")),
            "{name}: {talk}"
        );
        let report: Value = serde_json::from_str(&data).unwrap();
        let findings = report["findings"].as_array().unwrap();
        for reason in reasons {
            let found = findings.iter().any(|finding| finding["reason"] == *reason);
            assert!(found, "{name}: no {reason} in {report}");
        }
        // The cases show it to `test` and to `run`, and the built-in policies hold on them.
        let own = [&["test", "fuzz-cases", "--policy", &component], limits].concat();
        let (code, data, talk) = policy(folder.path(), &own);
        assert_eq!(code, 1, "{name}: {data}{talk}");
        let all_fail = format!("{} of {} cases fail", findings.len(), findings.len());
        assert!(talk.contains(&all_fail), "{name}: {data}{talk}");
        // Starting the desk takes seconds in a build for tests: these two stand for all.
        if ["trap", "dice"].contains(&name) {
            let (code, data, talk) = policy(folder.path(), &["test", "fuzz-cases"]);
            assert_eq!(code, 0, "{name}: {data}{talk}");
            let snapshot = format!("{}/snapshot.yaml", findings[0]["case"].as_str().unwrap());
            let own = [&["run", &snapshot, "--policy", &component], limits].concat();
            let (code, data, talk) = policy(folder.path(), &own);
            assert_eq!(code, 1, "{name}: {data}{talk}");
        }
        // The same seeds find the same, byte by byte.
        let cases = |folder: &Path| -> Vec<(String, Vec<u8>)> {
            let mut cases: Vec<_> = std::fs::read_dir(folder.join("fuzz-cases"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .map(|case| {
                    let name = case.file_name().unwrap().to_str().unwrap().to_owned();
                    (name, std::fs::read(case.join("snapshot.yaml")).unwrap())
                })
                .collect();
            cases.sort();
            cases
        };
        if name == "dice" {
            let again = tempfile::tempdir().unwrap();
            policy(again.path(), &arguments);
            assert_eq!(cases(folder.path()), cases(again.path()));
        }
        println!("{name}: {talk}");
    }
}
