use super::*;
use serde_json::json;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn failure(second: i64) -> Failure {
    Failure {
        at: at(second),
        reason: "Rejected".to_owned(),
        message: "out of stock".to_owned(),
    }
}

fn place(offering: &str) -> Place {
    Place {
        group: ObjectKey::new("kube-system", "general"),
        offering: offering.to_owned(),
        datacenter: "dc".to_owned(),
    }
}

fn group(status: Option<autoscaler_api::NodeGroupStatus>) -> NodeGroup {
    let mut group: NodeGroup = serde_json::from_value(json!({
        "apiVersion": autoscaler_api::API_VERSION, "kind": "NodeGroup",
        "metadata": {"name": "general", "namespace": "kube-system"},
        "spec": {
            "minNodes": 0, "maxNodes": 5, "datacenterID": "dc", "resourceIdentifier": "cluster",
            "offeringIDs": ["a", "b"],
        },
    }))
    .unwrap();
    group.status = status;
    group
}

#[test]
fn pauses_double_up_to_the_longest_and_a_batch_counts_once() {
    let pace = Pace::default();
    let mut health = Health::default();
    let mut now = at(0);
    for full in [30, 60, 120, 240, 480, 960, 1800, 1800] {
        let seconds = |until: Timestamp| until.duration_since(now).as_secs();
        let failed = Failure {
            at: now,
            ..failure(0)
        };
        health.failed(&pace, &place("a"), failed.clone());
        let until = health.rests_until(&place("a"), now).unwrap();
        assert!(
            (full * 4 / 5..=full).contains(&seconds(until)),
            "{full}: {}",
            seconds(until)
        );
        // The rest of the batch is refused a moment later.
        let again = Failure {
            at: now + Duration::from_millis(1500),
            ..failed
        };
        health.failed(&pace, &place("a"), again);
        assert_eq!(health.rests_until(&place("a"), now), Some(until));
        assert_eq!(health.rests_until(&place("a"), until), None, "it ends by itself");
        assert_eq!(
            health.rests_until(&place("b"), now),
            None,
            "others are left alone"
        );
        now = until;
    }
    // After a long quiet time, or a success, it begins anew.
    now += Duration::from_secs(1801);
    health.failed(
        &pace,
        &place("a"),
        Failure {
            at: now,
            ..failure(0)
        },
    );
    assert!(health.rests_until(&place("a"), now).unwrap() <= now + Duration::from_secs(30));
    health.succeeded(&place("a"));
    assert!(health.of_templates().is_empty());
}

#[test]
fn the_spread_follows_from_the_seed_alone() {
    let shares: Vec<f64> = (0..200).map(|seed| share(&seed.to_string(), 1)).collect();
    assert_eq!(
        shares,
        (0..200)
            .map(|seed| share(&seed.to_string(), 1))
            .collect::<Vec<_>>()
    );
    assert!(shares.iter().all(|share| (0.0..1.0).contains(share)));
    let quarters = |low: f64| {
        shares
            .iter()
            .filter(|share| (low..low + 0.25).contains(*share))
            .count()
    };
    for low in [0.0, 0.25, 0.5, 0.75] {
        assert!(quarters(low) > 25, "{low}: {} of 200", quarters(low));
    }
    assert_ne!(share("a", 1), share("a", 2));
}

#[test]
fn a_status_carries_everything_to_the_next_leader() {
    let pace = Pace::default();
    let mut before = Health::default();
    // A time with a fraction: statuses have none.
    let fraction = Failure {
        at: at(0) + Duration::from_millis(700),
        ..failure(0)
    };
    before.failed(&pace, &place("a"), fraction.clone());
    before.failed(&pace, &place("gone"), fraction.clone());
    before.quota_refused(&pace, "cluster", fraction);
    let (offering_health, creation_pause) = before.status(&group(None));
    let status = autoscaler_api::NodeGroupStatus {
        offering_health,
        creation_pause,
        ..Default::default()
    };
    // As the API server hands it back.
    let text = serde_json::to_string(&status).unwrap();
    let status: autoscaler_api::NodeGroupStatus = serde_json::from_str(&text).unwrap();
    let mut after = Health::default();
    after.restore(&group(Some(status.clone())));
    assert_eq!(after.status(&group(None)), before.status(&group(None)));
    assert_eq!(after.of_templates(), before.of_templates());
    assert_eq!(
        status.offering_health.len(),
        1,
        "what the spec does not name is forgotten"
    );
    assert_eq!(
        after
            .pause("cluster", at(1))
            .map(|rest| rest.last.message.as_str()),
        Some("out of stock")
    );
    assert_eq!(after.pause("other", at(1)), None);
    // It goes on from there, and an accepted order ends it.
    let until = after.pause("cluster", at(1)).unwrap().until;
    let later = Failure {
        at: until,
        ..failure(0)
    };
    after.quota_refused(&pace, "cluster", later);
    assert_eq!(after.pause("cluster", until).unwrap().failures, 2);
    after.order_accepted("cluster");
    assert_eq!(after.pause("cluster", until), None);
}

#[test]
fn an_operator_ends_every_rest_of_a_group() {
    let pace = Pace::default();
    let mut health = Health::default();
    health.failed(&pace, &place("a"), failure(0));
    health.quota_refused(&pace, "cluster", failure(0));
    let other = Place {
        group: ObjectKey::new("kube-system", "other"),
        ..place("a")
    };
    health.failed(&pace, &other, failure(0));
    health.forget(&place("a").group, "cluster");
    assert_eq!(health.rests_until(&place("a"), at(1)), None);
    assert_eq!(health.pause("cluster", at(1)), None);
    assert!(health.rests_until(&other, at(1)).is_some());
}
