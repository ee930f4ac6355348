//! Makes the plan of an operation: its steps, in batches that say what has to be over before what.
//!
//! ```text
//!   removal       cordon ▸ drain ▸ verify ▸ remove, node by node
//!   rolling       the new nodes of a unit; then its old nodes; then the next unit
//!   surge         all new nodes; then the old nodes of all units
//!   blue-green    all new nodes; all old nodes cordoned; all drained; all removed
//! ```

use autoscaler_api::autoscaler_config::Strategy;
use autoscaler_api::rebalance::{
    PlannedStep, Rebalance, RebalanceKind, RebalancePhase, RebalancePlan, StepAction, StepState,
};
use autoscaler_cluster::ObjectKey;

/// A node that is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Name of the Node.
    pub node: String,
    /// Name of its VPSieNode, in the namespace of the operation.
    pub vpsie_node: String,
    /// Its NodeGroup, and its offering as the group names it; where they are known.
    pub group: Option<String>,
    /// See `group`.
    pub offering: Option<String>,
    /// Why, for people.
    pub reason: String,
}

/// A node that is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Name of its VPSieNode.
    pub vpsie_node: String,
    /// Name of its NodeGroup.
    pub group: String,
    /// Its offering, and the number of the size.
    pub offering: String,
    /// See `offering`.
    pub size: i64,
}

/// Nodes that go together, and those that take their place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// They come first.
    pub arrivals: Vec<Arrival>,
    /// They go.
    pub removals: Vec<Removal>,
}

/// The steps that remove nodes, each node by itself and in the given order.
pub fn removal_plan(kind: RebalanceKind, strategy: Strategy, removals: &[Removal]) -> RebalancePlan {
    let units = [Unit {
        arrivals: Vec::new(),
        removals: removals.to_vec(),
    }];
    plan(kind, strategy, &units)
}

/// The steps of units in the order of the strategy.
pub fn plan(kind: RebalanceKind, strategy: Strategy, units: &[Unit]) -> RebalancePlan {
    let replaces = units.iter().any(|unit| !unit.arrivals.is_empty());
    let mut steps = Vec::new();
    let mut number = 0;
    for (at, unit) in (0..).zip(units) {
        let (come, go) = match strategy {
            Strategy::Rolling => (2 * at, 2 * at + 1),
            Strategy::Surge | Strategy::BlueGreen => (0, 1),
        };
        let batch = |batch: i32| replaces.then_some(batch);
        let reason = unit.removals.first().map(|removal| removal.reason.clone());
        for (order, arrival) in unit.arrivals.iter().enumerate() {
            steps.push(PlannedStep {
                id: format!("{}-{}-provision", at + 1, order + 1),
                action: StepAction::Provision,
                node: None,
                vpsie_node: Some(arrival.vpsie_node.clone()),
                node_group: Some(arrival.group.clone()),
                offering_id: Some(arrival.offering.clone()),
                kube_size_id: Some(arrival.size),
                replaces: unit.removals.iter().map(|removal| removal.node.clone()).collect(),
                batch: batch(come),
                inverse: Some(StepAction::Remove),
                reason: reason.clone().filter(|reason| !reason.is_empty()),
            });
        }
        for removal in &unit.removals {
            number += 1;
            let blue_green = i32::from(strategy == Strategy::BlueGreen);
            // Nothing has to be ready elsewhere where nothing moved.
            let verify = kind != RebalanceKind::RemoveEmpty;
            let all = [
                (StepAction::Cordon, Some(StepAction::Uncordon), go, true),
                (StepAction::Drain, None, go + blue_green, true),
                (StepAction::Verify, None, go + blue_green, verify),
                (StepAction::Remove, None, go + 2 * blue_green, true),
            ];
            for (action, inverse, at, _) in all.into_iter().filter(|(.., wanted)| *wanted) {
                steps.push(PlannedStep {
                    id: format!("{number}-{}", action.as_str()),
                    action,
                    node: Some(removal.node.clone()),
                    vpsie_node: Some(removal.vpsie_node.clone()),
                    // The last step tells what went: nobody else will know then.
                    node_group: removal.group.clone().filter(|_| action == StepAction::Remove),
                    offering_id: removal.offering.clone().filter(|_| action == StepAction::Remove),
                    kube_size_id: None,
                    replaces: Vec::new(),
                    batch: batch(at),
                    inverse,
                    reason: Some(removal.reason.clone()).filter(|reason| !reason.is_empty()),
                });
            }
        }
    }
    // In the order of their batches, for those who read the record.
    steps.sort_by_key(PlannedStep::batch_or_default);
    let removals = units.iter().flat_map(|unit| &unit.removals);
    RebalancePlan {
        kind,
        strategy,
        nodes: removals.map(|removal| removal.node.clone()).collect(),
        steps,
        monthly_saving: None,
        requested_by: None,
    }
}

/// Group, offering and time of what an operation gave up for something cheaper.
pub fn given_up(rebalance: &Rebalance) -> Vec<(ObjectKey, String, i64)> {
    let plan = &rebalance.spec.plan;
    let for_saving = matches!(plan.kind, RebalanceKind::Replace | RebalanceKind::Consolidate);
    let status = rebalance.status.as_ref().filter(|_| for_saving);
    let status = status.filter(|status| status.phase == RebalancePhase::Completed);
    let Some(at) = status.and_then(|status| status.finished_at.as_ref()) else {
        return Vec::new();
    };
    let namespace = rebalance.metadata.namespace.clone().unwrap_or_default();
    let removed = plan.steps.iter().filter(|step| {
        let done = status.is_some_and(|status| status.state_of(&step.id) == StepState::Done);
        step.action == StepAction::Remove && done
    });
    removed
        .filter_map(|step| {
            let key = ObjectKey::new(namespace.clone(), step.node_group.clone()?);
            Some((key, step.offering_id.clone()?, at.0.as_millisecond()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str) -> Unit {
        Unit {
            arrivals: vec![Arrival {
                vpsie_node: format!("new-{name}"),
                group: "g".to_owned(),
                offering: "small".to_owned(),
                size: 1,
            }],
            removals: vec![Removal {
                node: name.to_owned(),
                vpsie_node: format!("v-{name}"),
                group: None,
                offering: None,
                reason: String::new(),
            }],
        }
    }

    #[test]
    fn strategies_differ_in_their_batches() {
        let cases = [
            (
                Strategy::Rolling,
                "0:1-1-provision 1:1-cordon 1:1-drain 1:1-verify 1:1-remove \
                                 2:2-1-provision 3:2-cordon 3:2-drain 3:2-verify 3:2-remove",
            ),
            (
                Strategy::Surge,
                "0:1-1-provision 0:2-1-provision 1:1-cordon 1:1-drain 1:1-verify 1:1-remove \
                               1:2-cordon 1:2-drain 1:2-verify 1:2-remove",
            ),
            (
                Strategy::BlueGreen,
                "0:1-1-provision 0:2-1-provision 1:1-cordon 1:2-cordon 2:1-drain 2:1-verify \
                                   2:2-drain 2:2-verify 3:1-remove 3:2-remove",
            ),
        ];
        for (strategy, wanted) in cases {
            let plan = plan(RebalanceKind::Drift, strategy, &[unit("a"), unit("b")]);
            let steps: Vec<String> = plan
                .steps
                .iter()
                .map(|step| format!("{}:{}", step.batch_or_default(), step.id))
                .collect();
            assert_eq!(steps.join(" "), wanted, "{strategy:?}");
        }
    }
}
