//! The search for a mix: how many nodes of each offer, so that all pods have a place at the least price.
//!
//! Column generation: a linear program says what a pod of each sort is worth at the present patterns, and for every
//! offer the most valuable pattern at these values joins, until none pays. Whole parts of the solution are bought,
//! the rest is solved again, and the last few nodes are tried out: each offer as the next one, completed greedily.
//! All bounds are numbers of steps, so that the same question has the same answer everywhere.

use crate::pattern::{FEW_PODS, Pattern, by_density, effort_of, most_valuable, room};
use crate::problem::{Problem, Row};
use crate::simplex::Program;
use std::cell::Cell;

/// Rounds of one linear program in which patterns join.
const ROUNDS: usize = 80;
/// Patterns that join in a round.
const JOINING: usize = 8;
/// Steps of the simplex method in a round.
const PIVOTS: usize = 200;
/// Linear programs of one search.
const PROGRAMS: usize = 24;
/// So few nodes are tried out instead.
const LAST_NODES: f64 = 5.0;
/// Offers that are tried as the next node.
const TRIED: usize = 16;
/// Entries of a table that cost as much as a row that is looked at for a pattern.
const ENTRIES: usize = 14;

/// What a search came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Nodes with their load, and how many of each. What limits leave no place for is missing in them.
    pub parts: Vec<(Pattern, u32)>,
    /// How much was weighed, at most [`Problem::effort`].
    pub effort: u64,
}

/// Searches for the cheapest nodes for all pods.
pub fn search(problem: &Problem) -> Found {
    let mut search = Search {
        left: problem.rows.iter().map(|row| row.pods).collect(),
        bought: vec![0; problem.offers.len()],
        parts: Vec::new(),
        limit: problem.limit,
        patterns: Vec::new(),
        effort: Cell::new(problem.effort),
        problem,
    };
    search.patterns = search.first_patterns();
    for _ in 0..PROGRAMS {
        if search.is_done() || search.is_spent() {
            break;
        }
        let (parts, values) = search.relax();
        let nodes: f64 = parts.iter().map(|(_, amount)| amount).sum();
        if nodes <= LAST_NODES || !search.buy_whole_parts(&parts) {
            search.complete(&values);
            break;
        }
    }
    if !search.is_done() && !search.is_spent() {
        let (_, values) = search.relax();
        search.complete(&values);
    }
    search.finish();
    Found {
        effort: problem.effort - search.effort.get(),
        parts: search.parts,
    }
}

struct Search<'a> {
    problem: &'a Problem,
    left: Vec<u32>,
    /// By offer.
    bought: Vec<u32>,
    parts: Vec<(Pattern, u32)>,
    limit: u32,
    /// Found so far.
    patterns: Vec<Pattern>,
    /// What may still be weighed.
    effort: Cell<u64>,
}

