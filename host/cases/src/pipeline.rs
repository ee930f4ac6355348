//! The way from a snapshot to a checked plan, as the controllers go it, with one partition of all groups.

use anyhow::{Result, bail};
use autoscaler_core::decision::{
    Answer, Checked, Demand, Mix, Note, Plan, Question, RebalanceProposal, check_growth, check_removals,
    propose_growth, propose_removals, questions,
};
use autoscaler_core::model::{NodeId, PodId, Snapshot};
use autoscaler_core::packing::{Placement, place_pending};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Configuration of the policies, by kind.
pub type Config = BTreeMap<String, serde_json::Value>;

/// Gets a policy's answer to a question about a placement, given its configuration as JSON.
pub type Ask<'a> = &'a dyn Fn(&Question, &Placement, &str) -> Result<Answer>;

/// What became of the pods that wait.
pub(crate) struct Growth {
    pub(crate) first: Question,
    pub(crate) demand: Demand,
    pub(crate) second: Question,
    pub(crate) mix: Mix,
    pub(crate) plan: Plan<Checked>,
    /// Waiting pods with their nodes, before the plan and by it.
    pub(crate) placed: Vec<(PodId, NodeId)>,
    pub(crate) after: Placement,
}

/// What becomes of the fleet.
pub(crate) struct Shrinkage {
    pub(crate) question: Question,
    pub(crate) proposal: RebalanceProposal,
    pub(crate) plan: Plan<Checked>,
}

/// Which groups grow, of which offerings, and what the checker lets pass.
pub(crate) fn grow(snapshot: &Arc<Snapshot>, config: &Config, ask: Ask<'_>) -> Result<Growth> {
    let everywhere = |_| true;
    let mut placement = place_pending(snapshot);
    let questions = questions::growth(&placement, &everywhere);
    let first = questions.scale_up();
    let Answer::ScaleUp(demand) = asked(&first, &placement, config, ask)? else {
        bail!("the scale-up policy answers another question");
    };
    let second = questions.node_selection(demand.groups.clone());
    let Answer::NodeSelection(mix) = asked(&second, &placement, config, ask)? else {
        bail!("the node-selection policy answers another question");
    };
    let plan = check_growth(&placement, propose_growth(&second, &mix)?, &everywhere)?;
    placement.accept(&plan);
    Ok(Growth {
        first,
        demand,
        second,
        mix,
        plan,
        placed: placement.placed.clone(),
        after: placement,
    })
}

/// Which nodes go, and what the checker lets pass.
pub(crate) fn shrink(snapshot: &Arc<Snapshot>, config: &Config, ask: Ask<'_>) -> Result<Shrinkage> {
    let placement = place_pending(snapshot);
    let question = questions::rebalance(&placement, &|_| true);
    let Answer::Rebalance(proposal) = asked(&question, &placement, config, ask)? else {
        bail!("the rebalance policy answers another question");
    };
    let plan = check_removals(&placement, propose_removals(&question, &proposal)?)?;
    Ok(Shrinkage {
        question,
        proposal,
        plan,
    })
}

/// The notes of the checker as words by subject.
pub(crate) fn words(notes: &[Note]) -> BTreeMap<String, String> {
    notes
        .iter()
        .map(|note| (note.subject.clone(), note.reason.code.clone()))
        .collect()
}

fn asked(question: &Question, placement: &Placement, config: &Config, ask: Ask<'_>) -> Result<Answer> {
    let config = config
        .get(question.kind().as_str())
        .map_or_else(|| "{}".to_owned(), ToString::to_string);
    ask(question, placement, &config)
}
