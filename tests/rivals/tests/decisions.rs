//! Workloads whose best plan is known, decided by both kinds of policies and judged.

use autoscaler_rivals::{Components, Native, Policies, decide};
use std::sync::Arc;

#[test]
fn known_answers() {
    let components = Components::new().unwrap();
    let who: [(&str, &dyn Policies); 2] = [("wasm", &components), ("native", &Native)];
    // Nodes bought, nodes removed, pods that still wait.
    for (id, bought, removed, waiting) in [
        ("H3/51000", 2_595, 0, 0),
        ("H4/50000", 1_000, 0, 0),
        ("H5/2000", 0, 1_200, 0),
        ("H6/100-3000-1000", 0, 0, 1_000),
    ] {
        let workload = autoscaler_workloads::find(id).unwrap();
        let snapshot = Arc::new((workload.snapshot)());
        let mut plans = Vec::new();
        for (name, policies) in who {
            let decided = decide(workload.decision, &snapshot, policies).unwrap();
            let judged = decided.judge();
            assert_eq!(judged.breaches, [], "{id} {name}");
            assert_eq!(
                (judged.bought, judged.removed, decided.waiting),
                (bought, removed, waiting),
                "{id} {name}"
            );
            plans.push(
                decided
                    .rounds
                    .into_iter()
                    .map(|round| round.plan)
                    .collect::<Vec<_>>(),
            );
        }
        assert_eq!(plans[0], plans[1], "{id}: the sandbox changes nothing");
    }
}

/// A thousand nodes that are full, and services that may not run ahead in one zone: what the cheapest nodes may not take
/// goes to other zones.
#[test]
fn every_pod_of_a_full_cluster_gets_its_place() {
    let components = Components::new().unwrap();
    let workload = autoscaler_workloads::find("H9/10000").unwrap();
    let decided = decide(workload.decision, &Arc::new((workload.snapshot)()), &components).unwrap();
    assert_eq!(
        (decided.judge().breaches, decided.waiting, decided.loops),
        (vec![], 0, 1)
    );
}
