//! Disruption budgets: how much room is left while removals add up.
//!
//! As the eviction API counts: a pod that starts or is on its way out asks no budget, one that is not ready takes no room
//! of a budget that spares such pods, and a pod of several budgets cannot be evicted.

use crate::model::{ClassId, DrainRules, Health, Movability, NodeId, PodClass, PodKey, Residents, Snapshot};
use crate::packing::State;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why the pods of a node may not be disrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    /// The pod itself forbids it, with its code and text.
    Pod(PodKey, String, String),
    /// This budget, by its number, allows no disruption now.
    NoRoom(usize),
    /// Several budgets claim the pod.
    Several(PodKey),
}

/// Budgets with what is left of them.
pub(super) struct Budgets {
    /// By class: the budgets that select its pods.
    of_classes: Vec<Vec<usize>>,
    room: Vec<u32>,
}

impl Budgets {
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let selecting = |class: &Arc<PodClass>| {
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
        let Some(node) = snapshot.nodes.get(node as usize) else {
            return Ok(Vec::new());
        };
        let (residents, rules) = (&*node.residents, snapshot.drain_rules(node));
        let asking = residents
            .crowds()
            .iter()
            .filter(|crowd| crowd.moving > crowd.down);
        let asking = asking.map(|crowd| (self.of_class(snapshot.class_of(crowd.class)), crowd));
        if residents.may_block(&rules) || asking.clone().any(|(budgets, _)| budgets.len() > 1) {
            self.first_objection(snapshot, residents, &rules)?;
        }
        let mut claims: BTreeMap<usize, u32> = BTreeMap::new();
        for (budgets, crowd) in asking {
            for budget in budgets {
                let spared = match snapshot.budgets[*budget].spares_unready {
                    true => crowd.unready,
                    false => 0,
                };
                let pods = crowd.moving - crowd.down - spared;
                if pods > 0 {
                    *claims.entry(*budget).or_insert(0) += pods;
                }
            }
        }
        match claims.keys().find(|budget| self.room[**budget] == 0) {
            Some(budget) => Err(Objection::NoRoom(*budget)),
            None => Ok(claims.into_iter().collect()),
        }
    }

    /// The first pod that forbids the removal, be it by itself or because several budgets claim it.
    fn first_objection(
        &self,
        snapshot: &Snapshot,
        residents: &Residents,
        rules: &DrainRules,
    ) -> Result<(), Objection> {
        for pod in residents.iter() {
            match pod.judgement.under(rules, snapshot.now_ms).into_owned() {
                Movability::Ignored => {}
                Movability::Blocks(code, text) => {
                    return Err(Objection::Pod(pod.key.clone(), code, text));
                }
                Movability::Moves if pod.health == Health::Down => {}
                Movability::Moves if self.of_class(snapshot.class_of(pod.class)).len() > 1 => {
                    return Err(Objection::Several(pod.key.clone()));
                }
                Movability::Moves => {}
            }
        }
        Ok(())
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
