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
/// The weight of every other resource.
const OTHERS: f64 = 0.2;

/// With no more rows than this, a node is also tried with every number of pods of every row to begin with.
const FEW_ROWS: usize = 14;
const MOST_BEGUN: u32 = 24;
/// With no more pods than this, a node is also filled pod by pod: on a larger one the last pods matter little.
const FEW_PODS: u32 = 96;

/// What a pattern is wanted for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    /// One of a value above this; which one matters little, and that there is none is soon seen.
    Above(f64),
    /// The most valuable.
    Best,
}

/// A pattern that was looked for, and how many rows were looked at for it.
pub(crate) struct Sought {
    pub(crate) pattern: Option<Pattern>,
    pub(crate) effort: usize,
}

/// The most valuable pattern that a few greedy ways find: by value for the room that a pod takes, with the scarce
/// resources weighed in several proportions, and by what suits the node best.
pub(crate) fn most_valuable(
    problem: &Problem,
    offer: usize,
    left: &[u32],
    values: &[f64],
    wanted: Wanted,
) -> Sought {
    let mut greedy = Greedy::new(problem, offer, left, values);
    let needed = match wanted {
        Wanted::Above(needed) => needed,
        Wanted::Best => f64::NEG_INFINITY,
    };
    for first in PROPORTIONS {
        let (order, most) = greedy.by_density(first);
        if most <= needed {
            // No way of filling the node is worth as much.
            return greedy.end_without();
        }
        greedy.fill(&order, None);
    }
    let is_wanted = |greedy: &Greedy<'_>| matches!(wanted, Wanted::Best) || greedy.value <= needed;
    if greedy.most.iter().sum::<u32>() <= FEW_PODS && is_wanted(&greedy) {
        greedy.by_suitability();
    }
    if greedy.rows.len() <= FEW_ROWS && is_wanted(&greedy) {
        for first in BEGUN_PROPORTIONS {
            let (order, _) = greedy.by_density(first);
            for row in greedy.rows.clone() {
                let most = room(&problem.offers[offer].capacity, &problem.rows[row].requests);
                for pods in 1..=most.min(MOST_BEGUN) {
                    greedy.fill(&order, Some((row, pods)));
                }
            }
        }
    }
    greedy.best()
}

/// The pods of highest value for their room, both resources weighed alike.
pub(crate) fn by_density(problem: &Problem, offer: usize, left: &[u32], values: &[f64]) -> Sought {
    let mut greedy = Greedy::new(problem, offer, left, values);
    let (order, _) = greedy.by_density(0.5);
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
    /// By place among them, then by resource: the part of the node that a pod takes.
    parts: Vec<f64>,
    /// By row: the load in the making, and the best so far with its value.
    load: Vec<u32>,
    most: Vec<u32>,
    value: f64,
    free: Vec<f64>,
    /// Rows looked at.
    effort: usize,
}

