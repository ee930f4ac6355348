//! Undoes an operation, the last step first: what it cordoned is uncordoned, new nodes are emptied and given back, its
//! marks go, and the cluster is compared with what it was before.
//!
//! A machine whose removal was asked for cannot come back: its node is left to go, and the new node that took its
//! place stays. Nothing ends a rollback but its end: an error, or a budget that keeps pods on a new node, leaves it to
//! be tried again, the record says what it waits for, and an alert tells of one that takes long.

use super::judge::{PodView, named};
use super::record::Record;
use super::{LOOK_AGAIN, Tools, before, effects, judge, lanes, marks, successor, world};
use crate::error::Error;
use crate::runtime::chain;
use crate::runtime::events::EventType;
use crate::runtime::metrics::{RebalanceResult, RebalanceStage};
use crate::runtime::queue::Next;
use autoscaler_api::conditions::types;
use autoscaler_api::labels;
use autoscaler_api::rebalance::{PlannedStep, RebalancePhase, StepAction, StepState};
use kube::ResourceExt;
use std::time::Duration;

/// How far the undoing of a step is.
enum Undone {
    /// In words, for the record.
    Yes(String),
    /// What is waited for.
    NotYet(String),
}

/// Goes on with a rollback. An error leaves it to be tried again, for as long as it takes.
pub(super) async fn carry_on(tools: &Tools, record: &mut Record<'_>, grace: Duration) -> Result<Next, Error> {
    match undo(tools, record, grace).await {
        Ok(None) => finish(tools, record).await,
        Ok(Some(text)) => {
            tracing::info!(operation = record.id(), "rebalance rollback waits: {text}");
            record.note(&text);
            record.save().await?;
            Ok(Next::After(LOOK_AGAIN))
        }
        Err(error) => {
            if !error.is_conflict() {
                tools
                    .metrics
                    .rebalanced(RebalanceStage::Rollback, RebalanceResult::Failure);
                // Where the record can be written at all, it says why it goes on.
                record.note(&format!("the last try failed: {}", chain(&error)));
                let _ = record.save().await;
            }
            Err(error)
        }
    }
}

async fn finish(tools: &Tools, record: &mut Record<'_>) -> Result<Next, Error> {
    let removed = record.removed_nodes();
    record.note("");
    let mut message = record.status.message.clone().unwrap_or_default();
    if !removed.is_empty() {
        message = format!(
            "{message}; could not be undone, removed already: {}",
            removed.join(", ")
        );
    }
    record.end(RebalancePhase::RolledBack, message.clone());
    record.save().await?;
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
    confirm(tools, record).await?;
    record.drop_finalizer().await?;
    Ok(Next::Done)
}

/// Looks once more after the end was written: what the record says of the cluster was seen before that write, which may
/// have taken long. The finalizer stands until this look is done, so that no crash skips it. What happens later is no
/// longer the operation's to tell.
pub(super) async fn confirm(tools: &Tools, record: &mut Record<'_>) -> Result<(), Error> {
    if !record.has_finalizer() {
        return Ok(());
    }
    verify(tools, record).await?;
    record.save().await
}

/// One pass; what is waited for, if anything is.
async fn undo(tools: &Tools, record: &mut Record<'_>, grace: Duration) -> Result<Option<String>, Error> {
    settle_removals(tools, record).await?;
    let plan = record.object().spec.plan.clone();
    for step in lanes::backwards(&plan) {
        let state = record.status.state_of(&step.id);
        let reversible = matches!(step.action, StepAction::Cordon | StepAction::Provision);
        if !reversible || matches!(state, StepState::Pending | StepState::Undone | StepState::Skipped) {
            continue;
        }
        if step.action == StepAction::Cordon
            && step
                .node
                .as_ref()
                .is_some_and(|node| record.removed_nodes().contains(node))
        {
            continue;
        }
        if state != StepState::Undoing {
            record.set_step(&step.id, StepState::Undoing, None);
            record.save().await?;
        }
        let undone = match step.action {
            StepAction::Cordon => uncordon(tools, record, step).await?,
            _ => take_back(tools, record, step, grace).await?,
        };
        match undone {
            Undone::Yes(text) => {
                record.set_step(&step.id, StepState::Undone, Some(text));
                record.save().await?;
            }
            Undone::NotYet(text) => {
                record.set_step(&step.id, StepState::Undoing, Some(text.clone()));
                return Ok(Some(text));
            }
        }
    }
    marks::clear_all(tools, record).await?;
    verify(tools, record).await?;
    Ok(None)
}

