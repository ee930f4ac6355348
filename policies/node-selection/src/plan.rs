//! A mix in the making: what is to be bought, held against the oracle until it stands.
//!
//! The search thinks in sizes and prices; the oracle knows every rule. What it says has no place is bought in
//! addition, what it leaves empty is not bought, and at the end single nodes are dropped or made smaller as long
//! as all pods keep a place.

use crate::problem::Posed;
use crate::wish::{Demanded, Turn, Wish, wishes};
use autoscaler_patterns::{Problem, search};
use policy_sdk::ClassCount;
use policy_sdk::node_selection::Snapshot;
use policy_sdk::what_if::{self, Addition, Cause, Question};
use std::collections::{BTreeMap, BTreeSet};

/// Times that what found no place is bought in addition.
const REPAIRS: u32 = 8;
/// Times in a row that nothing found a place by it, and it is given up.
const VAIN: u32 = 2;
/// Questions of one decision about single nodes: many where a question is cheap, few where there are many pods, which
/// make each question dear and a single node a trifle.
const MOST_TRIALS: u64 = 60;
const PODS_TRIED: u64 = 1_500;
/// Pods for which a search has its whole effort; with more it has less in proportion, down to that of the second number.
const FEW_PODS: u64 = 1_000;
const MANY_PODS: u64 = 10_000;
/// A class makes a question as dear as so many pods.
const PODS_OF_A_CLASS: u64 = 8;

pub(crate) struct Plan<'a> {
    snapshot: &'a Snapshot,
    /// By group in the order of the demand, the dearest first.
    pub(crate) additions: Vec<Addition>,
    /// All that is demanded.
    pods: Vec<ClassCount>,
    /// Pods by class, by group in the order of the demand.
    demanded: Demanded,
    /// By group: the templates that were weighed against each other.
    weighed: BTreeMap<u32, BTreeSet<u32>>,
    /// What has no place, with the rule that refuses it.
    pub(crate) left: BTreeMap<u32, (u32, Cause)>,
    trials: u64,
    /// Something was bought that nothing found a place by.
    was_in_vain: bool,
    /// What the searches of one round may weigh.
    effort: u64,
}

impl<'a> Plan<'a> {
    /// `effort` is what may be weighed for few pods. With more it is less, in proportion: a single node matters less
    /// then, and the time is needed for the questions.
    pub(crate) fn new(snapshot: &'a Snapshot, effort: u64) -> Self {
        let mut pods: BTreeMap<u32, u32> = BTreeMap::new();
        let mut demanded = Demanded::new();
        for demand in &snapshot.demand {
            let mut of_group: BTreeMap<u32, u32> = BTreeMap::new();
            for count in demand.pods.iter().filter(|count| count.pods > 0) {
                for sums in [&mut pods, &mut of_group] {
                    let sum = sums.entry(count.class).or_insert(0);
                    *sum = sum.saturating_add(count.pods);
                }
            }
            demanded.push((demand.group, of_group));
        }
        let total: u64 = pods.values().map(|pods| u64::from(*pods)).sum();
        let trials = trials(total.max(PODS_OF_A_CLASS * pods.len() as u64));
        let left = pods
            .iter()
            .map(|(class, pods)| (*class, (*pods, Cause::Resources)));
        Self {
            left: left.collect(),
            pods: pods
                .into_iter()
                .map(|(class, pods)| ClassCount { class, pods })
                .collect(),
            demanded,
            weighed: BTreeMap::new(),
            additions: Vec::new(),
            trials,
            was_in_vain: false,
            effort: effort.saturating_mul(FEW_PODS) / total.clamp(FEW_PODS, MANY_PODS),
            snapshot,
        }
    }

    /// Buys for all groups until every pod has a place, or nothing helps. With `mixed`, a group's nodes may be of
    /// several templates.
    pub(crate) fn make(&mut self, mixed: bool) {
        let mut vain = 0;
        for round in 0..=REPAIRS {
            let left = self.left_pods();
            if left == 0 || vain == VAIN || !self.buy(mixed, round, vain) {
                break;
            }
            self.settle();
            vain = if self.left_pods() < left { 0 } else { vain + 1 };
            self.was_in_vain |= vain > 0;
        }
        if mixed && self.left_pods() == 0 {
            self.make_smaller();
        }
    }

    /// Nodes that the group may gain beyond those of the plan, by its own limit and the cluster's.
    pub(crate) fn room(&self, group: u32) -> u32 {
        let row = self.snapshot.catalogue.groups.get(group as usize);
        let own = row.map_or(0, |row| row.max.saturating_sub(row.current));
        own.saturating_sub(self.bought(Some(group)))
            .min(self.cluster_room())
    }

    fn cluster_room(&self) -> u32 {
        let cluster = self.snapshot.context.cluster_headroom.unwrap_or(u32::MAX);
        cluster.saturating_sub(self.bought(None))
    }

