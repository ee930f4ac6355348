//! Carries out Rebalance objects: one short pass per reconcile, any replica can go on from any line.
//!
//! ```text
//!   Pending ─▶ Running ─▶ Completed          every step: its state is written, then it is done
//!                 │
//!                 └─▶ RollingBack ─▶ RolledBack     (or Failed, where nothing is to be undone)
//! ```
//!
//! [`world`] reads what a step needs, [`judge`] decides purely, [`effects`] acts, [`rollback`] undoes.
//! The steps of one node are a lane ([`lanes`]): lanes go one after the other, or `maxConcurrent` at once.

mod effects;
mod judge;
mod lanes;
mod plan;
mod record;
mod rollback;
#[cfg(test)]
mod tests;
mod world;

use crate::context::{Context, Now};
use crate::error::Error;
use crate::runtime::events::{EventType, Events};
use crate::runtime::metrics::{Metrics, RebalanceResult, RebalanceStage};
use crate::runtime::queue::{Next, Queue};
use autoscaler_api::autoscaler_config::RebalancerSettings;
use autoscaler_api::labels;
use autoscaler_api::rebalance::{PlannedStep, Rebalance, RebalancePhase, StepAction, StepState};
use autoscaler_cluster::{Index, ObjectKey};
pub(crate) use effects::{Eviction, evict_pod};
use judge::{Move, Trigger, Verdict};
pub use plan::{Removal, removal_plan};
use record::Record;
use std::sync::Arc;
use std::time::Duration;

/// Time between two looks at something that is under way and tells nobody when it is done.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What the executor may touch.
struct Tools {
    /// Never retries by itself, so that a refused eviction answers at once.
    effects: kube::Client,
    index: Arc<Index>,
    metrics: Arc<Metrics>,
    events: Events,
    now: Now,
}

impl Tools {
    /// The executor's part of the context.
    fn of(context: &Context) -> Self {
        Self {
            effects: context.effects.clone(),
            index: context.index.clone(),
            metrics: context.metrics.clone(),
            events: context.events.clone(),
            now: context.now.clone(),
        }
    }
}

/// The controller of Rebalance objects.
pub struct Rebalances {
    /// Operations to look at.
    pub queue: Arc<Queue<ObjectKey>>,
    tools: Tools,
}

impl Rebalances {
    /// Nothing is done before the queue is worked off.
    pub fn new(context: &Context) -> Self {
        Self {
            queue: Arc::new(Queue::new()),
            tools: Tools::of(context),
        }
    }

    /// One pass over one operation.
    pub async fn reconcile(&self, key: ObjectKey) -> Result<Next, Error> {
        reconcile(&self.tools, &key).await
    }
}

/// One pass over one operation.
async fn reconcile(tools: &Tools, key: &ObjectKey) -> Result<Next, Error> {
    let record = Record::load(tools, key).await?;
    tools
        .metrics
        .rebalances_in_progress(running(tools, key, record.as_ref()));
    let Some(mut record) = record else {
        return Ok(Next::Done);
    };
    let next = pass(tools, &mut record).await;
    tools
        .metrics
        .rebalances_in_progress(running(tools, key, Some(&record)));
    next
}

/// Operations under way: the index knows the others, the record itself is fresher.
fn running(tools: &Tools, key: &ObjectKey, record: Option<&Record<'_>>) -> usize {
    let others = tools
        .index
        .rebalances()
        .iter()
        .filter(|other| ObjectKey::of(&***other) != *key && is_active(other))
        .count();
    let active = |phase| matches!(phase, RebalancePhase::Running | RebalancePhase::RollingBack);
    others + usize::from(record.is_some_and(|record| active(record.status.phase)))
}

fn is_active(rebalance: &Rebalance) -> bool {
    let phase = rebalance
        .status
        .as_ref()
        .map(|status| status.phase)
        .unwrap_or_default();
    matches!(phase, RebalancePhase::Running | RebalancePhase::RollingBack)
}

async fn pass(tools: &Tools, record: &mut Record<'_>) -> Result<Next, Error> {
    if record.status.phase.is_final() {
        record.drop_finalizer().await?;
        return Ok(Next::Done);
    }
    if record.status.phase == RebalancePhase::RollingBack {
        return rollback::carry_on(tools, record).await;
    }
    let settings = settings(tools)?;
    if let Some(trigger) = requested_end(record.object()) {
        if record.status.phase == RebalancePhase::Pending {
            return skip(tools, record, &trigger.to_string()).await;
        }
        return stop(tools, record, &settings, trigger).await;
    }
    if record.status.phase == RebalancePhase::Pending {
        if let Some(reason) = cannot_run(record.object()) {
            return skip(tools, record, &reason).await;
        }
        if !may_start(tools, record, &settings) {
            record.status.message = Some("waits for other operations (maxConcurrent)".to_owned());
            record.save().await?;
            return Ok(Next::After(settings.health_check_interval));
        }
        start(tools, record).await?;
    }
    advance(tools, record, &settings).await
}

fn settings(tools: &Tools) -> Result<RebalancerSettings, Error> {
    let config = tools.index.config();
    let rebalancer = config
        .and_then(|config| config.spec.rebalancer.clone())
        .unwrap_or_default();
    rebalancer.settings().map_err(|error| Error::Invalid {
        object: "AutoscalerConfig default".to_owned(),
        field: "spec.rebalancer",
        problem: error.to_string(),
    })
}

/// Whether an operator wants the operation to end.
fn requested_end(rebalance: &Rebalance) -> Option<Trigger> {
    if rebalance.metadata.deletion_timestamp.is_some() {
        return Some(Trigger::Deleted);
    }
    let annotation = rebalance
        .metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(labels::ROLLBACK));
    annotation
        .filter(|value| *value == "requested")
        .map(|_| Trigger::Requested)
}