async fn uncordon(tools: &Tools, record: &Record<'_>, step: &PlannedStep) -> Result<Undone, Error> {
    let node = step.node.as_deref().unwrap_or_default();
    let undone = marks::unmark_node(tools, record.id(), node).await?;
    if tools.index.surges(node) {
        let pods = world::pods_on(tools, node).await?;
        successor::take_back(tools, record, node, &pods.objects).await?;
    }
    let text = if undone {
        "uncordoned, marks removed"
    } else {
        "nothing to undo"
    };
    Ok(Undone::Yes(text.to_owned()))
}

/// Removals that were noted as begun may or may not have been sent. What was not is not any more.
async fn settle_removals(tools: &Tools, record: &mut Record<'_>) -> Result<(), Error> {
    let steps = record.object().spec.plan.steps.clone();
    let begun = steps.iter().filter(|step| {
        step.action == StepAction::Remove && record.status.state_of(&step.id) == StepState::Running
    });
    for step in begun.collect::<Vec<_>>() {
        let name = step.vpsie_node.as_deref().unwrap_or_default();
        let object = world::vpsie_node(tools, record.namespace(), name).await?;
        if object.is_some_and(|object| object.metadata.deletion_timestamp.is_none()) {
            let text = "not asked for; the node stays".to_owned();
            record.set_step(&step.id, StepState::Failed, Some(text));
            record.save().await?;
        }
    }
    Ok(())
}

/// Gives a new node back: empty first, so that no pod loses its place and every budget holds.
async fn take_back(
    tools: &Tools,
    record: &Record<'_>,
    step: &PlannedStep,
    grace: Duration,
) -> Result<Undone, Error> {
    let name = step.vpsie_node.as_deref().unwrap_or_default();
    let Some(object) = world::vpsie_node(tools, record.namespace(), name).await? else {
        return Ok(Undone::Yes("the new machine is gone".to_owned()));
    };
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Undone::NotYet(format!("{name}: the machine is being removed")));
    }
    match object.annotations().get(labels::REBALANCE) {
        Some(by) if by == record.id() => {}
        Some(other) => return Ok(Undone::Yes(format!("kept: operation {other} has it"))),
        // Somebody wants to keep it, or made an object of this name: it is not ours to delete.
        None => {
            return keep(
                tools,
                record,
                name,
                object.node_name(),
                "it carries no mark of this operation",
            )
            .await;
        }
    }
    let removed = record.removed_nodes();
    let mut gone = step.replaces.iter().find(|node| removed.contains(node)).cloned();
    for node in &step.replaces {
        // Somebody else takes it away: its pods need the new one.
        if gone.is_none() && is_leaving(tools, record, node).await? {
            gone = Some(node.clone());
        }
    }
    if let Some(gone) = gone {
        return keep(
            tools,
            record,
            name,
            object.node_name(),
            &format!("{gone}, which it replaces, is gone"),
        )
        .await;
    }
    if let Some(node) = object.node_name()
        && let Some(found) = world::node(tools, node).await?
    {
        let since = record.status.rollback_started_at.as_ref().map(|time| time.0);
        let waiting = match since {
            Some(since) => world::waiting_pods(tools, since).await?,
            None => Vec::new(),
        };
        let stranded = waiting
            .iter()
            .find(|(_, created)| judge::is_older(*created, grace, record.now()));
        if let Some((pod, _)) = stranded {
            return keep(
                tools,
                record,
                name,
                Some(node),
                &format!("pod {pod} finds no other place"),
            )
            .await;
        }
        if world::is_schedulable(&found) {
            marks::cordon(tools, record, node).await?;
        }
        let pods = world::pods_on(tools, node).await?.views;
        if let Some(text) = pods
            .iter()
            .filter(|pod| !pod.leaving)
            .find_map(|pod| pod.forbids.clone())
        {
            return keep(tools, record, name, Some(node), &text).await;
        }
        let blocked = effects::evict_all(tools, record, node, &judge::next_wave(&pods)).await?;
        if !blocked.is_empty() {
            return Ok(Undone::NotYet(format!("{}{}", effects::BLOCKED, named(&blocked))));
        }
        if !pods.is_empty() || !waiting.is_empty() {
            let pods: Vec<String> = pods.iter().map(PodView::key).collect();
            return Ok(Undone::NotYet(format!(
                "pods leave the new node {node}: {}",
                named(&pods)
            )));
        }
    }
    let seen = world::vpsie_node_view(&object).seen;
    effects::delete_vpsie_node(tools, record, name, seen).await?;
    Ok(Undone::NotYet(format!("{name}: the machine is being removed")))
}

