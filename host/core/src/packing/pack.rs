//! Packing new nodes with pods whose place depends on nothing but the node.
//!
//! Node by node, not pod by pod: into the node at hand goes the pod that suits best what it has left. Suitable is
//! a large scalar product of what is free and what the pod takes, each resource weighted by how scarce it is on all
//! new nodes together. So a node that has given its CPU away takes pods that want memory, and large pods go
//! before small ones. Nodes that are alike are filled alike, by the number.

use super::State;
use super::fill::Offer;
use super::packed::{Packed, imagined_since};
use super::sorts::{Sort, Want, number, sorts};
use super::work::Work;
use crate::model::{NodeId, TemplateId};
use autoscaler_patterns::{Problem, Row};
use std::collections::BTreeMap;

/// Column, and the part of a node that a pod takes of it.
type Shares = Vec<(usize, f64)>;

/// Sorts of pods with which a search is worth its time.
const MOST_SORTS: usize = 96;
/// Kinds of nodes, with as much free, that a search tells apart.
const MOST_KINDS: usize = 48;
/// New nodes of an offer that a search knows of: more than one decision buys.
const MOST_NEW: usize = 10_000;
/// What a search may weigh for few pods. With more it is less in proportion: most of them find a place the simple way.
const SEARCH_EFFORT: u64 = 1_500_000;
/// By what it is divided at most.
const MANY: f64 = 10.0;
/// A search ends where less than this part of the price could be saved: the nodes are there, and where many pods wait
/// for them, a few that stay matter less than the time.
const SEARCH_GAP: (f64, f64) = (0.002, 0.01);
/// Pods to which the smaller of them applies; with more it grows in proportion.
const FEW_PODS: f64 = 1_000.0;
/// What is weighed in the time of a step.
const EFFORT_PER_STEP: u64 = 8;

/// Position in the list of what is wanted, node, pods.
pub(super) type Put = (usize, NodeId, u32);

/// Places what it can of the pods on the offers in order. Where the simple way leaves pods
/// without a place, patterns are searched for, and the better way counts.
pub(super) fn pack(state: &mut State, wanted: &[Want], offers: &mut [Offer], work: &mut Work) -> Vec<Put> {
    let sorts = sorts(state, wanted, offers);
    if sorts.is_empty() {
        return Vec::new();
    }
    let asked: u64 = sorts.iter().map(|sort| u64::from(sort.left)).sum();
    let before = (state.mark(), offers.to_vec());
    let nodes = state.nodes();
    let simple = simply(state, sorts.clone(), offers, work);
    if total(&simple) == asked || sorts.len() > MOST_SORTS || work.is_spent() {
        return simple;
    }
    let simple = Packed {
        opened: imagined_since(state, nodes),
        offers: offers.to_vec(),
        puts: simple,
    };
    state.rollback(before.0);
    offers.clone_from_slice(&before.1);
    let mut packing = Packing {
        sorts,
        puts: Vec::new(),
        state,
        work,
    };
    if !packing.may_hold_all(offers) {
        // No way of packing helps, and how many pods stay does not matter much.
        return simple.again(state, wanted, offers);
    }
    packing.by_patterns(offers);
    let Packing {
        sorts: rest, puts, ..
    } = packing;
    let mut patterns = puts;
    patterns.extend(simply(state, rest, offers, work));
    if total(&patterns) > total(&simple.puts) {
        return patterns;
    }
    state.rollback(before.0);
    simple.again(state, wanted, offers)
}

fn total(puts: &[Put]) -> u64 {
    puts.iter().map(|(.., pods)| u64::from(*pods)).sum()
}

/// Node by node, in the order of the offers.
fn simply(state: &mut State, sorts: Vec<Sort>, offers: &mut [Offer], work: &mut Work) -> Vec<Put> {
    let mut packing = Packing {
        sorts,
        puts: Vec::new(),
        state,
        work,
    };
    for at in 0..offers.len() {
        packing.fill(offers, at);
    }
    packing.puts
}

/// Nodes of one offer with as much free.
struct Kind {
    offer: usize,
    free: Vec<i128>,
    /// None for a new one.
    nodes: Vec<Option<NodeId>>,
}

