//! Filling: pods go onto the nodes that are there, and then onto new ones.
//!
//! Classes of one priority are placed together. On nodes that are there the largest go first, each on the first
//! node that takes it, much as the scheduler would. On new nodes those come first whose place depends on other
//! pods, by the same rule; the others fill the nodes up in the way that wastes least (see `pack`).

use super::State;
use super::field::{Ceilings, Field};
use super::links::CounterId;
use super::pack::{Put, Want, pack};
use super::quotas::{Place, Quotas, is_settled_by_quotas};
use super::run::Run;
use super::work::Work;
use crate::decision::Cause;
use crate::model::{ClassId, NodeId, TemplateId};
use std::collections::BTreeMap;
use std::ops::Range;

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
    pub(super) tally: Tally,
    /// The budget ended the search.
    pub(super) cut: bool,
}

impl Filled {
    /// The rule that refused most nodes in the end; meaningful where pods are left.
    pub(crate) fn cause(&self) -> Cause {
        if self.cut {
            Cause::Budget
        } else {
            self.tally.most()
        }
    }

    fn extend(&mut self, again: Self) {
        self.placed.extend(again.placed);
        (self.left, self.tally, self.cut) = (again.left, again.tally, again.cut);
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
                tally: Tally::default(),
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
            if given_up || state.tables().links.of(lot.class).may_reconsider() {
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

struct Filling {
    results: Vec<Filled>,
    order: Vec<(usize, NodeId, u32)>,
}

impl Filling {
    /// A pod gets the node that is promised to it, if it can. Whether it did.
    fn keep_promise(&mut self, state: &mut State, at: usize, lot: &Lot, node: NodeId) -> bool {
        let kept = state.keep_promise(lot.class, node);
        if kept {
            self.results[at].placed.push((node, 1));
            self.results[at].left = 0;
            self.order.push((at, node, 1));
        }
        kept
    }

    /// Tries what is left of a lot. Whether anything found a place.
    fn run(
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
        if field.is_none() && offers.is_empty() {
            return false;
        }
        let again = Run::new(state, lot.class, before, work).through(field, offers);
        let tally = result.tally;
        self.order
            .extend(again.placed.iter().map(|(node, pods)| (at, *node, *pods)));
        result.extend(again);
        if fields.is_empty() {
            // The nodes that are there were asked before, and count as well.
            result.tally = tally.plus(&result.tally);
        }
        result.left < before
    }

    /// What is left of the lots goes onto new nodes: those first whose place depends on other pods, each where it finds
    /// one; the others in the way that wastes least.
    fn onto_offers(
        &mut self,
        state: &mut State,
        lots: &[Lot],
        tier: Range<usize>,
        offers: &mut [Offer],
        work: &mut Work,
    ) {
        if offers.is_empty() {
            return;
        }
        let (plain, others): (Vec<usize>, Vec<usize>) =
            tier.partition(|at| state.tables().is_plain(lots[*at].class));
        let (spread, others): (Vec<usize>, Vec<usize>) = others
            .into_iter()
            .partition(|at| is_settled_by_quotas(state, lots[*at].class));
        for at in others {
            self.run(state, at, &lots[at], &mut [], offers, work);
        }
        if !self.by_quotas(state, lots, &plain, &spread, offers, work) {
            for at in spread {
                self.run(state, at, &lots[at], &mut [], offers, work);
            }
            self.pack(state, lots, &plain, offers, work);
        }
    }

    /// Packs pods that spread beside plain ones, so many in each domain. If one of the former finds no place, nothing
    /// happens: then the others are not spread as they have to be.
    fn by_quotas(
        &mut self,
        state: &mut State,
        lots: &[Lot],
        plain: &[usize],
        spread: &[usize],
        offers: &mut [Offer],
        work: &mut Work,
    ) -> bool {
        let mut quotas = Quotas::default();
        let (mut turns, mut lot_of, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
        for at in spread {
            let (class, left) = (lots[*at].class, self.results[*at].left);
            let places = quotas.of(state, class, left, offers);
            if places.len() < left as usize {
                return false;
            }
            let mut parts: BTreeMap<Place, u32> = BTreeMap::new();
            places
                .iter()
                .for_each(|place| *parts.entry(*place).or_insert(0) += 1);
            for (place, pods) in parts {
                let place = Some(place);
                lot_of.push(*at);
                wanted.push(Want { class, pods, place });
            }
            turns.push(places);
        }
        if wanted.is_empty() {
            return false;
        }
        let spreading = wanted.len();
        lot_of.extend(plain);
        wanted.extend(plain.iter().map(|at| self.want(lots, *at)));
        let (mark, nodes, untouched) = (state.mark(), state.nodes(), offers.to_vec());
        let (spread_puts, plain_puts): (Vec<Put>, Vec<Put>) = pack(state, &wanted, offers, work)
            .into_iter()
            .partition(|(position, ..)| *position < spreading);
        let mut of_place: BTreeMap<(usize, Option<Place>), Vec<NodeId>> = BTreeMap::new();
        for (position, node, pods) in spread_puts {
            let of_place = of_place
                .entry((lot_of[position], wanted[position].place))
                .or_default();
            of_place.extend(std::iter::repeat_n(node, pods as usize));
        }
        // Once more in turn and by every rule: the numbers say what each domain gets, not that it may have it.
        let opened: Vec<Option<TemplateId>> = (nodes..state.nodes())
            .map(|node| state.imagined(NodeId::try_from(node).unwrap_or(NodeId::MAX)))
            .collect();
        state.rollback(mark);
        for template in opened.into_iter().flatten() {
            state.add_node(template);
        }
        let mut puts: Vec<(usize, NodeId)> = Vec::new();
        for (at, places) in spread.iter().zip(turns) {
            for place in places {
                work.step();
                let node = of_place.get_mut(&(*at, Some(place))).and_then(Vec::pop);
                match node.filter(|node| state.try_place(lots[*at].class, *node).is_ok()) {
                    Some(node) => puts.push((*at, node)),
                    None => {
                        state.rollback(mark);
                        offers.clone_from_slice(&untouched);
                        return false;
                    }
                }
            }
        }
        for (at, node) in puts {
            self.put(at, node, 1);
        }
        for (position, node, pods) in &plain_puts {
            state.place(wanted[*position].class, *node, *pods);
        }
        self.adopt(state, lots, &lot_of, plain_puts, offers, work);
        true
    }

    fn put(&mut self, at: usize, node: NodeId, pods: u32) {
        self.results[at].placed.push((node, pods));
        self.results[at].left -= pods;
        self.order.push((at, node, pods));
    }

    /// What is left of a lot, wherever it goes.
    fn want(&self, lots: &[Lot], at: usize) -> Want {
        Want {
            class: lots[at].class,
            pods: self.results[at].left,
            place: None,
        }
    }

    fn pack(
        &mut self,
        state: &mut State,
        lots: &[Lot],
        plain: &[usize],
        offers: &mut [Offer],
        work: &mut Work,
    ) {
        let wanted: Vec<Want> = plain.iter().map(|at| self.want(lots, *at)).collect();
        let puts = pack(state, &wanted, offers, work);
        self.adopt(state, lots, plain, puts, offers, work);
    }

    /// Takes over what was packed, and says why the rest was not.
    fn adopt(
        &mut self,
        state: &State,
        lots: &[Lot],
        lot_of: &[usize],
        puts: Vec<Put>,
        offers: &[Offer],
        work: &Work,
    ) {
        for (position, node, pods) in puts {
            self.put(lot_of[position], node, pods);
        }
        for at in lot_of {
            let result = &mut self.results[*at];
            if result.left == 0 {
                continue;
            }
            result.cut |= work.is_spent();
            for offer in offers.iter() {
                let shape = state.tables().shapes.of_templates[offer.template as usize];
                let verdict = state
                    .tables()
                    .shapes
                    .verdict(state.snapshot(), lots[*at].class, shape);
                let nodes = u32::try_from(offer.opened.len()).unwrap_or(u32::MAX);
                result
                    .tally
                    .add(verdict.refused.unwrap_or(Cause::Resources), nodes.max(1));
            }
        }
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
    pub(super) fn count(&mut self, cause: Cause) {
        self.add(cause, 1);
    }

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

    /// Whether any node refused.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }
}

#[cfg(test)]
#[path = "fill_tests.rs"]
mod tests;