    /// Nodes of the plan, of a group or of all.
    fn bought(&self, group: Option<u32>) -> u32 {
        let counted = |addition: &&Addition| group.is_none() || self.group_of(addition.template) == group;
        self.additions
            .iter()
            .filter(counted)
            .map(|addition| addition.count)
            .sum()
    }

    fn group_of(&self, template: u32) -> Option<u32> {
        self.snapshot
            .catalogue
            .templates
            .get(template as usize)
            .map(|row| row.group)
    }

    fn price_of(&self, template: u32) -> u64 {
        self.snapshot
            .catalogue
            .templates
            .get(template as usize)
            .map_or(0, |row| row.hourly_micros)
    }

    fn left_pods(&self) -> u64 {
        self.left.values().map(|(pods, _)| u64::from(*pods)).sum()
    }

    /// Buys for what is left. Where that was in vain, more is bought than would do for it: what is not used goes
    /// again.
    fn buy(&mut self, mixed: bool, round: u32, vain: u32) -> bool {
        let mut wishes = wishes(
            self.snapshot,
            &self.demanded,
            &self.left,
            Turn {
                round,
                vain,
                was_in_vain: self.was_in_vain,
            },
        );
        // Each gets its turn to be the first, because the first may take the last node that the cluster allows.
        let first = round as usize % wishes.len().max(1);
        wishes.rotate_left(first);
        let mut any = false;
        for (at, wish) in wishes.iter().enumerate() {
            let mut room = self.room(wish.group);
            if wish.datacenter.is_some() {
                let others = u32::try_from(wishes.len() - at).unwrap_or(u32::MAX);
                room = room.min(self.cluster_room().div_ceil(others));
            }
            if room > 0 {
                any |= self.buy_for(wish, room, mixed, round, wishes.len());
            }
        }
        any
    }

    fn buy_for(&mut self, wish: &Wish<'_>, room: u32, mixed: bool, round: u32, wishes: usize) -> bool {
        // The first round counts most; later ones have little left to place.
        let effort = self.effort / wishes.max(1) as u64 / (1 << round.min(16));
        let mut posed = Posed::new(self.snapshot, wish, room, effort);
        self.weighed
            .entry(wish.group)
            .or_default()
            .extend(&posed.templates);
        for (offer, template) in posed.problem.offers.iter_mut().zip(&posed.templates) {
            let bought = self
                .additions
                .iter()
                .find(|addition| addition.template == *template);
            offer.limit = offer
                .limit
                .saturating_sub(bought.map_or(0, |addition| addition.count));
        }
        let counts = if mixed {
            counts(&posed.problem)
        } else {
            cheapest_alone(&posed.problem)
        };
        let mut any = false;
        for (template, count) in posed.templates.into_iter().zip(counts) {
            any |= count > 0;
            self.add(template, count);
        }
        any
    }

    fn add(&mut self, template: u32, count: u32) {
        let mut additions = std::mem::take(&mut self.additions);
        more(&mut additions, template, count);
        self.put_in_order(&mut additions);
        self.additions = additions;
    }

    /// The order in which nodes are filled is that in which they are bought: by group, the dearest first.
    fn put_in_order(&self, additions: &mut [Addition]) {
        let groups: Vec<u32> = self.demanded.iter().map(|(group, _)| *group).collect();
        additions.sort_by_key(|addition| {
            let group = self.group_of(addition.template);
            let place = groups.iter().position(|demanded| Some(*demanded) == group);
            let price = self.price_of(addition.template);
            (
                place.unwrap_or(groups.len()),
                group,
                std::cmp::Reverse(price),
                addition.template,
            )
        });
    }

    /// Asks the oracle, and keeps what it uses.
    fn settle(&mut self) {
        let outcome = ask(&self.additions, &self.pods);
        for (at, addition) in self.additions.iter_mut().enumerate() {
            addition.count = outcome.used_of(at);
        }
        self.additions.retain(|addition| addition.count > 0);
        let left = outcome
            .unplaced
            .iter()
            .map(|left| (left.class, (left.pods, left.cause)));
        self.left = left.collect();
    }

    /// Drops single nodes, or takes cheaper ones for them, while all pods keep a place.
    fn make_smaller(&mut self) {
        let mut hopeless: BTreeSet<(u32, Option<u32>)> = BTreeSet::new();
        while self.trials > 0 {
            let Some((template, instead)) = self.next_trial(&hopeless) else {
                return;
            };
            self.trials -= 1;
            let mut trial = self.additions.clone();
            if let Some(known) = trial.iter_mut().find(|addition| addition.template == template) {
                known.count -= 1;
            }
            if let Some(smaller) = instead {
                more(&mut trial, smaller, 1);
            }
            trial.retain(|addition| addition.count > 0);
            self.put_in_order(&mut trial);
            let outcome = ask(&trial, &self.pods);
            if outcome.unplaced_pods() > 0 {
                hopeless.insert((template, instead));
                continue;
            }
            for (at, addition) in trial.iter_mut().enumerate() {
                addition.count = outcome.used_of(at);
            }
            trial.retain(|addition| addition.count > 0);
            self.additions = trial;
        }
    }