impl<'a> Greedy<'a> {
    fn new(problem: &'a Problem, offer: usize, left: &'a [u32], values: &'a [f64]) -> Self {
        let holds =
            |row: &usize| left[*row] > 0 && values[*row] > 0.0 && problem.rows[*row].per_node[offer] > 0;
        let rows: Vec<usize> = (0..problem.rows.len()).filter(holds).collect();
        let capacity = &problem.offers[offer].capacity;
        // Of what the node has nothing of, a pod that it holds asks for nothing.
        let each: Vec<f64> = capacity
            .iter()
            .map(|all| if *all > 0.0 { 1.0 / all } else { 0.0 })
            .collect();
        let mut parts = Vec::with_capacity(rows.len() * capacity.len());
        for row in &rows {
            let requests = problem.rows[*row].requests.iter().zip(&each);
            parts.extend(requests.map(|(request, each)| request * each));
        }
        Self {
            problem,
            offer,
            left,
            values,
            effort: rows.len(),
            rows,
            parts,
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

    /// What a pod of the row at this place takes, in parts of the node.
    fn parts(&self, place: usize) -> &[f64] {
        let width = self.problem.offers[self.offer].capacity.len();
        &self.parts[place * width..(place + 1) * width]
    }

    /// The rows by the value of a pod for the room that it takes, the best first; and what no load of the node can be
    /// worth more than: a node full of the best by the first two resources.
    fn by_density(&mut self, first: f64) -> (Vec<usize>, f64) {
        self.effort += self.rows.len();
        let mut most = 0.0;
        let mut order: Vec<(f64, usize)> = Vec::with_capacity(self.rows.len());
        for (place, row) in self.rows.iter().enumerate() {
            let (mut room, mut others) = (0.0, 0.0);
            for (resource, part) in self.parts(place).iter().enumerate() {
                match resource {
                    0 => room += first * part,
                    1 => room += (1.0 - first) * part,
                    _ => others += OTHERS * part,
                }
            }
            let value = self.values[*row];
            most = f64::max(most, value / room);
            order.push((value / f64::max(room + others, 1e-9), *row));
        }
        order.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        (order.into_iter().map(|(_, row)| row).collect(), most)
    }

    /// Rows in this order, each as far as it goes, after so many of a row to begin with.
    fn fill(&mut self, order: &[usize], begun: Option<(usize, u32)>) {
        self.effort += order.len();
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
        if most > 0 && holds(&self.free, &asked.requests) {
            let pods = room(&self.free, &asked.requests).min(most);
            if pods > 0 {
                self.put(row, pods);
            }
        }
    }

    /// The pods that suit what the node has left, as the host packs them: a large scalar product of what is free and
    /// what the pod takes, each resource weighted by how much of it is asked for.
    fn by_suitability(&mut self) {
        let width = self.problem.offers[self.offer].capacity.len();
        let mut weights = vec![0.0; width];
        for (place, row) in self.rows.iter().enumerate() {
            for (weight, part) in weights.iter_mut().zip(self.parts(place)) {
                *weight += part * f64::from(self.left[*row]);
            }
        }
        // What a pod takes counts for the weight of a resource, and for how much of it there is.
        let capacity = &self.problem.offers[self.offer].capacity;
        let weigh = |(weight, all): (&f64, &f64)| if *all > 0.0 { weight / all } else { 0.0 };
        let weights: Vec<f64> = weights.iter().zip(capacity).map(weigh).collect();
        self.begin();
        // Place, and how many pods more.
        let most = |row: &usize| self.left[*row].min(self.problem.rows[*row].per_node[self.offer]);
        let mut open: Vec<(usize, u32)> = self.rows.iter().map(most).enumerate().collect();
        let mut scales = vec![0.0; width];
        loop {
            for ((scale, weight), free) in scales.iter_mut().zip(&weights).zip(&self.free) {
                *scale = weight * free;
            }
            let mut best: Option<(f64, usize)> = None;
            let mut kept = 0;
            for at in 0..open.len() {
                let (place, more) = open[at];
                // A row that does not fit any more will not later.
                if more == 0 || !holds(&self.free, &self.problem.rows[self.rows[place]].requests) {
                    continue;
                }
                let parts = scales.iter().zip(self.parts(place));
                let suits: f64 = parts.map(|(scale, part)| scale * part).sum();
                if best.is_none_or(|(most, _)| suits > most) {
                    best = Some((suits, kept));
                }
                open[kept] = (place, more);
                kept += 1;
            }
            open.truncate(kept);
            self.effort += kept;
            let Some((_, best)) = best else { break };
            open[best].1 -= 1;
            self.put(self.rows[open[best].0], 1);
        }
        self.end();
    }

    fn end_without(self) -> Sought {
        Sought {
            pattern: None,
            effort: self.effort,
        }
    }

    fn best(self) -> Sought {
        let load: Vec<(usize, u32)> = self
            .most
            .into_iter()
            .enumerate()
            .filter(|(_, pods)| *pods > 0)
            .collect();
        let pattern = Pattern {
            offer: self.offer,
            load,
        };
        Sought {
            pattern: Some(pattern).filter(|pattern| !pattern.load.is_empty()),
            effort: self.effort,
        }
    }
}

/// Whether a pod of these requests fits. Amounts are whole numbers: a tiny error must not cost a pod.
fn holds(free: &[f64], requests: &[f64]) -> bool {
    let mut amounts = free.iter().zip(requests);
    amounts.all(|(free, request)| *request <= free + 1e-9)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::tests::diverse;

    #[test]
    fn nothing_above_means_that_nothing_is() {
        let problem = diverse(3000, 300);
        let left: Vec<u32> = problem.rows.iter().map(|row| row.pods).collect();
        // By the memory alone, which is scarce here, and by CPU and memory.
        let (mut found, mut refused) = (0, 0);
        for cpu in [0.0, 0.1] {
            let worth =
                |row: &crate::Row| (row.requests[1] / 2048.0 + cpu * row.requests[0] / 1000.0) * 275.0;
            let values: Vec<f64> = problem.rows.iter().map(worth).collect();
            for (offer, at) in problem.offers.iter().enumerate() {
                let best = most_valuable(&problem, offer, &left, &values, Wanted::Best);
                let best = best.pattern.map_or(0.0, |pattern| pattern.value(&values));
                for part in [0.8, 0.95, 1.0, 1.05, 1.2] {
                    let needed = at.price * part;
                    let above = most_valuable(&problem, offer, &left, &values, Wanted::Above(needed));
                    let above = above.pattern.map_or(0.0, |pattern| pattern.value(&values));
                    assert_eq!(
                        above > needed,
                        best > needed,
                        "{offer}: {above}, {best} of {needed}"
                    );
                    *(if above > needed { &mut found } else { &mut refused }) += 1;
                }
            }
        }
        assert!(found > 50 && refused > 50, "{found} found, {refused} refused");
    }
}
