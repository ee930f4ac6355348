//! Filling: pods go onto the nodes that are there, and then onto new ones.
//!
//! Classes of one priority are placed together. On nodes that are there the largest go first, each on the first
//! node that takes it, much as the scheduler would. On new nodes those come first whose place depends on other
//! pods, by the same rule; the others fill the nodes up in the way that wastes least (see `pack`).

use super::State;
use super::field::{Ceilings, Field};
use super::links::CounterId;
use super::run::Run;
use super::work::Work;
use crate::decision::Cause;
use crate::model::{ClassId, NodeId, TemplateId};
use std::collections::BTreeMap;

/// New nodes that may be opened while filling.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) template: TemplateId,
    /// How many more may be opened.
    pub(crate) left: u32,
    pub(crate) opened: Vec<NodeId>,
    /// What the opened nodes have free at most, those that are there in full blocks.
    pub(super) ceilings: Ceilings,
    /// The opened node that a pod went to last, by the counter of hosts that its spread looks at.
    pub(super) last: BTreeMap<CounterId, usize>,
}

impl Offer {
    /// So many new nodes of the template, none of which is open.
    pub(crate) fn new(template: TemplateId, left: u32) -> Self {
        Self {
            template,
            left,
            opened: Vec::new(),
            ceilings: Ceilings::default(),
            last: BTreeMap::new(),
        }
    }
}

/// What became of the pods of a class.
#[derive(Clone, Debug)]
pub(crate) struct Filled {
    /// In the order of placing; a node may occur more than once.
    pub(crate) placed: Vec<(NodeId, u32)>,
    pub(crate) left: u32,
    /// Refusals of nodes, meaningful where pods are left.
    pub(super) refusals: Refusals,
    /// The budget ended the search.
    pub(super) cut: bool,
}

impl Filled {
    /// The rule that kept the pods from their place in the end; meaningful where pods are left.
    pub(crate) fn cause(&self) -> Cause {
        if self.cut {
            Cause::Budget
        } else {
            self.refusals.cause()
        }
    }

    fn extend(&mut self, again: Self) {
        self.placed.extend(again.placed);
        (self.left, self.refusals, self.cut) = (again.left, again.refusals, again.cut);
    }
}

/// Pods of a class that look for a place.
#[derive(Clone, Debug)]
pub(crate) struct Lot {
    pub(crate) class: ClassId,
    pub(crate) pods: u32,
    /// The nodes that are there, by their number among the fields; none where only new ones are asked.
    pub(crate) field: Option<usize>,
    /// The node that is promised to the one pod of the lot: it is tried first.
    pub(crate) promised: Option<NodeId>,
}

/// What became of lots.
#[derive(Clone, Debug)]
pub(crate) struct FilledLots {
    /// By lot.
    pub(crate) lots: Vec<Filled>,
    /// Lot, node and pods, in the order of placing.
    pub(crate) order: Vec<(usize, NodeId, u32)>,
}

/// Places lots, which come by rank. What one lot lacks, a later one may bring (company, a domain that catches
/// up, a node that its promised pod cannot have): lots that could profit are tried again until nothing moves any more.
pub(crate) fn fill_all(
    state: &mut State,
    lots: &[Lot],
    fields: &mut [Field],
    offers: &mut [Offer],
    work: &mut Work,
) -> FilledLots {
    let mut all = Filling {
        results: lots
            .iter()
            .map(|lot| Filled {
                placed: Vec::new(),
                left: lot.pods,
                refusals: Refusals::default(),
                cut: false,
            })
            .collect(),
        order: Vec::new(),
    };
    let priority = |state: &State, lot: &Lot| state.snapshot().classes[lot.class as usize].priority;
    let mut given_up = false;
    let mut begin = 0;
    while begin < lots.len() {
        let tier = priority(state, &lots[begin]);
        let end = lots[begin..]
            .iter()
            .position(|lot| priority(state, lot) != tier)
            .map_or(lots.len(), |end| begin + end);
        for (at, lot) in (begin..end).zip(&lots[begin..end]) {
            given_up |= lot
                .promised
                .is_some_and(|node| !all.keep_promise(state, at, lot, node));
            all.run(state, at, lot, fields, &mut [], work);
        }
        all.onto_offers(state, lots, begin..end, offers, work);
        begin = end;
    }
    let mut moved = true;
    while moved && !work.is_spent() {
        moved = false;
        for (at, lot) in lots.iter().enumerate() {
            if given_up || state.tables().may_reconsider(lot.class) {
                moved |= all.run(state, at, lot, fields, offers, work);
            }
        }
        given_up = false;
    }
    FilledLots {
        lots: all.results,
        order: all.order,
    }
}

