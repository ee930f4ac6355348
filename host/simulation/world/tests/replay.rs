//! The decisions of a whole world leave records, and each of them gives the same plan again, byte by byte.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::ScalingPolicy;
use autoscaler_core::decision::Kind;
use autoscaler_policy::PolicySet;
use autoscaler_policy::record::{
    Asked, Choice, Record, Records, Ring, Round, Subject, decode, difference, encode, replay, totals,
};
use autoscaler_simulation::World;
use autoscaler_simulation::clock::run_virtually;
use autoscaler_simulation::engine;
use autoscaler_simulation::scenario::{Scenario, Workload, node_group};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn guest(name: &str) -> Vec<u8> {
    let file = format!(
        "{}/../../../target/policies/test/{name}.wasm",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read(&file).unwrap_or_else(|error| panic!("{file}: {error}; run `cargo xtask policies` first"))
}

/// A policy of a guest for the groups with the label `team`.
fn policy(guest_name: &str, kind: &str) -> (ConfigMap, ScalingPolicy) {
    let mut config_map = ConfigMap::default();
    config_map.metadata.name = Some(guest_name.to_owned());
    config_map.metadata.namespace = Some("kube-system".to_owned());
    let data = BTreeMap::from([("policy.wasm".to_owned(), ByteString(guest(guest_name)))]);
    config_map.binary_data = Some(data);
    let policy = serde_json::from_value(json!({
        "apiVersion": autoscaler_api::API_VERSION,
        "kind": "ScalingPolicy",
        "metadata": {"name": guest_name},
        "spec": {"kinds": [kind], "source": {"configMap": {"name": guest_name, "key": "policy.wasm"}}},
    }));
    (config_map, policy.unwrap())
}

/// Growth with a greedy policy that the checker trims, one that traps and is replaced, and then removals.
fn records() -> Vec<Record> {
    let kept = Arc::new(Records::keep_in(Ring::in_memory(64 << 20)).unwrap());
    let mut scenario = Scenario {
        records: kept.clone(),
        ..Scenario::default()
    };
    scenario.groups = vec![node_group(&scenario.cloud, "small", 4, &["k8s-2-4"], &json!({})).unwrap()];
    for (guest, kind) in [("thousand", "node-selection"), ("trap", "scale-up")] {
        let (config_map, policy) = policy(guest, kind);
        scenario.config_maps.push(config_map);
        scenario.policies.push(policy);
    }
    run_virtually(async move {
        let world = World::start(&scenario, 1, None).await.unwrap();
        world.advance(MINUTE).await;
        let workload = Workload::new("half", 6, "600m", "256Mi");
        world.deploy(&workload).await.unwrap();
        world.advance(40 * MINUTE).await;
        world.stop().await;
        Ok(())
    })
    .unwrap();
    kept.flush();
    let names = kept.list().into_iter().map(|entry| entry.name);
    names
        .map(|name| decode(&kept.get(&name).unwrap().unwrap()).unwrap())
        .collect()
}

fn choose<'a>(
    set: &'a PolicySet,
    guests: &'a [Choice],
) -> impl Fn(Kind, Option<&Asked>) -> Option<Choice> + 'a {
    move |kind, asked| {
        let asked = asked?;
        let built_in = set.active(kind).pop()?;
        let policies = guests.iter().map(|guest| &guest.policy).chain([&built_in.policy]);
        let policy = policies
            .into_iter()
            .find(|policy| policy.digest() == asked.digest)?;
        Some(Choice {
            name: asked.policy.clone(),
            policy: policy.clone(),
            config: asked.config.clone(),
            limits: asked.limits.into(),
        })
    }
}

/// What must be the same: all but the memory's and the clock's part.
fn essence(rounds: &[Round]) -> Vec<u8> {
    let mut rounds = rounds.to_vec();
    for call in rounds.iter_mut().flat_map(|round| &mut round.calls) {
        call.failures.clear();
        if let Some(taken) = &mut call.taken {
            taken.duration_us = 0;
        }
    }
    serde_json::to_vec(&rounds).unwrap()
}

#[test]
fn every_decision_of_a_world_can_be_made_again() {
    let records = records();
    let subjects = |subject| records.iter().filter(|record| record.subject == subject).count();
    assert!(
        subjects(Subject::Growth) >= 1,
        "no growth in {} records",
        records.len()
    );
    assert!(
        subjects(Subject::Removal) >= 2,
        "no removal in {} records",
        records.len()
    );
    let calls = || {
        records
            .iter()
            .flat_map(|record| &record.rounds)
            .flat_map(|round| &round.calls)
    };
    assert!(
        calls().any(|call| call.failures.iter().any(|failed| failed.reason == "Trap")),
        "the policy that traps is not in the records"
    );
    let acted = |subject| {
        records
            .iter()
            .any(|record| record.subject == subject && !record.outcome.created.is_empty())
    };
    assert!(
        acted(Subject::Growth) && acted(Subject::Removal),
        "nothing was done"
    );
    assert!(
        records
            .iter()
            .any(|record| record.rounds.iter().any(|round| !round.notes.is_empty())),
        "the checker trimmed nothing"
    );

    let engine = engine().unwrap();
    let set = PolicySet::built_in(&engine).unwrap();
    let thousand = Choice {
        name: "thousand".to_owned(),
        policy: engine.compile(&guest("thousand")).unwrap(),
        config: "{}".to_owned(),
        limits: Default::default(),
    };
    let guests = [thousand.clone()];
    for record in &records {
        let again = replay(record, &choose(&set, &guests)).unwrap();
        assert_eq!(
            String::from_utf8(essence(&again)),
            String::from_utf8(essence(&record.rounds)),
            "at {}",
            record.snapshot.now_ms
        );
        assert_eq!(
            encode(record).unwrap(),
            encode(&decode(&encode(record).unwrap()).unwrap()).unwrap()
        );
    }

    // Without the component nothing is guessed.
    let growth = records
        .iter()
        .find(|record| record.subject == Subject::Growth)
        .unwrap();
    let error = replay(growth, &choose(&set, &[])).unwrap_err();
    assert_eq!(error.reason(), "NotAtHand");
    assert!(error.to_string().contains(thousand.policy.digest()), "{error}");

    // Another policy on the same decision: what differs is told, and what it comes to.
    let modest = |kind: Kind, _: Option<&Asked>| set.active(kind).pop().as_deref().map(Choice::from);
    let other = replay(growth, &modest).unwrap();
    let lines = difference(&growth.snapshot, &growth.rounds, &other);
    assert_eq!(
        lines,
        [
            "- buy 4 × k8s-2-4 for kube-system/small",
            "+ buy 2 × k8s-2-4 for kube-system/small"
        ]
    );
    let (then, now) = (totals(growth, &growth.rounds), totals(growth, &other));
    assert_eq!((then.nodes_bought, now.nodes_bought), (4, 2));
    assert_eq!((then.pods_left, now.pods_left), (0, 0));
    assert_eq!(then.hourly_micros, 2 * now.hourly_micros);
}
