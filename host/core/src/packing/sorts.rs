//! What is to be packed, in sorts: pods that no node to come can tell apart count as one.

use super::State;
use super::fill::Offer;
use super::quotas::Place;
use crate::model::{ClassId, TemplateId};
use std::collections::BTreeMap;

/// Pods of a class whose place depends on nothing but the node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    pub(super) class: ClassId,
    pub(super) pods: u32,
    /// Only there; none for anywhere.
    pub(super) place: Option<Place>,
}

impl Want {
    pub(super) fn takes(&self, state: &State, template: TemplateId) -> bool {
        let tables = state.tables();
        let is_there = self
            .place
            .is_none_or(|(key, domain)| tables.topology.of_template(template, key) == Some(domain));
        is_there && tables.refused_by_template(self.class, template).is_none()
    }
}

/// Pods that no offer can tell apart.
#[derive(Clone)]
pub(super) struct Sort {
    pub(super) needs: Vec<(usize, i128)>,
    /// The same amounts for weighing, in the same order.
    pub(super) amounts: Vec<f64>,
    pub(super) left: u32,
    /// How many templates of the snapshot take them at all: those with little choice go first.
    pub(super) choice: usize,
    /// Position and pods, in the order given.
    pub(super) members: Vec<(usize, Want)>,
    /// The member that is next.
    pub(super) next: usize,
}

#[expect(clippy::cast_precision_loss, reason = "an amount, for comparing")]
pub(super) fn number(amount: i128) -> f64 {
    amount as f64
}

/// Requests, the offers that take the class, and how many templates do.
type Likeness<'a> = (&'a [(usize, i128)], Vec<bool>, usize);

pub(super) fn sorts(state: &State, wanted: &[Want], offers: &[Offer]) -> Vec<Sort> {
    let tables = state.tables();
    let mut known: BTreeMap<Likeness<'_>, usize> = BTreeMap::new();
    let mut sorts: Vec<Sort> = Vec::new();
    for (position, want) in wanted.iter().enumerate() {
        if want.pods == 0 {
            continue;
        }
        let needs = &tables.needs[want.class as usize];
        let by_offer: Vec<bool> = offers
            .iter()
            .map(|offer| want.takes(state, offer.template))
            .collect();
        if !by_offer.contains(&true) {
            // No way of packing finds a place for these.
            continue;
        }
        let choice = tables.shapes.templates_for(&tables.snapshot, want.class);
        let at = *known.entry((needs, by_offer, choice)).or_insert_with(|| {
            sorts.push(Sort {
                needs: needs.clone(),
                amounts: needs.iter().map(|(_, amount)| number(*amount)).collect(),
                left: 0,
                choice,
                members: Vec::new(),
                next: 0,
            });
            sorts.len() - 1
        });
        sorts[at].left = sorts[at].left.saturating_add(want.pods);
        sorts[at].members.push((position, *want));
    }
    sorts
}