/// Whether the VPSieNode of a node that was to go is gone, or on its way out.
async fn is_leaving(tools: &Tools, record: &Record<'_>, node: &str) -> Result<bool, Error> {
    let steps = &record.object().spec.plan.steps;
    let names = steps.iter().filter(|step| step.node.as_deref() == Some(node));
    let Some(name) = names.filter_map(|step| step.vpsie_node.as_deref()).next() else {
        return Ok(false);
    };
    let object = world::vpsie_node(tools, record.namespace(), name).await?;
    Ok(object.is_none_or(|object| object.metadata.deletion_timestamp.is_some()))
}

/// A new node stays as an ordinary node of its group.
async fn keep(
    tools: &Tools,
    record: &Record<'_>,
    name: &str,
    node: Option<&str>,
    why: &str,
) -> Result<Undone, Error> {
    if let Some(node) = node {
        marks::unmark_node(tools, record.id(), node).await?;
    }
    marks::mark_vpsie_node(tools, record.namespace(), name, None).await?;
    Ok(Undone::Yes(format!("kept: {why}")))
}

/// Looks at the cluster once more. What still carries our marks makes the rollback go on; what else differs from
/// before is told.
async fn verify(tools: &Tools, record: &mut Record<'_>) -> Result<(), Error> {
    let removed = record.removed_nodes();
    let mut differs = Vec::new();
    let before = record.status.before.clone().unwrap_or_default();
    for name in record
        .object()
        .spec
        .plan
        .nodes
        .iter()
        .filter(|name| !removed.contains(name))
    {
        let was = before.nodes.iter().find(|node| node.name == *name);
        let Some(node) = world::node(tools, name).await? else {
            if was.is_some() {
                differs.push(format!("node {name} is gone"));
            }
            continue;
        };
        let says = |key: &str| node.annotations().get(key).map(String::as_str);
        if says(labels::CORDONED_BY) == Some(record.id()) || says(labels::REBALANCE) == Some(record.id()) {
            return Err(Error::Invalid {
                object: format!("node {name}"),
                field: "metadata.annotations",
                problem: "it still carries the marks of the operation after its rollback".to_owned(),
            });
        }
        if is_leaving(tools, record, name).await? {
            differs.push(format!("node {name} is being removed by somebody else"));
        }
        let Some(was) = was else { continue };
        if was.schedulable && !world::is_schedulable(&node) {
            differs.push(format!("node {name} is cordoned by somebody else"));
        }
        if was.ready && !world::node_is_ready(&node) {
            differs.push(format!("node {name} is not Ready"));
        }
    }
    differs.extend(removed.iter().map(|name| format!("node {name} is removed")));
    differs.extend(before::unhealthy(tools, &before).await?);
    if differs.is_empty() {
        record.say(
            types::VERIFIED,
            true,
            "AsBefore",
            "nodes and workloads are as they were before",
        );
    } else {
        record.say(types::VERIFIED, false, "Differs", &named(&differs));
    }
    Ok(())
}
