//! Carries an operation forward: batch by batch, lane by lane, each step written before it is done. Before each further
//! node the [`gate`] is asked again.

use super::gate::{self, Gate};
use super::judge::{self, Move, Trigger, Verdict};
use super::record::Record;
use super::{Rules, Tools, effects, lanes, marks, rollback, world};
use crate::crash::{self, Step};
use crate::error::Error;
use crate::runtime::events::EventType;
use crate::runtime::metrics::{RebalanceResult, RebalanceStage};
use crate::runtime::queue::Next;
use autoscaler_api::rebalance::{PlannedStep, RebalancePhase, StepAction, StepState};
use std::time::Duration;

/// Takes each active lane as far as it goes now.
pub(super) async fn advance(tools: &Tools, record: &mut Record<'_>, rules: &Rules) -> Result<Next, Error> {
    let plan = record.object().spec.plan.clone();
    while let Some(batch) = lanes::batch(&plan, &record.status) {
        if let Some(next) = through(tools, record, rules, &lanes::of(&plan, batch)).await? {
            return Ok(next);
        }
    }
    complete(tools, record, "every step is done".to_owned()).await
}

/// Takes the lanes of a batch as far as they go now; none where all of them are through.
async fn through(
    tools: &Tools,
    record: &mut Record<'_>,
    rules: &Rules,
    batch: &[lanes::Lane<'_>],
) -> Result<Option<Next>, Error> {
    let mut wait: Option<Duration> = None;
    let (mut held, mut closed) = (None, None);
    let mut active = 0;
    for lane in batch {
        if active == rules.at_once() && lanes::is_limited(lane) {
            break;
        }
        while let Some(step) = lanes::current(lane, &record.status) {
            if record.status.state_of(&step.id) == StepState::Pending {
                match begin(tools, record, rules, step).await? {
                    Gate::Open => {}
                    Gate::Held(text, after) => {
                        held = Some(text);
                        wait = Some(wait.map_or(after, |present| present.min(after)));
                        break;
                    }
                    Gate::Closed(text, _) => {
                        closed = Some(text);
                        break;
                    }
                }
            }
            match turn(tools, record, step, rules).await? {
                Verdict::Done(text) => {
                    tracing::info!(
                        operation = record.id(),
                        step = step.id,
                        "rebalance step done: {text}"
                    );
                    record.set_step(&step.id, StepState::Done, Some(text));
                    record.save().await?;
                }
                Verdict::Wait(text, after) => {
                    record.set_step(&step.id, StepState::Running, Some(text));
                    record.save().await?;
                    wait = Some(wait.map_or(after, |present| present.min(after)));
                    active += 1;
                    break;
                }
                Verdict::Stop(trigger) => {
                    record.set_step(&step.id, StepState::Failed, Some(trigger.to_string()));
                    return stop(tools, record, rules, trigger).await.map(Some);
                }
            }
        }
    }
    record.hold(held.as_deref());
    match (wait, closed) {
        // Nodes that are cordoned are finished first.
        (None, Some(text)) => end_early(tools, record, rules, text).await.map(Some),
        (wait, _) => {
            record.save().await?;
            Ok(wait.map(Next::After))
        }
    }
}

/// Writes that a step begins, if it may.
async fn begin(
    tools: &Tools,
    record: &mut Record<'_>,
    rules: &Rules,
    step: &PlannedStep,
) -> Result<Gate, Error> {
    let turn = tools.turn.clone();
    let _turn = turn.lock().await;
    if gate::guards(step) {
        let gate = gate::look(tools, record, rules, 1).await?;
        if gate != Gate::Open {
            return Ok(gate);
        }
    }
    record.set_step(&step.id, StepState::Running, None);
    record.save().await?;
    tracing::info!(
        operation = record.id(),
        step = step.id,
        "rebalance step {} begins",
        step.action.as_str()
    );
    Ok(Gate::Open)
}

/// The maintenance window closed before the last node: those that were not touched stay as they are. What stands in
/// between, a new node whose old one is there or a node that is only cordoned, is undone.
async fn end_early(
    tools: &Tools,
    record: &mut Record<'_>,
    rules: &Rules,
    text: String,
) -> Result<Next, Error> {
    let plan = record.object().spec.plan.clone();
    let removed = |record: &Record<'_>, node: &String| {
        let mut steps = plan.steps.iter().filter(|step| step.action == StepAction::Remove);
        steps.any(|step| step.node.as_ref() == Some(node) && lanes::is_over(record.status.state_of(&step.id)))
    };
    let in_between = plan.steps.iter().any(|step| {
        let begun = record.status.state_of(&step.id) != StepState::Pending;
        let mut stands = match step.action {
            StepAction::Provision => step.replaces.iter(),
            StepAction::Cordon => step.node.as_slice().iter(),
            _ => [].iter(),
        };
        begun && stands.any(|node| !removed(record, node))
    });
    if in_between {
        return stop(tools, record, rules, Trigger::WindowClosed(text)).await;
    }
    let left: Vec<String> = plan
        .nodes
        .iter()
        .filter(|node| !removed(record, node))
        .cloned()
        .collect();
    for step in &plan.steps {
        if record.status.state_of(&step.id) == StepState::Pending {
            record.set_step(
                &step.id,
                StepState::Skipped,
                Some("the maintenance window closed".to_owned()),
            );
        }
    }
    let message = format!(
        "the maintenance window closed; left as they are: {}",
        judge::named(&left)
    );
    complete(tools, record, message).await
}

