//! The problem that a group's demand poses, in plain numbers: sorts of pods, and offers with a price and a size.

use crate::wish::Wish;
use autoscaler_patterns::{Offer, Problem, Row};
use policy_sdk::ClassCount;
use policy_sdk::node_selection::Snapshot;
use policy_sdk::what_if::{self, Addition, Question};
use std::collections::{BTreeMap, BTreeSet};

/// The problem, and the templates that its offers stand for.
#[derive(Clone, Debug)]
pub(crate) struct Posed {
    pub(crate) problem: Problem,
    pub(crate) templates: Vec<u32>,
}

/// Offers that are weighed against each other: a catalogue may list hundreds.
const MOST_OFFERS: usize = 48;
/// Sorts of pods that are told apart; beyond that, those that are most alike count as one.
const MOST_ROWS: usize = 64;
/// What may stay unsaved, as a part of the price.
const GAP: f64 = 0.001;
/// What a template that failed lately costs more, so that it comes last.
const FAILING: f64 = 1000.0;
/// What a node costs beyond its price, in parts of the dearest.
const TRIFLE: f64 = 1e-6;
/// The artificial resource of which every node has one.
const SOLITUDE: f64 = 1.0;

impl Posed {
    /// The problem of these pods in their group.
    pub(crate) fn new(snapshot: &Snapshot, wish: &Wish<'_>, limit: u32, effort: u64) -> Self {
        let pods = wish.pods.as_slice();
        let sorts = one_of_each(snapshot, pods);
        let takes_any = |template: &u32| {
            let holds = |class: &u32| snapshot.pending.pods_per_node(*class, *template) > 0;
            sorts.iter().any(holds)
        };
        let mut told = BTreeSet::new();
        // What the sorts are held by, told by a number: a list for each template would be long.
        let (mut by_column, mut by_held) = (BTreeMap::new(), BTreeMap::new());
        let mut likeness = |template: u32| {
            *by_column
                .entry(snapshot.pending.column_of(template))
                .or_insert_with(|| {
                    let held = sorts
                        .iter()
                        .map(|class| snapshot.pending.pods_per_node(*class, template));
                    let next = by_held.len();
                    *by_held.entry(held.collect::<Vec<u32>>()).or_insert(next)
                })
        };
        let (templates, mut offers): (Vec<u32>, Vec<Offer>) = snapshot
            .catalogue
            .templates_of(wish.group)
            .filter(|(number, template)| template.is_available() && takes_any(number))
            .filter(|(_, template)| wish.datacenter.is_none_or(|only| only == template.datacenter))
            .filter(|(number, template)| {
                // Of templates that differ in name or place only the first stands for all, unless there are too few of it.
                let alike = (
                    snapshot.catalogue.allocatable_of(*number),
                    likeness(*number),
                    template.hourly_micros,
                    template.failures > 0,
                );
                template.headroom < limit || told.insert(alike)
            })
            .map(|(number, template)| {
                #[expect(clippy::cast_precision_loss, reason = "prices are far below 2^52 millionths")]
                let price = template.hourly_micros.max(1) as f64;
                let offer = Offer {
                    price: if template.failures > 0 {
                        price * FAILING
                    } else {
                        price
                    },
                    capacity: numbers(snapshot.catalogue.allocatable_of(number)),
                    limit: template.headroom,
                };
                (number, offer)
            })
            .unzip();
        // Of mixes at one price that of fewer nodes.
        let trifle = offers.iter().map(|offer| offer.price).fold(1.0, f64::max) * TRIFLE;
        offers.iter_mut().for_each(|offer| offer.price += trifle);
        let mut posed = Self {
            problem: Problem {
                rows: rows(snapshot, &templates, pods),
                offers,
                limit,
                effort,
                gap: GAP,
            },
            templates,
        };
        posed.narrow();
        posed.add_solitude(snapshot, pods);
        posed
    }

