//! Waiting pods onto the nodes that are there or on their way: what is left over is what needs new nodes.
//!
//! A pod that the scheduler makes room for (`status.nominatedNodeName`) goes to its node before others of its
//! priority: it will run there once its victims are gone, and needs no new node.

use super::State;
use super::fill::{Lot, Offer, fill};
use super::preferences::fill_by_preference;
use super::work::{PLACEMENT_STEPS, TABLE_CELLS, Work};
use crate::decision::{Action, Cause, Checked, Plan};
use crate::model::{ClassId, GroupId, NodeId, PodId, Snapshot, TemplateId};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Pods of a class that found no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    pub class: ClassId,
    /// By key, never empty.
    pub pods: Vec<PodId>,
    /// The rule that refused most nodes.
    pub cause: Cause,
    /// Since when the scheduler calls the oldest of them unschedulable, milliseconds since the Unix epoch; the
    /// time of the snapshot where it has not done so yet.
    pub oldest_ms: i64,
}

/// A placement of the waiting pods.
#[derive(Debug)]
pub struct Placement {
    /// Questions about it are tried out on it and taken back, not on copies: hence the lock.
    state: Mutex<State>,
    snapshot: Arc<Snapshot>,
    /// The snapshot has its pods by key, so that numbers compare as keys do.
    in_order: bool,
    /// By class: pods that need a new node.
    pub unplaced: Vec<Unplaced>,
    /// By class: pods of which the budget of work did not let us find out. They may have a place, so that nothing
    /// is bought for them; the next decision looks again.
    pub postponed: Vec<Unplaced>,
    /// Waiting pods with the node that is to take them, in the order of placing.
    pub placed: Vec<(PodId, NodeId)>,
    /// By group: nodes that accepted plans buy, beyond those of the snapshot.
    pub(crate) bought: Vec<u32>,
}

/// Places the waiting pods: the highest priority first, then the largest, on ready nodes before coming ones.
pub fn place_pending(snapshot: &Arc<Snapshot>) -> Placement {
    place_pending_within(snapshot, PLACEMENT_STEPS)
}

/// The same with a budget of steps, each of one class tried on one node. What it does not reach is postponed.
pub fn place_pending_within(snapshot: &Arc<Snapshot>, steps: u64) -> Placement {
    let mut by_class: Vec<Vec<PodId>> = vec![Vec::new(); snapshot.classes.len()];
    for (id, pod) in (0..).zip(&snapshot.pods) {
        if let Some(pods) = by_class.get_mut(pod.class as usize) {
            pods.push(id);
        }
    }
    let waiting = (0..).zip(by_class).filter(|(_, pods)| !pods.is_empty());
    let mut waiting: Waiting = waiting.collect();
    let in_order = snapshot.pods.is_sorted_by(|one, next| one.key <= next.key);
    if !in_order {
        waiting.values_mut().for_each(|pods| by_key(snapshot, pods));
    }
    let mut placement = Placement {
        in_order,
        state: Mutex::new(State::new(snapshot)),
        snapshot: Arc::clone(snapshot),
        unplaced: Vec::new(),
        postponed: Vec::new(),
        placed: Vec::new(),
        bought: vec![0; snapshot.groups.len()],
    };
    placement.settle(waiting, &mut Work::new(steps));
    placement
}

fn by_key(snapshot: &Snapshot, pods: &mut [PodId]) {
    pods.sort_by(|one, other| {
        let key = |pod: &PodId| &snapshot.pods[*pod as usize].key;
        key(one).cmp(key(other))
    });
}

/// Pods that wait, by class.
type Waiting = BTreeMap<ClassId, Vec<PodId>>;

/// Open nodes, those first that the fewest waiting classes may use at all: a class that may go anywhere leaves
/// the common nodes to the classes that have nowhere else to go. Without it a decision would depend on the
/// names of nodes, and buy once more whenever a node that was expected gets its real name.
/// Imagined nodes stay last, in the order in which they were bought.
pub(super) fn dedicated_first<Pods>(state: &State, waiting: &BTreeMap<ClassId, Pods>) -> Vec<NodeId> {
    // Nodes of one shape have the same users.
    let shapes = state.shapes.iter().max().map_or(0, |last| *last as usize + 1);
    let mut by_shape: Vec<Option<usize>> = vec![None; shapes];
    let mut users = |node: NodeId| {
        if state.imagined(node).is_some() {
            return usize::MAX;
        }
        let may_use = |class: &&ClassId| state.fits_by_nature(**class, node).is_ok();
        *by_shape[state.shapes[node as usize] as usize]
            .get_or_insert_with(|| waiting.keys().filter(may_use).count())
    };
    let mut open = state.open_nodes();
    open.sort_by_cached_key(|node| users(*node));
    open
}

