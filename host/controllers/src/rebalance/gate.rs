//! Whether another node may be touched now: pause, maintenance windows and disruption budgets. Asked before an operation
//! begins, and again before each of its nodes: what the operator has changed in between holds from then on.
//!
//! A node that is cordoned is finished whatever the gate says: half a drain helps nobody.

use super::record::Record;
use super::{Rules, Tools};
use crate::error::Error;
use autoscaler_api::autoscaler_config::Strategy;
use autoscaler_api::labels;
use autoscaler_api::rebalance::{
    PlannedStep, Rebalance, RebalancePhase, RebalanceStatus, StepAction, StepState,
};
use autoscaler_cluster::ObjectKey;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use std::collections::BTreeSet;
use std::time::Duration;

/// Longest time between two looks at an operation that waits for its time.
pub(super) const LONGEST: Duration = Duration::from_secs(300);
/// How the message of an operation begins that waits at the gate.
pub(super) const HELD: &str = "held: ";

/// What stands in the way of the next node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// Look again after this time.
    Held(String, Duration),
    /// No maintenance window is open: when the next one opens, and when to look again.
    Closed(String, Duration),
}

/// Steps that touch a node which was left alone so far, or order one.
pub(super) fn guards(step: &PlannedStep) -> bool {
    matches!(step.action, StepAction::Provision | StepAction::Cordon)
}

/// Whether `nodes` more nodes may be taken out of service.
pub(super) async fn look(
    tools: &Tools,
    record: &Record<'_>,
    rules: &Rules,
    nodes: usize,
) -> Result<Gate, Error> {
    let settings = &rules.rebalancer;
    if let Some((text, after)) = closed(rules, record.now()) {
        return Ok(Gate::Closed(text, after));
    }
    let soon = settings.health_check_interval;
    if settings.paused {
        let text = "spec.rebalancer.paused is true".to_owned();
        return Ok(Gate::Held(text, soon.max(LONGEST / 10)));
    }
    Ok(match over_budget(tools, record, rules, nodes).await? {
        Some(text) => Gate::Held(text, soon),
        None => Gate::Open,
    })
}

/// How many nodes have to find room before an operation may begin: the first one, or all of those that are cordoned at
/// once.
pub(super) fn first_nodes(rebalance: &Rebalance) -> usize {
    let plan = &rebalance.spec.plan;
    match plan.strategy {
        Strategy::BlueGreen => plan.nodes.len(),
        Strategy::Rolling | Strategy::Surge => plan.nodes.len().min(1),
    }
}

/// No maintenance window is open.
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

/// A disruption budget that has no room for so many more nodes.
async fn over_budget(
    tools: &Tools,
    record: &Record<'_>,
    rules: &Rules,
    nodes: usize,
) -> Result<Option<String>, Error> {
    if rules.rebalancer.budgets.is_empty() || nodes == 0 {
        return Ok(None);
    }
    let fleet = tools.index.vpsie_nodes();
    let fleet = fleet
        .iter()
        .filter(|node| node.metadata.deletion_timestamp.is_none())
        .count();
    let kind = record.object().spec.plan.kind;
    let budgets = rules.rebalancer.budgets.iter();
    let limits = budgets.filter_map(|budget| budget.limit(kind, fleet, record.now()));
    let Some(strictest) = limits.min() else {
        return Ok(None);
    };
    let wanted = out_of_service(tools, record).await?.len() + nodes;
    Ok((wanted > strictest)
        .then(|| format!("the disruption budget allows {strictest} nodes out of service, {wanted} would be")))
}

