//! A policy that fails too often is not asked any more; one that is swapped loses no decision.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod support;

use autoscaler_core::decision::{Answer, Kind, Question};
use autoscaler_policy::{BUILT_IN, Binding, Fallback, LastGood, Limits, PolicySet, Tally, TripAfter};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{PACKING, anything, binding, engine, every_kind, growth, guest, shrinkage};

fn limited(name: &str) -> Binding {
    Binding {
        tally: Arc::new(Tally::new(Some(TripAfter {
            failures: 3,
            within: Duration::from_secs(60),
        }))),
        limits: Limits {
            fuel: 20_000_000,
            ..Limits::default()
        },
        ..binding(name)
    }
}

#[test]
fn the_third_failure_trips_and_the_last_good_one_decides() {
    let policies = PolicySet::built_in(engine()).unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = heard.clone();
    policies.on_trip(move |name| ear.lock().unwrap().push(name.to_owned()));
    let good = LastGood {
        policy: guest("nothing"),
        config: "{}".to_owned(),
        limits: Limits::default(),
    };
    let refuse = |_: &Answer| Err("no".to_owned());
    for (name, reason) in [
        ("trap", "Trap"),
        ("spin", "OutOfFuel"),
        ("garbage", "Garbage"),
        ("thousand", "Garbage"),
    ] {
        heard.lock().unwrap().clear();
        let binding = Binding {
            last_good: Some(good.clone()),
            ..limited(name)
        };
        let accept: &dyn Fn(&Answer) -> Result<(), String> =
            if name == "thousand" { &refuse } else { &anything };
        for call in 1..=3 {
            assert_eq!(binding.tally.trip(), None, "{name}, call {call}");
            let decision = policies.decide(&binding, &growth(), &PACKING, accept);
            assert_eq!(decision.failures[0].error.reason(), reason, "{name}, call {call}");
        }
        let trip = binding.tally.trip().unwrap();
        assert_eq!(
            (trip.reason.as_str(), trip.failures, trip.at_ms),
            (reason, 3, growth().now_ms())
        );
        assert_eq!(*heard.lock().unwrap(), [name], "it is told once");
        let decision = policies.decide(&binding, &growth(), &PACKING, &anything);
        assert!(decision.failures.is_empty(), "{name} is not asked");
        assert_eq!(decision.taken.unwrap().policy.digest, guest("nothing").digest());
        assert_eq!(binding.tally.usage().calls, 3);
    }
}

#[test]
fn without_a_last_good_one_the_built_in_policy_decides_and_a_held_one_decides_nothing() {
    let policies = PolicySet::built_in(engine()).unwrap();
    for (fallback, decided) in [
        (Fallback::LastGood, Some(BUILT_IN)),
        (Fallback::BuiltIn, Some(BUILT_IN)),
        (Fallback::Hold, None),
    ] {
        let binding = Binding {
            fallback,
            ..limited("trap")
        };
        for _ in 0..3 {
            policies.decide(&binding, &growth(), &PACKING, &anything);
        }
        let decision = policies.decide(&binding, &growth(), &PACKING, &anything);
        assert!(decision.failures.is_empty());
        assert_eq!(decision.taken.map(|taken| taken.policy.name).as_deref(), decided);
    }
}

#[test]
fn answers_are_counted_with_what_they_took() {
    let policies = PolicySet::built_in(engine()).unwrap();
    let binding = limited("nothing");
    let fuel: Vec<u64> = every_kind()
        .iter()
        .map(|question| {
            let decision = policies.decide(&binding, question, &PACKING, &anything);
            decision.taken.unwrap().report.fuel_used
        })
        .collect();
    let usage = binding.tally.usage();
    assert_eq!(
        (usage.calls, usage.traps + usage.refusals + usage.limit_overruns),
        (3, 0)
    );
    assert_eq!(usage.fuel.sum, fuel.iter().sum::<u64>());
    assert_eq!(Some(&usage.fuel.max), fuel.iter().max());
    assert!(usage.duration_us.max >= usage.duration_us.mean());
}

