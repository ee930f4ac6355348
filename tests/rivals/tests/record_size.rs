//! How large the record of a large decision is: `cargo test -p autoscaler-rivals --test record_size -- --nocapture`.

use autoscaler_core::decision::Kind;
use autoscaler_policy::record::{Asked, Choice, Record, Subject, decode, encode, replay};
use autoscaler_policy::{Engine, PolicySet};
use autoscaler_workloads::{Decision, find};
use std::sync::Arc;

/// By workload, the most bytes that its record may have: the figures of `docs/decision-record.md`, and a tenth more.
const LIMITS: [(&str, usize); 3] = [
    ("H8/1000", 195_000),
    ("H6/1000-1000-12000", 107_000),
    ("H1/10000", 202_000),
];

#[test]
fn records_of_large_clusters_stay_small() {
    let engine = Engine::new().unwrap();
    let set = PolicySet::built_in(&engine).unwrap();
    let choose = |kind: Kind, _: Option<&Asked>| set.active(kind).pop().as_deref().map(Choice::from);
    for (id, limit) in LIMITS {
        let workload = find(id).unwrap();
        let snapshot = Arc::new((workload.snapshot)());
        let running: usize = snapshot.nodes.iter().map(|node| node.residents.len()).sum();
        let subject = match workload.decision {
            Decision::Shrink => Subject::Removal,
            Decision::Grow | Decision::Place => Subject::Growth,
        };
        let mut record = Record::blank(snapshot, subject);
        record.rounds = replay(&record, &choose).unwrap();
        let packed = encode(&record).unwrap();
        println!(
            "{id}: {} nodes, {running} pods run, {} wait, {} ways to buy: {} bytes",
            record.snapshot.nodes.len(),
            record.snapshot.pods.len(),
            record.snapshot.templates.len(),
            packed.len()
        );
        assert!(packed.len() <= limit, "{id}: {} bytes", packed.len());
        assert_eq!(decode(&packed).unwrap(), record, "{id}");
    }
}