/// Reads, decides and acts once.
async fn turn(
    tools: &Tools,
    record: &Record<'_>,
    step: &PlannedStep,
    rules: &Rules,
) -> Result<Verdict, Error> {
    let view = world::read(tools, record, step, rules).await?;
    match judge::judge(step, &view, &rules.rebalancer) {
        Move::Act(act) => effects::apply(tools, record, step, act, &rules.rebalancer).await,
        Move::Settled(verdict) => Ok(verdict),
    }
}

async fn complete(tools: &Tools, record: &mut Record<'_>, message: String) -> Result<Next, Error> {
    // A node that somebody else took away in between leaves no mark; one that stayed must not either.
    marks::clear_all(tools, record).await?;
    record.end(RebalancePhase::Completed, message);
    record.save().await?;
    record.drop_finalizer().await?;
    tools
        .metrics
        .rebalanced(RebalanceStage::Execute, RebalanceResult::Success);
    let nodes = record.removed_nodes().join(", ");
    tracing::info!(
        operation = record.id(),
        nodes,
        "rebalance: workload migration completed"
    );
    tools.events.publish(
        &record.reference(),
        EventType::Normal,
        "RebalanceCompleted",
        "Rebalance",
        format!("{nodes} removed"),
    );
    Ok(Next::Done)
}

/// The operation cannot go on: it is undone, or left as it is where the settings say so.
pub(super) async fn stop(
    tools: &Tools,
    record: &mut Record<'_>,
    rules: &Rules,
    trigger: Trigger,
) -> Result<Next, Error> {
    let reason = trigger.to_string();
    if rules.rebalancer.rollback_on_failure || trigger.is_by_operator() {
        record.roll_back(trigger.reason(), &reason);
        record.save().await?;
        crash::at(Step::RollbackWritten);
        tools
            .metrics
            .rebalanced(RebalanceStage::Execute, RebalanceResult::Failure);
        tracing::warn!(
            operation = record.id(),
            reason = trigger.reason(),
            "rebalance rollback: {reason}"
        );
        tools.events.publish(
            &record.reference(),
            EventType::Warning,
            "RebalanceRollback",
            "Rollback",
            reason,
        );
        return rollback::carry_on(tools, record, rules.grace()).await;
    }
    record.end(
        RebalancePhase::Failed,
        format!("{reason}; rollbackOnFailure is false: nothing is undone"),
    );
    record.condition(false, trigger.reason(), &reason);
    record.save().await?;
    record.drop_finalizer().await?;
    tools
        .metrics
        .rebalanced(RebalanceStage::Execute, RebalanceResult::Failure);
    tracing::error!(
        operation = record.id(),
        reason = trigger.reason(),
        "rebalance failed: {reason}"
    );
    tools.events.publish(
        &record.reference(),
        EventType::Warning,
        "RebalanceFailed",
        "Rebalance",
        reason,
    );
    Ok(Next::Done)
}
