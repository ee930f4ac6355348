//! The linear program of what is left, with the patterns that pay.

use crate::pattern::{Pattern, Wanted, room};
use crate::search::Search;
use crate::simplex::Program;

/// Rounds of one linear program in which patterns join.
const ROUNDS: usize = 80;
/// Patterns that join in a round.
const JOINING: usize = 8;
/// Steps of the simplex method in a round.
const PIVOTS: usize = 200;
/// Entries of a table that cost as much as a row that is looked at for a pattern.
const ENTRIES: usize = 14;
/// A saving that is none, in parts of a node.
const NOTHING: f64 = 1e-6;
/// Where little is left, a pattern has to save no more than this part of its node.
const MUCH: f64 = 0.05;

impl Search<'_> {
    /// How much of each pattern covers what is left, and what a pod of each row is worth.
    pub(crate) fn relax(&mut self) -> (Vec<(Pattern, f64)>, Vec<f64>) {
        let offers = &self.problem.offers;
        let dearest = offers.iter().map(|offer| offer.price).fold(1.0, f64::max);
        let (limits, under) = self.limits();
        let pods = self.rest.left.len();
        let mut program = Program::new(&self.rest.left, &limits, dearest * 4.0);
        let mut members: Vec<(usize, Pattern)> = Vec::new();
        for pattern in &self.patterns {
            // Patterns of an earlier program may hold more than is left.
            let load: Vec<(usize, u32)> = pattern
                .load
                .iter()
                .map(|(row, pods)| (*row, (*pods).min(self.rest.left[*row])))
                .filter(|(_, pods)| *pods > 0)
                .collect();
            if !load.is_empty() && self.rest.room(self.problem, pattern.offer) > 0 {
                let at = program.add(offers[pattern.offer].price, &load, &under[pattern.offer]);
                let offer = pattern.offer;
                members.push((at, Pattern { offer, load }));
            }
        }
        self.solve(&mut program);
        let mut next = 0;
        for _ in 0..ROUNDS {
            // Where no pattern is worth more than its node by this part, all of them save no more than it of the price.
            let part = self
                .trifle
                .map_or(self.problem.gap, |trifle| trifle / program.price());
            let part = part.clamp(NOTHING, MUCH);
            let values = program.values();
            // Offers take turns: enough of them are asked to find what joins, all of them before none does.
            let mut joining: Vec<Pattern> = Vec::new();
            for _ in 0..offers.len() {
                let offer = next % offers.len();
                next += 1;
                if self.rest.room(self.problem, offer) == 0 {
                    continue;
                }
                let limited: f64 = under[offer].iter().map(|limit| values[pods + limit]).sum();
                let needed = offers[offer].price * (1.0 + part) - limited;
                let found = self.valuable(offer, &self.rest.left, values, Wanted::Above(needed));
                joining.extend(found.filter(|pattern| pattern.value(values) > needed));
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
        self.trifle.get_or_insert(program.price() * self.problem.gap);
        let values = program.values()[..pods].to_vec();
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

    /// The limits that may matter, and under which of them each offer stands: that of all, and its own.
    fn limits(&self) -> (Vec<u32>, Vec<Vec<usize>>) {
        let pods = self.rest.pods();
        let mut limits = vec![self.rest.limit];
        let mut under = Vec::new();
        for offer in 0..self.problem.offers.len() {
            let room = self.rest.room(self.problem, offer);
            if room < pods.min(self.rest.limit) {
                under.push(vec![0, limits.len()]);
                limits.push(room);
            } else {
                under.push(vec![0]);
            }
        }
        (limits, under)
    }

    /// Patterns to begin with: each offer filled by the worth of pods, and each row alone where a pod costs least. With
    /// them a program knows at once what pods are worth.
    pub(crate) fn first_patterns(&self) -> Vec<Pattern> {
        let worth = self.worth();
        let left = &self.rest.left;
        let offers = 0..self.problem.offers.len();
        self.spend(worth.len() * worth.len());
        let full = |offer: usize| self.dense(offer, left, &worth);
        let mut patterns: Vec<Pattern> = offers.clone().filter_map(full).collect();
        for (row, left) in left.iter().enumerate() {
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
}