#[test]
fn shadows_are_apart_and_end_when_they_trip() {
    let policies = PolicySet::built_in(engine()).unwrap();
    let shadow = limited("trap");
    policies.swap_shadows(Kind::ScaleUp, vec![shadow.clone()]);
    policies.swap_shadows(Kind::Rebalance, vec![shadow.clone()]);
    let names = |kind| -> Vec<String> {
        let active = policies.active(kind);
        active.iter().map(|binding| binding.name.clone()).collect()
    };
    assert_eq!(names(Kind::ScaleUp), [BUILT_IN], "a shadow never decides");
    let kinds: BTreeMap<String, Vec<Kind>> = policies
        .shadows()
        .into_iter()
        .map(|(name, kinds)| (name, kinds.into_keys().collect()))
        .collect();
    assert_eq!(
        kinds,
        BTreeMap::from([("trap".to_owned(), vec![Kind::ScaleUp, Kind::Rebalance])])
    );
    let detached = shadow.detached();
    for _ in 0..5 {
        policies.decide(&detached, &growth(), &PACKING, &anything);
    }
    assert_eq!(
        shadow.tally.usage().calls,
        0,
        "what is only imagined is not counted"
    );
    for _ in 0..3 {
        policies.decide(&shadow, &growth(), &PACKING, &anything);
    }
    assert!(policies.shadows().is_empty());
}

/// Two policies take turns while four threads decide: each decision comes from one of the two, whole, and none
/// fails or falls back.
#[test]
fn a_hundred_swaps_under_continuous_decisions_lose_none() {
    const SWAPS: u64 = 100;
    /// Between swaps, so that each version decides.
    const DECISIONS: u64 = 5;
    let policies = PolicySet::built_in(engine()).unwrap();
    let versions = [binding("nothing"), binding("thousand")];
    let digests: Vec<String> = versions
        .iter()
        .map(|binding| binding.policy.digest().to_owned())
        .collect();
    policies.swap(Kind::ScaleUp, vec![versions[0].clone()]);
    let (begun, decided, done) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let by_version = Mutex::new(BTreeMap::<String, u64>::new());
    let question = growth();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    begun.fetch_add(1, Ordering::SeqCst);
                    let binding = policies.active(Kind::ScaleUp).swap_remove(0);
                    let decision = policies.decide(&binding, &question, &PACKING, &anything);
                    assert!(decision.failures.is_empty(), "{:?}", decision.failures);
                    let taken = decision.taken.expect("a decision");
                    assert_eq!(taken.policy.digest, binding.policy.digest());
                    *by_version.lock().unwrap().entry(taken.policy.digest).or_default() += 1;
                    decided.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for swap in 1..=SWAPS {
            let before = decided.load(Ordering::SeqCst);
            let version = usize::try_from(swap % 2).unwrap();
            policies.swap(Kind::ScaleUp, vec![versions[version].clone()]);
            let now = policies.active(Kind::ScaleUp);
            assert_eq!(now[0].policy.digest(), digests[version], "the swap holds at once");
            while decided.load(Ordering::SeqCst) < before + DECISIONS && !scope_is_broken(&by_version) {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(
        begun.load(Ordering::SeqCst),
        decided.load(Ordering::SeqCst),
        "none is lost"
    );
    let by_version = by_version.into_inner().unwrap();
    assert_eq!(by_version.len(), 2, "both decided: {by_version:?}");
    let counted: u64 = versions.iter().map(|binding| binding.tally.usage().calls).sum();
    assert_eq!(
        counted,
        decided.load(Ordering::SeqCst),
        "and none is counted twice"
    );
}

/// A thread that failed has poisoned the lock: waiting for it would take for ever.
fn scope_is_broken<T>(shared: &Mutex<T>) -> bool {
    shared.is_poisoned()
}

#[test]
fn questions_tell_their_time() {
    let times: Vec<u64> = every_kind().iter().map(Question::now_ms).collect();
    assert!(times.iter().all(|time| *time == 1_700_000_000_000), "{times:?}");
    assert_eq!(shrinkage(&[]).now_ms(), 1_700_000_000_000);
}
