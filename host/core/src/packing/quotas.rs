//! How many pods of a class each domain gets, where nothing but topology spread decides between them.
//!
//! Placed one by one, the pods of such a class go to whatever node comes first in the domain that is behind. Which node
//! of a domain takes a pod does not matter to the constraint, only how many go to each. With the numbers known, the pods
//! pack like any others, each in its domain.

use super::State;
use super::fill::Offer;
use super::links::CounterId;
use super::topology::{DomainId, KeyId};
use crate::model::ClassId;
use crate::rules::skew_after;
use std::collections::BTreeMap;

/// Nodes of one domain of a key.
pub(super) type Place = (KeyId, DomainId);

/// Counts of pods as they will be, for classes that share a constraint.
#[derive(Default)]
pub(super) struct Quotas {
    expected: BTreeMap<(CounterId, DomainId), u32>,
}

/// Whether quotas say all there is to say of a class: one constraint, not over hosts, and nothing else.
pub(super) fn is_settled_by_quotas(state: &State, class: ClassId) -> bool {
    let tables = state.tables();
    let links = tables.links.of(class);
    let [spread] = links.spread.as_slice() else {
        return false;
    };
    Some(spread.key) != tables.topology.hostname
        && !spread.counts_promised_only
        && !links.minds_company()
        && tables.is_bare(class)
}

impl Quotas {
    /// Where one pod of the class after the other goes: evenly over the domains of the offers. Fewer than asked for where
    /// a domain that cannot follow holds the others back.
    pub(super) fn of(&mut self, state: &State, class: ClassId, pods: u32, offers: &[Offer]) -> Vec<Place> {
        let tables = state.tables();
        let Some(spread) = tables.links.of(class).spread.first() else {
            return Vec::new();
        };
        let counter = state.counter(spread.counter);
        let open = offers.iter().filter_map(|offer| {
            let takes = tables.refused_by_template(class, offer.template).is_none();
            let has_nodes = offer.left > 0 || !offer.opened.is_empty();
            let domain = tables.topology.of_template(offer.template, spread.key);
            domain.filter(|_| takes && has_nodes)
        });
        let expected = |domain| self.expected.get(&(spread.counter, domain)).copied().unwrap_or(0);
        let mut open: BTreeMap<DomainId, u32> = open
            .map(|domain| (domain, counter.count(domain).saturating_add(expected(domain))))
            .collect();
        let closed = counter.present().filter(|(domain, _)| !open.contains_key(domain));
        let mut anchor = closed.map(|(_, count)| count).min();
        let new = open
            .keys()
            .filter(|domain| counter.present().all(|(present, _)| present != **domain));
        let domains = counter
            .domains()
            .saturating_add(u32::try_from(new.count()).unwrap_or(u32::MAX));
        if domains < spread.min_domains {
            anchor = Some(0);
        }
        let is_of_key = |counter: &&CounterId| tables.links.counters[**counter as usize].key == spread.key;
        let moves = tables.links.of(class).moves.iter().filter(is_of_key);
        let mut places = Vec::with_capacity(pods as usize);
        for _ in 0..pods {
            let Some((least, domain)) = open.iter().map(|(domain, count)| (*count, *domain)).min() else {
                break;
            };
            let minimum = anchor.map_or(least, |anchor| anchor.min(least));
            if skew_after(least, spread.counts_itself, minimum) > i64::from(spread.max_skew) {
                break;
            }
            // Also where pods of the class do not count: they spread by what they get.
            *open.entry(domain).or_default() += 1;
            places.push((spread.key, domain));
            for counter in moves.clone() {
                *self.expected.entry((*counter, domain)).or_insert(0) += 1;
            }
        }
        places
    }
}
