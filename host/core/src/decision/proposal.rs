//! From answers to proposed plans: rows of the question become numbers of the snapshot, and garbage is refused.
//!
//! What is refused here is nonsense that no honest policy says. What is merely too much is trimmed later, by
//! the checker.

use super::{
    Action, Answer, ClassCount, Demand, Kind, Mix, Plan, Proposed, Question, Reason, RebalanceAction,
    RebalanceProposal, Refusal, Replacement,
};
use crate::model::GroupId;
use std::collections::BTreeSet;

/// Lines of one kind in an answer.
const MAX_LINES: usize = 100_000;
/// Nodes in one purchase, pods in one line: more than any cluster has.
const MAX_COUNT: u32 = 10_000_000;
/// Nodes that one operation replaces: its record has to hold their steps.
const MAX_REPLACED: usize = 50;
/// Letters of a reason code and of its text.
const MAX_CODE: usize = 64;
const MAX_TEXT: usize = 4096;

/// Whether the answer makes sense as an answer to the question.
///
/// # Errors
/// The first thing in it that does not.
pub fn check_answer(question: &Question, answer: &Answer) -> Result<(), Refusal> {
    match answer {
        Answer::ScaleUp(demand) => check_demand(question, demand),
        Answer::NodeSelection(mix) => propose_growth(question, mix).map(drop),
        Answer::Rebalance(proposal) => propose_removals(question, proposal).map(drop),
    }
}

/// Whether a demand makes sense.
///
/// # Errors
/// The first thing in it that does not.
pub fn check_demand(question: &Question, demand: &Demand) -> Result<(), Refusal> {
    let Question::ScaleUp {
        catalogue, pending, ..
    } = question
    else {
        return Err(Refusal::WrongKind {
            asked: question.kind(),
            answered: Kind::ScaleUp,
        });
    };
    few("group demands", demand.groups.len())?;
    let mut groups = BTreeSet::new();
    for wish in &demand.groups {
        within("group", wish.group, catalogue.groups.len())?;
        once("group", wish.group, &mut groups)?;
        check_counts(&wish.pods, pending.classes.len())?;
        check_reason(&wish.reason)?;
    }
    let lines = demand
        .rejections
        .iter()
        .map(|rejection| (rejection.class, rejection.group, &rejection.reason));
    check_rejections(lines, pending.classes.len(), catalogue.groups.len())
}

/// The plan that a mix of purchases stands for.
///
/// # Errors
/// The first thing in it that makes no sense.
pub fn propose_growth(question: &Question, mix: &Mix) -> Result<Plan<Proposed>, Refusal> {
    let Question::NodeSelection {
        catalogue, pending, ..
    } = question
    else {
        return Err(Refusal::WrongKind {
            asked: question.kind(),
            answered: Kind::NodeSelection,
        });
    };
    let templates = catalogue.templates.len();
    few("purchases", mix.purchases.len())?;
    for purchase in &mix.purchases {
        within("template", purchase.template, templates)?;
        modest("nodes in a purchase", purchase.count)?;
        check_reason(&purchase.reason)?;
        few("fall-backs", purchase.fallbacks.len())?;
        let mut seen = BTreeSet::from([purchase.template]);
        for fallback in &purchase.fallbacks {
            within("template", *fallback, templates)?;
            once("template", *fallback, &mut seen)?;
            if catalogue.templates[*fallback as usize].group
                != catalogue.templates[purchase.template as usize].group
            {
                return Err(Refusal::ForeignFallback {
                    template: purchase.template,
                    fallback: *fallback,
                });
            }
        }
    }
    let lines = mix
        .rejections
        .iter()
        .map(|rejection| (rejection.class, rejection.group, &rejection.reason));
    check_rejections(lines, pending.classes.len(), catalogue.groups.len())?;
    let buy = |purchase: &super::Purchase| Action::Buy {
        template: purchase.template,
        count: purchase.count,
        fallbacks: purchase.fallbacks.clone(),
        reason: purchase.reason.clone(),
    };
    Ok(Plan::propose(mix.purchases.iter().map(buy).collect()))
}

