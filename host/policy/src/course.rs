//! The course of a decision: which questions follow from a placement, and what becomes of the answers.
//!
//! Whoever asks brings the asking along: the author's desk asks one policy, a replay asks those of a record.

use autoscaler_core::decision::{
    Answer, Checked, Demand, Mix, Oracle, Plan, Question, RebalanceProposal, check_answer, check_growth,
    check_removals, propose_growth, propose_removals, questions,
};
use autoscaler_core::model::{GroupId, NodeId, PodId};
use autoscaler_core::packing::{Placement, WhatIf};
use std::cell::RefCell;

/// What is wrong with an answer, if anything.
pub type Accept<'a> = &'a dyn Fn(&Answer) -> Result<(), String>;

/// Gets an answer to a question. It is accepted before it is returned.
pub type Ask<'a, E> = &'a mut dyn FnMut(&Question, &dyn Oracle, Accept<'_>) -> Result<Answer, E>;

/// Which groups grow, and what is bought for them.
#[derive(Debug)]
pub struct Growth {
    pub question: Question,
    pub demand: Demand,
    /// None where no group is to grow: nobody is asked what to buy.
    pub selection: Option<Selection>,
}

#[derive(Debug)]
pub struct Selection {
    pub question: Question,
    pub mix: Mix,
    pub plan: Plan<Checked>,
    /// Waiting pods that get their place on a new node.
    pub placed: Vec<(PodId, NodeId)>,
}

/// Which nodes go.
#[derive(Debug)]
pub struct Shrinkage {
    pub question: Question,
    pub proposal: RebalanceProposal,
    pub plan: Plan<Checked>,
}

/// Asks for growth of the groups that `allows` names. What is bought is part of the placement afterwards.
///
/// # Errors
/// Whatever the asking ends with.
pub fn grow<E>(
    placement: &mut Placement,
    allows: &dyn Fn(GroupId) -> bool,
    ask: Ask<'_, E>,
) -> Result<Option<Growth>, E> {
    let questions = questions::growth(placement, allows);
    let question = questions.scale_up();
    let oracle = WhatIf::new(placement, &question);
    let accept = |answer: &Answer| check_answer(&question, answer).map_err(|refusal| refusal.to_string());
    let Answer::ScaleUp(demand) = ask(&question, &oracle, &accept)? else {
        return Ok(None);
    };
    let mut growth = Growth {
        question,
        demand,
        selection: None,
    };
    if growth.demand.groups.is_empty() {
        return Ok(Some(growth));
    }
    let question = questions.node_selection(growth.demand.groups.clone());
    let checked = RefCell::new(None);
    let accept = |answer: &Answer| {
        let Answer::NodeSelection(mix) = answer else {
            return Err("the answer is of another kind".to_owned());
        };
        let plan = propose_growth(&question, mix).and_then(|plan| check_growth(placement, plan, allows));
        checked.replace(Some(plan.map_err(|refusal| refusal.to_string())?));
        Ok(())
    };
    let answer = ask(&question, &WhatIf::new(placement, &question), &accept)?;
    if let (Answer::NodeSelection(mix), Some(plan)) = (answer, checked.into_inner()) {
        let placed = placement.accept(&plan);
        growth.selection = Some(Selection {
            question,
            mix,
            plan,
            placed,
        });
    }
    Ok(Some(growth))
}

/// Asks which nodes of the groups that `allows` names may go; nobody where they have none.
///
/// # Errors
/// Whatever the asking ends with.
pub fn shrink<E>(
    placement: &Placement,
    allows: &dyn Fn(GroupId) -> bool,
    ask: Ask<'_, E>,
) -> Result<Option<Shrinkage>, E> {
    let question = questions::rebalance(placement, allows);
    let has_nodes = matches!(&question, Question::Rebalance { fleet, .. } if !fleet.node_ids.is_empty());
    if !has_nodes {
        return Ok(None);
    }
    let checked = RefCell::new(None);
    let accept = |answer: &Answer| {
        let Answer::Rebalance(proposal) = answer else {
            return Err("the answer is of another kind".to_owned());
        };
        let plan = propose_removals(&question, proposal).and_then(|plan| check_removals(placement, plan));
        checked.replace(Some(plan.map_err(|refusal| refusal.to_string())?));
        Ok(())
    };
    let answer = ask(&question, &WhatIf::new(placement, &question), &accept)?;
    let (Answer::Rebalance(proposal), Some(plan)) = (answer, checked.into_inner()) else {
        return Ok(None);
    };
    Ok(Some(Shrinkage {
        question,
        proposal,
        plan,
    }))
}
