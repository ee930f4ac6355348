//! Batches and lanes: which steps of a plan may be at hand now. Batches go one after the other; within one, the steps
//! about one node are a lane, and lanes go side by side as far as the settings allow.

use autoscaler_api::rebalance::{PlannedStep, RebalancePlan, RebalanceStatus, StepAction, StepState};

/// The steps of one node. Steps about no node form a lane of their own each.
pub(super) type Lane<'a> = Vec<&'a PlannedStep>;

/// The first batch that has a step which is not over.
pub(super) fn batch(plan: &RebalancePlan, status: &RebalanceStatus) -> Option<i32> {
    let open = plan
        .steps
        .iter()
        .filter(|step| !is_over(status.state_of(&step.id)));
    open.map(PlannedStep::batch_or_default).min()
}

/// The lanes of a batch, in the order of their first steps.
pub(super) fn of(plan: &RebalancePlan, batch: i32) -> Vec<Lane<'_>> {
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    for step in plan.steps.iter().filter(|step| step.batch_or_default() == batch) {
        let same = |lane: &&mut Lane<'_>| lane.iter().any(|other| belongs_together(other, step));
        match lanes.iter_mut().find(same) {
            Some(lane) => lane.push(step),
            None => lanes.push(vec![step]),
        }
    }
    lanes
}

/// Every step, in the order in which it is undone: the last batch first, and in it the last step.
pub(super) fn backwards(plan: &RebalancePlan) -> Vec<&PlannedStep> {
    let mut steps: Vec<&PlannedStep> = plan.steps.iter().collect();
    steps.sort_by_key(|step| step.batch_or_default());
    steps.reverse();
    steps
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

/// Whether only so many such lanes may be at hand: those that move pods. New nodes may come side by side, and where a
/// batch cordons only, it cordons all.
pub(super) fn is_limited(lane: &Lane<'_>) -> bool {
    let moves = |action| {
        matches!(
            action,
            StepAction::Drain | StepAction::Verify | StepAction::Remove
        )
    };
    lane.iter().any(|step| moves(step.action))
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
