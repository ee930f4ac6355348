//! Patterns: what one node of an offer may hold.

use crate::problem::Problem;
use std::collections::BTreeMap;

/// A node of an offer with the pods on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    pub offer: usize,
    /// Row and pods, by row.
    pub load: Vec<(usize, u32)>,
}

impl Pattern {
    /// What the pods are worth.
    pub(crate) fn value(&self, values: &[f64]) -> f64 {
        self.load
            .iter()
            .map(|(row, pods)| values[*row] * f64::from(*pods))
            .sum()
    }

    /// Takes the pods of the pattern off.
    pub(crate) fn take(&self, left: &mut [u32], times: u32) {
        for (row, pods) in &self.load {
            left[*row] = left[*row].saturating_sub(pods.saturating_mul(times));
        }
    }
}

/// How the first two resources weigh against each other when pods compete for a node.
const PROPORTIONS: [f64; 5] = [0.5, 0.15, 0.35, 0.65, 0.85];

/// With no more rows than this, a node is also tried with every number of pods of every row to begin with.
const FEW_ROWS: usize = 14;
const MOST_BEGUN: u32 = 24;

/// How many rows [`most_valuable`] looks at, by their number, the pods of the pattern aside.
pub(crate) fn effort_of(rows: usize) -> usize {
    let begun = if rows <= FEW_ROWS {
        2 * rows * MOST_BEGUN as usize
    } else {
        0
    };
    rows * (2 * PROPORTIONS.len() + begun)
}

/// The most valuable pattern that a few greedy ways find: by value for the room that a pod takes, with the scarce
/// resources weighed in several proportions, and by what suits the node best.
pub(crate) fn most_valuable(
    problem: &Problem,
    offer: usize,
    left: &[u32],
    values: &[f64],
) -> Option<Pattern> {
    let none = (0, 0);
    let by_value = PROPORTIONS
        .iter()
        .map(|first| by_density(problem, offer, left, values, *first, none));
    let mut begun = Vec::new();
    let rows: Vec<usize> = candidates(problem, offer, left, values).collect();
    if rows.len() <= FEW_ROWS {
        for row in rows {
            let most = room(&problem.offers[offer].capacity, &problem.rows[row].requests).min(MOST_BEGUN);
            begun.extend((1..=most).map(|pods| (row, pods)));
        }
    }
    let begun = begun
        .into_iter()
        .flat_map(|begun| [0.3, 0.7].map(|first| by_density(problem, offer, left, values, first, begun)));
    let mut best: Option<(f64, Pattern)> = None;
    let suitable = std::iter::once(by_suitability(problem, offer, left, values));
    for pattern in by_value.chain(begun).chain(suitable) {
        let value = pattern.value(values);
        if !pattern.load.is_empty() && best.as_ref().is_none_or(|(most, _)| value > *most + 1e-9) {
            best = Some((value, pattern));
        }
    }
    best.map(|(_, pattern)| pattern)
}

/// The pods of highest value for their room first, after so many of the row to begin with.
pub(crate) fn by_density(
    problem: &Problem,
    offer: usize,
    left: &[u32],
    values: &[f64],
    first: f64,
    begun: (usize, u32),
) -> Pattern {
    let capacity = &problem.offers[offer].capacity;
    let mut order: Vec<(f64, usize)> = candidates(problem, offer, left, values)
        .map(|row| {
            let room: f64 = capacity
                .iter()
                .zip(&problem.rows[row].requests)
                .enumerate()
                .filter(|(_, (capacity, _))| **capacity > 0.0)
                .map(|(resource, (capacity, request))| {
                    let weight = match resource {
                        0 => first,
                        1 => 1.0 - first,
                        _ => 0.2,
                    };
                    weight * request / capacity
                })
                .sum();
            (values[row] / room.max(1e-9), row)
        })
        .collect();
    order.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    let mut free = capacity.clone();
    let mut load = BTreeMap::new();
    let begun = (begun.1 > 0).then_some((begun.0, begun.1));
    for (row, most) in begun
        .into_iter()
        .chain(order.into_iter().map(|(_, row)| (row, u32::MAX)))
    {
        let loaded = load.entry(row).or_insert(0);
        let most = most.min(
            problem.rows[row].per_node[offer]
                .min(left[row])
                .saturating_sub(*loaded),
        );
        let pods = room(&free, &problem.rows[row].requests).min(most);
        put(&mut free, &problem.rows[row].requests, pods);
        *loaded += pods;
    }
    let load = load.into_iter().filter(|(_, pods)| *pods > 0).collect();
    Pattern { offer, load }
}

/// The pods that suit what the node has left, as the host packs them: a large scalar product of what is free and
/// what the pod takes, each resource weighted by how much of it is asked for.
fn by_suitability(problem: &Problem, offer: usize, left: &[u32], values: &[f64]) -> Pattern {
    let capacity = &problem.offers[offer].capacity;
    let rows: Vec<usize> = candidates(problem, offer, left, values).collect();
    let part = |resource: usize, amount: f64| {
        if capacity[resource] > 0.0 {
            amount / capacity[resource]
        } else {
            0.0
        }
    };
    let mut weights = vec![0.0; capacity.len()];
    for row in &rows {
        for (resource, request) in problem.rows[*row].requests.iter().enumerate() {
            weights[resource] += part(resource, *request) * f64::from(left[*row]);
        }
    }
    let mut free = capacity.clone();
    let mut load = vec![0_u32; problem.rows.len()];
    loop {
        let mut best: Option<(f64, usize)> = None;
        for row in &rows {
            let asked = &problem.rows[*row];
            if load[*row] >= left[*row].min(asked.per_node[offer]) || room(&free, &asked.requests) == 0 {
                continue;
            }
            let suits: f64 = asked
                .requests
                .iter()
                .enumerate()
                .map(|(resource, request)| {
                    weights[resource] * part(resource, free[resource]) * part(resource, *request)
                })
                .sum();
            if best.is_none_or(|(most, _)| suits > most) {
                best = Some((suits, *row));
            }
        }
        let Some((_, row)) = best else { break };
        put(&mut free, &problem.rows[row].requests, 1);
        load[row] += 1;
    }
    let load = load
        .into_iter()
        .enumerate()
        .filter(|(_, pods)| *pods > 0)
        .collect();
    Pattern { offer, load }
}

fn candidates<'a>(
    problem: &'a Problem,
    offer: usize,
    left: &'a [u32],
    values: &'a [f64],
) -> impl Iterator<Item = usize> + 'a {
    (0..problem.rows.len())
        .filter(move |row| left[*row] > 0 && values[*row] > 0.0 && problem.rows[*row].per_node[offer] > 0)
}

/// How many pods of these requests the free amounts hold.
fn room(free: &[f64], requests: &[f64]) -> u32 {
    let mut room = f64::from(u32::MAX);
    for (free, request) in free.iter().zip(requests) {
        if *request > 0.0 {
            // Amounts are whole numbers: a tiny error of division must not cost a pod.
            room = room.min((free / request + 1e-9).floor());
        }
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and u32::MAX"
    )]
    let room = room.max(0.0) as u32;
    room
}

fn put(free: &mut [f64], requests: &[f64], pods: u32) {
    for (free, request) in free.iter_mut().zip(requests) {
        *free -= request * f64::from(pods);
    }
}
