//! The decision: what has to be replaced; else idle nodes together, then little-used nodes one after the other; else
//! what would cost less otherwise.

use crate::Config;
use crate::eligibility::{Appearance, Node, nodes};
use crate::replace::{Found, Search};
use policy_sdk::Reason;
use policy_sdk::rebalance::{Action, Kept, Proposal, Snapshot, Step};
use policy_sdk::what_if::{self, Question};
use std::cmp::Reverse;

/// Questions to the oracle in one decision. Nodes beyond them have their turn in a later one.
const QUESTIONS: usize = 48;

pub(crate) fn decide(snapshot: &Snapshot, config: &Config) -> Proposal {
    let mut search = Search {
        snapshot,
        config,
        questions: QUESTIONS,
    };
    let all: Vec<Node<'_>> = nodes(&snapshot.fleet).collect();
    let replaces = search.is_wanted() && snapshot.removal_budget > 0;
    if let Some(found) = replaces.then(|| search.needed(&all)).flatten() {
        return replacing(found);
    }
    let proposal = removals(snapshot, config, &mut search.questions);
    // What can simply go goes first: the next decision sees what is left.
    let calm = snapshot.waiting_pods == 0 || config.while_pods_wait;
    if !replaces || !calm || !proposal.steps.is_empty() {
        return proposal;
    }
    match search.saving(&all) {
        Some(found) => Proposal {
            kept: proposal.kept,
            ..replacing(found)
        },
        None => proposal,
    }
}

fn replacing((replacement, reason): Found) -> Proposal {
    Proposal {
        steps: vec![Step {
            action: Action::Replace(replacement),
            batch: 0,
            reason,
        }],
        kept: Vec::new(),
    }
}

/// Nodes that nobody needs.
fn removals(snapshot: &Snapshot, config: &Config, questions: &mut usize) -> Proposal {
    let mut round = Round::new(snapshot, *questions);
    let (mut idle, mut underused) = (Vec::new(), Vec::new());
    for node in nodes(&snapshot.fleet) {
        let Some(appearance) = node.appearance(snapshot, config) else {
            continue;
        };
        if let Some(reason) = node.obstacle(appearance, snapshot, config) {
            round.keep(&node, reason);
            continue;
        }
        match appearance {
            Appearance::Idle => idle.push(node),
            Appearance::Underused => underused.push(node),
        }
    }
    idle.sort_by_key(|node| (Reverse(node.hourly_micros), node.name));
    // Those first that save most for each pod that moves.
    underused.sort_by_key(|node| {
        let saving_per_move = node.hourly_micros / u64::from(node.pods_to_move.max(1));
        (Reverse(saving_per_move), node.busiest_permille, node.name)
    });
    for node in &idle {
        round.remove_idle(node);
    }
    for node in &underused {
        round.remove_underused(node);
    }
    *questions = round.questions;
    round.proposal()
}

/// What has been decided so far.
struct Round<'a> {
    snapshot: &'a Snapshot,
    /// By group: ready nodes that may still go.
    surplus: Vec<u32>,
    budget: u32,
    questions: usize,
    batch: u32,
    removed: Vec<u32>,
    steps: Vec<Step>,
    kept: Vec<Kept>,
}

impl<'a> Round<'a> {
    fn new(snapshot: &'a Snapshot, questions: usize) -> Self {
        // Nodes that are still on their way do not count: they may never come.
        let surplus = |group: &policy_sdk::NodeGroup| {
            group
                .current
                .saturating_sub(group.upcoming)
                .saturating_sub(group.min)
        };
        Self {
            snapshot,
            surplus: snapshot.catalogue.groups.iter().map(surplus).collect(),
            budget: snapshot.removal_budget,
            questions,
            batch: 0,
            removed: Vec::new(),
            steps: Vec::new(),
            kept: Vec::new(),
        }
    }

    fn keep(&mut self, node: &Node<'_>, reason: Reason) {
        self.kept.push(Kept {
            node: node.number,
            reason,
        });
    }

    /// What the removals so far leave no room for.
    fn limit(&self, node: &Node<'_>) -> Option<Reason> {
        let surplus = self.surplus.get(node.group as usize).copied().unwrap_or(0);
        if surplus == 0 {
            let name = self.snapshot.catalogue.group_name(node.group);
            return Some(Reason::new(
                "GroupAtMinimum",
                format!("{name} has no ready node above its minimum"),
            ));
        }
        (self.budget == 0).then(|| Reason::new("BudgetSpent", "enough nodes leave already"))
    }

    fn remove(&mut self, node: &Node<'_>, reason: Reason) {
        if let Some(surplus) = self.surplus.get_mut(node.group as usize) {
            *surplus = surplus.saturating_sub(1);
        }
        self.budget = self.budget.saturating_sub(1);
        self.removed.push(node.number);
        self.steps.push(Step {
            action: Action::Remove(node.number),
            batch: self.batch,
            reason,
        });
    }

    fn remove_idle(&mut self, node: &Node<'_>) {
        match self.limit(node) {
            Some(reason) => self.keep(node, reason),
            None => self.remove(node, Reason::new("Idle", "it has no pod to move")),
        }
    }

    fn remove_underused(&mut self, node: &Node<'_>) {
        if let Some(reason) = self.limit(node) {
            return self.keep(node, reason);
        }
        if self.questions == 0 {
            return self.keep(
                node,
                Reason::new("NotExamined", "other nodes had their turn first"),
            );
        }
        self.questions -= 1;
        let mut removals = self.removed.clone();
        removals.push(node.number);
        let outcome = what_if::ask(&Question::removals(removals));
        if let Some(leftover) = outcome.unplaced.first() {
            let text = format!(
                "{} of its pods find no other place: {}",
                outcome.unplaced_pods(),
                leftover.cause.text()
            );
            return self.keep(node, Reason::new("NoOtherPlace", text));
        }
        // A batch of its own: the pods must have moved before the next node is drained.
        self.batch += 1;
        let text = format!(
            "it is used at {}.{} %, and its {} pods fit on other nodes",
            node.busiest_permille / 10,
            node.busiest_permille % 10,
            node.pods_to_move
        );
        self.remove(node, Reason::new("Underused", text));
    }

    fn proposal(mut self) -> Proposal {
        self.kept.sort_by_key(|kept| kept.node);
        Proposal {
            steps: self.steps,
            kept: self.kept,
        }
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
