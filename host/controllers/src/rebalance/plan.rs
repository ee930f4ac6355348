//! Makes the plan of an operation that removes nodes.

use autoscaler_api::autoscaler_config::Strategy;
use autoscaler_api::rebalance::{PlannedStep, RebalanceKind, RebalancePlan, StepAction};

/// A node that is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Name of the Node.
    pub node: String,
    /// Name of its VPSieNode, in the namespace of the operation.
    pub vpsie_node: String,
    /// Why, for people.
    pub reason: String,
}

/// The steps that remove nodes, each node by itself and in the given order.
pub fn removal_plan(kind: RebalanceKind, strategy: Strategy, removals: &[Removal]) -> RebalancePlan {
    let actions = [
        (StepAction::Cordon, Some(StepAction::Uncordon)),
        (StepAction::Drain, None),
        (StepAction::Remove, None),
    ];
    let steps = removals.iter().enumerate().flat_map(|(number, removal)| {
        actions.map(|(action, inverse)| PlannedStep {
            id: format!("{}-{}", number + 1, action.as_str()),
            action,
            node: Some(removal.node.clone()),
            vpsie_node: Some(removal.vpsie_node.clone()),
            node_group: None,
            offering_id: None,
            inverse,
            reason: Some(removal.reason.clone()).filter(|reason| !reason.is_empty()),
        })
    });
    RebalancePlan {
        kind,
        strategy,
        nodes: removals.iter().map(|removal| removal.node.clone()).collect(),
        steps: steps.collect(),
        monthly_saving: None,
        requested_by: None,
    }
}
