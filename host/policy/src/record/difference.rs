//! Two courses of one decision side by side, in words.

use super::replay::beginning;
use super::{Record, Round, Subject};
use autoscaler_core::decision::{Action, Plan, check_growth, check_removals};
use autoscaler_core::model::{NodeId, Snapshot, TemplateId};
use std::collections::BTreeMap;

/// What plans come to in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub nodes_bought: u64,
    pub nodes_removed: u64,
    /// What is bought less what goes.
    pub hourly_micros: i128,
    /// Waiting pods without a place afterwards.
    pub pods_left: u64,
}

/// The actions of rounds as lines. `reasons` adds what led to each.
pub fn lines(snapshot: &Snapshot, rounds: &[Round], reasons: bool) -> Vec<String> {
    let actions = rounds.iter().flat_map(|round| &round.plan);
    actions.map(|action| line(snapshot, action, reasons)).collect()
}

fn line(snapshot: &Snapshot, action: &Action, reasons: bool) -> String {
    let template = |id: u32| snapshot.templates.get(id as usize);
    let offering = |id: u32| template(id).map_or("?", |template| template.offering.as_str());
    let node_name = |id: NodeId| {
        let node = snapshot.nodes.get(id as usize);
        node.map_or("?", |node| node.name.as_str())
    };
    let (text, reason) = match action {
        Action::Buy {
            template: id,
            count,
            fallbacks,
            reason,
        } => {
            let group = template(*id).and_then(|template| snapshot.groups.get(template.group as usize));
            let group = group.map_or_else(
                || "?".to_owned(),
                |group| format!("{}/{}", group.namespace, group.name),
            );
            let mut text = format!("buy {count} × {} for {group}", offering(*id));
            if !fallbacks.is_empty() {
                let names: Vec<&str> = fallbacks.iter().map(|id| offering(*id)).collect();
                text.push_str(&format!(", else {}", names.join(", ")));
            }
            (text, reason)
        }
        Action::Remove { node, batch, reason } => {
            (format!("remove {} in batch {batch}", node_name(*node)), reason)
        }
        Action::Replace {
            replacement,
            batch,
            reason,
        } => {
            let nodes: Vec<&str> = replacement.nodes.iter().map(|node| node_name(*node)).collect();
            let additions = replacement.additions.iter();
            let additions: Vec<String> = additions
                .map(|addition| format!("{} × {}", addition.count, offering(addition.template)))
                .collect();
            let (nodes, additions) = (nodes.join(", "), additions.join(", "));
            (format!("replace {nodes} by {additions} in batch {batch}"), reason)
        }
    };
    if reasons {
        format!("{text} ({}: {})", reason.code, reason.text)
    } else {
        text
    }
}

/// The lines that only one of two courses has: `-` before those of the first, `+` before those of the second.
/// What both have comes with two blanks.
pub fn difference(snapshot: &Snapshot, before: &[Round], after: &[Round]) -> Vec<String> {
    let (before, after) = (lines(snapshot, before, false), lines(snapshot, after, false));
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &after {
        *left.entry(line).or_default() += 1;
    }
    let mut out = Vec::new();
    for line in &before {
        match left.get_mut(line.as_str()) {
            Some(count) if *count > 0 => {
                *count -= 1;
                out.push(format!("  {line}"));
            }
            _ => out.push(format!("- {line}")),
        }
    }
    for line in &after {
        if let Some(count) = left.get_mut(line.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            out.push(format!("+ {line}"));
        }
    }
    out
}

impl Totals {
    fn buy(&mut self, snapshot: &Snapshot, template: TemplateId, count: u32) {
        let template = snapshot.templates.get(template as usize);
        let price = template.map_or(0, |template| template.hourly_micros);
        self.nodes_bought += u64::from(count);
        self.hourly_micros += i128::from(price) * i128::from(count);
    }

    fn remove(&mut self, snapshot: &Snapshot, node: NodeId) {
        let node = snapshot.nodes.get(node as usize);
        let price = node.map_or(0, |node| node.hourly_micros);
        self.nodes_removed += 1;
        self.hourly_micros -= i128::from(price);
    }
}

/// What the plans of these rounds come to on the cluster of the record.
pub fn totals(record: &Record, rounds: &[Round]) -> Totals {
    let snapshot = &record.snapshot;
    let mut placement = beginning(record);
    let mut totals = Totals::default();
    for round in rounds {
        for action in &round.plan {
            match action {
                Action::Buy { template, count, .. } => totals.buy(snapshot, *template, *count),
                Action::Remove { node, .. } => totals.remove(snapshot, *node),
                Action::Replace { replacement, .. } => {
                    for addition in &replacement.additions {
                        totals.buy(snapshot, addition.template, addition.count);
                    }
                    for node in &replacement.nodes {
                        totals.remove(snapshot, *node);
                    }
                }
            }
        }
        // It passed the checker before, and passes again.
        let plan = Plan::propose(round.plan.clone());
        let allows = |group| round.groups.contains(&group);
        let checked = match record.subject {
            Subject::Growth => check_growth(&placement, plan, &allows),
            Subject::Removal => check_removals(&placement, plan),
        };
        if let Ok(plan) = checked {
            placement.accept(&plan);
        }
    }
    totals.pods_left = u64::from(placement.unplaced_pods());
    totals
}
