//! The checker of removals: whatever a policy proposes, no workload is lost and no limit undercut.
//!
//! Removals are tried one after another on the state of the placement, with what the earlier ones displaced
//! in its new place. One that fails is dropped with a note; those after it are judged as if it had never
//! been proposed.

use super::budgets::{Budgets, Objection};
use super::{Action, Checked, Kind, Note, NoteCode, Plan, Proposed, Reason, Refusal};
use crate::model::{ClassId, Group, Node, NodeId, NodeState, Snapshot};
use crate::packing::{Field, Filled, Lot, PLACEMENT_STEPS, Placement, State, Work, fill_all};
use std::collections::{BTreeMap, BTreeSet};

/// Drops the removals of a plan that are not safe. Steps keep their batches and come out in batch order.
///
/// # Errors
/// A [`Refusal`] where the plan names a node that does not exist or names one twice, or buys nodes.
pub fn check_removals(placement: &Placement, plan: Plan<Proposed>) -> Result<Plan<Checked>, Refusal> {
    let snapshot = placement.snapshot();
    let mut steps: Vec<(u32, NodeId, &Reason)> = Vec::with_capacity(plan.actions().len());
    let mut seen = BTreeSet::new();
    for action in plan.actions() {
        match action {
            Action::Remove { node, batch, reason } => {
                if *node as usize >= snapshot.nodes.len() {
                    return Err(Refusal::OutOfRange {
                        what: "node",
                        index: *node,
                        count: snapshot.nodes.len(),
                    });
                }
                if !seen.insert(*node) {
                    return Err(Refusal::Duplicate {
                        what: "node",
                        index: *node,
                    });
                }
                steps.push((*batch, *node, reason));
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
    steps.sort_by_key(|(batch, _, _)| *batch);

    let (mut actions, mut notes) = (Vec::new(), Vec::new());
    placement.try_out(|state| {
        let mut trial = Trial {
            snapshot,
            state,
            budgets: Budgets::new(snapshot),
            current: snapshot.groups.iter().map(|group| group.current).collect(),
            left: snapshot.removal_budget,
            draining: Vec::new(),
            work: Work::new(PLACEMENT_STEPS),
        };
        trial.make_way();
        let mut last = None;
        for (batch, node, reason) in steps {
            if last.replace(batch) != Some(batch) {
                trial.end_batch();
            }
            match trial.remove(node) {
                Ok(()) => actions.push(Action::Remove {
                    node,
                    batch,
                    reason: reason.clone(),
                }),
                Err((code, text)) => notes.push(Note {
                    subject: snapshot.nodes[node as usize].name.clone(),
                    reason: Reason::new(code.as_str(), text),
                }),
            }
        }
    });
    Ok(plan.checked(actions, notes))
}

type Objected = (NoteCode, String);

struct Trial<'a> {
    snapshot: &'a Snapshot,
    state: &'a mut State,
    budgets: Budgets,
    /// Nodes of each group, the removals so far taken off.
    current: Vec<u32>,
    /// Removals that this loop has left.
    left: u32,
    /// Nodes that this batch removes: while it is drained, each of them is still there.
    draining: Vec<NodeId>,
    /// A removal that the budget does not let us judge is not made.
    work: Work,
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
        self.resettle(id)?;
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
        self.place(displaced);
    }

    /// Places pods on nodes that run, together: who needs the company of another is tried again once that one has a
    /// place. Returns what became of each class.
    fn place(&mut self, displaced: BTreeMap<ClassId, u32>) -> Vec<(ClassId, Filled)> {
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
        let filled = fill_all(self.state, &lots, &mut fields, &mut [], &mut self.work).lots;
        displaced.iter().map(|(class, _)| *class).zip(filled).collect()
    }

    fn running_nodes(&self) -> Vec<NodeId> {
        let mut nodes = self.state.open_nodes();
        nodes.retain(|node| self.state.is_ready(*node));
        nodes
    }

    /// Every pod of the node must find a place on a node that runs.
    fn resettle(&mut self, id: NodeId) -> Result<(), Objected> {
        let mark = self.state.mark();
        let displaced = self.state.remove_node(id);
        let placed = self.place(displaced);
        let Some((class, filled)) = placed.into_iter().find(|(_, filled)| filled.left > 0) else {
            return Ok(());
        };
        self.state.rollback(mark);
        let namespace = &self.snapshot.classes[class as usize].namespace;
        let (left, cause) = (filled.left, filled.cause());
        let text = format!("{left} pods of namespace {namespace} find no other place: {cause:?}");
        Err((NoteCode::NoPlaceToMovePods, text))
    }

    fn explain(&self, objection: &Objection) -> Objected {
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
    match node.state {
        NodeState::Leaving => return Err((NoteCode::AlreadyLeaving, "it is already leaving".into())),
        NodeState::Upcoming => return Err((NoteCode::StillComing, "it is still on its way".into())),
        NodeState::Ready | NodeState::NotReady => {}
    }
    if !group.may_shrink {
        return Err((
            NoteCode::GroupMayNotShrink,
            format!("scale-down of {} is switched off", group.name),
        ));
    }
    match &node.protected {
        Some((code, text)) => Err((NoteCode::NodeProtected, format!("{code}: {text}"))),
        None => Ok(()),
    }
}