struct Packing<'a> {
    state: &'a mut State,
    work: &'a mut Work,
    sorts: Vec<Sort>,
    puts: Vec<Put>,
}

impl Packing<'_> {
    fn fill(&mut self, offers: &mut [Offer], position: usize) {
        let takes: Vec<usize> = (0..self.sorts.len())
            .filter(|sort| self.takes(*sort, offers[position].template))
            .collect();
        let whole: Vec<i128> = self.state.tables().offered(offers[position].template).collect();
        let shares = self.shares(&takes, &whole);
        let mut at = 0;
        let later = self.capacity(&offers[position + 1..]);
        let offer = &mut offers[position];
        while !self.work.is_spent() {
            let opened = offer.opened.get(at).copied();
            if opened.is_none() && offer.left == 0 {
                return;
            }
            let free = opened.map_or_else(|| whole.clone(), |node| self.state.free(node).to_vec());
            let nodes = (offer.opened.len().saturating_sub(at) as u64).saturating_add(u64::from(offer.left));
            let scarcity = self.scarcity(&takes, &whole, nodes, &later);
            let load = self.suitable(&takes, &shares, &whole, &free, &scarcity);
            if load.is_empty() {
                if opened.is_none() {
                    return;
                }
                at += 1;
                continue;
            }
            let mut nodes = if free == whole { self.repeats(&load) } else { 1 };
            while nodes > 0 && !self.work.is_spent() {
                let node = match offer.opened.get(at) {
                    Some(node) if self.state.free(*node) == free.as_slice() => *node,
                    Some(_) => break,
                    None if offer.left == 0 => return,
                    None => {
                        let node = self.state.add_node(offer.template);
                        offer.left -= 1;
                        offer.opened.push(node);
                        node
                    }
                };
                for (sort, pods) in &load {
                    self.put(*sort, node, *pods);
                }
                self.work.steps(load.len() as u64);
                nodes -= 1;
                at += 1;
            }
        }
    }

    /// Loads nodes as a search for patterns says. Nodes of one template with the same room are an offer of their own.
    fn by_patterns(&mut self, offers: &mut [Offer]) {
        let mut kinds: BTreeMap<(usize, Vec<i128>), Vec<Option<NodeId>>> = BTreeMap::new();
        for (at, offer) in offers.iter().enumerate() {
            for node in &offer.opened {
                let free = self.state.free(*node).to_vec();
                kinds.entry((at, free)).or_default().push(Some(*node));
            }
            if offer.left > 0 {
                let whole: Vec<i128> = self.state.tables().offered(offer.template).collect();
                let new = (offer.left as usize).min(MOST_NEW);
                kinds
                    .entry((at, whole))
                    .or_default()
                    .extend(std::iter::repeat_n(None, new));
            }
        }
        let mut kinds: Vec<Kind> = kinds
            .into_iter()
            .map(|((offer, free), nodes)| Kind { offer, free, nodes })
            .collect();
        // Those of which there are many matter most.
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.nodes.len()));
        kinds.truncate(MOST_KINDS);
        let problem = self.problem(offers, &kinds);
        let found = autoscaler_patterns::search(&problem);
        self.work.steps(found.effort / EFFORT_PER_STEP);
        let mut next = vec![0; kinds.len()];
        for (pattern, nodes) in found.parts {
            let Kind {
                offer: at,
                nodes: known,
                ..
            } = &kinds[pattern.offer];
            for _ in 0..nodes {
                let Some(place) = known.get(next[pattern.offer]) else {
                    break;
                };
                next[pattern.offer] += 1;
                let node = place.unwrap_or_else(|| {
                    let node = self.state.add_node(offers[*at].template);
                    offers[*at].left -= 1;
                    offers[*at].opened.push(node);
                    node
                });
                for (sort, pods) in &pattern.load {
                    self.put(*sort, node, *pods);
                }
                self.work.steps(pattern.load.len() as u64);
            }
        }
    }

    fn problem(&self, offers: &[Offer], kinds: &[Kind]) -> Problem {
        let tables = self.state.tables();
        let template = |at: usize| &tables.snapshot.templates[offers[at].template as usize];
        let dense = |needs: &[(usize, i128)]| {
            let mut row = vec![0.0; tables.width()];
            needs
                .iter()
                .for_each(|(column, amount)| row[*column] = number(*amount));
            row
        };
        let pods: f64 = self.sorts.iter().map(|sort| f64::from(sort.left)).sum();
        let many = pods / FEW_PODS;
        let (least, most) = SEARCH_GAP;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a part of a constant"
        )]
        let effort = (SEARCH_EFFORT as f64 / many.clamp(1.0, MANY)) as u64;
        let rows = (0..self.sorts.len()).map(|sort| Row {
            pods: self.sorts[sort].left,
            requests: dense(&self.sorts[sort].needs),
            per_node: kinds
                .iter()
                .map(|kind| {
                    if self.takes(sort, offers[kind.offer].template) {
                        u32::MAX
                    } else {
                        0
                    }
                })
                .collect(),
        });
        let offers = kinds.iter().map(|kind| autoscaler_patterns::Offer {
            price: number(i128::from(template(kind.offer).hourly_micros.max(1))),
            capacity: kind.free.iter().map(|amount| number((*amount).max(0))).collect(),
            limit: u32::try_from(kind.nodes.len()).unwrap_or(u32::MAX),
        });
        Problem {
            rows: rows.collect(),
            offers: offers.collect(),
            limit: u32::MAX,
            effort,
            gap: (least * many).clamp(least, most),
        }
    }

    /// Whether the nodes have enough of every resource for all pods, each rule and each remainder aside.
    fn may_hold_all(&self, offers: &[Offer]) -> bool {
        let mut there = vec![0_i128; self.state.tables().width()];
        for offer in offers {
            for node in &offer.opened {
                let free = self.state.free(*node);
                there
                    .iter_mut()
                    .zip(free)
                    .for_each(|(sum, free)| *sum += free.max(&0));
            }
            let new = self.state.tables().offered(offer.template);
            let nodes = i128::from(offer.left);
            there
                .iter_mut()
                .zip(new)
                .for_each(|(sum, amount)| *sum += amount.max(0) * nodes);
        }
        for sort in &self.sorts {
            for (column, amount) in &sort.needs {
                there[*column] -= amount * i128::from(sort.left);
            }
        }
        there.iter().all(|left| *left >= 0)
    }

    fn takes(&self, sort: usize, template: TemplateId) -> bool {
        self.sorts[sort].members[0].1.takes(self.state, template)
    }

    /// What the nodes of these offers have altogether, by column.
    fn capacity(&self, offers: &[Offer]) -> Vec<f64> {
        let tables = self.state.tables();
        let mut sums = vec![0.0; tables.width()];
        for offer in offers {
            let nodes = number(offer.opened.len() as i128 + i128::from(offer.left));
            for (sum, amount) in sums.iter_mut().zip(tables.offered(offer.template)) {
                *sum += number(amount) * nodes;
            }
        }
        sums
    }

    /// By column: what is asked for of what there still is. A resource of which the nodes to come have plenty need
    /// not be spared here, and one that they lack must not be wasted.
    fn scarcity(&self, takes: &[usize], whole: &[i128], nodes: u64, later: &[f64]) -> Vec<f64> {
        let mut asked = vec![0.0; whole.len()];
        for sort in takes.iter().map(|sort| &self.sorts[*sort]) {
            for ((column, _), amount) in sort.needs.iter().zip(&sort.amounts) {
                asked[*column] += amount * f64::from(sort.left);
            }
        }
        let there = whole
            .iter()
            .zip(later)
            .map(|(own, later)| number(*own) * number(i128::from(nodes)) + later);
        asked
            .iter()
            .zip(there)
            .map(|(asked, there)| if there > 0.0 { asked / there } else { 0.0 })
            .collect()
    }

    /// By sort.
    fn shares(&self, takes: &[usize], whole: &[i128]) -> Vec<Shares> {
        let of_sort = |sort: &usize| {
            let needs = self.sorts[*sort].needs.iter();
            needs
                .map(|(column, amount)| (*column, share(*amount, whole[*column])))
                .collect()
        };
        takes.iter().map(of_sort).collect()
    }

    /// What goes into a node with so much free: sorts and pods.
    fn suitable(
        &mut self,
        takes: &[usize],
        shares: &[Shares],
        whole: &[i128],
        free: &[i128],
        weights: &[f64],
    ) -> Vec<(usize, u32)> {
        let mut free = free.to_vec();
        // The same as numbers for weighing. Amounts are whole numbers below 2^53: no step of it is rounded.
        let mut room: Vec<f64> = free.iter().map(|amount| number(*amount)).collect();
        let whole: Vec<f64> = whole.iter().map(|amount| number((*amount).max(0))).collect();
        let mut candidates: Vec<(usize, &Shares, u32)> = takes
            .iter()
            .zip(shares)
            .map(|(sort, shares)| (*sort, shares, self.sorts[*sort].left))
            .collect();
        let mut load: BTreeMap<usize, u32> = BTreeMap::new();
        let mut scales = vec![0.0; whole.len()];
        loop {
            for (column, scale) in scales.iter_mut().enumerate() {
                *scale = if whole[column] > 0.0 {
                    weights[column] * (room[column] / whole[column])
                } else {
                    0.0
                };
            }
            let mut best: Option<(usize, usize, f64)> = None;
            let mut kept = 0;
            for at in 0..candidates.len() {
                let (sort, shares, left) = candidates[at];
                if left == 0 || !holds(&free, &self.sorts[sort].needs) {
                    continue;
                }
                let choice = self.sorts[sort].choice;
                let suits: f64 = shares.iter().map(|(column, share)| scales[*column] * share).sum();
                let better =
                    best.is_none_or(|(_, least, most)| choice < least || (choice == least && suits > most));
                if better {
                    best = Some((kept, choice, suits));
                }
                candidates[kept] = candidates[at];
                kept += 1;
            }
            candidates.truncate(kept);
            self.work.steps(kept as u64 / 4);
            let Some((at, ..)) = best else {
                return load.into_iter().collect();
            };
            let (sort, _, left) = &mut candidates[at];
            *left -= 1;
            let sort_of = &self.sorts[*sort];
            for ((column, amount), number) in sort_of.needs.iter().zip(&sort_of.amounts) {
                free[*column] -= amount;
                room[*column] -= number;
            }
            *load.entry(*sort).or_insert(0) += 1;
        }
    }

    /// How many nodes get the same load: not all that could, because what is asked for shifts on the way.
    fn repeats(&self, load: &[(usize, u32)]) -> u32 {
        let most = load
            .iter()
            .map(|(sort, pods)| self.sorts[*sort].left / pods)
            .min()
            .unwrap_or(0);
        if self.sorts.iter().filter(|sort| sort.left > 0).count() <= load.len() {
            // Nothing else waits: no other load would be better.
            most.max(1)
        } else {
            most.div_ceil(2).max(1)
        }
    }

    fn put(&mut self, sort: usize, node: NodeId, mut pods: u32) {
        let sort = &mut self.sorts[sort];
        // Patterns may have more places than there are pods.
        pods = pods.min(sort.left);
        sort.left -= pods;
        while pods > 0 {
            let Some((position, want)) = sort.members.get_mut(sort.next) else {
                return;
            };
            let taken = pods.min(want.pods);
            self.state.place(want.class, node, taken);
            self.puts.push((*position, node, taken));
            want.pods -= taken;
            pods -= taken;
            if want.pods == 0 {
                sort.next += 1;
            }
        }
    }
}

fn holds(free: &[i128], needs: &[(usize, i128)]) -> bool {
    needs.iter().all(|(column, amount)| *amount <= free[*column])
}

/// Amounts of different resources compare as parts of a node; floating point is exact enough for that, and the same
/// everywhere.
fn share(amount: i128, whole: i128) -> f64 {
    if whole <= 0 {
        0.0
    } else {
        number(amount) / number(whole)
    }
}
