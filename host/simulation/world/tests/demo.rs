//! The demo as a test: it keeps its promises, and the same seed gives the same bytes.

use autoscaler_simulation::demo::{self, GIANT, JOBS, LIMITS, SHOP, WEB};
use std::sync::mpsc;

#[test]
fn the_demo_keeps_its_promises_and_repeats_itself() {
    let first = demo::run(3, None).unwrap().without_durations();
    let second = demo::run(3, None).unwrap().without_durations();
    let text = serde_json::to_string_pretty(&first).unwrap();
    assert_eq!(text, serde_json::to_string_pretty(&second).unwrap());

    let fitting = [WEB, JOBS, SHOP]
        .iter()
        .map(|workload| workload.replicas as usize / 4)
        .sum::<usize>();
    let giants = GIANT.replicas as usize;
    assert_eq!(
        (first.pods.total, first.pods.running),
        (fitting + giants, fitting),
        "{text}"
    );
    assert_eq!(first.pods.pending, giants);
    assert!(
        first
            .events
            .get("NotTriggerScaleUp")
            .is_some_and(|count| *count >= giants as u64),
        "{text}"
    );
    assert!(
        first
            .events
            .get("TriggeredScaleUp")
            .is_some_and(|count| *count >= 150),
        "{text}"
    );

    for (group, most) in LIMITS {
        assert!(
            first.nodes.most_per_group[group] <= most as usize,
            "{group}: {text}"
        );
    }
    assert_eq!(first.vms.leaked, 0, "{text}");
    assert_eq!(
        first.vms.created - first.vms.deleted,
        first.nodes.ready as u64,
        "{text}"
    );
    assert!(
        first.vms.deleted >= first.vms.created / 2,
        "most of the surplus went: {text}"
    );
    assert!(
        first.cost.hourly > 0.0 && first.cost.hourly < first.cost.peak_hourly / 2.0,
        "{text}"
    );
}

/// `BLESS=1 cargo test` writes the file anew.
#[test]
fn the_story_reads_as_before() {
    let (sender, lines) = mpsc::channel();
    demo::run(
        1,
        Some(Box::new(move |line| sender.send(format!("{line}\n")).unwrap())),
    )
    .unwrap();
    let story: String = lines.iter().collect();
    // Digests change with every build of the policies, durations with the machine.
    let story = regex::Regex::new("sha256:[0-9a-f]+")
        .unwrap()
        .replace_all(&story, "sha256:…")
        .into_owned();
    let story = regex::Regex::new(r"in \d+ us")
        .unwrap()
        .replace_all(&story, "in … us")
        .into_owned();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/story.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(file, &story).unwrap();
    }
    let golden = std::fs::read_to_string(file).unwrap();
    assert!(
        story == golden,
        "the story differs from {file}; BLESS=1 accepts this one:\n{story}"
    );
}
