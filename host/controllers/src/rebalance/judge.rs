//! What a step does next, decided from what was read just now. Pure.

use autoscaler_api::autoscaler_config::RebalancerSettings;
use autoscaler_api::rebalance::{PlannedStep, StepAction};
use autoscaler_api::vpsie_node::Phase;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

use super::LOOK_AGAIN;
use super::effects::BLOCKED;
use super::successor::Successor;
pub(super) use super::trigger::Trigger;

/// Time between the cordon and the first eviction: the scheduler may have placed a pod the moment before.
pub(super) const SETTLE: Duration = Duration::from_secs(2);

/// A Node that a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeView {
    /// New pods are kept off.
    pub(super) cordoned: bool,
    /// The label of a running operation stands.
    pub(super) labelled: bool,
    /// The taint of a drain stands.
    pub(super) tainted: bool,
    /// This operation cordoned it.
    pub(super) ours: bool,
    pub(super) ready: bool,
}

/// A VPSieNode that a step is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VpsieNodeView {
    /// Somebody deleted it.
    pub(super) leaving: bool,
    /// The label of a running operation stands.
    pub(super) marked: bool,
    pub(super) phase: Phase,
    /// What the provider said last.
    pub(super) error: Option<String>,
    /// The very object that was looked at: effects on another are refused.
    pub(super) seen: Seen,
}

/// Identity and version of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) uid: Option<String>,
    pub(super) version: Option<String>,
}

/// A pod that must leave before its node may go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PodView {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) priority: i32,
    /// It was told to go.
    pub(super) leaving: bool,
    /// What forbids its eviction.
    pub(super) forbids: Option<String>,
    /// How it is relieved where it is not evicted.
    pub(super) successor: Option<Successor>,
}

/// Everything that a step's next move depends on.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) node: Option<NodeView>,
    pub(super) vpsie_node: Option<VpsieNodeView>,
    pub(super) pods: Vec<PodView>,
    /// Pods without a node that came since the operation began, and when they were made.
    pub(super) waiting: Vec<(String, Timestamp)>,
    /// Budgets that could never let a pod of the node go.
    pub(super) deadlocks: Vec<String>,
    /// Why the pods of the node fit nowhere else now.
    pub(super) no_room: Option<String>,
    /// Volumes that are still attached to the node.
    pub(super) attached: Vec<String>,
    /// Moved workloads that are not as ready as before.
    pub(super) unhealthy: Vec<String>,
    /// The new node was ordered before.
    pub(super) ordered: bool,
    /// When the step began.
    pub(super) began: Option<Timestamp>,
    /// Time for a new node.
    pub(super) provision_timeout: Duration,
    pub(super) now: Timestamp,
}

/// What is to be done to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Make the VPSieNode of the new node.
    Order,
    /// Put the label of a running operation on the new Node.
    Label,
    Cordon,
    Uncordon,
    Evict(Vec<PodView>),
    /// Have the successors of these pods made.
    Relieve(Vec<PodView>),
    Delete(Seen),
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
    /// Why its successor may not be asked for.
    fn refused(&self) -> Option<String> {
        match &self.successor {
            Some(Successor::Refused { why }) => Some(format!("{BLOCKED}{}: {why}", self.key())),
            _ => None,
        }
    }

    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// The next move of `step`.
pub(super) fn judge(step: &PlannedStep, view: &View, settings: &RebalancerSettings) -> Move {
    let node = step.node.as_deref().unwrap_or_default();
    match step.action {
        StepAction::Provision => provision(step, view),
        StepAction::Cordon => cordon(node, view),
        StepAction::Uncordon => uncordon(view),
        StepAction::Drain => drain(node, step, view, settings),
        StepAction::Verify => verify(view, settings),
        StepAction::Remove => remove(node, step, view, settings),
    }
}

fn done(text: &str) -> Move {
    Move::Settled(Verdict::Done(text.to_owned()))
}

