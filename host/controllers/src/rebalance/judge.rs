//! What a step does next, decided from what was read just now. Pure.

use autoscaler_api::autoscaler_config::RebalancerSettings;
use autoscaler_api::rebalance::{PlannedStep, StepAction};
use jiff::{SignedDuration, Timestamp};
use std::fmt;
use std::time::Duration;

use super::LOOK_AGAIN;

/// A Node that a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeView {
    /// New pods are kept off.
    pub(super) cordoned: bool,
    /// The label and the taint of a running operation stand.
    pub(super) marked: bool,
    /// This operation cordoned it.
    pub(super) ours: bool,
}

/// A VPSieNode that a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VpsieNodeView {
    /// Somebody deleted it.
    pub(super) leaving: bool,
    /// The label of a running operation stands.
    pub(super) marked: bool,
}

/// A pod that must leave before its node may go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PodView {
    pub(super) namespace: String,
    pub(super) name: String,
    /// It was told to go.
    pub(super) leaving: bool,
    /// What forbids its eviction.
    pub(super) forbids: Option<String>,
}

/// Everything that a step's next move depends on.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) node: Option<NodeView>,
    pub(super) vpsie_node: Option<VpsieNodeView>,
    pub(super) pods: Vec<PodView>,
    /// Pods without a node that came since the operation began, and when they were made.
    pub(super) waiting: Vec<(String, Timestamp)>,
    /// When the step began.
    pub(super) began: Option<Timestamp>,
    pub(super) now: Timestamp,
}

/// What is to be done to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Cordon,
    Uncordon,
    Evict(Vec<PodView>),
    Delete,
}

/// How a step stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Done(String),
    /// Look again after this time.
    Wait(String, Duration),
    Stop(Trigger),
}

/// The next move of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Move {
    Act(Act),
    Settled(Verdict),
}

/// Why an operation ends before its last step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    Deleted,
    Requested,
    Uncordoned(String),
    MarksCleared(String),
    DrainTimeout {
        node: String,
        timeout: Duration,
        left: Vec<String>,
        detail: String,
    },
    Forbidden {
        node: String,
        detail: String,
    },
    Occupied {
        node: String,
        pods: Vec<String>,
    },
    Unplaceable {
        pod: String,
    },
}

impl Trigger {
    /// One stable word for condition and log.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Deleted => "DeletedByOperator",
            Self::Requested => "RollbackRequested",
            Self::Uncordoned(_) => "UncordonedByOperator",
            Self::MarksCleared(_) => "StateClearedByOperator",
            Self::DrainTimeout { .. } => "DrainTimeout",
            Self::Forbidden { .. } => "EvictionForbidden",
            Self::Occupied { .. } => "NodeOccupied",
            Self::Unplaceable { .. } => "PodWithoutPlace",
        }
    }

    /// An operator wants it: undone whatever the settings say.
    pub(super) fn is_by_operator(&self) -> bool {
        matches!(
            self,
            Self::Deleted | Self::Requested | Self::Uncordoned(_) | Self::MarksCleared(_)
        )
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleted => write!(f, "the Rebalance was deleted"),
            Self::Requested => write!(f, "rollback was requested by annotation"),
            Self::Uncordoned(node) => write!(f, "somebody uncordoned node {node}"),
            Self::MarksCleared(node) => {
                write!(f, "somebody cleared the rebalance label or taint of node {node}")
            }
            Self::DrainTimeout {
                node,
                timeout,
                left,
                detail,
            } => {
                write!(
                    f,
                    "drain timeout of {}s exceeded on node {node}: {} left",
                    timeout.as_secs(),
                    named(left)
                )?;
                if detail.is_empty() {
                    Ok(())
                } else {
                    write!(f, "; {detail}")
                }
            }
            Self::Forbidden { node, detail } => write!(f, "node {node} may not be drained: {detail}"),
            Self::Occupied { node, pods } => write!(f, "node {node} has got pods again: {}", named(pods)),
            Self::Unplaceable { pod } => write!(f, "pod {pod} finds no place without the node"),
        }
    }
}

