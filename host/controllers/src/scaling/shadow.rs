//! Shadows: policies that are asked after each decision what they would have done, and can do nothing.
//!
//! The same snapshot is decided once more as if the shadow were active. What comes of it are numbers: the plan ends
//! here, so that nothing can carry it out. A shadow is asked when everything is done that was decided; it can
//! delay the next decision by its own limits and no more, and one that fails too often is not asked any more.

use super::deciders::Deciders;
use super::growth::{self, Growth};
use super::shrink::{self, Shrinkage};
use crate::context::Context;
use crate::runtime::metrics::ShadowResult;
use autoscaler_core::decision::{Action, Checked, Kind, Plan};
use autoscaler_core::model::{NodeId, PodId, Snapshot, TemplateId};
use autoscaler_policy::{Binding, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Names of nodes in a difference.
const NAMED: usize = 5;

pub(super) fn growth(
    ctx: &Context,
    deciders: &Deciders,
    snapshot: &Arc<Snapshot>,
    futile: &BTreeSet<PodId>,
    done: &Growth,
) {
    if done.records.is_empty() && done.held.is_empty() {
        return;
    }
    for (name, shadow) in ctx.policies.shadows() {
        let Some(binding) = shadow.get(&Kind::NodeSelection).or(shadow.get(&Kind::ScaleUp)) else {
            continue;
        };
        let imagined = growth::decide(ctx, &deciders.imagined(&shadow), snapshot, futile);
        let (active, other) = (grown(snapshot, done), grown(snapshot, &imagined));
        let difference = (bought(done) != bought(&imagined)).then(|| {
            format!(
                "it would buy {} and leave {} pods waiting, instead of {} with {} waiting",
                priced(other),
                other.waiting_pods,
                priced(active),
                active.waiting_pods
            )
        });
        let failed = imagined.held.iter().any(|failed| failed.policy.name == name);
        record(ctx, binding, active, (!failed).then_some(other), difference);
    }
}

pub(super) fn removals(ctx: &Context, deciders: &Deciders, snapshot: &Arc<Snapshot>, done: &Shrinkage) {
    if !done.asked {
        return;
    }
    for (name, shadow) in ctx.policies.shadows() {
        let Some(binding) = shadow.get(&Kind::Rebalance) else {
            continue;
        };
        let imagined = shrink::decide(ctx, &deciders.imagined(&shadow), snapshot);
        let (is, would) = (changed(done.plan.as_ref()), changed(imagined.plan.as_ref()));
        let difference = (is != would).then(|| {
            format!(
                "it would remove {}, instead of {}",
                named(snapshot, &would),
                named(snapshot, &is)
            )
        });
        let failed = imagined.held.iter().any(|failed| failed.policy.name == name);
        let other = (!failed).then(|| saved(snapshot, &would));
        record(ctx, binding, saved(snapshot, &is), other, difference);
    }
}

fn record(
    ctx: &Context,
    binding: &Binding,
    active: Outcome,
    shadow: Option<Outcome>,
    difference: Option<String>,
) {
    let result = match (&shadow, &difference) {
        (None, _) => ShadowResult::Failed,
        (Some(_), None) => ShadowResult::Same,
        (Some(_), Some(text)) => {
            tracing::info!(policy = binding.name, "shadow: {text}");
            ShadowResult::Different
        }
    };
    ctx.metrics.shadow_compared(&binding.name, result, active, shadow);
    binding.tally.compared(active, shadow, difference);
}

/// Nodes by template.
fn bought(growth: &Growth) -> BTreeMap<TemplateId, u32> {
    let mut bought = BTreeMap::new();
    for action in growth.plans.iter().flat_map(Plan::actions) {
        if let Action::Buy { template, count, .. } = action {
            *bought.entry(*template).or_insert(0) += count;
        }
    }
    bought
}

fn grown(snapshot: &Snapshot, growth: &Growth) -> Outcome {
    let mut outcome = Outcome {
        waiting_pods: growth
            .placement
            .unplaced
            .iter()
            .map(|left| left.pods.len() as u64)
            .sum(),
        ..Outcome::default()
    };
    for (template, count) in bought(growth) {
        let price = snapshot.templates[template as usize].hourly_micros;
        outcome.nodes += u64::from(count);
        outcome.hourly_micros = outcome
            .hourly_micros
            .saturating_add(price.saturating_mul(count.into()));
    }
    outcome
}

/// What a plan does to the fleet: the nodes that go, and those that come for them, by template.
#[derive(PartialEq, Eq)]
struct Change {
    gone: BTreeSet<NodeId>,
    come: BTreeMap<TemplateId, u32>,
}

fn changed(plan: Option<&Plan<Checked>>) -> Change {
    let (mut gone, mut come) = (BTreeSet::new(), BTreeMap::new());
    for action in plan.into_iter().flat_map(Plan::actions) {
        match action {
            Action::Remove { node, .. } => drop(gone.insert(*node)),
            Action::Replace { replacement, .. } => {
                gone.extend(&replacement.nodes);
                for addition in &replacement.additions {
                    *come.entry(addition.template).or_insert(0) += addition.count;
                }
            }
            Action::Buy { .. } => {}
        }
    }
    Change { gone, come }
}

/// Nodes that go, and what their going saves, the price of those that come taken off.
fn saved(snapshot: &Snapshot, change: &Change) -> Outcome {
    let gone = change
        .gone
        .iter()
        .map(|node| snapshot.nodes[*node as usize].hourly_micros);
    let come = change.come.iter().map(|(template, count)| {
        let price = snapshot.templates[*template as usize].hourly_micros;
        price.saturating_mul(u64::from(*count))
    });
    let (gone, come) = (
        gone.fold(0, u64::saturating_add),
        come.fold(0, u64::saturating_add),
    );
    Outcome {
        nodes: change.gone.len() as u64,
        hourly_micros: gone.saturating_sub(come),
        waiting_pods: 0,
    }
}

fn priced(outcome: Outcome) -> String {
    let (whole, rest) = (
        outcome.hourly_micros / 1_000_000,
        outcome.hourly_micros % 1_000_000,
    );
    format!("{} nodes for {whole}.{rest:06} an hour", outcome.nodes)
}

fn named(snapshot: &Snapshot, change: &Change) -> String {
    let nodes = &change.gone;
    let names: Vec<&str> = nodes
        .iter()
        .take(NAMED)
        .map(|node| snapshot.nodes[*node as usize].name.as_str())
        .collect();
    let mut text = match nodes.len().checked_sub(NAMED) {
        _ if names.is_empty() => "nothing".to_owned(),
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names.join(", ")),
    };
    for (template, count) in &change.come {
        let offering = &snapshot.templates[*template as usize].offering;
        text.push_str(&format!(" for {count} × {offering}"));
    }
    text
}