impl Placement {
    /// The snapshot that this is a placement of.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// What is placed where.
    pub fn state(&self) -> MutexGuard<'_, State> {
        // Whatever is tried out on it does not panic, so that it cannot be poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries something out: every step that it takes is taken back.
    pub(crate) fn try_out<Answer>(&self, trial: impl FnOnce(&mut State) -> Answer) -> Answer {
        let mut state = self.state();
        let mark = state.mark();
        let answer = trial(&mut state);
        state.rollback(mark);
        answer
    }

    /// How many pods found no place.
    pub fn unplaced_pods(&self) -> u32 {
        let pods: usize = self.unplaced.iter().map(|unplaced| unplaced.pods.len()).sum();
        u32::try_from(pods).unwrap_or(u32::MAX)
    }

    /// How many nodes accepted plans buy for the group, beyond those of the snapshot.
    pub fn bought(&self, group: GroupId) -> u32 {
        self.bought.get(group as usize).copied().unwrap_or(0)
    }

    /// For pods of the class: each template with the rule that keeps them from an empty new node of it, none
    /// where they fit. This is what a `NotTriggerScaleUp` event tells.
    pub fn refusals_by_template(&self, class: ClassId) -> Vec<Option<Cause>> {
        let templates = (0..).zip(&self.snapshot().templates);
        templates
            .map(|(template, _)| {
                self.try_out(|state| {
                    let node = state.add_node(template);
                    state.fits(class, node).err()
                })
            })
            .collect()
    }

    /// Carries out a checked plan in the mind: nodes that it buys are there, nodes that it removes are gone, and
    /// the pods without a place are tried again. Returns the pods that got one, each with its node; for a node
    /// that is bought, [`State::imagined`] tells the template.
    pub fn accept(&mut self, plan: &Plan<Checked>) -> Vec<(PodId, NodeId)> {
        let mut work = Work::new(PLACEMENT_STEPS);
        for action in plan.actions() {
            match action {
                Action::Buy { template, count, .. } => self.imagine(*template, *count),
                Action::Remove { node, .. } => {
                    let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
                    let displaced = state.remove_node(*node);
                    let open = state.open_nodes();
                    for (class, pods) in displaced {
                        fill(state, class, pods, &open, &mut work);
                    }
                }
                Action::Replace { replacement, .. } => {
                    for addition in &replacement.additions {
                        self.imagine(addition.template, addition.count);
                    }
                    let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
                    for node in &replacement.nodes {
                        let displaced = state.remove_node(*node);
                        let open = state.open_nodes();
                        for (class, pods) in displaced {
                            fill(state, class, pods, &open, &mut work);
                        }
                    }
                }
            }
        }
        let known = self.placed.len();
        let waiting = std::mem::take(&mut self.unplaced);
        let waiting: Waiting = waiting
            .into_iter()
            .map(|unplaced| (unplaced.class, unplaced.pods))
            .collect();
        self.settle(waiting, &mut work);
        self.placed[known..].to_vec()
    }

    /// Nodes that are bought are there, and empty.
    fn imagine(&mut self, template: TemplateId, count: u32) {
        let Some(offered) = self.snapshot.templates.get(template as usize) else {
            return;
        };
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..count {
            state.add_node(template);
        }
        if let Some(bought) = self.bought.get_mut(offered.group as usize) {
            *bought = bought.saturating_add(count);
        }
    }