/// Nodes that operations keep out of service. The records are read from the API server: what another operation has
/// written a moment ago counts.
async fn out_of_service(tools: &Tools, record: &Record<'_>) -> Result<BTreeSet<String>, Error> {
    let listed = Api::<Rebalance>::all(tools.effects.clone())
        .list(&ListParams::default())
        .await
        .map_err(Error::kubernetes("listing the Rebalances"))?;
    let mut out = BTreeSet::new();
    for rebalance in &listed {
        let status = match ObjectKey::of(rebalance).to_string() == record.id() {
            true => Some(&record.status),
            false => rebalance.status.as_ref(),
        };
        out.extend(status.into_iter().flat_map(|status| cordoned(rebalance, status)));
    }
    // An operation that was not undone leaves its cordons to a person; until then they count.
    let nodes = tools.index.nodes();
    let marked = nodes.iter().filter(|node| {
        let by = node.annotations().get(labels::CORDONED_BY);
        by.is_some_and(|by| !by.starts_with("vpsienode/"))
    });
    out.extend(marked.map(|node| node.name_any()));
    Ok(out)
}

/// Nodes that an operation has begun to cordon and that are not gone or back yet.
fn cordoned<'a>(rebalance: &'a Rebalance, status: &'a RebalanceStatus) -> impl Iterator<Item = String> + 'a {
    let runs = matches!(
        status.phase,
        RebalancePhase::Pending | RebalancePhase::Running | RebalancePhase::RollingBack
    );
    let steps = rebalance.spec.plan.steps.iter().filter(move |_| runs);
    let begun = steps.filter(|step| {
        let state = status.state_of(&step.id);
        let over = matches!(state, StepState::Pending | StepState::Undone | StepState::Skipped);
        step.action == StepAction::Cordon && !over
    });
    let nodes = begun.filter_map(|step| step.node.clone());
    nodes.filter(|node| {
        let removed = |step: &PlannedStep| {
            step.action == StepAction::Remove
                && step.node.as_ref() == Some(node)
                && matches!(status.state_of(&step.id), StepState::Done | StepState::Skipped)
        };
        !rebalance.spec.plan.steps.iter().any(removed)
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Removal, removal_plan};
    use super::*;
    use autoscaler_api::rebalance::{RebalanceKind, RebalanceSpec, StepStatus};

    #[test]
    fn a_node_is_out_of_service_from_its_cordon_until_it_is_gone_or_back() {
        use RebalancePhase::{Completed, Failed, Pending, RollingBack, Running};
        use StepState::{Done, Failed as Broken, Running as Runs, Undoing, Undone};
        let removal = |node: &str| Removal {
            node: node.to_owned(),
            vpsie_node: format!("v-{node}"),
            group: None,
            offering: None,
            reason: String::new(),
        };
        let removals = [removal("a"), removal("b")];
        let plan = removal_plan(RebalanceKind::RemoveEmpty, Strategy::Rolling, &removals);
        let rebalance = Rebalance::new("op", RebalanceSpec { plan });
        type Steps<'a> = &'a [(&'a str, StepState)];
        let cases: [(RebalancePhase, Steps<'_>, &[&str]); 9] = [
            (Pending, &[], &[]),
            (Running, &[("1-cordon", Runs)], &["a"]),
            (Running, &[("1-cordon", Done), ("1-drain", Runs)], &["a"]),
            (Running, &[("1-cordon", Done), ("1-remove", Runs)], &["a"]),
            (
                Running,
                &[("1-cordon", Done), ("1-remove", Done), ("2-cordon", Done)],
                &["b"],
            ),
            (Running, &[("1-cordon", Broken)], &["a"]),
            (
                RollingBack,
                &[("1-cordon", Undone), ("2-cordon", Undoing)],
                &["b"],
            ),
            (Completed, &[("1-cordon", Done), ("2-cordon", Done)], &[]),
            // Its marks on the nodes tell, for as long as they stand.
            (Failed, &[("1-cordon", Done)], &[]),
        ];
        for (phase, steps, expected) in cases {
            let steps = steps.iter().map(|(id, state)| StepStatus {
                id: (*id).to_owned(),
                state: *state,
                ..StepStatus::default()
            });
            let status = RebalanceStatus {
                phase,
                steps: steps.collect(),
                ..RebalanceStatus::default()
            };
            let found: Vec<String> = cordoned(&rebalance, &status).collect();
            assert_eq!(found, expected, "{phase:?} {:?}", status.steps);
        }
    }
}
