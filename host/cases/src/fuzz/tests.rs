use super::trial::{Verdict, twice};
use super::*;
use autoscaler_core::decision::{Answer, Demand, questions};
use autoscaler_core::packing::{WhatIf, place_pending};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

fn report(groups: usize, fuel_used: u64) -> CallReport {
    let demand = autoscaler_core::decision::GroupDemand {
        group: 0,
        pods: Vec::new(),
        reason: autoscaler_core::decision::Reason {
            code: "Test".into(),
            text: String::new(),
        },
    };
    CallReport {
        answer: Answer::ScaleUp(Demand {
            groups: vec![demand; groups],
            rejections: Vec::new(),
        }),
        fuel_used,
        duration: Duration::ZERO,
        memory_peak: 1,
        what_if_calls: 0,
        log: Vec::new(),
        log_dropped: 0,
    }
}

#[test]
fn the_same_seed_makes_the_same_cluster_and_every_seed_one_that_can_be_made() {
    let mut with_pods = [0, 0];
    for seed in 0..200 {
        let cluster = generate::cluster(seed);
        assert_eq!(cluster, generate::cluster(seed));
        let scene = scene(&cluster).unwrap_or_else(|error| panic!("seed {seed}: {error:#}\n{cluster}"));
        let kind = usize::try_from(seed % 2).unwrap();
        with_pods[kind] += usize::from(!scene.snapshot.pods.is_empty());
    }
    // Else nobody is asked anything.
    assert!(with_pods.iter().all(|clusters| *clusters > 50), "{with_pods:?}");
}

#[test]
fn a_question_put_twice() {
    type End = Result<(usize, u64), CallError>;
    let trap = || Err(CallError::Trap("oh".to_owned()));
    let deadline = || Err(CallError::Deadline(Duration::ZERO));
    let table: [(End, End, &str, u32); 8] = [
        (Ok((0, 5)), Ok((0, 5)), "same", 2),
        (Ok((0, 5)), Ok((1, 5)), "unstable", 2),
        (Ok((0, 5)), Ok((0, 6)), "unstable", 2),
        (Ok((0, 5)), trap(), "unstable", 2),
        (trap(), Ok((0, 5)), "unstable", 2),
        (trap(), trap(), "Trap", 2),
        (deadline(), Ok((0, 5)), "Deadline", 1),
        (Ok((0, 5)), deadline(), "Deadline", 2),
    ];
    let placement = place_pending(&scene(&json!({})).unwrap().snapshot);
    let question = questions::scale_up(&placement, &|_| true);
    let oracle = WhatIf::new(&placement, &question);
    for (row, (first, second, expected, asked)) in table.into_iter().enumerate() {
        let times = Cell::new(0);
        let verdict = twice(&question, &oracle, &|_, _| {
            times.set(times.get() + 1);
            let end = if times.get() == 1 { &first } else { &second };
            end.clone().map(|(groups, fuel)| report(groups, fuel))
        });
        let found = match verdict {
            Verdict::Same(_) => "same",
            Verdict::Unstable(_) => "unstable",
            Verdict::Failed(error) => error.reason(),
        };
        assert_eq!((found, times.get()), (expected, asked), "row {row}");
    }
}

#[test]
fn the_smallest_cluster_that_shows_it_is_found() {
    let cluster = json!({
        "seed": 9, "maxNodes": 4,
        "pods": [{"name": "a", "cpu": "1"}, {"name": "b", "cpu": "1", "count": 37, "labels": {"app": "x"}},
                 {"name": "c", "cpu": "2", "count": 5}],
        "groups": [{"name": "g", "max": 3}, {"name": "h"}],
    });
    // It takes at least three pods called b.
    let mut tries = 0;
    let smallest = minimise::minimise(&cluster, 300, &mut |cluster| {
        tries += 1;
        let mut pods = cluster["pods"].as_array().into_iter().flatten();
        pods.any(|pod| pod["name"] == "b" && pod["count"].as_u64().is_some_and(|count| count > 2))
    });
    assert_eq!(smallest["pods"], json!([{"name": "b", "cpu": "1", "count": 4}]));
    for (field, left) in [("groups", 0), ("seed", 0), ("maxNodes", 0)] {
        let found = smallest
            .get(field)
            .map_or(0, |value| value.as_array().map_or(1, Vec::len));
        assert_eq!(found, left, "{field} in {smallest}");
    }
    assert!(tries < 60, "{tries}");
    // Without a try left, it stays as it is.
    assert_eq!(minimise::minimise(&cluster, 0, &mut |_| true), cluster);
}

#[test]
fn each_failure_is_told_with_its_kind_and_reason() {
    let cluster = json!({
        "offerings": [{"name": "o", "cpu": 4}], "groups": [{"name": "g"}],
        "pods": [{"name": "p", "cpu": "1", "count": 3}],
    });
    let scene = scene(&cluster).unwrap();
    let kinds = BTreeSet::from([Kind::ScaleUp]);
    let run = |groups: usize| Trial::of(&scene.snapshot, &kinds, &|_, _| Ok(report(groups, 5)));
    let none = run(0);
    assert_eq!((none.answers, none.fuel, none.failures.len()), (1, 5, 0));
    // The same group twice.
    let twice = run(2).failures;
    assert_eq!(twice.len(), 1);
    assert_eq!(
        (twice[0].kind, &*twice[0].reason),
        (Kind::ScaleUp, "Duplicate"),
        "{twice:?}"
    );
}

#[test]
fn texts_of_policies_become_one_line() {
    assert_eq!(one_line("a\n  b\tc"), "a b c");
    let long = one_line(&"x".repeat(1000));
    assert!(long.ends_with('…') && long.chars().count() == 201);
}
