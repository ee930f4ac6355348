//! The search for a mix: how many nodes of each offer, so that all pods have a place at the least price.
//!
//! Column generation: a linear program says what a pod of each sort is worth at the present patterns, and for every
//! offer a pattern that is worth more than its node joins, until none does (`relax`). Whole parts of the solution are
//! bought, the rest is solved again, and the last few nodes are tried out (`complete`). Each of these ends where what
//! it could still save is less than [`Problem::gap`] of the whole price: so the search takes its time for what matters,
//! and the fewer nodes are left, the less. All bounds are numbers of steps, so that the same question has the same
//! answer everywhere.

use crate::pattern::{Pattern, Wanted, by_density, most_valuable};
use crate::problem::{Problem, Row};
use crate::rest::Rest;
use std::cell::Cell;

/// Linear programs of one search.
const PROGRAMS: usize = 24;
/// So few nodes are tried out instead.
const LAST_NODES: f64 = 5.0;

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
        rest: Rest::new(problem),
        parts: Vec::new(),
        patterns: Vec::new(),
        effort: Cell::new(problem.effort),
        trifle: None,
        problem,
    };
    search.patterns = search.first_patterns();
    for _ in 0..PROGRAMS {
        if search.rest.is_done() || search.is_spent() {
            break;
        }
        let (parts, values) = search.relax();
        let nodes: f64 = parts.iter().map(|(_, amount)| amount).sum();
        if nodes <= LAST_NODES || !search.buy_whole_parts(&parts) {
            search.complete(&values);
            break;
        }
    }
    if !search.rest.is_done() && !search.is_spent() {
        let (_, values) = search.relax();
        search.complete(&values);
    }
    search.finish();
    Found {
        effort: problem.effort - search.effort.get(),
        parts: search.parts,
    }
}

pub(crate) struct Search<'a> {
    pub(crate) problem: &'a Problem,
    pub(crate) rest: Rest,
    pub(crate) parts: Vec<(Pattern, u32)>,
    /// Found so far.
    pub(crate) patterns: Vec<Pattern>,
    /// What may still be weighed.
    effort: Cell<u64>,
    /// A saving that is not worth looking for; known once the whole has been priced.
    pub(crate) trifle: Option<f64>,
}

impl Search<'_> {
    pub(crate) fn spend(&self, effort: usize) {
        self.effort.set(self.effort.get().saturating_sub(effort as u64));
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.effort.get() == 0
    }

    /// The best pattern that is found, at its cost.
    pub(crate) fn valuable(
        &self,
        offer: usize,
        left: &[u32],
        values: &[f64],
        wanted: Wanted,
    ) -> Option<Pattern> {
        if self.is_spent() {
            return None;
        }
        let sought = most_valuable(self.problem, offer, left, values, wanted);
        self.spend(sought.effort);
        sought.pattern
    }

    /// The same by the simplest way.
    pub(crate) fn dense(&self, offer: usize, left: &[u32], values: &[f64]) -> Option<Pattern> {
        let sought = by_density(self.problem, offer, left, values);
        self.spend(sought.effort);
        sought.pattern
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

    pub(crate) fn buy(&mut self, pattern: &Pattern, nodes: u32) -> bool {
        let nodes = self.rest.buy(self.problem, pattern, nodes);
        if nodes > 0 {
            self.parts.push((pattern.clone(), nodes));
        }
        nodes > 0
    }

    /// What a pod of each row is worth by its size: its part of the node on which that costs least.
    pub(crate) fn worth(&self) -> Vec<f64> {
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
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::Offer;

    /// Pods of five by six sizes, some alone on their node, and nodes of many sizes at one price per core.
    pub(crate) fn diverse(pods: u32, alone: u32) -> Problem {
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
            gap: 0.001,
        }
    }

    fn price(problem: &Problem, found: &Found) -> f64 {
        let parts = found.parts.iter();
        parts
            .map(|(pattern, nodes)| problem.offers[pattern.offer].price * f64::from(*nodes))
            .sum()
    }

    /// Pods of each row that have a place.
    fn placed(problem: &Problem, found: &Found) -> Vec<u32> {
        let mut placed = vec![0; problem.rows.len()];
        for (pattern, nodes) in &found.parts {
            for (row, pods) in &pattern.load {
                placed[*row] += pods * nodes;
            }
        }
        placed
    }

    #[test]
    fn less_effort_and_a_wider_gap_cost_money_and_no_pod_its_place() {
        // Effort, gap, most that it costs beside the first.
        let cases = [
            (2_000_000, 0.001, 1.0),
            (2_000_000, 0.03, 1.03),
            (200_000, 0.001, 1.2),
            (0, 0.001, 1.5),
        ];
        let mut least = None;
        for (effort, gap, most) in cases {
            let problem = Problem {
                effort,
                gap,
                ..diverse(3000, 300)
            };
            let found = search(&problem);
            assert_eq!(found, search(&problem), "the same every time");
            assert!(found.effort <= effort, "{} of {effort}", found.effort);
            for (row, placed) in problem.rows.iter().zip(placed(&problem, &found)) {
                assert!(placed >= row.pods, "{effort}, {gap}: {placed} of {}", row.pods);
            }
            let price = price(&problem, &found);
            let part = price / *least.get_or_insert(price);
            assert!(part <= most, "{effort}, {gap}: {part}");
        }
    }

    #[test]
    fn the_mix_of_many_pods_is_near_what_their_resources_cost() {
        for (pods, alone) in [(300, 0), (3000, 300), (8000, 2000), (16_000, 4000)] {
            let problem = diverse(pods, alone);
            let found = search(&problem);
            let price = price(&problem, &found);
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
