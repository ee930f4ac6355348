//! Shrinking: the rebalance policy names nodes that may go; what passes the checker becomes a Rebalance.

use super::ask::{self, Asked};
use super::deciders::Deciders;
use super::partition::rebalance_partitions;
use super::{Outcome, Scaling, shadow};
use crate::context::Context;
use crate::error::Error;
use crate::observe::{ActionText, DecisionRecord, Failed};
use crate::runtime::metrics::{RebalanceResult, RebalanceStage};
use autoscaler_cluster::ObjectKey;
use autoscaler_core::decision::{
    Action, Answer, Checked, Note, Plan, Question, RebalanceProposal, check_removals, propose_removals,
    questions,
};
use autoscaler_core::model::{GroupId, NodeId, Snapshot};
use autoscaler_core::packing::{WhatIf, place_pending};
use autoscaler_policy::record::{Round, Subject};
use std::sync::Arc;

impl Scaling {
    /// Asks which nodes may go, unless an operation is under way.
    pub(super) async fn shrink(&mut self) -> Outcome {
        let running = |object: &autoscaler_api::Rebalance| {
            !object
                .status
                .as_ref()
                .is_some_and(|status| status.phase.is_final())
        };
        if self.ctx.index.rebalances().iter().any(|object| running(object)) {
            return Ok(());
        }
        let settings = self.settings();
        let snapshot = Arc::new(self.ctx.index.snapshot(&super::inputs(&self.ctx, &settings)));
        if snapshot.groups.is_empty() {
            return Ok(());
        }
        let deciders = Deciders::present(&self.ctx.policies);
        let shrinkage = Self::compute(|| decide(&self.ctx, &deciders, &snapshot));
        self.ctx
            .metrics
            .rebalanced(RebalanceStage::Analyze, RebalanceResult::Success);
        for record in &shrinkage.records {
            ask::report(&self.ctx, &mut self.told, record);
        }
        let removed = self.carry_out(&snapshot, &shrinkage).await;
        Self::compute(|| shadow::removals(&self.ctx, &deciders, &snapshot, &shrinkage));
        removed
    }

    async fn carry_out(&mut self, snapshot: &Arc<Snapshot>, shrinkage: &Shrinkage) -> Outcome {
        let keep = |created: &[ObjectKey], error: Option<&Error>| {
            self.keep(
                Subject::Removal,
                snapshot,
                Vec::new(),
                shrinkage.rounds.clone(),
                created,
                error,
            );
        };
        let Some(plan) = &shrinkage.plan else {
            keep(&[], None);
            return Ok(());
        };
        let requested_by = shrinkage.records.last().map_or_else(String::new, |record| {
            format!("{}@{}", record.policy.name, record.policy.digest)
        });
        let made = self.remove(snapshot, plan, &requested_by).await;
        let (created, error) = (made.as_deref().unwrap_or_default(), made.as_ref().err());
        keep(created, error);
        let result = if made.is_ok() {
            RebalanceResult::Success
        } else {
            RebalanceResult::Failure
        };
        self.ctx.metrics.rebalanced(RebalanceStage::Plan, result);
        let made = made?;
        for key in made {
            tracing::info!(rebalance = %key, "rebalance planned");
        }
        Ok(())
    }
}

/// What a look at the fleet comes to, before anything is done.
#[derive(Default)]
pub(super) struct Shrinkage {
    pub(super) plan: Option<Plan<Checked>>,
    pub(super) records: Vec<DecisionRecord>,
    /// What was asked, for the record that is kept.
    rounds: Vec<Round>,
    /// Policies that failed where nobody else may decide.
    pub(super) held: Vec<Failed>,
    /// Whether any policy was asked.
    pub(super) asked: bool,
}

/// One plan for this loop: the first partition whose policy has something to remove.
pub(super) fn decide(ctx: &Context, deciders: &Deciders, snapshot: &Arc<Snapshot>) -> Shrinkage {
    let placement = place_pending(snapshot);
    let mut shrinkage = Shrinkage::default();
    for partition in rebalance_partitions(ctx, deciders, snapshot) {
        let allows = |group: GroupId| partition.groups.contains(&group);
        let question = questions::rebalance(&placement, &allows);
        let Question::Rebalance { fleet, .. } = &question else {
            continue;
        };
        if fleet.node_ids.is_empty() {
            continue;
        }
        let oracle = WhatIf::new(&placement, &question);
        let check = |answer: &Answer| match answer {
            Answer::Rebalance(proposal) => propose_removals(&question, proposal)
                .and_then(|plan| check_removals(&placement, plan))
                .map_err(|refusal| refusal.to_string()),
            _ => Err("the answer is of another kind".to_owned()),
        };
        shrinkage.asked = true;
        let accept = |answer: &Answer| check(answer).map(drop);
        let mut round = ask::round(&partition.groups);
        let asked = ask::ask(
            ctx,
            deciders,
            &partition.policy,
            &question,
            &oracle,
            &accept,
            &mut round,
        );
        let checked = asked.map(|asked| match (asked.answer.clone(), check(&asked.answer)) {
            (Answer::Rebalance(proposal), Ok(plan)) => Some((asked, proposal, plan)),
            _ => None,
        });
        if let Ok(Some((.., plan))) = &checked {
            ask::passed(&mut round, plan);
        }
        shrinkage.rounds.push(round);
        let checked = checked.unwrap_or_else(|failed| {
            shrinkage.held.extend(failed);
            None
        });
        let Some((asked, proposal, plan)) = checked else {
            continue;
        };
        // A fleet that stays as it is needs no record every ten seconds.
        let worth_telling = !plan.is_empty() || !asked.failed.is_empty();
        if worth_telling {
            shrinkage
                .records
                .push(record(asked, &question, snapshot, &proposal, &plan));
        }
        if !plan.is_empty() {
            shrinkage.plan = Some(plan);
            break;
        }
    }
    shrinkage
}

fn record(
    asked: Asked,
    question: &Question,
    snapshot: &Snapshot,
    proposal: &RebalanceProposal,
    plan: &Plan<Checked>,
) -> DecisionRecord {
    let Question::Rebalance { fleet, .. } = question else {
        return asked.record(Vec::new(), Vec::new(), Vec::new());
    };
    let actions = plan.actions().iter().filter_map(|action| {
        let name = |node: &NodeId| snapshot.nodes[*node as usize].name.as_str();
        let (action, reason) = match action {
            Action::Remove { node, reason, .. } => (format!("remove {}", name(node)), reason),
            Action::Replace {
                replacement, reason, ..
            } => {
                let old: Vec<&str> = replacement.nodes.iter().map(name).collect();
                let new = replacement.additions.iter().map(|addition| {
                    let offering = &snapshot.templates[addition.template as usize].offering;
                    format!("{} × {offering}", addition.count)
                });
                let new: Vec<String> = new.collect();
                (
                    format!("replace {} by {}", old.join(", "), new.join(", ")),
                    reason,
                )
            }
            Action::Buy { .. } => return None,
        };
        Some(ActionText {
            action,
            reason: reason.clone(),
        })
    });
    let kept = proposal.kept.iter().filter_map(|kept| {
        let subject = fleet.names.get(kept.node as usize)?.clone();
        Some(Note {
            subject,
            reason: kept.reason.clone(),
        })
    });
    let (actions, kept) = (actions.collect(), kept.collect());
    asked.record(actions, kept, plan.notes().to_vec())
}
