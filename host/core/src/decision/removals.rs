//! The checker of removals: whatever a policy proposes, no workload is lost and no limit undercut.
//!
//! Removals are tried one after another on the state of the placement, with what the earlier ones displaced
//! in its new place. One that fails is dropped with a note; those after it are judged as if it had never
//! been proposed.

use super::budgets::{Budgets, Objection};
use super::{Action, Checked, Kind, Note, NoteCode, Plan, Proposed, Reason, Refusal};
use crate::model::{Group, Node, NodeId, NodeState, Snapshot};
use crate::packing::{PLACEMENT_STEPS, Placement, State, Work, fill};
use std::collections::BTreeSet;

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
            work: Work::new(PLACEMENT_STEPS),
        };
        trial.make_way();
        for (batch, node, reason) in steps {
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
        Ok(())
    }

    /// Pods of nodes that leave already come first: the room that they will need is not free. One that finds no
    /// place waits for a new node, and keeps none.
    fn make_way(&mut self) {
        let leaving = (0..)
            .zip(&self.snapshot.nodes)
            .filter(|(_, node)| node.state == NodeState::Leaving);
        for (id, _) in leaving {
            let mut displaced: Vec<_> = self.state.remove_node(id).into_iter().collect();
            displaced.sort_by_key(|(class, _)| self.state.rank(*class));
            let homes = self.running_nodes();
            for (class, pods) in displaced {
                fill(self.state, class, pods, &homes, &mut self.work);
            }
        }
    }

    fn running_nodes(&self) -> Vec<NodeId> {
        let mut nodes = self.state.open_nodes();
        nodes.retain(|node| self.state.is_ready(*node));
        nodes
    }

    /// Every pod of the node must find a place on a node that runs.
    fn resettle(&mut self, id: NodeId) -> Result<(), Objected> {
        let mark = self.state.mark();
        let mut displaced: Vec<_> = self.state.remove_node(id).into_iter().collect();
        displaced.sort_by_key(|(class, _)| self.state.rank(*class));
        let homes = self.running_nodes();
        for (class, pods) in displaced {
            let filled = fill(self.state, class, pods, &homes, &mut self.work);
            if filled.left > 0 {
                self.state.rollback(mark);
                let namespace = &self.snapshot.classes[class as usize].namespace;
                let (left, cause) = (filled.left, filled.cause());
                let text = format!("{left} pods of namespace {namespace} find no other place: {cause:?}");
                return Err((NoteCode::NoPlaceToMovePods, text));
            }
        }
        Ok(())
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
