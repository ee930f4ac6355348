//! The format, the ring and the keeper. That a replay gives the same plan is shown in the simulation.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_core::decision::Action;
use autoscaler_core::model::{Group, Pod, PodClass, PodKey, Resources, Snapshot, Template};
use autoscaler_policy::record::{
    Kept, Outcome, Record, Records, Ring, Round, Subject, Totals, decode, decode_within, difference, encode,
    totals,
};
use std::sync::Arc;

/// One pod that waits, and one way to buy a node for it.
fn record(now_ms: i64) -> Record {
    let pod = Pod {
        key: PodKey {
            namespace: "default".into(),
            name: "web".into(),
        },
        uid: "1".into(),
        class: 0,
        nominated: None,
        owner: None,
        unschedulable_since_ms: Some(5),
    };
    let group: Group = serde_json::from_value(serde_json::json!({
        "namespace": "default", "name": "a", "min": 0, "max": 3, "current": 0, "upcoming": 0, "may_grow": true,
        "may_shrink": true, "held": null, "last_scale_up_ms": null, "last_scale_down_ms": null,
    }))
    .unwrap();
    let template: Template = serde_json::from_value(serde_json::json!({
        "group": 0, "offering": "small", "datacenter": "dc", "size": 1, "labels": {}, "taints": [],
        "allocatable": {"cpu_milli": 2000, "memory": 1000, "ephemeral": 0, "pods": 10},
        "hourly_micros": 20_000, "failures": 0, "backoff_until_ms": null,
    }))
    .unwrap();
    let class = PodClass {
        requests: Resources {
            pods: 1,
            ..Resources::cpu_memory(1500, 10)
        },
        ..PodClass::default()
    };
    let snapshot = Snapshot {
        now_ms,
        classes: vec![Arc::new(class)],
        class_ids: vec![0],
        pods: vec![pod],
        groups: vec![group],
        templates: vec![template],
        ..Snapshot::default()
    };
    Record {
        host: "0".into(),
        subject: Subject::Growth,
        snapshot: Arc::new(snapshot),
        set_aside: Vec::new(),
        rounds: vec![Round {
            groups: vec![0],
            plan: vec![Action::Buy {
                template: 0,
                count: 1,
                fallbacks: Vec::new(),
                reason: autoscaler_core::decision::Reason::new("X", "y"),
            }],
            ..Round::default()
        }],
        outcome: Outcome {
            created: vec!["default/a-1".into()],
            error: None,
        },
    }
}

