//! Whether an operation may begin now: what is looked at before anything is touched.

use super::gate::{self, Gate, LONGEST};
use super::record::Record;
use super::{Rules, Tools, is_active, world};
use crate::error::Error;
use autoscaler_api::labels;
use autoscaler_api::rebalance::{PlannedStep, Rebalance, RebalancePhase, StepAction};
use autoscaler_cluster::ObjectKey;
use jiff::SignedDuration;
use std::time::Duration;

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
    match gate::look(tools, record, rules, gate::first_nodes(object)).await? {
        Gate::Open => {}
        Gate::Held(text, after) | Gate::Closed(text, after) => return Ok(Start::Later(text, after)),
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
