//! What is still to be covered, and what may still be bought for it.

use crate::pattern::Pattern;
use crate::problem::Problem;

#[derive(Clone, Debug)]
pub(crate) struct Rest {
    /// By row: pods without a place.
    pub(crate) left: Vec<u32>,
    /// By offer.
    bought: Vec<u32>,
    pub(crate) limit: u32,
}

impl Rest {
    pub(crate) fn new(problem: &Problem) -> Self {
        Self {
            left: problem.rows.iter().map(|row| row.pods).collect(),
            bought: vec![0; problem.offers.len()],
            limit: problem.limit,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.limit == 0 || self.left.iter().all(|left| *left == 0)
    }

    pub(crate) fn pods(&self) -> u32 {
        self.left.iter().fold(0, |sum, pods| sum.saturating_add(*pods))
    }

    /// Nodes of the offer that may still come.
    pub(crate) fn room(&self, problem: &Problem, offer: usize) -> u32 {
        problem.offers[offer]
            .limit
            .saturating_sub(self.bought[offer])
            .min(self.limit)
    }

    /// Buys so many nodes, as far as they may come. How many did.
    pub(crate) fn buy(&mut self, problem: &Problem, pattern: &Pattern, nodes: u32) -> u32 {
        let nodes = nodes.min(self.room(problem, pattern.offer));
        pattern.take(&mut self.left, nodes);
        self.bought[pattern.offer] += nodes;
        self.limit -= nodes;
        nodes
    }
}
