//! The built-in policies as components: what they decide on small clusters, that they decide it every time, and
//! what their questions to the oracle cost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod support;

use autoscaler_core::decision::{Answer, Kind, Question, RebalanceAction};
use autoscaler_policy::{BUILT_IN, Binding, CallError, CallReport, Limits};
use support::{PACKING, Packing, anything, growth, policies, selection, shrinkage};

fn ask(question: &Question) -> CallReport {
    let built_in = policies().active(question.kind()).pop().unwrap();
    let decision = policies().decide(&built_in, question, &PACKING, &anything);
    assert!(decision.failures.is_empty(), "{:?}", decision.failures);
    decision.taken.unwrap().report
}

/// The demand that the scale-up policy puts to the node-selection policy.
fn demand() -> Vec<autoscaler_core::decision::GroupDemand> {
    let Answer::ScaleUp(demand) = ask(&growth()).answer else {
        panic!("another kind")
    };
    demand.groups
}

#[test]
fn pods_get_the_cheapest_group_that_holds_them() {
    let Answer::ScaleUp(demand) = ask(&growth()).answer else {
        panic!("another kind")
    };
    let groups: Vec<_> = demand
        .groups
        .iter()
        .map(|group| {
            (
                group.group,
                group
                    .pods
                    .iter()
                    .map(|count| (count.class, count.pods))
                    .collect::<Vec<_>>(),
            )
        })
        .collect();
    assert_eq!(groups, [(0, vec![(0, 20)]), (1, vec![(1, 3)])]);
    let [rejection] = demand.rejections.as_slice() else {
        panic!("{:?}", demand.rejections)
    };
    assert_eq!(
        (rejection.class, rejection.reason.code.as_str()),
        (2, "NoGroupFits")
    );
    assert!(
        rejection.reason.text.contains("requests 64000m cpu"),
        "{}",
        rejection.reason.text
    );
}

#[test]
fn nodes_are_the_cheapest_mixture() {
    let Answer::NodeSelection(mix) = ask(&selection(demand())).answer else {
        panic!("another kind")
    };
    let purchases: Vec<_> = mix
        .purchases
        .iter()
        .map(|p| (p.template, p.count, p.fallbacks.clone()))
        .collect();
    // 20 pods: a large node for 16 at 350 beats four small ones at 400; the other four find room on the node that the
    // special ones need anyway.
    assert_eq!(purchases, [(1, 1, vec![0]), (2, 1, vec![])]);
    assert!(mix.rejections.is_empty(), "{:?}", mix.rejections);
}

#[test]
fn idle_nodes_go_before_little_used_ones() {
    let question = shrinkage(&[(100, 2, 0), (0, 0, 60), (0, 0, 1), (900, 9, 0)]);
    let Answer::Rebalance(proposal) = ask(&question).answer else {
        panic!("another kind")
    };
    let steps: Vec<_> = proposal
        .steps
        .iter()
        .map(|step| {
            let RebalanceAction::Remove(node) = step.action else {
                panic!("a replacement")
            };
            (node, step.batch, step.reason.code.as_str())
        })
        .collect();
    assert_eq!(steps, [(1, 0, "Idle"), (0, 1, "Underused")]);
    assert_eq!(proposal.kept.len(), 1);
    assert_eq!(
        (proposal.kept[0].node, proposal.kept[0].reason.code.as_str()),
        (2, "IdleTooShort")
    );
}

#[test]
fn the_same_question_gets_the_same_answer_at_the_same_fuel() {
    for question in [
        growth(),
        selection(demand()),
        shrinkage(&[(100, 2, 0), (0, 0, 60)]),
    ] {
        let (first, second) = (ask(&question), ask(&question));
        let bytes = |report: &CallReport| serde_json::to_vec(&report.answer).unwrap();
        assert_eq!(bytes(&first), bytes(&second));
        assert_eq!(first.fuel_used, second.fuel_used);
        assert_eq!(first.memory_peak, second.memory_peak);
        assert!(first.fuel_used > 0 && first.memory_peak > 0);
    }
}

#[test]
fn the_oracle_costs_fuel_in_proportion_to_its_work() {
    let question = selection(demand());
    let policy = &policies().active(Kind::NodeSelection)[0].policy;
    let fuel = |steps, fuel| {
        let limits = Limits {
            fuel,
            ..Limits::default()
        };
        policy.decide(&question, "{}", &limits, &Packing { steps })
    };
    let (cheap, dear) = (fuel(10, 500_000_000).unwrap(), fuel(1010, 500_000_000).unwrap());
    assert_eq!(cheap.answer, dear.answer);
    assert!(cheap.what_if_calls > 0);
    assert_eq!(
        dear.fuel_used - cheap.fuel_used,
        u64::from(cheap.what_if_calls) * 1000 * 100
    );
    assert_eq!(
        fuel(10, cheap.fuel_used).unwrap().fuel_used,
        cheap.fuel_used,
        "exactly enough is enough"
    );
    assert_eq!(
        fuel(1010, cheap.fuel_used),
        Err(CallError::OutOfFuel(cheap.fuel_used))
    );
}

#[test]
fn a_configuration_is_checked_by_the_policy() {
    let limits = Limits::default();
    for (kind, config, complaints) in [
        (Kind::ScaleUp, "{}", vec![]),
        (Kind::ScaleUp, "", vec![]),
        (Kind::ScaleUp, r#"{"minWaitSeconds":30}"#, vec![]),
        (Kind::ScaleUp, r#"{"minWaitSeconds":-1}"#, vec!["/minWaitSeconds"]),
        (
            Kind::NodeSelection,
            r#"{"mixTemplates":1}"#,
            vec!["/mixTemplates"],
        ),
        (
            Kind::Rebalance,
            r#"{"underusedPermille":1001}"#,
            vec!["/underusedPermille"],
        ),
        (Kind::Rebalance, r#"{"colour":"red"}"#, vec!["/colour"]),
        (Kind::Rebalance, "{", vec![""]),
    ] {
        let policy = &policies().active(kind)[0].policy;
        let diagnostics = policy.validate_config(kind, config, &limits).unwrap();
        let paths: Vec<_> = diagnostics
            .iter()
            .map(|diagnostic| diagnostic.path.as_str())
            .collect();
        assert_eq!(paths, complaints, "{kind} {config}");
    }
}

#[test]
fn a_bad_configuration_falls_back_to_the_defaults() {
    let policy = policies().active(Kind::ScaleUp)[0].policy.clone();
    let binding = Binding {
        config: r#"{"minWaitSeconds":"soon"}"#.to_owned(),
        ..Binding::new("mine", policy)
    };
    let decision = policies().decide(&binding, &growth(), &PACKING, &anything);
    assert_eq!(decision.failures[0].error.reason(), "BadConfig");
    assert!(decision.failures[0].error.to_string().contains("/minWaitSeconds"));
    assert_eq!(decision.taken.unwrap().policy.name, BUILT_IN);
}

#[test]
fn each_describes_itself() {
    for (kind, name) in [
        (Kind::ScaleUp, "pack-pending"),
        (Kind::NodeSelection, "cheapest-fit"),
        (Kind::Rebalance, "remove-idle"),
    ] {
        let policy = &policies().active(kind)[0].policy;
        assert_eq!(policy.kinds().collect::<Vec<_>>(), [kind]);
        let description = policy.description(kind).unwrap();
        assert_eq!(description.name, name);
        let schema: serde_json::Value = serde_json::from_str(&description.config_schema).unwrap();
        assert_eq!(schema["title"], name);
    }
}
