//! Is a plan right? Judged from the definitions of the rules alone, with nothing of what made the plan.
//!
//! The nodes that the plan buys are there from the beginning, those that it removes are gone, and the pods are
//! bound one by one in the order of the assignment, as kube-scheduler would bind them: each must be allowed where
//! it goes at that moment. The order is a part of the plan, since spread and affinity depend on it: pods without a
//! constraint may legally unbalance what others had to balance.

mod constraints;
mod limits;
#[cfg(test)]
mod tests;
mod who;
mod world;

use autoscaler_core::model::{NodeId, PodId, Snapshot, TemplateId};
use std::collections::BTreeSet;
pub use who::Who;
use world::World;

/// Where a pod goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Home {
    /// A node of the snapshot.
    Existing(NodeId),
    /// The node at this position of [`Assignment::bought`].
    New(usize),
}

/// A plan with the places of its pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// One entry per new node.
    pub bought: Vec<TemplateId>,
    pub removed: BTreeSet<NodeId>,
    /// In the order of binding.
    pub homes: Vec<(Who, Home)>,
}

impl Assignment {
    /// A plan that buys these nodes, in the numbers of a placement: new nodes are counted on after those of the
    /// snapshot.
    #[must_use]
    pub fn growth(snapshot: &Snapshot, bought: Vec<TemplateId>, placed: &[(PodId, NodeId)]) -> Self {
        let home = |node: NodeId| match (node as usize).checked_sub(snapshot.nodes.len()) {
            Some(at) => Home::New(at),
            None => Home::Existing(node),
        };
        Self {
            bought,
            removed: BTreeSet::new(),
            homes: placed
                .iter()
                .map(|(pod, node)| (Who::Waiting(*pod), home(*node)))
                .collect(),
        }
    }
}

/// The rule that a plan breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A number that leads nowhere, or a pod that has a place already.
    Nonsense,
    /// A node that takes no pods: leaving, not ready, removed.
    Closed,
    Cordoned,
    Resources,
    Taints,
    NodeAffinity,
    Volumes,
    HostPorts,
    PodAffinity,
    PodAntiAffinity,
    TopologySpread,
    /// Sizes of groups and of the cluster, groups that may not change, templates that are backing off.
    Limits,
    /// A pod of a removed node has no new place, or may not move.
    Lost,
    DisruptionBudget,
}

/// Which rule, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach {
    pub rule: Rule,
    pub what: String,
}

/// What a plan comes to that breaks no rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub bought: usize,
    pub removed: usize,
    /// Price of the bought nodes less that of the removed ones, in millionths per hour.
    pub hourly_micros: i128,
    /// Pods that wait and get no place. Not a breach: a plan may be partial.
    pub waiting: usize,
}

/// Judges the plan.
///
/// # Errors
/// Every breach.
pub fn validate(snapshot: &Snapshot, plan: &Assignment) -> Result<Verdict, Vec<Breach>> {
    let mut breaches = limits::breaches(snapshot, plan);
    let known_nodes = plan
        .removed
        .iter()
        .all(|node| (*node as usize) < snapshot.nodes.len());
    let known_templates = plan
        .bought
        .iter()
        .all(|template| (*template as usize) < snapshot.templates.len());
    if !known_nodes || !known_templates {
        return Err(breaches);
    }
    let mut homeless: BTreeSet<Who> = limits::homeless(snapshot, plan);
    let mut world = World::new(snapshot, plan);
    for (pod, home) in &plan.homes {
        let looks = homeless.remove(pod).then(|| pod.look_up(snapshot)).flatten();
        let Some((key, class)) = looks else {
            breaches.push(Breach {
                rule: Rule::Nonsense,
                what: format!("{pod:?} does not look for a place"),
            });
            continue;
        };
        let class = &snapshot.classes[class as usize];
        let Some(node) = world.number(*home) else {
            breaches.push(Breach {
                rule: Rule::Nonsense,
                what: format!("{key} goes to {home:?}, which does not exist"),
            });
            continue;
        };
        let refusals = world.refusals(class, node);
        breaches.extend(refusals.into_iter().map(|rule| Breach {
            rule,
            what: format!("{key} on {home:?}"),
        }));
        world.bind(class, node);
    }
    let lost = homeless.iter().filter(|pod| matches!(pod, Who::Running(..)));
    breaches.extend(
        lost.filter_map(|pod| pod.look_up(snapshot))
            .map(|(key, _)| Breach {
                rule: Rule::Lost,
                what: format!("{key} of a removed node"),
            }),
    );
    if !breaches.is_empty() {
        return Err(breaches);
    }
    let price = |template: &TemplateId| i128::from(snapshot.templates[*template as usize].hourly_micros);
    let saved = |node: &NodeId| i128::from(snapshot.nodes[*node as usize].hourly_micros);
    Ok(Verdict {
        bought: plan.bought.len(),
        removed: plan.removed.len(),
        hourly_micros: plan.bought.iter().map(price).sum::<i128>()
            - plan.removed.iter().map(saved).sum::<i128>(),
        waiting: homeless.len(),
    })
}