    /// A node to do without, or one to take instead: what saves most is tried first.
    fn next_trial(&self, hopeless: &BTreeSet<(u32, Option<u32>)>) -> Option<(u32, Option<u32>)> {
        let catalogue = &self.snapshot.catalogue;
        let mut best: Option<(u64, u32, Option<u32>)> = None;
        for addition in &self.additions {
            let (own, group) = (
                self.price_of(addition.template),
                self.group_of(addition.template)?,
            );
            let smaller = self
                .weighed
                .get(&group)
                .into_iter()
                .flatten()
                .filter_map(|number| Some((*number, catalogue.templates.get(*number as usize)?)))
                .filter(|(_, row)| row.failures == 0 && row.hourly_micros < own)
                .filter(|(number, row)| {
                    let bought = self
                        .additions
                        .iter()
                        .find(|addition| addition.template == *number);
                    bought.map_or(0, |addition| addition.count) < row.headroom
                })
                .map(|(number, _)| Some(number));
            // A group keeps a node: it may be the zone that pods have to spread to.
            let of_group = self
                .additions
                .iter()
                .filter(|other| self.group_of(other.template) == Some(group));
            let nodes: u32 = of_group.map(|other| other.count).sum();
            let without = (nodes > 1).then_some(None);
            for instead in without.into_iter().chain(smaller) {
                let saved = own - instead.map_or(0, |number| self.price_of(number));
                let new = !hopeless.contains(&(addition.template, instead));
                // Of all that did not work out, what saves more than this would not either.
                let plausible = hopeless.iter().all(|(template, failed)| {
                    *template != addition.template
                        || saved < own - failed.map_or(0, |number| self.price_of(number))
                        || failed.is_none() && instead.is_none()
                        || self.differs(*failed, instead)
                });
                if new && plausible && best.is_none_or(|(most, ..)| saved > most) {
                    best = Some((saved, addition.template, instead));
                }
            }
        }
        best.map(|(_, template, instead)| (template, instead))
    }

    /// Whether one of the templates has more of something than the other, which the other has less of.
    fn differs(&self, failed: Option<u32>, instead: Option<u32>) -> bool {
        let (Some(failed), Some(instead)) = (failed, instead) else {
            return false;
        };
        let catalogue = &self.snapshot.catalogue;
        let (failed, instead) = (
            catalogue.allocatable_of(failed),
            catalogue.allocatable_of(instead),
        );
        instead
            .iter()
            .zip(failed)
            .any(|(instead, failed)| instead > failed)
    }
}

/// A question costs as much as there are pods, what it may save is a part that falls with the nodes, and that it saves
/// anything gets less likely the more nodes there are to put a pod on.
fn trials(pods: u64) -> u64 {
    let dear = u128::from(pods.max(PODS_TRIED));
    let trials = u128::from(MOST_TRIALS) * u128::from(PODS_TRIED).pow(3) / dear.pow(3);
    u64::try_from(trials).unwrap_or(MOST_TRIALS)
}

/// So many nodes more of the template.
fn more(additions: &mut Vec<Addition>, template: u32, count: u32) {
    match additions
        .iter_mut()
        .find(|addition| addition.template == template)
    {
        Some(known) => known.count += count,
        None if count > 0 => additions.push(Addition { template, count }),
        None => {}
    }
}

fn ask(additions: &[Addition], pods: &[ClassCount]) -> what_if::Outcome {
    what_if::ask(&Question::additions(additions.to_vec(), pods.to_vec()))
}

/// By offer: how many nodes.
fn counts(problem: &Problem) -> Vec<u32> {
    let mut counts = vec![0; problem.offers.len()];
    for (pattern, nodes) in search(problem).parts {
        counts[pattern.offer] += nodes;
    }
    counts
}

/// The cheapest way to buy nodes of one offer only.
fn cheapest_alone(problem: &Problem) -> Vec<u32> {
    let mut best: Option<((u64, f64), usize, u32)> = None;
    for offer in 0..problem.offers.len() {
        let mut alone = problem.clone();
        alone.effort = problem.effort / problem.offers.len() as u64;
        alone.offers = vec![problem.offers[offer].clone()];
        for row in &mut alone.rows {
            row.per_node = vec![row.per_node[offer]];
        }
        let homeless: u64 = alone
            .rows
            .iter()
            .filter(|row| row.per_node[0] == 0)
            .map(|row| u64::from(row.pods))
            .sum();
        let count = counts(&alone)[0];
        let cost = (homeless, f64::from(count) * problem.offers[offer].price);
        if count > 0 && best.is_none_or(|(least, ..)| cost < least) {
            best = Some((cost, offer, count));
        }
    }
    let mut counts = vec![0; problem.offers.len()];
    if let Some((_, offer, count)) = best {
        counts[offer] = count;
    }
    counts
}