fn wait(text: impl Into<String>) -> Move {
    Move::Settled(Verdict::Wait(text.into(), LOOK_AGAIN))
}

fn stop(trigger: Trigger) -> Move {
    Move::Settled(Verdict::Stop(trigger))
}

/// A new node is ordered, and waited for until it takes pods.
fn provision(step: &PlannedStep, view: &View) -> Move {
    let name = step.vpsie_node.as_deref().unwrap_or_default();
    let failed = |detail: String| {
        stop(Trigger::ProvisionFailed {
            node: name.to_owned(),
            detail,
        })
    };
    let Some(new) = &view.vpsie_node else {
        return if view.ordered {
            stop(Trigger::ReplacementDeleted(name.to_owned()))
        } else {
            Move::Act(Act::Order)
        };
    };
    if new.phase == Phase::Failed {
        return failed(
            new.error
                .clone()
                .unwrap_or_else(|| "the VPSieNode is Failed".to_owned()),
        );
    }
    if new.leaving {
        return stop(Trigger::ReplacementDeleted(name.to_owned()));
    }
    if !new.marked {
        return stop(Trigger::MarksCleared(format!("VPSieNode {name}")));
    }
    match view.node {
        Some(node) if new.phase == Phase::Ready && node.ready && node.labelled => {
            return done("the new node is Ready");
        }
        Some(node) if new.phase == Phase::Ready && node.ready => return Move::Act(Act::Label),
        _ => {}
    }
    if is_over(view, view.provision_timeout) {
        let limit = view.provision_timeout.as_secs();
        return failed(format!(
            "timeout: not Ready after {limit} s, its phase is {}",
            new.phase
        ));
    }
    wait(format!("provisioning of {name}: {}", new.phase))
}

/// Before a node is touched: may its pods be moved at all?
fn cordon(name: &str, view: &View) -> Move {
    let marked = view.vpsie_node.as_ref().is_none_or(|node| node.marked);
    let Some(node) = view.node else {
        return done("there is no Node");
    };
    if node.cordoned && node.tainted && node.labelled && marked {
        return done("cordoned");
    }
    // Marks stand since before the first step, on the VPSieNode and on the Node.
    if !node.labelled {
        return stop(Trigger::MarksCleared(format!("node {name}")));
    }
    if !marked {
        return stop(Trigger::MarksCleared(format!("the VPSieNode of node {name}")));
    }
    if let Some(trigger) = forbidden(name, view) {
        return stop(trigger);
    }
    if let Some(detail) = view.deadlocks.first().cloned() {
        let node = name.to_owned();
        return stop(Trigger::BudgetDeadlock { node, detail });
    }
    if let Some(detail) = view.no_room.clone() {
        let node = name.to_owned();
        return stop(Trigger::NoRoom { node, detail });
    }
    Move::Act(Act::Cordon)
}

fn forbidden(name: &str, view: &View) -> Option<Trigger> {
    let staying = view.pods.iter().filter(|pod| !pod.leaving);
    let detail = staying.filter_map(|pod| pod.forbids.clone()).next()?;
    Some(Trigger::Forbidden {
        node: name.to_owned(),
        detail,
    })
}

fn uncordon(view: &View) -> Move {
    match view.node {
        Some(node) if node.ours => Move::Act(Act::Uncordon),
        _ => done("not cordoned by this operation"),
    }
}

/// What an operator did to a node in the middle of the operation.
fn interference(name: &str, view: &View) -> Option<Trigger> {
    let node = view.node?;
    if !node.cordoned {
        return Some(Trigger::Uncordoned(name.to_owned()));
    }
    if !(node.labelled && node.tainted) {
        return Some(Trigger::MarksCleared(format!("node {name}")));
    }
    let cleared = view
        .vpsie_node
        .as_ref()
        .is_some_and(|node| !node.leaving && !node.marked);
    cleared.then(|| Trigger::MarksCleared(format!("the VPSieNode of node {name}")))
}

