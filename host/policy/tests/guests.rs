//! Policies that misbehave: each is ended by the limit that is meant for it, and the built-in one decides in
//! the same call.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod support;

use autoscaler_core::decision::{Answer, Kind, Question};
use autoscaler_policy::{BUILT_IN, Binding, CallError, Fallback, LastGood, Limits};
use std::time::Duration;
use support::{PACKING, anything, binding, every_kind, growth, guest, policies, selection, shrinkage};

/// Little fuel, so that a loop ends soon whatever the machine does.
fn short() -> Limits {
    Limits {
        fuel: 20_000_000,
        ..Limits::default()
    }
}

fn failure_of(binding: &Binding, question: &Question) -> CallError {
    let decision = policies().decide(binding, question, &PACKING, &anything);
    let taken = decision.taken.expect("the built-in policy decides");
    assert_eq!(taken.policy.name, BUILT_IN);
    let built_in = &policies().active(question.kind()).pop().unwrap();
    let alone = policies().decide(built_in, question, &PACKING, &anything);
    assert_eq!(
        taken.report.answer,
        alone.taken.unwrap().report.answer,
        "as if it had been asked at once"
    );
    let [failure] = decision.failures.as_slice() else {
        panic!("{:?}", decision.failures)
    };
    assert_eq!(failure.policy.name, binding.name);
    assert_eq!(failure.policy.digest, binding.policy.digest());
    failure.error.clone()
}

#[test]
fn each_misdeed_has_its_name_and_a_decision_all_the_same() {
    let [_, nodes, fleet] = every_kind();
    let tight = Limits {
        memory_bytes: 8 << 20,
        ..short()
    };
    let cases: Vec<(&str, Limits, Question, &str)> = vec![
        ("trap", short(), growth(), "Trap"),
        ("trap", short(), nodes.clone(), "Trap"),
        ("trap", short(), fleet.clone(), "Trap"),
        ("spin", short(), growth(), "OutOfFuel"),
        ("spin", short(), nodes.clone(), "OutOfFuel"),
        ("spin", short(), fleet.clone(), "OutOfFuel"),
        (
            "spin",
            Limits {
                fuel: u64::MAX,
                deadline: Duration::from_millis(50),
                ..short()
            },
            growth(),
            "Deadline",
        ),
        ("hog", tight, growth(), "MemoryLimit"),
        ("hog", tight, fleet.clone(), "MemoryLimit"),
        ("garbage", short(), growth(), "Garbage"),
        ("garbage", Limits::default(), nodes, "OutputLimit"),
        ("garbage", short(), fleet, "Garbage"),
        (
            "nothing",
            Limits {
                memory_bytes: 1 << 10,
                ..short()
            },
            growth(),
            "MemoryLimit",
        ),
        ("nothing", Limits { fuel: 10, ..short() }, growth(), "OutOfFuel"),
    ];
    for (name, limits, question, reason) in cases {
        let binding = Binding {
            limits,
            ..binding(name)
        };
        let error = failure_of(&binding, &question);
        assert_eq!(
            error.reason(),
            reason,
            "{name} asked about {}: {error}",
            question.kind()
        );
    }
}

#[test]
fn a_panic_is_told_with_its_words() {
    let CallError::Trap(text) = failure_of(&binding("trap"), &growth()) else {
        panic!("no trap")
    };
    assert!(text.contains("nothing is decided here"), "{text}");
}

#[test]
fn a_wrong_index_is_named() {
    let error = failure_of(&binding("garbage"), &shrinkage(&[(0, 0, 60), (1, 1, 0)]));
    assert_eq!(error, CallError::Garbage("node 2 of 2".to_owned()));
}

#[test]
fn a_refused_plan_is_a_failure_like_any_other() {
    let greedy = binding("thousand");
    let accept = |answer: &Answer| match answer {
        Answer::NodeSelection(mix) if mix.purchases.iter().any(|purchase| purchase.count > 10) => {
            Err("1000 nodes of 10".to_owned())
        }
        _ => Ok(()),
    };
    let decision = policies().decide(&greedy, &selection(Vec::new()), &PACKING, &accept);
    assert_eq!(
        decision.failures[0].error,
        CallError::Garbage("1000 nodes of 10".to_owned())
    );
    assert_eq!(decision.taken.unwrap().policy.name, BUILT_IN);
}

#[test]
fn a_policy_that_proposes_nothing_is_believed() {
    for question in every_kind() {
        let decision = policies().decide(&binding("nothing"), &question, &PACKING, &anything);
        assert!(decision.failures.is_empty(), "{:?}", decision.failures);
        let taken = decision.taken.unwrap();
        assert_eq!(
            (taken.policy.name.as_str(), taken.policy.version.as_str()),
            ("nothing", "1.0.0")
        );
        let empty = match taken.report.answer {
            Answer::ScaleUp(demand) => demand.groups.is_empty(),
            Answer::NodeSelection(mix) => mix.purchases.is_empty(),
            Answer::Rebalance(proposal) => proposal.steps.is_empty(),
        };
        assert!(empty);
    }
}

#[test]
fn fallbacks_go_the_configured_way() {
    let good = LastGood {
        policy: guest("nothing"),
        config: "{}".to_owned(),
        limits: short(),
    };
    let bad = LastGood {
        policy: guest("spin"),
        ..good.clone()
    };
    let same = LastGood {
        policy: guest("trap"),
        ..good.clone()
    };
    let digest = |name: &str| guest(name).digest().to_owned();
    let built_in = policies()
        .active(Kind::ScaleUp)
        .pop()
        .unwrap()
        .policy
        .digest()
        .to_owned();
    for (fallback, last_good, failures, decided) in [
        (Fallback::LastGood, Some(good.clone()), 1, Some(digest("nothing"))),
        (Fallback::LastGood, Some(bad), 2, Some(built_in.clone())),
        (Fallback::LastGood, Some(same), 1, Some(built_in.clone())),
        (Fallback::LastGood, None, 1, Some(built_in.clone())),
        (Fallback::BuiltIn, Some(good.clone()), 1, Some(built_in)),
        (Fallback::Hold, Some(good), 1, None),
    ] {
        let binding = Binding {
            fallback,
            last_good,
            limits: short(),
            ..binding("trap")
        };
        let decision = policies().decide(&binding, &growth(), &PACKING, &anything);
        assert_eq!(decision.failures.len(), failures, "{fallback:?}");
        assert_eq!(
            decision.taken.map(|taken| taken.policy.digest),
            decided,
            "{fallback:?}"
        );
    }
}

#[test]
fn a_policy_is_not_asked_what_it_does_not_answer() {
    let error = failure_of(&binding("thousand"), &shrinkage(&[(0, 0, 60)]));
    assert_eq!(
        error,
        CallError::BadConfig("the component does not export rebalance".to_owned())
    );
}
