//! Lanes: the steps of a plan by the node they are about, in the plan's order.

use autoscaler_api::rebalance::{PlannedStep, RebalancePlan, RebalanceStatus, StepState};

/// The steps of one node. Steps about no node form a lane of their own each.
pub(super) type Lane<'a> = Vec<&'a PlannedStep>;

/// The plan's lanes, in the order of their first steps.
pub(super) fn of(plan: &RebalancePlan) -> Vec<Lane<'_>> {
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    for step in &plan.steps {
        let same = |lane: &&mut Lane<'_>| lane.iter().any(|other| belongs_together(other, step));
        match lanes.iter_mut().find(same) {
            Some(lane) => lane.push(step),
            None => lanes.push(vec![step]),
        }
    }
    lanes
}

fn belongs_together(a: &PlannedStep, b: &PlannedStep) -> bool {
    (a.node.is_some() && a.node == b.node) || (a.vpsie_node.is_some() && a.vpsie_node == b.vpsie_node)
}

/// The first step of a lane that is not over.
pub(super) fn current<'a>(lane: &Lane<'a>, status: &RebalanceStatus) -> Option<&'a PlannedStep> {
    lane.iter()
        .copied()
        .find(|step| !is_over(status.state_of(&step.id)))
}

/// Whether nothing more happens to a step.
pub(super) fn is_over(state: StepState) -> bool {
    matches!(state, StepState::Done | StepState::Skipped | StepState::Undone)
}

/// Steps that are over of all, such as `3/8`.
pub(super) fn progress(plan: &RebalancePlan, status: &RebalanceStatus) -> String {
    let over = plan
        .steps
        .iter()
        .filter(|step| is_over(status.state_of(&step.id)))
        .count();
    format!("{over}/{}", plan.steps.len())
}