    /// Keeps the offers that may matter: for each sort the cheapest node that takes it and the cheapest place on a
    /// full one, and what gives most of the resources that are asked for, in several proportions.
    fn narrow(&mut self) {
        if self.problem.offers.len() <= MOST_OFFERS {
            return;
        }
        let mut votes = vec![0_u32; self.problem.offers.len()];
        let mut vote = |offers: &[Offer], most: usize, cost: &dyn Fn(usize) -> Option<f64>| {
            let mut ranked: Vec<(f64, usize)> = (0..offers.len())
                .filter_map(|offer| Some((cost(offer)?, offer)))
                .collect();
            ranked.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
            for (place, (_, offer)) in (0_u32..).zip(ranked.iter().take(most)) {
                votes[*offer] += 8_u32.saturating_sub(place).max(1);
            }
        };
        for row in &self.problem.rows {
            let price = |offer: usize| (row.per_node[offer] > 0).then(|| self.problem.offers[offer].price);
            vote(&self.problem.offers, 2, &price);
            vote(&self.problem.offers, 2, &|offer| {
                Some(price(offer)? / f64::from(row.per_node[offer].min(row.pods)))
            });
        }
        let asked = self.asked();
        for resource in 0..asked.len() {
            for (own, others) in [(1.0, 0.0), (0.75, 0.25), (0.5, 0.5)] {
                let worth = |offer: usize| {
                    let shares = self.problem.offers[offer].capacity.iter().zip(&asked).enumerate();
                    shares
                        .filter(|(_, (_, asked))| **asked > 0.0)
                        .map(|(at, (capacity, asked))| {
                            capacity / asked * if at == resource { own } else { others }
                        })
                        .sum::<f64>()
                };
                vote(&self.problem.offers, 6, &|offer| {
                    Some(self.problem.offers[offer].price / worth(offer).max(1e-9))
                });
            }
        }
        let mut chosen: Vec<usize> = (0..self.problem.offers.len()).collect();
        chosen.sort_by_key(|offer| (std::cmp::Reverse(votes[*offer]), *offer));
        chosen.truncate(MOST_OFFERS);
        chosen.sort_unstable();
        for row in &mut self.problem.rows {
            row.per_node = chosen.iter().map(|offer| row.per_node[*offer]).collect();
        }
        self.problem.offers = chosen
            .iter()
            .map(|offer| self.problem.offers[*offer].clone())
            .collect();
        self.templates = chosen.iter().map(|offer| self.templates[*offer]).collect();
    }

    /// What all pods ask for, by resource.
    fn asked(&self) -> Vec<f64> {
        let mut asked = vec![0.0; self.problem.rows.first().map_or(0, |row| row.requests.len())];
        for row in &self.problem.rows {
            for (sum, request) in asked.iter_mut().zip(&row.requests) {
                *sum += request * f64::from(row.pods);
            }
        }
        asked
    }

    /// Pods of which a node holds only one, though it had room for more, may keep away from others, too: the oracle
    /// tells how many nodes they need altogether. Each then takes its part of a resource of which a node has one.
    fn add_solitude(&mut self, snapshot: &Snapshot, pods: &[ClassCount]) {
        let roomy = |offer: &Offer, requests: &[f64]| {
            let mut needed = offer.capacity.iter().zip(requests);
            needed.all(|(capacity, request)| 2.0 * request <= *capacity)
        };
        let alone_on = |row: &Row, offer: usize| {
            row.per_node[offer] == 1 && roomy(&self.problem.offers[offer], &row.requests)
        };
        let offers = 0..self.problem.offers.len();
        let lonely = |row: &Row| {
            row.per_node.iter().all(|pods| *pods <= 1) && offers.clone().any(|offer| alone_on(row, offer))
        };
        let alone: Vec<bool> = self.problem.rows.iter().map(lonely).collect();
        let total: u32 = self
            .problem
            .rows
            .iter()
            .zip(&alone)
            .filter(|(_, alone)| **alone)
            .map(|(row, _)| row.pods)
            .sum();
        if total == 0 {
            return;
        }
        let takes = |offer: &usize| {
            let rows = self.problem.rows.iter().zip(&alone);
            rows.filter(|(row, alone)| **alone && alone_on(row, *offer))
                .count()
        };
        let Some(roomiest) = offers
            .clone()
            .max_by_key(|offer| (takes(offer), std::cmp::Reverse(*offer)))
        else {
            return;
        };
        let template = self.templates[roomiest];
        let asked: Vec<ClassCount> = pods
            .iter()
            .filter(|count| {
                snapshot.pending.pods_per_node(count.class, template) == 1
                    && roomy(
                        &self.problem.offers[roomiest],
                        &numbers(snapshot.pending.requests_of(count.class)),
                    )
            })
            .copied()
            .collect();
        let largest = asked.iter().map(|count| count.pods).max().unwrap_or(0);
        let asked_pods: u32 = asked.iter().map(|count| count.pods).sum();
        let outcome = what_if::ask(&Question::additions(
            vec![Addition {
                template,
                count: asked_pods.min(self.problem.limit),
            }],
            asked,
        ));
        let placed = u64::from(asked_pods).saturating_sub(outcome.unplaced_pods());
        // As many nodes as the largest class has pods: pods of different classes do share a node.
        if placed == 0 || outcome.used_of(0) <= largest {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "pods")]
        let part = f64::from(outcome.used_of(0)) / placed as f64;
        for (row, alone) in self.problem.rows.iter_mut().zip(alone) {
            row.requests.push(if alone { SOLITUDE * part } else { 0.0 });
        }
        for offer in &mut self.problem.offers {
            offer.capacity.push(SOLITUDE);
        }
    }
}

