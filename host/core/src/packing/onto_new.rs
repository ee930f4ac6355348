//! New nodes: pods whose place depends on other pods come first, each where it finds one; pods that spread over
//! domains are told how many go to each, and pack beside plain ones in the way that wastes least.

use super::State;
use super::fill::{Filling, Lot, Offer};
use super::pack::{Put, pack};
use super::packed::imagined_since;
use super::quotas::{Place, Quotas, is_settled_by_quotas};
use super::sorts::Want;
use super::work::Work;
use crate::decision::Cause;
use crate::model::NodeId;
use std::collections::BTreeMap;
use std::ops::Range;

impl Filling {
    /// What is left of the lots goes onto new nodes: those first whose place depends on other pods, each where it finds
    /// one; the others in the way that wastes least.
    pub(super) fn onto_offers(
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
        let opened = imagined_since(state, nodes);
        state.rollback(mark);
        for template in opened {
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
                let refused = state
                    .tables()
                    .refused_by_template(lots[*at].class, offer.template);
                let nodes = u32::try_from(offer.opened.len()).unwrap_or(u32::MAX);
                result
                    .refusals
                    .new
                    .add(refused.unwrap_or(Cause::Resources), nodes.max(1));
            }
        }
    }
}