/// The plan that a rebalance proposal stands for.
///
/// # Errors
/// The first thing in it that makes no sense.
pub fn propose_removals(
    question: &Question,
    proposal: &RebalanceProposal,
) -> Result<Plan<Proposed>, Refusal> {
    let Question::Rebalance { fleet, catalogue, .. } = question else {
        return Err(Refusal::WrongKind {
            asked: question.kind(),
            answered: Kind::Rebalance,
        });
    };
    let nodes = fleet.node_ids.len();
    few("steps", proposal.steps.len())?;
    few("kept nodes", proposal.kept.len())?;
    let (mut seen, mut actions) = (BTreeSet::new(), Vec::with_capacity(proposal.steps.len()));
    for step in &proposal.steps {
        check_reason(&step.reason)?;
        let (batch, reason) = (step.batch, step.reason.clone());
        let mut node = |row: u32| {
            within("node", row, nodes)?;
            once("node", row, &mut seen)?;
            Ok::<_, Refusal>(fleet.node_ids[row as usize])
        };
        match &step.action {
            RebalanceAction::Remove(row) => actions.push(Action::Remove {
                node: node(*row)?,
                batch,
                reason,
            }),
            RebalanceAction::Replace(replacement) => {
                absurd("nodes in a replacement", replacement.nodes.len(), MAX_REPLACED)?;
                absurd(
                    "additions in a replacement",
                    replacement.additions.len(),
                    MAX_REPLACED,
                )?;
                let nodes = replacement.nodes.iter().map(|row| node(*row));
                let nodes: Vec<_> = nodes.collect::<Result<_, _>>()?;
                for addition in &replacement.additions {
                    within("template", addition.template, catalogue.templates.len())?;
                    absurd("nodes in an addition", addition.count as usize, MAX_REPLACED)?;
                }
                let replacement = Replacement {
                    nodes,
                    ..replacement.clone()
                };
                actions.push(Action::Replace {
                    replacement,
                    batch,
                    reason,
                });
            }
        }
    }
    for kept in &proposal.kept {
        within("node", kept.node, nodes)?;
        check_reason(&kept.reason)?;
    }
    Ok(Plan::propose(actions))
}

fn check_rejections<'a>(
    lines: impl ExactSizeIterator<Item = (u32, Option<GroupId>, &'a Reason)>,
    classes: usize,
    groups: usize,
) -> Result<(), Refusal> {
    few("rejections", lines.len())?;
    for (class, group, reason) in lines {
        within("class", class, classes)?;
        group.map_or(Ok(()), |group| within("group", group, groups))?;
        check_reason(reason)?;
    }
    Ok(())
}

fn check_counts(counts: &[ClassCount], classes: usize) -> Result<(), Refusal> {
    few("classes in a demand", counts.len())?;
    let mut seen = BTreeSet::new();
    for count in counts {
        within("class", count.class, classes)?;
        once("class", count.class, &mut seen)?;
        modest("pods of a class", count.pods)?;
    }
    Ok(())
}

/// A code is one CamelCase word: metrics carry it as a label.
fn check_reason(reason: &Reason) -> Result<(), Refusal> {
    let code = &reason.code;
    let is_word = code.starts_with(|letter: char| letter.is_ascii_uppercase())
        && code.bytes().all(|letter| letter.is_ascii_alphanumeric())
        && code.len() <= MAX_CODE;
    if !is_word {
        return Err(Refusal::BadReason {
            code: code.chars().take(MAX_CODE).collect(),
        });
    }
    absurd("bytes of text in a reason", reason.text.len(), MAX_TEXT)
}

fn within(what: &'static str, index: u32, count: usize) -> Result<(), Refusal> {
    if (index as usize) < count {
        Ok(())
    } else {
        Err(Refusal::OutOfRange { what, index, count })
    }
}

fn once(what: &'static str, index: u32, seen: &mut BTreeSet<u32>) -> Result<(), Refusal> {
    if seen.insert(index) {
        Ok(())
    } else {
        Err(Refusal::Duplicate { what, index })
    }
}

fn few(what: &'static str, lines: usize) -> Result<(), Refusal> {
    absurd(what, lines, MAX_LINES)
}

fn modest(what: &'static str, count: u32) -> Result<(), Refusal> {
    absurd(what, count as usize, MAX_COUNT as usize)
}

fn absurd(what: &'static str, count: usize, limit: usize) -> Result<(), Refusal> {
    if count <= limit {
        Ok(())
    } else {
        Err(Refusal::Absurd {
            what,
            count: count as u64,
            limit: limit as u64,
        })
    }
}
