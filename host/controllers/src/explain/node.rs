//! A node: whose it is, what runs there, and what the checker says of its removal.

use super::{Explanation, Fact, Scene, Section, moment, price};
use autoscaler_core::decision::{
    Oracle, Question, Reason, RebalanceAction, RebalanceProposal, RebalanceStep, WhatIfQuestion,
    check_removals, propose_removals, questions,
};
use autoscaler_core::model::{DrainRules, Movability, Node, NodeId, NodeState};
use autoscaler_core::packing::WhatIf;

impl Scene<'_> {
    pub(super) fn node(&self, name: &str) -> Option<Explanation> {
        let of_record = |node: &Node| {
            let record = node
                .vpsie_node
                .as_deref()
                .and_then(|key| key.split('/').next_back());
            record == Some(name)
        };
        let mut nodes = (0..).zip(&self.snapshot.nodes);
        let (id, node) = nodes.find(|(_, node)| node.name == name || of_record(node))?;
        let state = match node.state {
            NodeState::Upcoming => "on its way",
            NodeState::Ready if node.unschedulable => "ready and cordoned",
            NodeState::Ready => "ready",
            NodeState::NotReady => "not ready",
            NodeState::Leaving => "leaving",
        };
        Some(Explanation {
            summary: format!("node {} is {state}", node.name),
            sections: vec![
                Section {
                    title: "What it is".to_owned(),
                    facts: self.identity(node),
                },
                Section {
                    title: "Pods".to_owned(),
                    facts: pods(node, &self.snapshot.drain_rules(node), self.snapshot.now_ms),
                },
                Section {
                    title: "If it went now".to_owned(),
                    facts: self.removal(id, node),
                },
            ],
        })
    }

    fn identity(&self, node: &Node) -> Vec<Fact> {
        let group = node.group.map(|group| &self.snapshot.groups[group as usize]);
        let mut facts = vec![match group {
            Some(group) => Fact::new("NodeGroup", format!("{}/{}", group.namespace, group.name)),
            None => Fact::new("NodeGroup", "none: it is never touched"),
        }];
        facts.extend(
            node.vpsie_node
                .as_ref()
                .map(|key| Fact::new("VPSieNode", key.clone())),
        );
        if node.group.is_some() {
            facts.push(Fact::new("price", price(node.hourly_micros)));
        }
        facts.push(Fact::new("since", moment(node.created_ms)));
        facts.extend(node.idle_since_ms.map(|ms| Fact::new("idle since", moment(ms))));
        facts
    }

    /// What the checker says of a plan that removes this node and nothing else.
    fn removal(&self, id: NodeId, node: &Node) -> Vec<Fact> {
        let question = questions::rebalance(&self.placement, &|_| true);
        let Question::Rebalance { fleet, .. } = &question else {
            return Vec::new();
        };
        let row = (0..).zip(&fleet.node_ids).find(|(_, of_row)| **of_row == id);
        let Some((row, _)) = row else {
            return vec![Fact::new("never", "no policy is asked about it")];
        };
        let proposal = RebalanceProposal {
            steps: vec![RebalanceStep {
                action: RebalanceAction::Remove(row),
                batch: 0,
                reason: Reason::new("Asked", "explain"),
            }],
            kept: Vec::new(),
        };
        let checked =
            propose_removals(&question, &proposal).and_then(|plan| check_removals(&self.placement, plan));
        let mut facts = match checked {
            Ok(plan) if plan.is_empty() => {
                let notes = plan.notes().iter();
                notes
                    .map(|note| Fact::new(note.reason.code.clone(), note.reason.text.clone()))
                    .collect()
            }
            Ok(_) => vec![Fact::new(
                "allowed",
                format!("{} pods find another place", node.residents.moving()),
            )],
            Err(refusal) => vec![Fact::new(refusal.reason(), refusal.to_string())],
        };
        let asked = WhatIfQuestion {
            removals: vec![row],
            ..WhatIfQuestion::default()
        };
        if let Ok((outcome, _)) = WhatIf::new(&self.placement, &question).what_if(&asked) {
            facts.extend(outcome.unplaced.iter().map(|left| {
                let text = format!("{} pods find no other place: {}", left.pods, left.cause.text());
                Fact::new(format!("{:?}", left.cause), text)
            }));
        }
        facts
    }
}

/// How many pods would move, and those that keep the node.
fn pods(node: &Node, rules: &DrainRules, now_ms: i64) -> Vec<Fact> {
    let all = node.residents.len();
    let moving = node.residents.moving() as usize;
    let mut facts = vec![Fact::new(
        format!("{all} pods"),
        format!("{moving} of them need another place when it goes"),
    )];
    facts.extend(
        node.residents
            .iter()
            .filter_map(|pod| match &*pod.judgement.under(rules, now_ms) {
                Movability::Blocks(code, text) => {
                    Some(Fact::new(pod.key.to_string(), format!("{code}: {text}")))
                }
                Movability::Moves | Movability::Ignored => None,
            }),
    );
    facts
}
