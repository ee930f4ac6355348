//! Every case of `scheduling/` must hold. `CASE=topic/name` picks those whose name contains it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use autoscaler_cases::{File, judge, load};
use scheduling_cases::ask;
use std::collections::BTreeMap;
use std::path::Path;

fn files() -> Vec<File> {
    load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scheduling")).unwrap()
}

#[test]
fn every_case_holds() {
    let wanted = std::env::var("CASE").unwrap_or_default();
    let mut failures = Vec::new();
    let mut judged = 0;
    for file in files() {
        if !file.name.contains(&wanted) {
            continue;
        }
        judged += 1;
        let result = file
            .case
            .and_then(|case| judge(&case, &ask).map_err(|error| error.context(case.about)));
        if let Err(error) = result {
            failures.push(format!("{}.yaml: {error:#}", file.name));
        }
    }
    assert!(judged > 0, "no case is called {wanted:?}");
    assert!(
        failures.is_empty(),
        "{} of {judged} cases fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// A harvest that shrinks unnoticed, or that tells one behaviour twice, is worth little.
#[test]
fn they_are_many_and_differ() {
    let mut topics: BTreeMap<String, usize> = BTreeMap::new();
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for file in files() {
        let topic = file.name.split('/').next().unwrap().to_owned();
        *topics.entry(topic).or_default() += 1;
        let text = file.text.split_once("\ncluster:").unwrap().1.to_owned();
        let same = known.insert(text, file.name.clone());
        assert_eq!(same, None, "{} is the same case", file.name);
        assert!(
            file.text.starts_with("source: "),
            "{} does not say whose behaviour it is",
            file.name
        );
    }
    let all: usize = topics.values().sum();
    println!("{all} cases: {topics:?}");
    assert!(all >= 600, "{all} cases: {topics:?}");
}