fn drain(name: &str, step: &PlannedStep, view: &View, settings: &RebalancerSettings) -> Move {
    if view.node.is_none() {
        return done("there is no Node");
    }
    if step.vpsie_node.is_some() && view.vpsie_node.as_ref().is_none_or(|node| node.leaving) {
        return done("somebody else deleted the VPSieNode, which drains by itself");
    }
    if let Some(trigger) = interference(name, view) {
        return stop(trigger);
    }
    if let Some(trigger) = forbidden(name, view) {
        return stop(trigger);
    }
    if !is_over(view, SETTLE) {
        return Move::Settled(Verdict::Wait(
            "cordoned; waits for pods under way".to_owned(),
            SETTLE,
        ));
    }
    if !view.pods.is_empty() && is_over(view, settings.drain_timeout) {
        return stop(drain_timeout(name, view, settings, String::new()));
    }
    let (relieved, evicted): (Vec<_>, Vec<_>) = next_wave(&view.pods)
        .into_iter()
        .partition(|pod| pod.successor.is_some());
    let asks = |pod: &PodView| matches!(pod.successor, Some(Successor::Ask { .. }));
    if relieved.iter().any(asks) {
        return Move::Act(Act::Relieve(relieved.into_iter().filter(asks).collect()));
    }
    if !evicted.is_empty() {
        return Move::Act(Act::Evict(evicted));
    }
    if let Some(text) = relieved.iter().find_map(PodView::refused) {
        return Move::Settled(Verdict::Wait(text, settings.health_check_interval));
    }
    if !relieved.is_empty() {
        let names: Vec<_> = relieved.iter().map(PodView::key).collect();
        return wait(format!(
            "their successors start elsewhere first: {}",
            named(&names)
        ));
    }
    if !view.pods.is_empty() {
        let names: Vec<_> = view.pods.iter().map(PodView::key).collect();
        return wait(format!("leaving: {}", named(&names)));
    }
    if let Some(verdict) = waiting(view, settings) {
        return Move::Settled(verdict);
    }
    // A volume that stays attached to the old node keeps its pod from starting on the new one.
    if !view.attached.is_empty() && !is_over(view, settings.drain_timeout) {
        return wait(format!("volumes are being detached: {}", named(&view.attached)));
    }
    done("drained")
}

/// Pods to ask next: the least important ones first, so that what others depend on goes last.
pub(super) fn next_wave(pods: &[PodView]) -> Vec<PodView> {
    let Some(lowest) = pods.iter().map(|pod| pod.priority).min() else {
        return Vec::new();
    };
    let wave = pods.iter().filter(|pod| pod.priority == lowest && !pod.leaving);
    wave.cloned().collect()
}

/// Whether the workloads that moved are as ready as before.
fn verify(view: &View, settings: &RebalancerSettings) -> Move {
    if let Some(verdict) = waiting(view, settings) {
        return Move::Settled(verdict);
    }
    if view.unhealthy.is_empty() {
        return done("the workloads are as ready as before, and no pod waits");
    }
    if is_over(view, settings.health_timeout) {
        return stop(Trigger::WorkloadsUnhealthy {
            timeout: settings.health_timeout,
            workloads: view.unhealthy.clone(),
        });
    }
    let text = format!("workloads become ready: {}", named(&view.unhealthy));
    Move::Settled(Verdict::Wait(text, settings.health_check_interval))
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

pub(super) fn is_older(since: Timestamp, limit: Duration, now: Timestamp) -> bool {
    now.duration_since(since) >= SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX)
}

fn remove(name: &str, step: &PlannedStep, view: &View, settings: &RebalancerSettings) -> Move {
    let Some(vpsie_node) = &view.vpsie_node else {
        return done("the VPSieNode and its machine are gone");
    };
    if vpsie_node.leaving {
        return wait("the machine is being removed");
    }
    if let Some(trigger) = interference(step.node.as_deref().unwrap_or(name), view) {
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
        None => Move::Act(Act::Delete(vpsie_node.seen.clone())),
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
