//! The plan was checked when it was made; the cluster has moved on since. Before nodes are touched, the scheduling core
//! is asked once more whether their pods fit on what is there now.

use super::Tools;
use super::record::Record;
use crate::settings::Settings;
use autoscaler_api::rebalance::{PlannedStep, StepAction};
use autoscaler_cluster::Inputs;
use autoscaler_core::decision::{Oracle, Question, WhatIfQuestion, questions};
use autoscaler_core::packing::{WhatIf, place_pending};
use std::sync::Arc;

/// Why the pods of the nodes that a batch takes away find no other place; none where they do.
pub(super) fn no_room(tools: &Tools, record: &Record<'_>, step: &PlannedStep) -> Option<String> {
    let going = going_together(record, step);
    let settings = Settings::of(tools.index.config().as_deref());
    let inputs = Inputs {
        now_ms: record.now().as_millisecond(),
        reserved: settings.reserved,
        startup_taints: settings.startup_taints,
        ..Inputs::default()
    };
    let placement = place_pending(&Arc::new(tools.index.snapshot(&inputs)));
    let question = questions::rebalance(&placement, &|_| true);
    let Question::Rebalance { fleet, .. } = &question else {
        return None;
    };
    // A node that is of no group any more is nobody's to judge; its pods show whether they find a place.
    let rows = (0..)
        .zip(&fleet.names)
        .filter(|(_, name)| going.contains(&name.as_str()));
    let removals: Vec<u32> = rows.map(|(row, _)| row).collect();
    let oracle = WhatIf::new(&placement, &question);
    let asked = WhatIfQuestion {
        removals,
        pods: Some(Vec::new()),
        ..WhatIfQuestion::default()
    };
    let (outcome, _) = oracle.what_if(&asked).ok()?;
    let first = outcome.unplaced.first()?;
    let pods: u32 = outcome.unplaced.iter().map(|leftover| leftover.pods).sum();
    Some(format!("{pods} pods find no other place: {}", first.cause.text()))
}

/// The nodes of the step's batch that are not on their way out yet.
fn going_together<'a>(record: &'a Record<'_>, step: &PlannedStep) -> Vec<&'a str> {
    let removed = record.removed_nodes();
    let steps = record.object().spec.plan.steps.iter();
    let same = steps.filter(|other| {
        other.action == StepAction::Cordon && other.batch_or_default() == step.batch_or_default()
    });
    let nodes = same.filter_map(|other| other.node.as_deref());
    nodes
        .filter(|node| !removed.iter().any(|gone| gone == node))
        .collect()
}