impl Search<'_> {
    fn is_done(&self) -> bool {
        self.limit == 0 || self.left.iter().all(|left| *left == 0)
    }

    fn spend(&self, effort: usize) {
        self.effort.set(self.effort.get().saturating_sub(effort as u64));
    }

    fn is_spent(&self) -> bool {
        self.effort.get() == 0
    }

    /// The best pattern that is found, at its cost.
    fn valuable(&self, offer: usize, left: &[u32], values: &[f64]) -> Option<Pattern> {
        if self.is_spent() {
            return None;
        }
        let pattern = most_valuable(self.problem, offer, left, values);
        let pods: u32 = pattern
            .iter()
            .flat_map(|pattern| &pattern.load)
            .map(|(_, pods)| *pods)
            .sum();
        let one_by_one = if pods <= FEW_PODS { pods as usize } else { 0 };
        self.spend(effort_of(left.len()) + left.len() * one_by_one);
        pattern
    }

    fn room(&self, offer: usize) -> u32 {
        self.problem.offers[offer]
            .limit
            .saturating_sub(self.bought[offer])
            .min(self.limit)
    }

    /// The limits that may matter, and under which of them each offer stands: that of all, and its own.
    fn limits(&self) -> (Vec<u32>, Vec<Vec<usize>>) {
        let pods: u32 = self.left.iter().fold(0, |sum, pods| sum.saturating_add(*pods));
        let mut limits = vec![self.limit];
        let mut under = Vec::new();
        for offer in 0..self.problem.offers.len() {
            let room = self.room(offer);
            if room < pods.min(self.limit) {
                under.push(vec![0, limits.len()]);
                limits.push(room);
            } else {
                under.push(vec![0]);
            }
        }
        (limits, under)
    }

    /// How much of each pattern covers what is left, and what a pod of each row is worth.
    fn relax(&mut self) -> (Vec<(Pattern, f64)>, Vec<f64>) {
        let offers = &self.problem.offers;
        let dearest = offers.iter().map(|offer| offer.price).fold(1.0, f64::max);
        let (limits, under) = self.limits();
        let mut program = Program::new(&self.left, &limits, dearest * 4.0);
        let mut members: Vec<(usize, Pattern)> = Vec::new();
        for pattern in &self.patterns {
            // Patterns of an earlier program may hold more than is left.
            let load: Vec<(usize, u32)> = pattern
                .load
                .iter()
                .map(|(row, pods)| (*row, (*pods).min(self.left[*row])))
                .filter(|(_, pods)| *pods > 0)
                .collect();
            if !load.is_empty() && self.room(pattern.offer) > 0 {
                let at = program.add(offers[pattern.offer].price, &load, &under[pattern.offer]);
                members.push((
                    at,
                    Pattern {
                        offer: pattern.offer,
                        load,
                    },
                ));
            }
        }
        self.solve(&mut program);
        let mut next = 0;
        for _ in 0..ROUNDS {
            let values = program.values();
            let per_node = |offer: usize| -> f64 {
                under[offer]
                    .iter()
                    .map(|limit| values[self.left.len() + limit])
                    .sum()
            };
            // Offers take turns: enough of them are asked to find what joins, all of them before none does.
            let mut joining: Vec<Pattern> = Vec::new();
            for _ in 0..offers.len() {
                let offer = next % offers.len();
                next += 1;
                if self.room(offer) == 0 {
                    continue;
                }
                if let Some(pattern) = self.valuable(offer, &self.left, &values)
                    && pattern.value(&values) + per_node(offer) > offers[offer].price * (1.0 + 1e-6)
                {
                    joining.push(pattern);
                }
                if joining.len() == JOINING {
                    break;
                }
            }
            if joining.is_empty() {
                break;
            }
            for pattern in joining {
                let at = program.add(offers[pattern.offer].price, &pattern.load, &under[pattern.offer]);
                members.push((at, pattern));
            }
            self.solve(&mut program);
        }
        let values = program.values()[..self.left.len()].to_vec();
        let parts: Vec<(Pattern, f64)> = program
            .amounts()
            .filter_map(|(at, amount)| {
                let member = members.binary_search_by_key(&at, |(at, _)| *at).ok()?;
                Some((members[member].1.clone(), amount))
            })
            .collect();
        self.patterns = parts.iter().map(|(pattern, _)| pattern.clone()).collect();
        (parts, values)
    }

    fn solve(&self, program: &mut Program) {
        let steps = program.solve(PIVOTS);
        self.spend(steps * program.rows() * program.rows() / ENTRIES);
    }

    /// Buys the whole parts; where there is none, the one node that is nearest to being whole.
    fn buy_whole_parts(&mut self, parts: &[(Pattern, f64)]) -> bool {
        let mut any = false;
        for (pattern, amount) in parts {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and the limit"
            )]
            let whole = (amount + 1e-6).floor().max(0.0) as u32;
            any |= self.buy(pattern, whole);
        }
        if any {
            return true;
        }
        let nearest = parts.iter().max_by(|one, other| one.1.total_cmp(&other.1));
        nearest.is_some_and(|(pattern, _)| self.buy(pattern, 1))
    }

    fn buy(&mut self, pattern: &Pattern, nodes: u32) -> bool {
        let nodes = nodes.min(self.room(pattern.offer));
        if nodes == 0 {
            return false;
        }
        pattern.take(&mut self.left, nodes);
        self.parts.push((pattern.clone(), nodes));
        self.bought[pattern.offer] += nodes;
        self.limit -= nodes;
        true
    }

    /// The last nodes, one by one: the next is the one with which a greedy completion costs least.
    fn complete(&mut self, values: &[f64]) {
        let values: Vec<f64> = values.iter().map(|value| value.max(1e-6)).collect();
        while !self.is_done() && !self.is_spent() {
            let mut options = self.options(&self.left, &values, self.limit, true);
            options.truncate(TRIED);
            let mut best: Option<((u32, f64), Pattern)> = None;
            for (_, pattern) in options {
                let mut left = self.left.clone();
                pattern.take(&mut left, 1);
                let (unplaced, price) = self.greedy(left, &values, self.limit - 1);
                let cost = (unplaced, price + self.problem.offers[pattern.offer].price);
                let better = best.as_ref().is_none_or(|(least, _)| {
                    cost.0 < least.0 || (cost.0 == least.0 && cost.1 < least.1 - 1e-9)
                });
                if better {
                    best = Some((cost, pattern));
                }
            }
            let Some((_, pattern)) = best else { return };
            if !self.buy(&pattern, 1) {
                return;
            }
        }
    }

    /// Nodes that may come next, the best price for the value first.
    fn options(&self, left: &[u32], values: &[f64], limit: u32, thorough: bool) -> Vec<(f64, Pattern)> {
        let mut options: Vec<(f64, Pattern)> = (0..self.problem.offers.len())
            .filter(|offer| self.room(*offer) > 0 && limit > 0)
            .filter_map(|offer| {
                let pattern = if thorough {
                    self.valuable(offer, left, values)?
                } else {
                    self.spend(2 * left.len());
                    by_density(self.problem, offer, left, values)?
                };
                let value = pattern.value(values);
                (value > 0.0).then(|| (self.problem.offers[offer].price / value, pattern))
            })
            .collect();
        options.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.offer.cmp(&other.1.offer)));
        options
    }

    /// What a pod of each row is worth by its size: its part of the node on which that costs least.
    fn worth(&self) -> Vec<f64> {
        let cheapest = |row: &Row| {
            let parts = self.problem.offers.iter().enumerate().filter_map(|(offer, at)| {
                let most = |(capacity, request): (&f64, &f64)| {
                    (*capacity > 0.0 && *request > 0.0).then(|| request / capacity)
                };
                let parts = at.capacity.iter().zip(&row.requests).filter_map(most);
                (row.per_node[offer] > 0).then(|| at.price * parts.fold(0.0, f64::max))
            });
            let least = parts.fold(f64::INFINITY, f64::min);
            if least.is_finite() { least.max(1e-6) } else { 0.0 }
        };
        self.problem.rows.iter().map(cheapest).collect()
    }

    /// Patterns to begin with: each offer filled by the worth of pods, and each row alone where a pod costs least. With
    /// them a program knows at once what pods are worth.
    fn first_patterns(&self) -> Vec<Pattern> {
        let worth = self.worth();
        let offers = 0..self.problem.offers.len();
        self.spend((2 * offers.len() + worth.len()) * worth.len());
        let full = |offer: usize| by_density(self.problem, offer, &self.left, &worth);
        let mut patterns: Vec<Pattern> = offers.clone().filter_map(full).collect();
        for (row, left) in self.left.iter().enumerate() {
            let alone = offers.clone().filter_map(|offer| {
                let asked = &self.problem.rows[row];
                let most = asked.per_node[offer].min(*left);
                let pods = room(&self.problem.offers[offer].capacity, &asked.requests).min(most);
                (pods > 0).then(|| (self.problem.offers[offer].price / f64::from(pods), offer, pods))
            });
            let cheapest = alone.min_by(|one, other| one.0.total_cmp(&other.0));
            patterns.extend(cheapest.map(|(_, offer, pods)| Pattern {
                offer,
                load: vec![(row, pods)],
            }));
        }
        patterns
    }

    /// Buys for what is left without weighing much: by the size of pods, the best price for it, and as many nodes
    /// alike as the pods fill.
    fn finish(&mut self) {
        let values = self.worth();
        while !self.is_done() {
            let best = self
                .options(&self.left, &values, self.limit, false)
                .into_iter()
                .next();
            let Some((_, pattern)) = best else { return };
            let alike = pattern
                .load
                .iter()
                .map(|(row, pods)| self.left[*row] / pods)
                .min();
            if !self.buy(&pattern, alike.unwrap_or(1)) {
                return;
            }
        }
    }

    /// Pods that stay without a place, and the price of the nodes, when the best price for the value always wins.
    fn greedy(&self, mut left: Vec<u32>, values: &[f64], mut limit: u32) -> (u32, f64) {
        let mut price = 0.0;
        while left.iter().any(|pods| *pods > 0) && !self.is_spent() {
            let options = self.options(&left, values, limit, false);
            let Some((_, pattern)) = options.into_iter().next() else {
                break;
            };
            pattern.take(&mut left, 1);
            price += self.problem.offers[pattern.offer].price;
            limit -= 1;
        }
        (left.iter().sum(), price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Offer;

    /// Pods of five by six sizes, some alone on their node, and nodes of many sizes at one price per core.
    fn diverse(pods: u32, alone: u32) -> Problem {
        let mut rows = Vec::new();
        for (kind, total) in [pods, alone].into_iter().enumerate() {
            for cpu in [100.0, 250.0, 500.0, 1000.0, 1500.0] {
                for memory in [100.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0] {
                    rows.push(Row {
                        pods: total / 30,
                        requests: vec![cpu, memory, if kind == 0 { 0.0 } else { 1.0 }],
                        per_node: vec![if kind == 0 { u32::MAX } else { 1 }; 40],
                    });
                }
            }
        }
        let size = |number: i32| {
            f64::from(if number < 20 {
                number + 1
            } else {
                (number - 19) * 20
            })
        };
        let offers = (0..40).map(size).map(|cores| Offer {
            price: cores * 275.0 + 1.0,
            capacity: vec![cores * 1000.0 - 100.0, cores * 2048.0 - 10.0, 1.0],
            limit: 100_000,
        });
        Problem {
            rows,
            offers: offers.collect(),
            limit: 100_000,
            effort: 1_000_000,
        }
    }

    #[test]
    fn the_mix_of_many_pods_is_near_what_their_resources_cost() {
        for (pods, alone) in [(300, 0), (3000, 300), (8000, 2000), (16_000, 4000)] {
            let problem = diverse(pods, alone);
            let found = search(&problem);
            let price: f64 = found
                .parts
                .iter()
                .map(|(pattern, nodes)| problem.offers[pattern.offer].price * f64::from(*nodes))
                .sum();
            let memory: f64 = problem
                .rows
                .iter()
                .map(|row| row.requests[1] * f64::from(row.pods))
                .sum();
            let bound = memory / 2048.0 * 275.0;
            assert!(price < bound * 1.15, "{pods} + {alone}: {price} for {bound}");
        }
    }
}
