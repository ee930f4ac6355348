//! The checker of removals: whatever a policy proposes, no workload is lost and no limit undercut.
//!
//! Removals are tried one after another on the state of the placement, with what the earlier ones displaced
//! in its new place. One that fails is dropped with a note; those after it are judged as if it had never
//! been proposed.

use super::budgets::{Budgets, Objection};
use super::growth::{cluster_room, group_room};
use super::replacements;
use super::{Action, Addition, Checked, Kind, Note, NoteCode, Plan, Proposed, Reason, Refusal};
use crate::model::{ClassId, Group, Node, NodeId, NodeState, Snapshot};
use crate::packing::{Field, Filled, Lot, Offer, PLACEMENT_STEPS, Placement, State, Work, fill_all};
use std::collections::{BTreeMap, BTreeSet};

/// Drops the removals of a plan that are not safe. Steps keep their batches and come out in batch order.
///
/// # Errors
/// A [`Refusal`] where the plan names a node that does not exist or names one twice, or buys nodes.
pub fn check_removals(placement: &Placement, plan: Plan<Proposed>) -> Result<Plan<Checked>, Refusal> {
    let snapshot = placement.snapshot();
    let mut steps: Vec<(u32, &Action)> = Vec::with_capacity(plan.actions().len());
    let mut seen = BTreeSet::new();
    let mut known = |node: NodeId| {
        if node as usize >= snapshot.nodes.len() {
            return Err(Refusal::OutOfRange {
                what: "node",
                index: node,
                count: snapshot.nodes.len(),
            });
        }
        if !seen.insert(node) {
            return Err(Refusal::Duplicate {
                what: "node",
                index: node,
            });
        }
        Ok(())
    };
    for action in plan.actions() {
        match action {
            Action::Remove { node, batch, .. } => {
                known(*node)?;
                steps.push((*batch, action));
            }
            Action::Replace {
                replacement, batch, ..
            } => {
                replacement.nodes.iter().try_for_each(|node| known(*node))?;
                replacements::templates_exist(snapshot, replacement)?;
                steps.push((*batch, action));
            }
            Action::Buy { .. } => {
                return Err(Refusal::WrongKind {
                    asked: Kind::Rebalance,
                    answered: Kind::NodeSelection,
                });
            }
        }
    }
    // The order in which they will be carried out; the policy's own within a batch.
    steps.sort_by_key(|(batch, _)| *batch);

    let (mut actions, mut notes) = (Vec::new(), Vec::new());
    placement.try_out(|state| {
        let mut trial = Trial {
            snapshot,
            state,
            budgets: Budgets::new(snapshot),
            current: snapshot.groups.iter().map(|group| group.current).collect(),
            left: snapshot.removal_budget,
            coming: vec![0; snapshot.groups.len()],
            rooms: (0..)
                .zip(&snapshot.groups)
                .map(|(id, group)| group_room(placement, id, group))
                .collect(),
            cluster: cluster_room(placement),
            draining: Vec::new(),
            work: Work::new(PLACEMENT_STEPS),
        };
        trial.make_way();
        let mut last = None;
        for (batch, action) in steps {
            if last.replace(batch) != Some(batch) {
                trial.end_batch();
            }
            let (first, tried) = match action {
                Action::Remove { node, .. } => (Some(*node), trial.remove(*node)),
                Action::Replace { replacement, .. } => {
                    (replacement.nodes.first().copied(), trial.replace(replacement))
                }
                Action::Buy { .. } => continue,
            };
            match tried {
                Ok(()) => actions.push(action.clone()),
                Err((code, text)) => notes.push(Note {
                    subject: first
                        .map_or_else(String::new, |node| snapshot.nodes[node as usize].name.clone()),
                    reason: Reason::new(code.as_str(), text),
                }),
            }
        }
    });
    Ok(plan.checked(actions, notes))
}

/// Why a step is dropped.
pub(super) type Objected = (NoteCode, String);

pub(super) struct Trial<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) state: &'a mut State,
    pub(super) budgets: Budgets,
    /// Nodes of each group, the removals so far taken off.
    pub(super) current: Vec<u32>,
    /// Removals that this loop has left.
    pub(super) left: u32,
    /// Nodes that the replacements so far add to each group.
    pub(super) coming: Vec<u32>,
    /// Nodes that each group may still gain.
    pub(super) rooms: Vec<u32>,
    /// Nodes that the cluster may still gain; none for no limit.
    pub(super) cluster: Option<u32>,
    /// Nodes that this batch removes: while it is drained, each of them is still there.
    pub(super) draining: Vec<NodeId>,
    /// A removal that the budget does not let us judge is not made.
    pub(super) work: Work,
}