/// The first names of a list, and how many more there are.
pub(super) fn named(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

impl PodView {
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// The next move of `step`.
pub(super) fn judge(step: &PlannedStep, view: &View, settings: &RebalancerSettings) -> Move {
    let node = step.node.as_deref().unwrap_or_default();
    match step.action {
        StepAction::Cordon => cordon(view),
        StepAction::Uncordon => uncordon(view),
        StepAction::Drain => drain(node, step, view, settings),
        StepAction::Verify => match waiting(view, settings) {
            Some(verdict) => Move::Settled(verdict),
            None => done("no pod waits for a place"),
        },
        StepAction::Remove => remove(node, view, settings),
        // Plans with such a step are not begun.
        StepAction::Provision => done("nothing is made by this version"),
    }
}

fn done(text: &str) -> Move {
    Move::Settled(Verdict::Done(text.to_owned()))
}

fn stop(trigger: Trigger) -> Move {
    Move::Settled(Verdict::Stop(trigger))
}

fn cordon(view: &View) -> Move {
    let marked = view.vpsie_node.is_none_or(|node| node.marked);
    match view.node {
        Some(node) if node.cordoned && node.marked && marked => done("cordoned"),
        Some(_) => Move::Act(Act::Cordon),
        None if marked => done("there is no Node"),
        None => Move::Act(Act::Cordon),
    }
}

fn uncordon(view: &View) -> Move {
    match view.node {
        Some(node) if node.ours => Move::Act(Act::Uncordon),
        _ => done("not cordoned by this operation"),
    }
}

/// What an operator did to a node in the middle of the operation.
fn interference(name: &str, node: NodeView) -> Option<Trigger> {
    match node {
        NodeView { cordoned: false, .. } => Some(Trigger::Uncordoned(name.to_owned())),
        NodeView { marked: false, .. } => Some(Trigger::MarksCleared(name.to_owned())),
        _ => None,
    }
}

fn drain(name: &str, step: &PlannedStep, view: &View, settings: &RebalancerSettings) -> Move {
    let Some(node) = view.node else {
        return done("there is no Node");
    };
    if step.vpsie_node.is_some() && view.vpsie_node.is_none_or(|node| node.leaving) {
        return done("somebody else deleted the VPSieNode, which drains by itself");
    }
    if let Some(trigger) = interference(name, node) {
        return stop(trigger);
    }
    let forbidding = view
        .pods
        .iter()
        .filter(|pod| !pod.leaving)
        .find_map(|pod| pod.forbids.clone());
    if let Some(detail) = forbidding {
        return stop(Trigger::Forbidden {
            node: name.to_owned(),
            detail,
        });
    }
    if !view.pods.is_empty() && is_over(view, settings.drain_timeout) {
        return stop(drain_timeout(name, view, settings, String::new()));
    }
    let (leaving, staying): (Vec<_>, Vec<_>) = view.pods.iter().cloned().partition(|pod| pod.leaving);
    if !staying.is_empty() {
        return Move::Act(Act::Evict(staying));
    }
    if !leaving.is_empty() {
        let names: Vec<_> = leaving.iter().map(PodView::key).collect();
        return Move::Settled(Verdict::Wait(format!("leaving: {}", named(&names)), LOOK_AGAIN));
    }
    match waiting(view, settings) {
        Some(verdict) => Move::Settled(verdict),
        None => done("drained"),
    }
}

/// The end of a drain that takes too long.
pub(super) fn drain_timeout(
    name: &str,
    view: &View,
    settings: &RebalancerSettings,
    detail: String,
) -> Trigger {
    let left = view.pods.iter().map(PodView::key).collect();
    Trigger::DrainTimeout {
        node: name.to_owned(),
        timeout: settings.drain_timeout,
        left,
        detail,
    }
}

/// Whether a step took longer than it may.
pub(super) fn is_over(view: &View, limit: Duration) -> bool {
    view.began.is_some_and(|began| is_older(began, limit, view.now))
}

fn is_older(since: Timestamp, limit: Duration, now: Timestamp) -> bool {
    now.duration_since(since) >= SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX)
}

fn remove(name: &str, view: &View, settings: &RebalancerSettings) -> Move {
    match view.vpsie_node {
        None => return done("the VPSieNode and its machine are gone"),
        Some(VpsieNodeView { leaving: true, .. }) => {
            return Move::Settled(Verdict::Wait(
                "the machine is being removed".to_owned(),
                LOOK_AGAIN,
            ));
        }
        Some(_) => {}
    }
    if let Some(trigger) = view.node.and_then(|node| interference(name, node)) {
        return stop(trigger);
    }
    if !view.pods.is_empty() {
        return stop(Trigger::Occupied {
            node: name.to_owned(),
            pods: view.pods.iter().map(PodView::key).collect(),
        });
    }
    match waiting(view, settings) {
        Some(verdict) => Move::Settled(verdict),
        None => Move::Act(Act::Delete),
    }
}

/// As long as pods wait for a place the node stays; if one waits for too long, it is wanted back.
fn waiting(view: &View, settings: &RebalancerSettings) -> Option<Verdict> {
    let grace = settings.health_check_interval * 3;
    if let Some((pod, _)) = view
        .waiting
        .iter()
        .find(|(_, created)| is_older(*created, grace, view.now))
    {
        return Some(Verdict::Stop(Trigger::Unplaceable { pod: pod.clone() }));
    }
    let names: Vec<_> = view.waiting.iter().map(|(name, _)| name.clone()).collect();
    (!names.is_empty()).then(|| Verdict::Wait(format!("waiting for a place: {}", named(&names)), LOOK_AGAIN))
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
