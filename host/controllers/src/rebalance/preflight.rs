//! Whether an operation may begin now: what is looked at before anything is touched.

use super::record::Record;
use super::{Rules, Tools, is_active, world};
use crate::error::Error;
use autoscaler_api::labels;
use autoscaler_api::rebalance::{PlannedStep, Rebalance, RebalancePhase, StepAction};
use autoscaler_cluster::ObjectKey;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Longest time between two looks at an operation that waits for its time.
const LONGEST: Duration = Duration::from_secs(300);

/// What an operation is told that wants to begin.
pub(super) enum Start {
    Now,
    /// Look again after this time.
    Later(String, Duration),
    /// It can never be carried out, or not in this cluster as it is.
    Never(String),
}

/// Looks at plan, settings and cluster.
pub(super) async fn look(tools: &Tools, record: &Record<'_>, rules: &Rules) -> Result<Start, Error> {
    let object = record.object();
    if let Some(reason) = cannot_run(object) {
        return Ok(Start::Never(reason));
    }
    let settings = &rules.rebalancer;
    let soon = settings.health_check_interval;
    if settings.paused {
        return Ok(Start::Later(
            "spec.rebalancer.paused is true".to_owned(),
            soon.max(LONGEST / 10),
        ));
    }
    if let Some((text, after)) = closed(rules, record.now()) {
        return Ok(Start::Later(text, after));
    }
    if let Some(left) = quiet(tools, record, rules) {
        let text = format!("a group grew less than {} s ago", settings.quiet_period.as_secs());
        return Ok(Start::Later(text, left.min(LONGEST)));
    }
    if !may_start(tools, record, rules) {
        return Ok(Start::Later(
            "waits for other operations (maxConcurrent)".to_owned(),
            soon,
        ));
    }
    if let Some(text) = over_budget(tools, record, rules) {
        return Ok(Start::Later(text, soon));
    }
    if let Some(text) = world::degraded(tools, record, settings) {
        return Ok(Start::Never(format!("cluster health: {text}")));
    }
    for name in &object.spec.plan.nodes {
        let Some(node) = world::node(tools, name).await? else {
            continue;
        };
        let other = node
            .metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(labels::REBALANCE));
        if let Some(other) = other.filter(|other| *other != record.id()) {
            return Ok(Start::Never(format!("node {name} is part of operation {other}")));
        }
        let pods = world::pods_on(tools, name).await?;
        if let Some(deadlock) = pods.deadlocks.first() {
            return Ok(Start::Never(format!(
                "node {name} could never be drained: {deadlock}"
            )));
        }
        let forbids = pods
            .views
            .iter()
            .filter(|pod| !pod.leaving)
            .find_map(|pod| pod.forbids.clone());
        if let Some(text) = forbids {
            return Ok(Start::Never(format!("node {name} may not be drained: {text}")));
        }
    }
    Ok(Start::Now)
}

/// Why a plan cannot be carried out at all.
fn cannot_run(rebalance: &Rebalance) -> Option<String> {
    rebalance.spec.plan.steps.iter().find_map(|step| {
        let PlannedStep { id, .. } = step;
        let lacks = |field: &str| Some(format!("step {id}: {field} is missing"));
        match step.action {
            StepAction::Provision if step.vpsie_node.is_none() => lacks("vpsieNode"),
            StepAction::Provision if step.node_group.is_none() => lacks("nodeGroup"),
            StepAction::Provision if step.offering_id.is_none() => lacks("offeringID"),
            StepAction::Provision if step.kube_size_id.is_none() => lacks("kubeSizeID"),
            StepAction::Remove if step.vpsie_node.is_none() => lacks("vpsieNode"),
            StepAction::Cordon | StepAction::Drain | StepAction::Uncordon if step.node.is_none() => {
                lacks("node")
            }
            _ => None,
        }
    })
}

/// No maintenance window is open: says when the next one opens, and when to look again.
fn closed(rules: &Rules, now: Timestamp) -> Option<(String, Duration)> {
    let windows = &rules.rebalancer.windows;
    if windows.is_empty() || windows.iter().any(|window| window.is_open(now)) {
        return None;
    }
    let next = windows.iter().filter_map(|window| window.next(now)).min();
    let text = match next {
        Some(next) => format!("waits for the maintenance window of {next}"),
        None => "no maintenance window ever opens".to_owned(),
    };
    let left = next.and_then(|next| Duration::try_from(next.duration_since(now)).ok());
    Some((text, left.unwrap_or(LONGEST).min(LONGEST)))
}

/// Time that is left of the quiet after a group of the namespace grew.
fn quiet(tools: &Tools, record: &Record<'_>, rules: &Rules) -> Option<Duration> {
    let period = SignedDuration::try_from(rules.rebalancer.quiet_period).ok()?;
    let groups = tools.index.node_groups();
    let grown = groups
        .iter()
        .filter(|group| group.metadata.namespace.as_deref() == Some(record.namespace()))
        .filter_map(|group| Some(group.status.as_ref()?.last_scale_up_time.as_ref()?.0))
        .max()?;
    Duration::try_from(period - record.now().duration_since(grown))
        .ok()
        .filter(|left| !left.is_zero())
}

/// Operations start in the order of their creation, as long as fewer than `maxConcurrent` run.
fn may_start(tools: &Tools, record: &Record<'_>, rules: &Rules) -> bool {
    let age = |rebalance: &Rebalance| {
        let created = rebalance.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created, ObjectKey::of(rebalance))
    };
    let mine = age(record.object());
    let ahead = tools.index.rebalances().into_iter().filter(|other| {
        let phase = other
            .status
            .as_ref()
            .map(|status| status.phase)
            .unwrap_or_default();
        let theirs = age(other);
        theirs.1 != mine.1 && (is_active(other) || (phase == RebalancePhase::Pending && theirs < mine))
    });
    ahead.count() < rules.at_once()
}

/// A disruption budget that has no room for another node out of service.
fn over_budget(tools: &Tools, record: &Record<'_>, rules: &Rules) -> Option<String> {
    let plan = &record.object().spec.plan;
    let fleet = tools.index.vpsie_nodes();
    let fleet = fleet
        .iter()
        .filter(|node| node.metadata.deletion_timestamp.is_none());
    let active = tools.index.rebalances();
    let active = active
        .iter()
        .filter(|other| is_active(other) && ObjectKey::of(&***other).to_string() != record.id());
    // Of a plan as many nodes are out of service at once as lanes go side by side.
    let at_once = |nodes: usize| nodes.min(rules.at_once());
    let out: usize = active.map(|other| at_once(other.spec.plan.nodes.len())).sum();
    let wanted = out + at_once(plan.nodes.len());
    let fleet = fleet.count();
    let limits = rules.rebalancer.budgets.iter();
    let strictest = limits
        .filter_map(|budget| budget.limit(plan.kind, fleet, record.now()))
        .min()?;
    (wanted > strictest)
        .then(|| format!("the disruption budget allows {strictest} nodes out of service, {wanted} would be"))
}
