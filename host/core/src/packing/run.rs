//! One class on its way through the nodes: each node is filled as far as it goes, the first ones first.
//!
//! A node that refuses for lack of room stays full, so that one pass is enough for most classes. Spread and
//! affinity open a node again once a pod lands elsewhere. Nodes that lie in the same domains then refuse alike:
//! they wait in one queue, and only the first of each queue is asked, round after round, until a whole round
//! changes nothing.

use super::State;
use super::field::{BLOCK, Field};
use super::fill::{Filled, Offer, Refusals};
use super::topology::{DomainId, KeyId};
use super::work::Work;
use crate::decision::Cause;
use crate::model::{ClassId, NodeId};
use std::collections::{BTreeMap, VecDeque};

/// What a node said in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// It may take more.
    More,
    /// No, until something changes elsewhere.
    NotNow(Cause),
    /// No.
    Never,
}

pub(super) struct Run<'a> {
    state: &'a mut State,
    work: &'a mut Work,
    class: ClassId,
    left: u32,
    bulk: bool,
    attracted: bool,
    /// Keys whose domains decide whether a refusal passes; none where none does.
    keys: Vec<KeyId>,
    placed: Vec<(NodeId, u32)>,
    for_good: Refusals,
    for_now: Refusals,
    /// New nodes are being asked.
    asks_new: bool,
    cut: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(state: &'a mut State, class: ClassId, wanted: u32, work: &'a mut Work) -> Self {
        let tables = state.tables();
        let links = tables.links.of(class);
        let mut keys = Vec::new();
        if tables.may_reconsider(class) {
            keys.extend(links.spread.iter().map(|spread| spread.key));
            let counters = links.affinity.iter().chain(&links.anti).chain(&links.shunned_by);
            keys.extend(counters.map(|counter| tables.links.counters[*counter as usize].key));
            keys.sort_unstable();
            keys.dedup();
        }
        Self {
            bulk: tables.is_bulk(class),
            attracted: !links.affinity.is_empty(),
            keys,
            state,
            work,
            class,
            left: wanted,
            placed: Vec::new(),
            for_good: Refusals::default(),
            for_now: Refusals::default(),
            asks_new: false,
            cut: false,
        }
    }

    /// Places what finds a place.
    pub(super) fn through(mut self, field: Option<&mut Field>, offers: &mut [Offer]) -> Filled {
        let mut queues = match field {
            Some(field) if self.keys.is_empty() => {
                self.pass(field);
                Vec::new()
            }
            Some(field) => self.queues(field),
            None => Vec::new(),
        };
        loop {
            let before = self.left;
            self.for_now = Refusals::default();
            self.asks_new = false;
            for queue in &mut queues {
                self.drain(queue);
            }
            self.asks_new = true;
            for offer in offers.iter_mut() {
                self.pour_into(offer);
            }
            if self.left == 0 || self.left == before || self.keys.is_empty() || self.cut {
                break;
            }
        }
        Filled {
            placed: self.placed,
            left: self.left,
            refusals: Refusals {
                there: self.for_good.there.plus(&self.for_now.there),
                new: self.for_good.new.plus(&self.for_now.new),
            },
            cut: self.cut && self.left > 0,
        }
    }

    /// One pass over nodes that are not asked again.
    fn pass(&mut self, field: &mut Field) {
        for block in &mut field.blocks {
            if self.stop() {
                return;
            }
            self.work.step();
            if !block.may_hold(self.state, self.class) {
                self.pass_over(&block.shapes);
                continue;
            }
            for node in &block.nodes {
                self.pour(*node);
            }
            block.refresh(self.state);
        }
    }

    /// Counts the refusals of nodes that need not be asked.
    fn pass_over(&mut self, shapes: &[(super::shapes::ShapeId, u32)]) {
        let tables = self.state.tables();
        for (shape, nodes) in shapes {
            let verdict = tables.shapes.verdict(&tables.snapshot, self.class, *shape);
            let cause = verdict.refused.unwrap_or(Cause::Resources);
            self.for_good.there.add(cause, *nodes);
        }
    }

    /// The nodes that may hold a pod, those with the same domains in one queue.
    fn queues(&mut self, field: &Field) -> Vec<VecDeque<NodeId>> {
        let mut known: BTreeMap<Vec<Option<DomainId>>, usize> = BTreeMap::new();
        let mut queues: Vec<VecDeque<NodeId>> = Vec::new();
        for block in &field.blocks {
            self.work.step();
            if !block.may_hold(self.state, self.class) {
                self.pass_over(&block.shapes);
                continue;
            }
            for node in &block.nodes {
                let domains = self
                    .keys
                    .iter()
                    .map(|key| self.state.domain(*node, *key))
                    .collect();
                let at = *known.entry(domains).or_insert_with(|| {
                    queues.push(VecDeque::new());
                    queues.len() - 1
                });
                queues[at].push_back(*node);
            }
        }
        queues
    }

    /// Asks the nodes of a queue until one says "not now", which all of them would.
    fn drain(&mut self, queue: &mut VecDeque<NodeId>) {
        while let Some(node) = queue.front()
            && !self.stop()
        {
            match self.pour(*node) {
                Said::More => return,
                Said::NotNow(_) => return,
                Said::Never => drop(queue.pop_front()),
            }
        }
    }

    fn stop(&mut self) -> bool {
        self.cut |= self.left > 0 && self.work.is_spent();
        self.left == 0 || self.cut
    }

    /// Fills one node as far as it goes.
    fn pour(&mut self, node: NodeId) -> Said {
        while !self.stop() {
            self.work.step();
            match self.state.fits(self.class, node) {
                Ok(()) => {
                    let pods = if self.bulk {
                        self.state.room(self.class, node).clamp(1, self.left)
                    } else {
                        1
                    };
                    self.state.place(self.class, node, pods);
                    self.left -= pods;
                    self.placed.push((node, pods));
                }
                Err(cause) => {
                    let passing = match cause {
                        Cause::TopologySpread => true,
                        Cause::PodAffinity => self.attracted,
                        _ => false,
                    };
                    if passing {
                        self.for_now.of(self.asks_new).add(cause, 1);
                        return Said::NotNow(cause);
                    }
                    self.for_good.of(self.asks_new).add(cause, 1);
                    return Said::Never;
                }
            }
        }
        Said::More
    }

    /// The nodes that are open already, then new ones as long as they help.
    fn pour_into(&mut self, offer: &mut Offer) {
        if !self.pour_into_opened(offer) {
            return;
        }
        while offer.left > 0 && !self.stop() {
            let before = self.left;
            let mark = self.state.mark();
            let node = self.state.add_node(offer.template);
            self.work.step();
            self.pour(node);
            if self.left == before {
                // All nodes of an offer are alike: the next would refuse as well.
                self.state.rollback(mark);
                return;
            }
            offer.left -= 1;
            offer.opened.push(node);
        }
    }

    /// The nodes that are open already. False where no new one helps.
    ///
    /// Pods that spread over hosts do not go where the one before them went: the search begins there and goes once
    /// around, because the first nodes would refuse one after the other.
    fn pour_into_opened(&mut self, offer: &mut Offer) -> bool {
        let tables = self.state.tables();
        let hostname = tables.topology.hostname;
        let one_domain = hostname.is_none_or(|hostname| !self.keys.contains(&hostname));
        let mut spreads = tables.links.of(self.class).spread.iter();
        let over_hosts = spreads.find(|spread| Some(spread.key) == hostname);
        let over_hosts = over_hosts.map(|spread| spread.counter);
        let opened = offer.opened.len();
        let first = over_hosts
            .and_then(|counter| offer.last.get(&counter))
            .map_or(0, |last| last / BLOCK);
        let blocks = opened.div_ceil(BLOCK);
        for block in (first..blocks).chain(0..first.min(blocks)) {
            if self.stop() {
                return true;
            }
            let nodes = block * BLOCK..opened.min((block + 1) * BLOCK);
            let is_full = nodes.len() == BLOCK;
            if is_full && !offer.ceilings.may_hold(block, self.state, self.class) {
                self.work.step();
                self.for_good.new.add(Cause::Resources, BLOCK as u32);
                continue;
            }
            for at in nodes.clone() {
                let left = self.left;
                match self.pour(offer.opened[at]) {
                    Said::NotNow(cause) if one_domain => {
                        // So would all the others, and a new one.
                        let alike = opened - at - 1 + usize::from(offer.left > 0);
                        let alike = u32::try_from(alike).unwrap_or(u32::MAX);
                        self.for_now.new.add(cause, alike);
                        return false;
                    }
                    Said::NotNow(_) | Said::Never | Said::More => {}
                }
                if let Some(counter) = over_hosts.filter(|_| self.left < left) {
                    offer.last.insert(counter, at);
                }
                if self.stop() {
                    return true;
                }
            }
            if is_full {
                offer.ceilings.look(block, self.state, &offer.opened[nodes]);
            }
        }
        true
    }
}
