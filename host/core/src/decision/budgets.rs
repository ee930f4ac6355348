//! Disruption budgets: how much room is left while removals add up.
//!
//! As the eviction API counts: a pod that starts or is on its way out asks no budget, one that is not ready takes no room
//! of a budget that spares such pods, and a pod of several budgets cannot be evicted.

use crate::model::{ClassId, Health, Movability, NodeId, PodId, Snapshot};
use crate::packing::State;

/// Why the pods of a node may not be disrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    /// The pod itself forbids it, with its code and text.
    Pod(PodId, String, String),
    /// This budget, by its number, allows no disruption now.
    NoRoom(usize),
    /// Several budgets claim the pod.
    Several(PodId),
}

/// Budgets with what is left of them.
pub(super) struct Budgets {
    /// By class: the budgets that select its pods.
    of_classes: Vec<Vec<usize>>,
    room: Vec<u32>,
}

impl Budgets {
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let selecting = |class: &crate::model::PodClass| {
            let budgets = snapshot.budgets.iter().enumerate().filter(|(_, budget)| {
                budget.namespace == class.namespace
                    && budget
                        .selector
                        .as_ref()
                        .is_some_and(|selector| selector.matches(&class.labels))
            });
            budgets.map(|(at, _)| at).collect()
        };
        Self {
            of_classes: snapshot.classes.iter().map(selecting).collect(),
            room: snapshot
                .budgets
                .iter()
                .map(|budget| budget.disruptions_allowed)
                .collect(),
        }
    }

    /// What the removal of the node takes from each budget. One disruption is enough to begin with: a drain evicts
    /// pod by pod, and goes on when the pod that went runs elsewhere. Only a budget without any would block it.
    ///
    /// # Errors
    /// The first pod or budget that forbids it.
    pub(super) fn claims(&self, state: &State, node: NodeId) -> Result<Vec<(usize, u32)>, Objection> {
        let snapshot = state.snapshot();
        let mut claims: Vec<(usize, u32)> = Vec::new();
        for id in state.residents(node) {
            let pod = &snapshot.pods[*id as usize];
            match &pod.movability {
                Movability::Ignored => continue,
                Movability::Blocks(code, text) => {
                    return Err(Objection::Pod(*id, code.clone(), text.clone()));
                }
                Movability::Moves if pod.health == Health::Down => continue,
                Movability::Moves => {}
            }
            match self.of_class(pod.class) {
                [] => {}
                [budget] if pod.health == Health::Unready && snapshot.budgets[*budget].spares_unready => {}
                [budget] => match claims.iter_mut().find(|(known, _)| known == budget) {
                    Some((_, pods)) => *pods += 1,
                    None => claims.push((*budget, 1)),
                },
                _ => return Err(Objection::Several(*id)),
            }
        }
        match claims.iter().find(|(budget, _)| self.room[*budget] == 0) {
            Some((budget, _)) => Err(Objection::NoRoom(*budget)),
            None => Ok(claims),
        }
    }

    /// Uses up what [`Self::claims`] granted, as far as there is: what is left is for other nodes of the plan.
    pub(super) fn take(&mut self, claims: &[(usize, u32)]) {
        for (budget, pods) in claims {
            self.room[*budget] = self.room[*budget].saturating_sub(*pods);
        }
    }

    fn of_class(&self, class: ClassId) -> &[usize] {
        self.of_classes.get(class as usize).map_or(&[], Vec::as_slice)
    }
}
