//! The decision, round by round until nothing more is to be done.
//!
//! One round is one loop of the controller. Limits of one plan (its size, the questions of a policy) make some
//! workloads take several: their time is the sum, with the next snapshot's making left out, as the first one's is.

use crate::Policies;
use anyhow::{Result, bail};
use autoscaler_core::decision::{
    Action, Answer, Checked, Plan, check_answer, check_growth, check_removals, propose_growth,
    propose_removals, questions,
};
use autoscaler_core::model::{ClassId, NodeId, Snapshot, TemplateId};
use autoscaler_core::packing::{Placement, place_pending};
use autoscaler_workloads::{Assignment, Breach, Decision, Home, Verdict, Who, validate};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// More than any workload takes, even by a rule that buys one node at a time; a decision that goes on for ever is an
/// error.
const ROUNDS: usize = 2_000;

/// A plan with the snapshot that it is for.
#[derive(Clone, Debug)]
pub struct Round {
    pub snapshot: Arc<Snapshot>,
    pub plan: Assignment,
}

/// What was decided, and how long that took.
#[derive(Clone, Debug)]
pub struct Decided {
    pub rounds: Vec<Round>,
    /// How many loops of the controller it takes.
    pub loops: usize,
    pub took: Duration,
    /// Pods that wait in the end.
    pub waiting: usize,
}

/// What an independent judge says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    pub bought: usize,
    pub removed: usize,
    /// Price of what is bought less that of what is removed, in millionths per hour.
    pub hourly_micros: i128,
    /// Empty for a plan that is right.
    pub breaches: Vec<Breach>,
}

impl Decided {
    /// Judges every plan against the snapshot that it is for.
    #[must_use]
    pub fn judge(&self) -> Judged {
        let mut judged = Judged::default();
        for round in &self.rounds {
            match validate(&round.snapshot, &round.plan) {
                Ok(Verdict {
                    bought,
                    removed,
                    hourly_micros,
                    ..
                }) => {
                    judged.bought += bought;
                    judged.removed += removed;
                    judged.hourly_micros += hourly_micros;
                }
                Err(breaches) => judged.breaches.extend(breaches),
            }
        }
        judged
    }
}

/// Decides about the snapshot.
///
/// # Errors
/// Where a policy fails, its answer is refused, or no end is in sight.
pub fn decide(decision: Decision, snapshot: &Arc<Snapshot>, policies: &dyn Policies) -> Result<Decided> {
    match decision {
        Decision::Grow => grow(snapshot, policies),
        Decision::Shrink => shrink(snapshot, policies),
        Decision::Place => Ok(place(snapshot)),
    }
}

fn place(snapshot: &Arc<Snapshot>) -> Decided {
    let started = Instant::now();
    let placement = place_pending(snapshot);
    let took = started.elapsed();
    Decided {
        rounds: vec![Round {
            snapshot: Arc::clone(snapshot),
            plan: Assignment::growth(snapshot, Vec::new(), &placement.placed),
        }],
        loops: 1,
        took,
        waiting: placement.unplaced_pods() as usize,
    }
}

fn grow(snapshot: &Arc<Snapshot>, policies: &dyn Policies) -> Result<Decided> {
    let started = Instant::now();
    let mut placement = place_pending(snapshot);
    let mut bought: Vec<TemplateId> = Vec::new();
    let mut loops = 0;
    while !placement.unplaced.is_empty() {
        let Some(plan) = purchases(&placement, policies)? else {
            break;
        };
        loops += 1;
        if loops > ROUNDS {
            bail!("no end after {ROUNDS} plans");
        }
        for action in plan.actions() {
            if let Action::Buy { template, count, .. } = action {
                bought.extend(std::iter::repeat_n(*template, *count as usize));
            }
        }
        placement.accept(&plan);
    }
    let took = started.elapsed();
    Ok(Decided {
        rounds: vec![Round {
            snapshot: Arc::clone(snapshot),
            plan: Assignment::growth(snapshot, bought, &placement.placed),
        }],
        loops,
        took,
        waiting: placement.unplaced_pods() as usize,
    })
}

/// What is bought next; none where nothing is.
fn purchases(placement: &Placement, policies: &dyn Policies) -> Result<Option<Plan<Checked>>> {
    let everywhere = |_| true;
    let questions = questions::growth(placement, &everywhere);
    let question = questions.scale_up();
    let accept = |answer: &Answer| check_answer(&question, answer).map_err(|refusal| refusal.to_string());
    let Answer::ScaleUp(demand) = policies.answer(placement, &question, &accept)? else {
        bail!("the scale-up policy answered another question");
    };
    if demand.groups.is_empty() {
        return Ok(None);
    }
    let question = questions.node_selection(demand.groups);
    let check = |answer: &Answer| match answer {
        Answer::NodeSelection(mix) => propose_growth(&question, mix)
            .and_then(|plan| check_growth(placement, plan, &everywhere))
            .map_err(|refusal| refusal.to_string()),
        _ => Err("the answer is of another kind".to_owned()),
    };
    let answer = policies.answer(placement, &question, &|answer| check(answer).map(drop))?;
    let plan = check(&answer).map_err(anyhow::Error::msg)?;
    Ok(Some(plan).filter(|plan| !plan.is_empty()))
}

