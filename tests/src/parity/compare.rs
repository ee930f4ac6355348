//! Ours beside the scheduler's, pair by pair.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use autoscaler_cluster::Fit;
use autoscaler_core::decision::Cause;

use super::oracle::{Answer, Feasible};

/// A pair on which the two differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disagreement {
    /// `namespace/name`.
    pub pod: String,
    pub node: String,
    /// The scheduler lets the pod onto the node.
    pub scheduler: bool,
    /// Our reason against it, or `fits`.
    pub ours: String,
}

impl std::fmt::Display for Disagreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheduler = if self.scheduler { "feasible" } else { "refused" };
        write!(
            f,
            "{} on {}: scheduler {scheduler}, ours {}",
            self.pod, self.node, self.ours
        )
    }
}

/// How many pairs were compared, how many of them the scheduler finds feasible, and where the two differ.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    pub pairs: usize,
    pub feasible: usize,
    /// How many pairs each of our rules refuses.
    pub refusals: BTreeMap<Cause, usize>,
    pub disagreements: Vec<Disagreement>,
}

impl Comparison {
    /// Counts another one in.
    pub fn add(&mut self, other: Self) {
        self.pairs += other.pairs;
        self.feasible += other.feasible;
        for (cause, pairs) in other.refusals {
            *self.refusals.entry(cause).or_default() += pairs;
        }
        self.disagreements.extend(other.disagreements);
    }
}

/// Compares an answer of the oracle with what we say of the same objects.
///
/// # Errors
/// Where we do not understand the objects, or do not speak of the same pods.
pub fn compare(answer: &Answer) -> Result<Comparison> {
    let ours = Fit::of(answer.dump()?.snapshot());
    against(&ours, &answer.feasible)
}

/// Compares our verdicts with the feasible nodes that the scheduler found.
///
/// # Errors
/// Where the two do not speak of the same pods.
pub fn against(ours: &Fit, scheduler: &Feasible) -> Result<Comparison> {
    let (our_pods, its_pods): (BTreeSet<&String>, BTreeSet<&String>) =
        (ours.feasible.keys().collect(), scheduler.keys().collect());
    ensure!(
        our_pods == its_pods,
        "the pending pods are {our_pods:?} for us and {its_pods:?} for the scheduler"
    );
    let mut comparison = Comparison::default();
    for (pod, nodes) in scheduler {
        let fits = ours.feasible[pod].iter().map(|node| (node, None));
        let refused = ours.refused[pod].iter().map(|(node, cause)| (node, Some(cause)));
        for (node, cause) in fits.chain(refused) {
            comparison.pairs += 1;
            let scheduler = nodes.contains(node);
            comparison.feasible += usize::from(scheduler);
            if let Some(cause) = cause {
                *comparison.refusals.entry(*cause).or_default() += 1;
            }
            if scheduler != cause.is_none() {
                comparison.disagreements.push(Disagreement {
                    pod: pod.clone(),
                    node: node.clone(),
                    scheduler,
                    ours: cause.map_or_else(|| "fits".to_owned(), |cause| format!("{cause:?}")),
                });
            }
        }
    }
    Ok(comparison)
}