impl Trial<'_> {
    fn remove(&mut self, id: NodeId) -> Result<(), Objected> {
        let node = &self.snapshot.nodes[id as usize];
        let at = node.group.map(|group| group as usize);
        let Some((at, group)) = at.and_then(|at| Some((at, self.snapshot.groups.get(at)?))) else {
            return Err((NoteCode::NotManaged, "it belongs to no node group".into()));
        };
        may_go(node, group)?;
        let claims = self
            .budgets
            .claims(self.state, id)
            .map_err(|objection| self.explain(&objection))?;
        if self.current[at] <= group.min {
            return Err((
                NoteCode::GroupMinSize,
                format!("{} would fall below its minimum of {}", group.name, group.min),
            ));
        }
        if self.left == 0 {
            let budget = self.snapshot.removal_budget;
            return Err((
                NoteCode::RemovalBudget,
                format!("one loop removes at most {budget} nodes"),
            ));
        }
        self.resettle(&[id], &[])?;
        self.budgets.take(&claims);
        self.current[at] -= 1;
        self.left -= 1;
        self.draining.push(id);
        Ok(())
    }

    /// A batch begins when the nodes of the one before are gone.
    fn end_batch(&mut self) {
        for node in std::mem::take(&mut self.draining) {
            self.state.delete_node(node);
        }
    }

    /// Pods of nodes that leave already come first: the room that they will need is not free. One that finds no
    /// place waits for a new node, and keeps none.
    fn make_way(&mut self) {
        let leaving = (0..)
            .zip(&self.snapshot.nodes)
            .filter(|(_, node)| node.state == NodeState::Leaving);
        let mut displaced = BTreeMap::new();
        for (id, _) in leaving {
            for (class, pods) in self.state.remove_node(id) {
                *displaced.entry(class).or_insert(0) += pods;
            }
        }
        self.place(displaced, &mut []);
    }

    /// Places pods on nodes that run and on the new ones, together: who needs the company of another is tried again
    /// once that one has a place. Returns what became of each class.
    fn place(&mut self, displaced: BTreeMap<ClassId, u32>, offers: &mut [Offer]) -> Vec<(ClassId, Filled)> {
        let mut displaced: Vec<_> = displaced.into_iter().collect();
        displaced.sort_by_key(|(class, _)| self.state.rank(*class));
        let homes = self.running_nodes();
        let mut fields = [Field::new(self.state, &homes)];
        let lots = displaced.iter().map(|(class, pods)| Lot {
            class: *class,
            pods: *pods,
            field: Some(0),
            promised: None,
        });
        let lots: Vec<Lot> = lots.collect();
        let filled = fill_all(self.state, &lots, &mut fields, offers, &mut self.work).lots;
        displaced.iter().map(|(class, _)| *class).zip(filled).collect()
    }

    fn running_nodes(&self) -> Vec<NodeId> {
        let mut nodes = self.state.open_nodes();
        nodes.retain(|node| self.state.is_ready(*node));
        nodes
    }

    /// Every pod of the nodes must find a place on a node that runs, or on one that comes first.
    pub(super) fn resettle(&mut self, ids: &[NodeId], additions: &[Addition]) -> Result<(), Objected> {
        let mark = self.state.mark();
        let mut displaced = BTreeMap::new();
        for id in ids {
            for (class, pods) in self.state.remove_node(*id) {
                *displaced.entry(class).or_insert(0) += pods;
            }
        }
        let mut offers: Vec<Offer> = additions
            .iter()
            .map(|addition| Offer::new(addition.template, addition.count))
            .collect();
        let placed = self.place(displaced, &mut offers);
        let Some((class, filled)) = placed.into_iter().find(|(_, filled)| filled.left > 0) else {
            return Ok(());
        };
        self.state.rollback(mark);
        let namespace = &self.snapshot.classes[class as usize].namespace;
        let (left, cause) = (filled.left, filled.cause());
        let text = format!("{left} pods of namespace {namespace} find no other place: {cause:?}");
        Err((NoteCode::NoPlaceToMovePods, text))
    }

    pub(super) fn explain(&self, objection: &Objection) -> Objected {
        match objection {
            Objection::Pod(pod, code, text) => (NoteCode::BlockedByPod, format!("{pod}: {code}: {text}")),
            Objection::Several(pod) => (
                NoteCode::SeveralBudgets,
                format!("{pod} has more than one disruption budget"),
            ),
            Objection::NoRoom(budget) => {
                let budget = &self.snapshot.budgets[*budget];
                (
                    NoteCode::NotEnoughBudget,
                    format!(
                        "{}/{} allows no more disruptions now",
                        budget.namespace, budget.name
                    ),
                )
            }
        }
    }
}

/// What keeps a node whatever runs on it.
fn may_go(node: &Node, group: &Group) -> Result<(), Objected> {
    stands(node)?;
    if !group.may_shrink {
        return Err((
            NoteCode::GroupMayNotShrink,
            format!("scale-down of {} is switched off", group.name),
        ));
    }
    is_free(node)
}

/// A node that comes or goes is no node to remove.
pub(super) fn stands(node: &Node) -> Result<(), Objected> {
    match node.state {
        NodeState::Leaving => Err((NoteCode::AlreadyLeaving, "it is already leaving".into())),
        NodeState::Upcoming => Err((NoteCode::StillComing, "it is still on its way".into())),
        NodeState::Ready | NodeState::NotReady => Ok(()),
    }
}

/// Nobody forbade its removal.
pub(super) fn is_free(node: &Node) -> Result<(), Objected> {
    match &node.protected {
        Some((code, text)) => Err((NoteCode::NodeProtected, format!("{code}: {text}"))),
        None => Ok(()),
    }
}