#[test]
fn a_record_is_read_as_it_was_written_packed_or_not() {
    let record = record(7);
    let packed = encode(&record).unwrap();
    assert_eq!(decode(&packed).unwrap(), record);
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut plain).unwrap();
    assert!(plain.starts_with(br#"{"format":"vpsie-autoscaler/decision-record","version":1,"#));
    assert_eq!(decode(&plain).unwrap(), record);
    assert_eq!(
        encode(&decode(&plain).unwrap()).unwrap(),
        packed,
        "equal records are equal bytes"
    );
}

#[test]
fn what_is_no_record_is_refused_with_what_is_wrong() {
    let good = encode(&record(7)).unwrap();
    let changed = |change: fn(&mut Record)| {
        let mut record = record(7);
        change(&mut record);
        encode(&record).unwrap()
    };
    let cases: [(&str, Vec<u8>, &str, &str); 7] = [
        ("nothing", Vec::new(), "NotARecord", "no JSON document"),
        (
            "another file",
            b"\0asm".to_vec(),
            "NotARecord",
            "no JSON document",
        ),
        ("cut off", good[..good.len() / 2].to_vec(), "Damaged", "cut off"),
        (
            "of a later program",
            br#"{"format":"vpsie-autoscaler/decision-record","version":2,"record":{"new":1}}"#.to_vec(),
            "OtherFormat",
            "version 2: this program reads vpsie-autoscaler/decision-record version 1",
        ),
        (
            "with a pod of no class",
            changed(|record| Arc::make_mut(&mut record.snapshot).pods[0].class = 1),
            "OutOfRange",
            "snapshot.pods[0].class is 1 of 1",
        ),
        (
            "with a template of no group",
            changed(|record| Arc::make_mut(&mut record.snapshot).templates[0].group = 9),
            "OutOfRange",
            "snapshot.templates[0].group is 9 of 1",
        ),
        (
            "that sets a pod aside which it does not have",
            changed(|record| record.set_aside.push(3)),
            "OutOfRange",
            "setAside is 3 of 1",
        ),
    ];
    for (what, bytes, reason, text) in cases {
        let error = decode(&bytes).expect_err(what);
        assert_eq!(error.reason(), reason, "{what}: {error}");
        assert!(error.to_string().contains(text), "{what}: {error}");
    }
}

#[test]
fn a_document_without_end_is_not_unpacked() {
    let packed = encode(&record(7)).unwrap();
    let error = decode_within(&packed, 100).unwrap_err();
    assert_eq!(error.reason(), "TooLong");
    assert!(error.to_string().contains("longer than 100 bytes"), "{error}");
}

#[test]
fn a_ring_keeps_the_last_records_that_fit_also_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let names = |ring: &Ring| ring.entries().map(|entry| entry.name.clone()).collect::<Vec<_>>();
    let fill = |ring: &mut Ring| {
        for name in ["1", "2", "3"] {
            ring.put(name, vec![b'x'; 40]).unwrap();
        }
        let error = ring.put("large", vec![0; 101]).unwrap_err();
        assert!(
            error.to_string().contains("101 bytes does not fit into 100"),
            "{error}"
        );
        assert_eq!(names(ring), ["2", "3"]);
        assert_eq!(ring.get("1").unwrap(), None);
        assert_eq!(ring.get("3").unwrap(), Some(vec![b'x'; 40]));
        assert_eq!(ring.get("../3").unwrap(), None, "only names of the list are read");
    };
    fill(&mut Ring::in_memory(100));
    fill(&mut Ring::in_folder(folder.path(), 100).unwrap());
    std::fs::write(folder.path().join("4.unfinished"), "half").unwrap();
    let ring = Ring::in_folder(folder.path(), 100).unwrap();
    assert_eq!(names(&ring), ["2", "3"]);
    assert_eq!(names(&Ring::in_folder(folder.path(), 50).unwrap()), ["3"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_decision_to_do_nothing_is_kept_once() {
    let idle = |now_ms| {
        let mut record = record(now_ms);
        record.rounds[0].plan.clear();
        record.outcome = Outcome::default();
        record
    };
    let records = Records::keep_in(Ring::in_memory(1 << 20)).unwrap();
    let failed = || {
        let mut record = idle(4);
        record.outcome.error = Some("no".into());
        record
    };
    let kept: Vec<&str> = [idle(1), idle(2), record(3), idle(3), failed(), failed()]
        .map(|record| records.keep(record).as_str())
        .to_vec();
    assert_eq!(kept, ["kept", "repeated", "kept", "kept", "kept", "kept"]);
    records.flush();
    let times: Vec<i64> = records
        .latest(Subject::Growth, 3)
        .iter()
        .map(|record| record.snapshot.now_ms)
        .collect();
    assert_eq!(times, [4, 4, 3], "the newest first");
    assert_eq!(records.list().len(), 5);
    assert!(records.latest(Subject::Removal, 9).is_empty());
    assert_eq!(Records::off().keep(record(1)), Kept::Off);
}

#[test]
fn what_two_courses_differ_in() {
    let record = record(7);
    let mut other = record.rounds.clone();
    let Action::Buy { count, .. } = &mut other[0].plan[0] else {
        panic!()
    };
    *count = 2;
    let lines = difference(&record.snapshot, &record.rounds, &other);
    assert_eq!(
        lines,
        ["- buy 1 × small for default/a", "+ buy 2 × small for default/a"]
    );
    let same = difference(&record.snapshot, &record.rounds, &record.rounds);
    assert_eq!(same, ["  buy 1 × small for default/a"]);
    let expected = Totals {
        nodes_bought: 2,
        nodes_removed: 0,
        hourly_micros: 40_000,
        pods_left: 0,
    };
    assert_eq!(totals(&record, &other), expected);
    assert_eq!(totals(&record, &[]).pods_left, 1);
}