fn shrink(snapshot: &Arc<Snapshot>, policies: &dyn Policies) -> Result<Decided> {
    let mut snapshot = Arc::clone(snapshot);
    let mut took = Duration::ZERO;
    let mut rounds = Vec::new();
    loop {
        let started = Instant::now();
        let mut placement = place_pending(&snapshot);
        let plan = removals(&placement, policies)?;
        took += started.elapsed();
        let Some(plan) = plan else { break };
        if rounds.len() == ROUNDS {
            bail!("no end after {ROUNDS} plans");
        }
        placement.accept(&plan);
        let plan = moved(&placement, &plan);
        let next = Arc::new(after(&snapshot, &plan));
        rounds.push(Round { snapshot, plan });
        snapshot = next;
    }
    Ok(Decided {
        // The last loop finds that nothing more is to be done.
        loops: rounds.len() + 1,
        rounds,
        took,
        waiting: 0,
    })
}

/// One loop: what is bought; none where nothing is.
///
/// # Errors
/// Where a policy fails or its answer is refused.
pub fn growth(snapshot: &Arc<Snapshot>, policies: &dyn Policies) -> Result<Option<Plan<Checked>>> {
    purchases(&place_pending(snapshot), policies)
}

/// One loop: which nodes go or are replaced next; none where nothing is to be done.
///
/// # Errors
/// Where the policy fails or its answer is refused.
pub fn rebalance(snapshot: &Arc<Snapshot>, policies: &dyn Policies) -> Result<Option<Plan<Checked>>> {
    removals(&place_pending(snapshot), policies)
}

/// What goes next; none where nothing does.
fn removals(placement: &Placement, policies: &dyn Policies) -> Result<Option<Plan<Checked>>> {
    let question = questions::rebalance(placement, &|_| true);
    let check = |answer: &Answer| match answer {
        Answer::Rebalance(proposal) => propose_removals(&question, proposal)
            .and_then(|plan| check_removals(placement, plan))
            .map_err(|refusal| refusal.to_string()),
        _ => Err("the answer is of another kind".to_owned()),
    };
    let answer = policies.answer(placement, &question, &|answer| check(answer).map(drop))?;
    let plan = check(&answer).map_err(anyhow::Error::msg)?;
    Ok(Some(plan).filter(|plan| !plan.is_empty()))
}

/// The plan with the places that the removed nodes' pods found: pods of a class are alike, so those that a node
/// was given are any of them.
fn moved(placement: &Placement, plan: &Plan<Checked>) -> Assignment {
    let snapshot = placement.snapshot();
    let removed: BTreeSet<NodeId> = plan
        .actions()
        .iter()
        .filter_map(|action| match action {
            Action::Remove { node, .. } => Some(*node),
            Action::Buy { .. } | Action::Replace { .. } => None,
        })
        .collect();
    let mut homeless: BTreeMap<ClassId, VecDeque<Who>> = BTreeMap::new();
    for (who, pod) in removed.iter().flat_map(|node| Who::on(snapshot, *node)) {
        // The checker has let pass no node with a pod that may not move.
        if !pod.judgement.is_ignored() {
            let class = snapshot.class_of(pod.class);
            homeless.entry(class).or_default().push_back(who);
        }
    }
    let mut homes = Vec::new();
    for (node, _) in (0..).zip(&snapshot.nodes) {
        for (class, pods) in placement.state().arrivals(node) {
            let waiting = homeless.entry(*class).or_default();
            for _ in 0..*pods {
                homes.extend(waiting.pop_front().map(|pod| (pod, Home::Existing(node))));
            }
        }
    }
    Assignment {
        bought: Vec::new(),
        removed,
        homes,
    }
}

/// The snapshot when the plan has been carried out.
fn after(snapshot: &Snapshot, plan: &Assignment) -> Snapshot {
    let mut next = snapshot.clone();
    for (who, home) in &plan.homes {
        if let (Who::Running(from, at), Home::Existing(to)) = (who, home) {
            // What was left behind on a removed node (DaemonSet pods) goes with it.
            let pod = snapshot.nodes[*from as usize].residents.iter_shared().nth(*at);
            let residents = Arc::make_mut(&mut next.nodes[*to as usize].residents);
            residents.extend(pod.cloned());
        }
    }
    for node in &plan.removed {
        if let Some(group) = snapshot.nodes[*node as usize].group {
            let group = &mut next.groups[group as usize];
            group.current = group.current.saturating_sub(1);
        }
    }
    let mut number = 0;
    next.nodes.retain(|_| {
        number += 1;
        !plan.removed.contains(&(number - 1))
    });
    next
}
