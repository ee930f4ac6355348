//! Patterns: what one node of an offer may hold.

use crate::problem::Problem;

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
/// The same for a node that holds some pods to begin with.
const BEGUN_PROPORTIONS: [f64; 2] = [0.3, 0.7];

/// With no more rows than this, a node is also tried with every number of pods of every row to begin with.
const FEW_ROWS: usize = 14;
const MOST_BEGUN: u32 = 24;
/// With no more pods than this, a node is also filled pod by pod: on a larger one the last pods matter little.
pub(crate) const FEW_PODS: u32 = 96;

/// How many rows [`most_valuable`] looks at, by their number, the pods of the pattern aside.
pub(crate) fn effort_of(rows: usize) -> usize {
    let begun = if rows <= FEW_ROWS {
        BEGUN_PROPORTIONS.len() * rows * MOST_BEGUN as usize
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
    let mut greedy = Greedy::new(problem, offer, left, values);
    for first in PROPORTIONS {
        let order = greedy.by_density(first);
        greedy.fill(&order, None);
    }
    if greedy.rows.len() <= FEW_ROWS {
        for first in BEGUN_PROPORTIONS {
            let order = greedy.by_density(first);
            for row in greedy.rows.clone() {
                let most = room(&problem.offers[offer].capacity, &problem.rows[row].requests);
                for pods in 1..=most.min(MOST_BEGUN) {
                    greedy.fill(&order, Some((row, pods)));
                }
            }
        }
    }
    if greedy.most.iter().sum::<u32>() <= FEW_PODS {
        greedy.by_suitability();
    }
    greedy.best()
}

/// The pods of highest value for their room, both resources weighed alike.
pub(crate) fn by_density(problem: &Problem, offer: usize, left: &[u32], values: &[f64]) -> Option<Pattern> {
    let mut greedy = Greedy::new(problem, offer, left, values);
    let order = greedy.by_density(0.5);
    greedy.fill(&order, None);
    greedy.best()
}

/// Greedy ways to fill one node of an offer; the most valuable load is kept.
struct Greedy<'a> {
    problem: &'a Problem,
    offer: usize,
    left: &'a [u32],
    values: &'a [f64],
    /// Rows that the node may hold.
    rows: Vec<usize>,
    /// By row: the load in the making, and the best so far with its value.
    load: Vec<u32>,
    most: Vec<u32>,
    value: f64,
    free: Vec<f64>,
}

impl<'a> Greedy<'a> {
    fn new(problem: &'a Problem, offer: usize, left: &'a [u32], values: &'a [f64]) -> Self {
        let holds =
            |row: &usize| left[*row] > 0 && values[*row] > 0.0 && problem.rows[*row].per_node[offer] > 0;
        Self {
            problem,
            offer,
            left,
            values,
            rows: (0..problem.rows.len()).filter(holds).collect(),
            load: vec![0; problem.rows.len()],
            most: vec![0; problem.rows.len()],
            value: 0.0,
            free: Vec::new(),
        }
    }

    fn begin(&mut self) {
        self.load.fill(0);
        self.free.clear();
        self.free
            .extend_from_slice(&self.problem.offers[self.offer].capacity);
    }

    /// Keeps the load if none before was worth as much.
    fn end(&mut self) {
        let worth = |row: &usize| self.values[*row] * f64::from(self.load[*row]);
        let value: f64 = self.rows.iter().map(worth).sum();
        if value > self.value + 1e-9 {
            self.value = value;
            self.most.copy_from_slice(&self.load);
        }
    }

    fn put(&mut self, row: usize, pods: u32) {
        let requests = &self.problem.rows[row].requests;
        for (free, request) in self.free.iter_mut().zip(requests) {
            *free -= request * f64::from(pods);
        }
        self.load[row] += pods;
    }

    /// The rows by the value of a pod for the room that it takes, the best first.
    fn by_density(&self, first: f64) -> Vec<usize> {
        let capacity = &self.problem.offers[self.offer].capacity;
        let density = |row: usize| {
            let mut room = 0.0;
            for (resource, (capacity, request)) in
                capacity.iter().zip(&self.problem.rows[row].requests).enumerate()
            {
                if *capacity > 0.0 {
                    let weight = match resource {
                        0 => first,
                        1 => 1.0 - first,
                        _ => 0.2,
                    };
                    room += weight * request / capacity;
                }
            }
            self.values[row] / f64::max(room, 1e-9)
        };
        let mut order: Vec<(f64, usize)> = self.rows.iter().map(|row| (density(*row), *row)).collect();
        order.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        order.into_iter().map(|(_, row)| row).collect()
    }

    /// Rows in this order, each as far as it goes, after so many of a row to begin with.
    fn fill(&mut self, order: &[usize], begun: Option<(usize, u32)>) {
        self.begin();
        if let Some((row, pods)) = begun {
            self.fill_row(row, pods);
        }
        for row in order {
            self.fill_row(*row, u32::MAX);
        }
        self.end();
    }

    fn fill_row(&mut self, row: usize, most: u32) {
        let asked = &self.problem.rows[row];
        let most = most.min(
            asked.per_node[self.offer]
                .min(self.left[row])
                .saturating_sub(self.load[row]),
        );
        if most > 0 {
            let pods = room(&self.free, &asked.requests).min(most);
            if pods > 0 {
                self.put(row, pods);
            }
        }
    }

    /// The pods that suit what the node has left, as the host packs them: a large scalar product of what is free and
    /// what the pod takes, each resource weighted by how much of it is asked for.
    fn by_suitability(&mut self) {
        let capacity = &self.problem.offers[self.offer].capacity;
        let part = |resource: usize, amount: f64| {
            if capacity[resource] > 0.0 {
                amount / capacity[resource]
            } else {
                0.0
            }
        };
        let mut weights = vec![0.0; capacity.len()];
        for row in &self.rows {
            for (resource, request) in self.problem.rows[*row].requests.iter().enumerate() {
                weights[resource] += part(resource, *request) * f64::from(self.left[*row]);
            }
        }
        self.begin();
        let mut open = self.rows.clone();
        loop {
            // A row that does not fit any more will not later.
            open.retain(|row| {
                let asked = &self.problem.rows[*row];
                self.load[*row] < self.left[*row].min(asked.per_node[self.offer])
                    && asked
                        .requests
                        .iter()
                        .zip(&self.free)
                        .all(|(request, free)| *request <= free + 1e-9)
            });
            let mut best: Option<(f64, usize)> = None;
            for row in &open {
                let mut suits = 0.0;
                for (resource, request) in self.problem.rows[*row].requests.iter().enumerate() {
                    suits +=
                        weights[resource] * part(resource, self.free[resource]) * part(resource, *request);
                }
                if best.is_none_or(|(most, _)| suits > most) {
                    best = Some((suits, *row));
                }
            }
            let Some((_, row)) = best else { break };
            self.put(row, 1);
        }
        self.end();
    }

    fn best(self) -> Option<Pattern> {
        let load: Vec<(usize, u32)> = self
            .most
            .into_iter()
            .enumerate()
            .filter(|(_, pods)| *pods > 0)
            .collect();
        (!load.is_empty()).then_some(Pattern {
            offer: self.offer,
            load,
        })
    }
}

/// How many pods of these requests the free amounts hold.
pub(crate) fn room(free: &[f64], requests: &[f64]) -> u32 {
    let mut room = f64::from(u32::MAX);
    for (free, request) in free.iter().zip(requests) {
        if *request > 0.0 {
            // Amounts are whole numbers: a tiny error of division must not cost a pod.
            room = room.min(free / request + 1e-9);
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
