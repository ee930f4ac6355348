//! Undoes an operation: what it cordoned is uncordoned, its marks go, and the nodes are looked at again.
//!
//! A machine whose removal was asked for cannot come back: its node is left to go.

use super::record::Record;
use super::{Tools, effects, lanes, world};
use crate::error::Error;
use crate::runtime::events::EventType;
use crate::runtime::metrics::{RebalanceResult, RebalanceStage};
use crate::runtime::queue::Next;
use autoscaler_api::labels;
use autoscaler_api::rebalance::{PlannedStep, RebalancePhase, StepAction, StepState};
use kube::ResourceExt;

/// Goes on with a rollback. An error leaves it to be tried again, for as long as it takes.
pub(super) async fn carry_on(tools: &Tools, record: &mut Record<'_>) -> Result<Next, Error> {
    let undone = undo(tools, record).await;
    if let Err(error) = undone {
        tools
            .metrics
            .rebalanced(RebalanceStage::Rollback, RebalanceResult::Failure);
        return Err(error);
    }
    let reason = record.status.message.clone().unwrap_or_default();
    let removed = removed_nodes(record);
    let mut message = reason;
    if !removed.is_empty() {
        message = format!(
            "{message}; could not be undone, removed already: {}",
            removed.join(", ")
        );
    }
    record.end(RebalancePhase::RolledBack, message.clone());
    record.save().await?;
    record.drop_finalizer().await?;
    tools
        .metrics
        .rebalanced(RebalanceStage::Rollback, RebalanceResult::Success);
    tracing::warn!(operation = record.id(), "rebalance rollback completed: {message}");
    tools.events.publish(
        &record.reference(),
        EventType::Warning,
        "RebalanceRolledBack",
        "Rollback",
        message,
    );
    Ok(Next::Done)
}

/// Nodes whose removal was asked for.
fn removed_nodes(record: &Record<'_>) -> Vec<String> {
    let steps = &record.object().spec.plan.steps;
    let asked = steps.iter().filter(|step| is_removal_begun(record, step));
    asked
        .filter_map(|step| step.node.clone().or_else(|| step.vpsie_node.clone()))
        .collect()
}

/// Whether the side effect of a removal may have happened. A failed step did not get that far.
fn is_removal_begun(record: &Record<'_>, step: &PlannedStep) -> bool {
    let state = record.status.state_of(&step.id);
    step.action == StepAction::Remove && matches!(state, StepState::Running | StepState::Done)
}

async fn undo(tools: &Tools, record: &mut Record<'_>) -> Result<(), Error> {
    let plan = record.object().spec.plan.clone();
    // The last lane first, and in it the last step.
    for lane in lanes::of(&plan).iter().rev() {
        let kept = settle_removal(tools, record, lane).await?;
        for step in lane.iter().rev() {
            let state = record.status.state_of(&step.id);
            if step.action != StepAction::Cordon || state == StepState::Undone || kept {
                continue;
            }
            if state == StepState::Pending {
                continue;
            }
            record.set_step(&step.id, StepState::Undoing, None);
            record.save().await?;
            let node = step.node.as_deref().unwrap_or_default();
            let undone = effects::uncordon(tools, record, node).await?;
            let text = if undone {
                "uncordoned, marks removed"
            } else {
                "nothing to undo"
            };
            record.set_step(&step.id, StepState::Undone, Some(text.to_owned()));
            record.save().await?;
        }
    }
    clear_marks(tools, record).await?;
    verify(tools, record).await
}

/// Whether the lane's machine is going: a removal that was noted as begun may or may not have been sent.
async fn settle_removal(
    tools: &Tools,
    record: &mut Record<'_>,
    lane: &[&PlannedStep],
) -> Result<bool, Error> {
    let Some(step) = lane.iter().copied().find(|step| is_removal_begun(record, step)) else {
        return Ok(false);
    };
    let view = world::read(tools, record, step).await?;
    if view.vpsie_node.is_none_or(|node| node.leaving) {
        return Ok(true);
    }
    record.set_step(
        &step.id,
        StepState::Failed,
        Some("not asked for; the node stays".to_owned()),
    );
    record.save().await?;
    Ok(false)
}

/// Removes the operation's label from every node and VPSieNode of the plan that stays.
pub(super) async fn clear_marks(tools: &Tools, record: &Record<'_>) -> Result<(), Error> {
    for step in record
        .object()
        .spec
        .plan
        .steps
        .iter()
        .filter(|step| step.action == StepAction::Cordon)
    {
        let removed = removed_nodes(record);
        let stays = step.node.as_ref().is_none_or(|node| !removed.contains(node));
        if !stays || record.status.state_of(&step.id) == StepState::Pending {
            continue;
        }
        if let Some(name) = &step.vpsie_node {
            effects::mark_vpsie_node(tools, record.namespace(), name, None).await?;
        }
    }
    Ok(())
}

/// Looks at the nodes once more; whatever still carries our marks makes the rollback go on.
async fn verify(tools: &Tools, record: &Record<'_>) -> Result<(), Error> {
    let removed = removed_nodes(record);
    for name in record
        .object()
        .spec
        .plan
        .nodes
        .iter()
        .filter(|name| !removed.contains(name))
    {
        let Some(node) = world::node(tools, name).await? else {
            continue;
        };
        let ours = node
            .annotations()
            .get(labels::CORDONED_BY)
            .is_some_and(|by| by == record.id());
        if ours {
            return Err(Error::Invalid {
                object: format!("node {name}"),
                field: "metadata.annotations",
                problem: "it still carries the marks of the operation after its rollback".to_owned(),
            });
        }
    }
    Ok(())
}