/// Why a plan cannot be carried out at all.
fn cannot_run(rebalance: &Rebalance) -> Option<String> {
    rebalance.spec.plan.steps.iter().find_map(|step| {
        let PlannedStep {
            id,
            action,
            node,
            vpsie_node,
            ..
        } = step;
        match action {
            StepAction::Provision => Some(format!("step {id}: this version makes no replacements")),
            StepAction::Remove if vpsie_node.is_none() => Some(format!("step {id}: vpsieNode is missing")),
            StepAction::Cordon | StepAction::Drain | StepAction::Uncordon if node.is_none() => {
                Some(format!("step {id}: node is missing"))
            }
            _ => None,
        }
    })
}

/// Operations start in the order of their creation, as long as fewer than `maxConcurrent` run.
fn may_start(tools: &Tools, record: &Record<'_>, settings: &RebalancerSettings) -> bool {
    let age = |rebalance: &Rebalance| {
        let created = rebalance.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created, ObjectKey::of(rebalance))
    };
    let mine = age(record.object());
    let ahead = tools.index.rebalances().into_iter().filter(|other| {
        let status = other
            .status
            .as_ref()
            .map(|status| status.phase)
            .unwrap_or_default();
        let other = age(other);
        other.1 != mine.1
            && (matches!(status, RebalancePhase::Running | RebalancePhase::RollingBack)
                || (status == RebalancePhase::Pending && other < mine))
    });
    ahead.count() < limit(settings)
}

/// `maxConcurrent`, at least 1.
fn limit(settings: &RebalancerSettings) -> usize {
    usize::try_from(settings.max_concurrent).unwrap_or(1).max(1)
}

async fn start(tools: &Tools, record: &mut Record<'_>) -> Result<(), Error> {
    record.add_finalizer().await?;
    record.begin();
    record.save().await?;
    let plan = &record.object().spec.plan;
    let nodes = plan.nodes.join(", ");
    tracing::info!(
        operation = record.id(),
        kind = plan.kind.as_str(),
        nodes,
        "rebalance: workload migration starts"
    );
    let note = format!("{} of {nodes} starts", plan.kind.as_str());
    tools.events.publish(
        &record.reference(),
        EventType::Normal,
        "RebalanceStarted",
        "Rebalance",
        note,
    );
    Ok(())
}

/// Ends an operation that never began.
async fn skip(tools: &Tools, record: &mut Record<'_>, reason: &str) -> Result<Next, Error> {
    record.end(RebalancePhase::Failed, format!("not begun: {reason}"));
    record.save().await?;
    record.drop_finalizer().await?;
    tools
        .metrics
        .rebalanced(RebalanceStage::Execute, RebalanceResult::Skipped);
    tracing::warn!(operation = record.id(), "rebalance not begun: {reason}");
    tools.events.publish(
        &record.reference(),
        EventType::Warning,
        "RebalanceSkipped",
        "Rebalance",
        reason,
    );
    Ok(Next::Done)
}

/// Takes each active lane as far as it goes now.
async fn advance(
    tools: &Tools,
    record: &mut Record<'_>,
    settings: &RebalancerSettings,
) -> Result<Next, Error> {
    let plan = record.object().spec.plan.clone();
    let mut wait: Option<Duration> = None;
    let mut active = 0;
    for lane in lanes::of(&plan) {
        if active == limit(settings) {
            break;
        }
        while let Some(step) = lanes::current(&lane, &record.status) {
            if record.status.state_of(&step.id) == StepState::Pending {
                record.set_step(&step.id, StepState::Running, None);
                record.save().await?;
                tracing::info!(
                    operation = record.id(),
                    step = step.id,
                    "rebalance step {} begins",
                    step.action.as_str()
                );
            }
            match turn(tools, record, step, settings).await? {
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
                    return stop(tools, record, settings, trigger).await;
                }
            }
        }
    }
    match wait {
        Some(after) => Ok(Next::After(after)),
        None => complete(tools, record).await,
    }
}

/// Reads, decides and acts once.
async fn turn(
    tools: &Tools,
    record: &Record<'_>,
    step: &PlannedStep,
    settings: &RebalancerSettings,
) -> Result<Verdict, Error> {
    let view = world::read(tools, record, step).await?;
    match judge::judge(step, &view, settings) {
        Move::Act(act) => effects::apply(tools, record, step, act, settings).await,
        Move::Settled(verdict) => Ok(verdict),
    }
}

async fn complete(tools: &Tools, record: &mut Record<'_>) -> Result<Next, Error> {
    // A node that somebody else took away in between leaves no mark; one that stayed must not either.
    rollback::clear_marks(tools, record).await?;
    record.end(RebalancePhase::Completed, "every step is done".to_owned());
    record.save().await?;
    record.drop_finalizer().await?;
    tools
        .metrics
        .rebalanced(RebalanceStage::Execute, RebalanceResult::Success);
    let nodes = record.object().spec.plan.nodes.join(", ");
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
async fn stop(
    tools: &Tools,
    record: &mut Record<'_>,
    settings: &RebalancerSettings,
    trigger: Trigger,
) -> Result<Next, Error> {
    let reason = trigger.to_string();
    if settings.rollback_on_failure || trigger.is_by_operator() {
        record.status.phase = RebalancePhase::RollingBack;
        record.status.message = Some(format!("rollback: {reason}"));
        record.condition(false, trigger.reason(), &reason);
        record.save().await?;
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
        return rollback::carry_on(tools, record).await;
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