    fn settle(&mut self, waiting: Waiting, work: &mut Work) {
        let snapshot = Arc::clone(&self.snapshot);
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut open = dedicated_first(state, &waiting);
        let there = open.partition_point(|node| state.imagined(*node).is_none());
        let mut offers = bought_offers(state, &open.split_off(there));
        let queues = queues(state, waiting);
        let lots: Vec<Lot> = queues
            .iter()
            .map(|(class, pods, promised)| Lot {
                class: *class,
                pods: u32::try_from(pods.len()).unwrap_or(u32::MAX),
                field: Some(0),
                promised: *promised,
            })
            .collect();
        let results = fill_by_preference(state, &lots, &open, &mut offers, work);
        let mut queues: Vec<_> = queues
            .into_iter()
            .map(|(class, pods, _)| (class, pods.into_iter()))
            .collect();
        for (lot, node, count) in results.order {
            let pods = queues[lot].1.by_ref().take(count as usize);
            self.placed.extend(pods.map(|pod| (pod, node)));
        }
        let mut left: BTreeMap<(bool, ClassId), Unplaced> = BTreeMap::new();
        for ((class, pods), filled) in queues.into_iter().zip(results.lots) {
            if pods.len() == 0 {
                continue;
            }
            let cause = filled.cause();
            let unplaced = left
                .entry((cause == Cause::Budget, class))
                .or_insert_with(|| Unplaced {
                    class,
                    pods: Vec::with_capacity(pods.len()),
                    cause,
                    oldest_ms: i64::MAX,
                });
            for pod in pods {
                let since = snapshot.pods[pod as usize].unschedulable_since_ms;
                unplaced.pods.push(pod);
                unplaced.oldest_ms = unplaced.oldest_ms.min(since.unwrap_or(snapshot.now_ms));
            }
        }
        for ((is_postponed, _), mut unplaced) in left {
            if self.in_order {
                unplaced.pods.sort_unstable();
            } else {
                by_key(&snapshot, &mut unplaced.pods);
            }
            let list = if is_postponed {
                &mut self.postponed
            } else {
                &mut self.unplaced
            };
            list.push(unplaced);
        }
        self.postpone_beyond_the_table();
        self.unplaced.sort_by_key(|unplaced| unplaced.class);
        self.postponed.sort_by_key(|unplaced| unplaced.class);
    }

    /// A question lists every class with every template. Where that would be too much, the classes that matter least
    /// wait for the next decision.
    fn postpone_beyond_the_table(&mut self) {
        let most = TABLE_CELLS / self.snapshot.templates.len().max(1);
        if self.unplaced.len() <= most {
            return;
        }
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.unplaced.sort_by_key(|unplaced| state.rank(unplaced.class));
        let beyond = self.unplaced.split_off(most);
        self.postponed.extend(beyond.into_iter().map(|unplaced| Unplaced {
            cause: Cause::Budget,
            ..unplaced
        }));
    }
}

/// Class, its pods, and the node that is promised to the one pod.
type Queue = (ClassId, Vec<PodId>, Option<NodeId>);

/// The pods in the order of placing: within a priority those first that a node is promised to.
fn queues(state: &State, waiting: Waiting) -> Vec<Queue> {
    let mut queues: Vec<Queue> = Vec::new();
    for (class, pods) in waiting {
        let (promised, others): (Vec<_>, Vec<_>) = pods
            .into_iter()
            .map(|pod| (pod, state.promised_to(pod)))
            .partition(|(_, node)| node.is_some());
        queues.extend(promised.into_iter().map(|(pod, node)| (class, vec![pod], node)));
        queues.push((class, others.into_iter().map(|(pod, _)| pod).collect(), None));
    }
    let priority = |class: ClassId| state.snapshot().classes[class as usize].priority;
    queues.sort_by_key(|(class, _, promised)| {
        (Reverse(priority(*class)), promised.is_none(), state.rank(*class))
    });
    queues
}

/// Imagined nodes, those of one purchase together.
fn bought_offers(state: &State, nodes: &[NodeId]) -> Vec<Offer> {
    let mut offers: Vec<Offer> = Vec::new();
    for node in nodes {
        let Some(template) = state.imagined(*node) else {
            continue;
        };
        match offers.last_mut() {
            Some(last) if last.template == template => last.opened.push(*node),
            _ => {
                let mut offer = Offer::new(template, 0);
                offer.opened.push(*node);
                offers.push(offer);
            }
        }
    }
    offers
}

#[cfg(test)]
#[path = "pending_tests.rs"]
mod tests;
