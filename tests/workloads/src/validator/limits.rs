//! What a plan may do whatever its pods say: sizes of groups, budgets, and pods that may not move.

use super::{Assignment, Breach, Rule, Who};
use autoscaler_core::model::{ClassId, DrainRules, Movability, NodeState, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

fn breach(rule: Rule, what: impl Into<String>) -> Breach {
    Breach {
        rule,
        what: what.into(),
    }
}

/// Pods that look for a place: those that wait, and those that lose their node.
pub(super) fn homeless(snapshot: &Snapshot, plan: &Assignment) -> BTreeSet<Who> {
    let known = |class: ClassId| (class as usize) < snapshot.classes.len();
    let waiting = (0..).zip(&snapshot.pods).filter(|(_, pod)| known(pod.class));
    let waiting = waiting.map(|(id, _)| Who::Waiting(id));
    let removed = plan.removed.iter().flat_map(|node| Who::on(snapshot, *node));
    let leaving =
        removed.filter(|(_, pod)| known(snapshot.class_of(pod.class)) && !pod.judgement.is_ignored());
    waiting.chain(leaving.map(|(who, _)| who)).collect()
}

pub(super) fn breaches(snapshot: &Snapshot, plan: &Assignment) -> Vec<Breach> {
    let mut breaches = Vec::new();
    purchases(snapshot, plan, &mut breaches);
    removals(snapshot, plan, &mut breaches);
    disruptions(snapshot, plan, &mut breaches);
    breaches
}

fn purchases(snapshot: &Snapshot, plan: &Assignment, breaches: &mut Vec<Breach>) {
    let mut bought: BTreeMap<u32, u32> = BTreeMap::new();
    for id in &plan.bought {
        let Some(template) = snapshot.templates.get(*id as usize) else {
            breaches.push(breach(Rule::Nonsense, format!("template {id} does not exist")));
            continue;
        };
        if template
            .backoff_until_ms
            .is_some_and(|until| until > snapshot.now_ms)
        {
            breaches.push(breach(Rule::Limits, format!("template {id} is backing off")));
        }
        *bought.entry(template.group).or_insert(0) += 1;
    }
    for (id, count) in &bought {
        let Some(group) = snapshot.groups.get(*id as usize) else {
            breaches.push(breach(Rule::Nonsense, format!("group {id} does not exist")));
            continue;
        };
        if !group.may_grow || group.held.is_some() {
            breaches.push(breach(Rule::Limits, format!("{} may not grow", group.name)));
        }
        if u64::from(group.current) + u64::from(*count) > u64::from(group.max) {
            breaches.push(breach(
                Rule::Limits,
                format!("{} exceeds its maximum", group.name),
            ));
        }
    }
    let current: u64 = snapshot.groups.iter().map(|group| u64::from(group.current)).sum();
    if let Some(max) = snapshot.max_cluster_nodes
        && !plan.bought.is_empty()
        && current + plan.bought.len() as u64 > u64::from(max)
    {
        breaches.push(breach(Rule::Limits, "the cluster exceeds its maximum"));
    }
}

fn removals(snapshot: &Snapshot, plan: &Assignment, breaches: &mut Vec<Breach>) {
    let mut removed: BTreeMap<u32, u32> = BTreeMap::new();
    for id in &plan.removed {
        let Some(node) = snapshot.nodes.get(*id as usize) else {
            breaches.push(breach(Rule::Nonsense, format!("node {id} does not exist")));
            continue;
        };
        let running = matches!(node.state, NodeState::Ready | NodeState::NotReady);
        if node.protected.is_some() || !running {
            breaches.push(breach(Rule::Limits, format!("{} may not go", node.name)));
        }
        match node.group {
            Some(group) => *removed.entry(group).or_insert(0) += 1,
            None => breaches.push(breach(Rule::Limits, format!("{} belongs to no group", node.name))),
        }
    }
    for (id, count) in &removed {
        let Some(group) = snapshot.groups.get(*id as usize) else {
            breaches.push(breach(Rule::Nonsense, format!("group {id} does not exist")));
            continue;
        };
        if !group.may_shrink || group.current.saturating_sub(*count) < group.min {
            breaches.push(breach(
                Rule::Limits,
                format!("{} falls below its minimum", group.name),
            ));
        }
    }
    if plan.removed.len() > snapshot.removal_budget as usize {
        breaches.push(breach(Rule::Limits, "more removals than the budget allows"));
    }
}

fn disruptions(snapshot: &Snapshot, plan: &Assignment, breaches: &mut Vec<Breach>) {
    let mut claims = vec![0_u32; snapshot.budgets.len()];
    let leaving = plan.removed.iter().flat_map(|node| {
        let home = snapshot.nodes.get(*node as usize);
        let rules = home.map_or_else(DrainRules::default, |home| snapshot.drain_rules(home));
        Who::on(snapshot, *node).map(move |(_, pod)| (rules, pod))
    });
    for (rules, pod) in leaving {
        match &*pod.judgement.under(&rules, snapshot.now_ms) {
            Movability::Ignored => continue,
            Movability::Blocks(..) => {
                breaches.push(breach(Rule::Lost, format!("{} may not move", pod.key)));
            }
            Movability::Moves => {}
        }
        let Some(class) = snapshot.classes.get(snapshot.class_of(pod.class) as usize) else {
            continue;
        };
        let selecting: Vec<usize> = (0..)
            .zip(&snapshot.budgets)
            .filter(|(_, budget)| {
                let selects =
                    |selector: &autoscaler_core::model::LabelSelector| selector.matches(&class.labels);
                budget.namespace == class.namespace && budget.selector.as_ref().is_some_and(selects)
            })
            .map(|(at, _)| at)
            .collect();
        match selecting.as_slice() {
            [] => {}
            [budget] => claims[*budget] += 1,
            _ => breaches.push(breach(
                Rule::DisruptionBudget,
                format!("{} has several budgets", pod.key),
            )),
        }
    }
    for (budget, claimed) in snapshot.budgets.iter().zip(claims) {
        if claimed > budget.disruptions_allowed {
            breaches.push(breach(
                Rule::DisruptionBudget,
                format!("{} allows {}", budget.name, budget.disruptions_allowed),
            ));
        }
    }
}