/// One class for all that every template holds alike.
pub(crate) fn one_of_each(snapshot: &Snapshot, pods: &[ClassCount]) -> Vec<u32> {
    let by_row = pods
        .iter()
        .map(|count| (snapshot.pending.row_of(count.class), count.class));
    by_row.collect::<BTreeMap<u32, u32>>().into_values().collect()
}

/// The pods as rows, those that no offer can tell apart in one.
fn rows(snapshot: &Snapshot, templates: &[u32], pods: &[ClassCount]) -> Vec<Row> {
    // A class of each sort, and the pods of all.
    let mut known: BTreeMap<(&[u64], u32), (u32, u32)> = BTreeMap::new();
    for count in pods.iter().filter(|count| count.pods > 0) {
        let sort = (
            snapshot.pending.requests_of(count.class),
            snapshot.pending.row_of(count.class),
        );
        let (_, pods) = known.entry(sort).or_insert((count.class, 0));
        *pods = pods.saturating_add(count.pods);
    }
    let rows = known.into_iter().map(|((requests, _), (class, pods))| Row {
        pods,
        requests: numbers(requests),
        per_node: templates
            .iter()
            .map(|template| snapshot.pending.pods_per_node(class, *template))
            .collect(),
    });
    let rows: Vec<Row> = rows
        .filter(|row| row.per_node.iter().any(|pods| *pods > 0))
        .collect();
    if rows.len() <= MOST_ROWS {
        return rows;
    }
    // Neighbours in the order of requests are most alike.
    rows.chunks(rows.len().div_ceil(MOST_ROWS)).map(merge).collect()
}

/// One row for several: their mean, with the most cautious count per node.
fn merge(rows: &[Row]) -> Row {
    let pods: u32 = rows.iter().map(|row| row.pods).sum();
    let mean = |resource: usize| {
        let sum: f64 = rows
            .iter()
            .map(|row| row.requests[resource] * f64::from(row.pods))
            .sum();
        sum / f64::from(pods.max(1))
    };
    let fewest = |offer: usize| rows.iter().map(|row| row.per_node[offer]).min().unwrap_or(0);
    let most = |offer: usize| rows.iter().map(|row| row.per_node[offer]).max().unwrap_or(0);
    let offers = rows[0].per_node.len();
    let common = (0..offers).any(|offer| fewest(offer) > 0);
    Row {
        pods,
        requests: (0..rows[0].requests.len()).map(mean).collect(),
        per_node: (0..offers)
            .map(|offer| if common { fewest(offer) } else { most(offer) })
            .collect(),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "amounts, for weighing; the oracle counts exactly"
)]
fn numbers(amounts: &[u64]) -> Vec<f64> {
    amounts.iter().map(|amount| *amount as f64).collect()
}
