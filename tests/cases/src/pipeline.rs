//! The way from a snapshot to a checked plan, as the controllers go it, with one partition of all groups.

use crate::native;
use anyhow::{Context, Result, bail};
use autoscaler_core::decision::{
    Answer, Checked, Demand, Kind, Mix, Note, Plan, Question, RebalanceProposal, check_answer, check_growth,
    check_removals, propose_growth, propose_removals, questions,
};
use autoscaler_core::model::{NodeId, PodId, Snapshot};
use autoscaler_core::packing::{Placement, WhatIf, place_pending};
use autoscaler_policy::{BUILT_IN, Binding, Engine, Fallback, PolicySet};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// Configuration of the policies, by kind.
pub(crate) type Config = BTreeMap<String, serde_json::Value>;

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
pub(crate) fn grow(snapshot: &Arc<Snapshot>, config: &Config) -> Result<Growth> {
    let everywhere = |_| true;
    let mut placement = place_pending(snapshot);
    let first = questions::scale_up(&placement, &everywhere);
    let Answer::ScaleUp(demand) = ask(&first, &placement, config)? else {
        bail!("the scale-up policy answers another question");
    };
    let second = questions::node_selection(&placement, &everywhere, demand.groups.clone());
    let Answer::NodeSelection(mix) = ask(&second, &placement, config)? else {
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
pub(crate) fn shrink(snapshot: &Arc<Snapshot>, config: &Config) -> Result<Shrinkage> {
    let placement = place_pending(snapshot);
    let question = questions::rebalance(&placement, &|_| true);
    let Answer::Rebalance(proposal) = ask(&question, &placement, config)? else {
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

/// The answer of the built-in policy: of its component, and of its native build, which must be the same.
fn ask(question: &Question, placement: &Placement, config: &Config) -> Result<Answer> {
    let kind = question.kind();
    let config = config
        .get(kind.as_str())
        .map_or_else(|| "{}".to_owned(), ToString::to_string);
    let component = component(question, placement, kind, &config)?;
    let native = native::answer(question, &config, WhatIf::new(placement, question))?;
    if component != native {
        bail!(
            "the two builds of the {kind} policy differ:\n  component: {component:?}\n  native:    {native:?}"
        );
    }
    Ok(component)
}

fn component(question: &Question, placement: &Placement, kind: Kind, config: &str) -> Result<Answer> {
    let policies = policies()?;
    let built_in = policies.active(kind).pop().context("no built-in policy")?;
    let binding = Binding {
        config: config.to_owned(),
        fallback: Fallback::Hold,
        ..Binding::new(BUILT_IN, built_in.policy.clone())
    };
    let accept = |answer: &Answer| check_answer(question, answer).map_err(|refusal| refusal.to_string());
    let decision = policies.decide(&binding, question, &WhatIf::new(placement, question), &accept);
    if let Some(failure) = decision.failures.first() {
        bail!("the {kind} policy fails: {}", failure.error);
    }
    Ok(decision
        .taken
        .context("the policy gives no answer")?
        .report
        .answer)
}

fn policies() -> Result<&'static PolicySet> {
    static POLICIES: OnceLock<Result<PolicySet, String>> = OnceLock::new();
    let made = POLICIES.get_or_init(|| {
        let engine = Engine::new().map_err(|error| error.to_string())?;
        PolicySet::built_in(&engine).map_err(|error| error.to_string())
    });
    made.as_ref()
        .map_err(|text| anyhow::anyhow!("the built-in policies do not load: {text}"))
}