pub(super) struct Filling {
    pub(super) results: Vec<Filled>,
    order: Vec<(usize, NodeId, u32)>,
}

impl Filling {
    /// A pod gets the node that is promised to it, if it can. Whether it did.
    fn keep_promise(&mut self, state: &mut State, at: usize, lot: &Lot, node: NodeId) -> bool {
        let kept = state.keep_promise(lot.class, node);
        if kept {
            self.put(at, node, 1);
        }
        kept
    }

    /// Notes that pods of a lot found a place.
    pub(super) fn put(&mut self, at: usize, node: NodeId, pods: u32) {
        self.results[at].placed.push((node, pods));
        self.results[at].left -= pods;
        self.order.push((at, node, pods));
    }

    /// Tries what is left of a lot. Whether anything found a place.
    pub(super) fn run(
        &mut self,
        state: &mut State,
        at: usize,
        lot: &Lot,
        fields: &mut [Field],
        offers: &mut [Offer],
        work: &mut Work,
    ) -> bool {
        let result = &mut self.results[at];
        let before = result.left;
        if before == 0 {
            return false;
        }
        let field = lot.field.and_then(|field| fields.get_mut(field));
        let field = field.filter(|field| !field.blocks.is_empty());
        if field.is_none() && offers.is_empty() {
            return false;
        }
        let again = Run::new(state, lot.class, before, work).through(field, offers);
        let refusals = result.refusals;
        self.order
            .extend(again.placed.iter().map(|(node, pods)| (at, *node, *pods)));
        result.extend(again);
        if fields.is_empty() {
            // The nodes that are there were asked before.
            result.refusals.there = refusals.there;
        }
        result.left < before
    }
}

/// Places up to `wanted` pods of the class on the given nodes in order.
pub(crate) fn fill(
    state: &mut State,
    class: ClassId,
    wanted: u32,
    existing: &[NodeId],
    work: &mut Work,
) -> Filled {
    let mut field = Field::new(state, existing);
    Run::new(state, class, wanted, work).through(Some(&mut field), &mut [])
}

/// Refusals of the nodes that are there, and of new ones.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Refusals {
    pub(super) there: Tally,
    pub(super) new: Tally,
}

impl Refusals {
    /// What would have to change. That the nodes which are there are full is known to whoever imagines new ones; and of
    /// these, one that refuses because its domain is ahead says what more of them in other domains would be good for.
    fn cause(&self) -> Cause {
        if self.new.is_empty() {
            self.there.most()
        } else if self.new.has(Cause::TopologySpread) {
            Cause::TopologySpread
        } else {
            self.new.most()
        }
    }

    pub(super) fn of(&mut self, new: bool) -> &mut Tally {
        if new { &mut self.new } else { &mut self.there }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.there.is_empty() && self.new.is_empty()
    }
}

/// Refusals by cause.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally([u32; CAUSES.len()]);

const CAUSES: [Cause; 10] = [
    Cause::Resources,
    Cause::Taints,
    Cause::NodeAffinity,
    Cause::PodAffinity,
    Cause::TopologySpread,
    Cause::HostPorts,
    Cause::Volumes,
    Cause::Unschedulable,
    Cause::Limits,
    Cause::Budget,
];

impl Tally {
    pub(super) fn add(&mut self, cause: Cause, nodes: u32) {
        if let Some(at) = CAUSES.iter().position(|known| *known == cause) {
            self.0[at] = self.0[at].saturating_add(nodes);
        }
    }

    pub(super) fn plus(mut self, other: &Self) -> Self {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(own, more)| *own = own.saturating_add(more));
        self
    }

    /// The most frequent cause, the first of the list among equals; where nothing was tried, there was no room.
    pub(super) fn most(&self) -> Cause {
        let mut most = 0;
        for at in 1..CAUSES.len() {
            if self.0[at] > self.0[most] {
                most = at;
            }
        }
        CAUSES[most]
    }

    fn has(&self, cause: Cause) -> bool {
        let mut counts = CAUSES.iter().zip(self.0);
        counts.any(|(known, count)| *known == cause && count > 0)
    }

    /// Whether no node refused.
    fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }
}

#[cfg(test)]
#[path = "fill_tests.rs"]
mod tests;
