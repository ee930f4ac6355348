//! The last nodes, for which a linear program says little: they are whole ones.

use crate::pattern::{Pattern, Wanted};
use crate::rest::Rest;
use crate::search::Search;

/// Offers that are tried as the next node.
const TRIED: usize = 16;

/// Nodes for what is left, in the order in which they are bought.
struct Completion {
    unplaced: u32,
    price: f64,
    nodes: Vec<Pattern>,
}

impl Completion {
    fn is_better_than(&self, other: &Self) -> bool {
        self.unplaced < other.unplaced || (self.unplaced == other.unplaced && self.price < other.price - 1e-9)
    }
}

impl Search<'_> {
    /// Buys the last nodes. A greedy completion is there at once; as long as it may cost much more than the values
    /// say, each offer is tried as the next node, and completed greedily.
    pub(crate) fn complete(&mut self, values: &[f64]) {
        let values: Vec<f64> = values.iter().map(|value| value.max(1e-6)).collect();
        let mut best = self.greedy(self.rest.clone(), &values, Vec::new());
        while !self.rest.is_done() && !self.is_spent() {
            let worth = self.rest.left.iter().zip(&values);
            let least: f64 = worth.map(|(left, value)| f64::from(*left) * value).sum();
            if best.unplaced == 0 && best.price - least <= self.trifle.unwrap_or(0.0) {
                break;
            }
            let mut tried: Option<Completion> = None;
            for (_, pattern) in self.options(&values).into_iter().take(TRIED) {
                let mut rest = self.rest.clone();
                rest.buy(self.problem, &pattern, 1);
                let other = self.greedy(rest, &values, vec![pattern]);
                if tried.as_ref().is_none_or(|tried| other.is_better_than(tried)) {
                    tried = Some(other);
                }
            }
            // Of two that cost the same the one of the fuller node: what is left then is less.
            if let Some(tried) = tried.filter(|tried| !best.is_better_than(tried)) {
                best = tried;
            }
            if best.nodes.is_empty() {
                return;
            }
            let next = best.nodes.remove(0);
            best.price -= self.problem.offers[next.offer].price;
            self.buy(&next, 1);
        }
        for pattern in best.nodes {
            self.buy(&pattern, 1);
        }
    }

    /// Nodes that may come next, the best price for the value first.
    fn options(&self, values: &[f64]) -> Vec<(f64, Pattern)> {
        let mut options: Vec<(f64, Pattern)> = (0..self.problem.offers.len())
            .filter(|offer| self.rest.room(self.problem, *offer) > 0)
            .filter_map(|offer| {
                let pattern = self.valuable(offer, &self.rest.left, values, Wanted::Best)?;
                let value = pattern.value(values);
                (value > 0.0).then(|| (self.problem.offers[offer].price / value, pattern))
            })
            .collect();
        options.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.offer.cmp(&other.1.offer)));
        options
    }

    /// The node of the best price for its value, filled in the simplest way.
    fn next(&self, rest: &Rest, values: &[f64]) -> Option<Pattern> {
        let mut best: Option<(f64, Pattern)> = None;
        for offer in 0..self.problem.offers.len() {
            if rest.room(self.problem, offer) == 0 {
                continue;
            }
            let Some(pattern) = self.dense(offer, &rest.left, values) else {
                continue;
            };
            let price = self.problem.offers[offer].price / pattern.value(values);
            if best.as_ref().is_none_or(|(least, _)| price < *least) {
                best = Some((price, pattern));
            }
        }
        best.map(|(_, pattern)| pattern)
    }

    /// The nodes that were bought already, and as many more as it takes when the best price for the value always wins.
    fn greedy(&self, mut rest: Rest, values: &[f64], mut nodes: Vec<Pattern>) -> Completion {
        while !rest.is_done() && !self.is_spent() {
            let Some(pattern) = self.next(&rest, values) else {
                break;
            };
            rest.buy(self.problem, &pattern, 1);
            nodes.push(pattern);
        }
        let prices = nodes.iter().map(|node| self.problem.offers[node.offer].price);
        Completion {
            unplaced: rest.pods(),
            price: prices.sum(),
            nodes,
        }
    }

    /// Buys for what is left without weighing much: by the size of pods, the best price for it, and as many nodes
    /// alike as the pods fill.
    pub(crate) fn finish(&mut self) {
        let values = self.worth();
        while !self.rest.is_done() {
            let Some(pattern) = self.next(&self.rest, &values) else {
                return;
            };
            let full = pattern.load.iter().map(|(row, pods)| self.rest.left[*row] / pods);
            let alike = full.min().unwrap_or(1);
            if !self.buy(&pattern, alike) {
                return;
            }
        }
    }
}
