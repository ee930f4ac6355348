use super::*;
use autoscaler_api::ConditionStatus;
use std::time::Duration;

fn facts(digest: &str) -> Facts {
    Facts {
        name: "thrifty".to_owned(),
        version: "1.2.3".to_owned(),
        interface_version: "0.1.0".to_owned(),
        digest: digest.to_owned(),
        size: 1234,
        kinds: Vec::new(),
        signed_by: None,
        load: Duration::from_millis(90),
        compile: Duration::from_millis(70),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn object(generation: i64) -> ScalingPolicy {
    serde_json::from_value(json!({
        "metadata": {"name": "p", "generation": generation},
        "spec": {"kinds": ["scale-up"], "source": {"builtIn": "scale-up"}},
    }))
    .unwrap()
}

fn looked(
    before: &ScalingPolicyStatus,
    outcome: Outcome<'_>,
    generation: i64,
    second: i64,
) -> ScalingPolicyStatus {
    let look = Look {
        object: &object(generation),
        outcome,
        tally: None,
        usage_due: true,
    };
    after(before, &look, at(second))
}

#[test]
fn a_failure_keeps_the_facts_of_what_still_decides() {
    let good = facts("sha256:aa");
    let loaded = looked(&ScalingPolicyStatus::default(), Outcome::InUse(&good), 1, 10);
    assert_eq!(loaded.digest.as_deref(), Some("sha256:aa"));
    assert_eq!(
        (
            loaded.size_bytes,
            loaded.load_milliseconds,
            loaded.compile_milliseconds
        ),
        (Some(1234), Some(90), Some(70))
    );
    assert!(conditions::is_true(&loaded.conditions, types::READY));
    let slower = Facts {
        compile: Duration::from_secs(9),
        ..good.clone()
    };
    let again = looked(&loaded, Outcome::InUse(&slower), 1, 99);
    assert_eq!(again, loaded, "a second replica changes nothing");

    let refusal = Refusal::new("InvalidComponent", "it imports a clock");
    let failed = looked(&loaded, Outcome::Refused(&refusal, Some(&good)), 2, 20);
    assert_eq!(failed.digest.as_deref(), Some("sha256:aa"));
    assert_eq!(failed.last_error.as_deref(), Some("it imports a clock"));
    let ready = conditions::get(&failed.conditions, types::READY).unwrap();
    assert_eq!(
        (ready.status, ready.reason.as_deref()),
        (ConditionStatus::False, Some("InvalidComponent"))
    );
    assert!(
        ready
            .message
            .as_deref()
            .unwrap()
            .contains("thrifty 1.2.3 (sha256:aa) still decides")
    );
    assert!(conditions::is_true(&failed.conditions, types::LOADED));

    let alone = looked(&failed, Outcome::Refused(&refusal, None), 2, 30);
    assert!(alone.digest.is_none() && !conditions::is_true(&alone.conditions, types::LOADED));
    let sent = patch(&failed, &alone, Some("7"));
    assert!(
        sent["status"].as_object().unwrap().contains_key("digest"),
        "{sent}"
    );
    assert!(sent["status"]["digest"].is_null() && sent["metadata"]["resourceVersion"] == "7");

    let off = looked(&failed, Outcome::Off, 3, 40);
    assert!(conditions::is_true(&off.conditions, types::READY) && off.last_error.is_none());
}

#[test]
fn what_was_counted_is_written_when_it_is_due_and_goes_with_its_component() {
    let (good, other) = (facts("sha256:aa"), facts("sha256:bb"));
    let tally = Tally::default();
    let outcome = autoscaler_policy::Outcome {
        nodes: 2,
        hourly_micros: 7,
        waiting_pods: 1,
    };
    tally.compared(outcome, Some(outcome), Some("other nodes".to_owned()));
    let see = |before: &ScalingPolicyStatus, facts: &Facts, tally: Option<&Tally>, usage_due| {
        let look = Look {
            object: &object(1),
            outcome: Outcome::InUse(facts),
            tally,
            usage_due,
        };
        after(before, &look, at(10))
    };
    let first = see(&ScalingPolicyStatus::default(), &good, Some(&tally), false);
    assert_eq!(first.shadow, None, "it is not due");
    let due = see(&first, &good, Some(&tally), true);
    let shadow = due.shadow.clone().unwrap();
    assert_eq!((shadow.decisions, shadow.different), (1, 1));
    assert_eq!(shadow.nodes, Pair { active: 2, shadow: 2 });
    assert_eq!(
        see(&due, &good, Some(&Tally::default()), true),
        due,
        "a standby has nothing to say"
    );
    assert_eq!(see(&due, &other, None, true).shadow, None);
}

#[test]
fn a_trip_is_said_until_it_is_over() {
    let good = facts("sha256:aa");
    let trip = autoscaler_policy::Trip {
        at_ms: 1_700_000_000_123,
        failures: 5,
        reason: "Trap".to_owned(),
        message: "the policy trapped: unreachable".to_owned(),
    };
    let tripped = Tally::tripped(trip);
    let see = |before: &ScalingPolicyStatus, tally: &Tally| {
        let look = Look {
            object: &object(3),
            outcome: Outcome::InUse(&good),
            tally: Some(tally),
            usage_due: true,
        };
        after(before, &look, at(20))
    };
    let said = see(&ScalingPolicyStatus::default(), &tripped);
    let written = said.trip.as_ref().unwrap();
    assert_eq!(
        (written.generation, written.failures, written.digest.as_str()),
        (3, 5, "sha256:aa")
    );
    let condition = |status: &ScalingPolicyStatus, type_| {
        let condition = conditions::get(&status.conditions, type_).unwrap();
        (
            condition.status,
            condition.reason.clone().unwrap(),
            condition.message.clone().unwrap(),
        )
    };
    let (status, reason, text) = condition(&said, types::TRIPPED);
    assert_eq!((status, reason.as_str()), (ConditionStatus::True, "Trap"));
    assert!(
        text.ends_with(
            "autoscaler.vpsie.com/acknowledge-trip=2023-11-14T22:13:20Z or another spec or component"
        ),
        "{text}"
    );
    assert_eq!(condition(&said, types::READY).1, "Tripped");
    assert_eq!(see(&said, &tripped), said, "a second look changes nothing");
    let over = see(&said, &Tally::default());
    assert_eq!(over.trip, None);
    assert_eq!(condition(&over, types::TRIPPED).0, ConditionStatus::False);
    assert_eq!(condition(&over, types::READY).0, ConditionStatus::True);
}
