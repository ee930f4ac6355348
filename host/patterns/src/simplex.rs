//! The linear program of patterns: how much of each pattern covers all pods at the least price.
//!
//! The revised simplex method with a dense inverse of the basis. Every row begins with an artificial column that
//! leaves its pods without a place, at a price that nobody pays while there is another way; so there is a basis at
//! once, and limits that are too tight show as pods without a place.

const EPSILON: f64 = 1e-7;

/// A column: its price, and how many pods of each row it covers.
#[derive(Clone, Debug)]
struct Column {
    price: f64,
    entries: Vec<(usize, f64)>,
}

pub(crate) struct Program {
    /// Pods by row; then the limits of nodes.
    wanted: Vec<f64>,
    /// How many of the rows are pods.
    pods: usize,
    columns: Vec<Column>,
    /// By place in the basis.
    basis: Vec<usize>,
    amounts: Vec<f64>,
    inverse: Vec<Vec<f64>>,
}

impl Program {
    /// Covers these pods within these limits of nodes; a pod without a place costs `penalty`.
    pub(crate) fn new(pods: &[u32], limits: &[u32], penalty: f64) -> Self {
        let wanted: Vec<f64> = pods
            .iter()
            .chain(limits)
            .map(|amount| f64::from(*amount))
            .collect();
        let rows = wanted.len();
        let mut columns = Vec::new();
        for row in 0..rows {
            // Those of limits are their slack, and cost nothing.
            let price = if row < pods.len() { penalty } else { 0.0 };
            columns.push(Column {
                price,
                entries: vec![(row, 1.0)],
            });
        }
        for row in 0..pods.len() {
            // More places than pods.
            columns.push(Column {
                price: 0.0,
                entries: vec![(row, -1.0)],
            });
        }
        let unit = |row: usize| (0..rows).map(|at| if at == row { 1.0 } else { 0.0 }).collect();
        Self {
            basis: (0..rows).collect(),
            amounts: wanted.clone(),
            inverse: (0..rows).map(unit).collect(),
            pods: pods.len(),
            wanted,
            columns,
        }
    }

    /// Adds a pattern that counts under these limits, and returns its number.
    pub(crate) fn add(&mut self, price: f64, load: &[(usize, u32)], limits: &[usize]) -> usize {
        let pods = load.iter().map(|(row, pods)| (*row, f64::from(*pods)));
        let limits = limits.iter().map(|limit| (self.pods + limit, 1.0));
        let entries = pods.chain(limits).collect();
        self.columns.push(Column { price, entries });
        self.columns.len() - 1
    }

    /// What one more pod of each row would cost, then what one node more under each limit.
    pub(crate) fn values(&self) -> Vec<f64> {
        let rows = self.wanted.len();
        let mut values = vec![0.0; rows];
        for (place, column) in self.basis.iter().enumerate() {
            let price = self.columns[*column].price;
            if price != 0.0 {
                for (value, entry) in values.iter_mut().zip(&self.inverse[place]) {
                    *value += price * entry;
                }
            }
        }
        values
    }

    pub(crate) fn rows(&self) -> usize {
        self.wanted.len()
    }

    /// Improves until nothing does, or for so many steps. Returns how many it took.
    pub(crate) fn solve(&mut self, steps: usize) -> usize {
        for step in 0..steps {
            let values = self.values();
            let gain = |column: &Column| {
                column
                    .entries
                    .iter()
                    .map(|(row, entry)| values[*row] * entry)
                    .sum::<f64>()
                    - column.price
            };
            let mut best: Option<(f64, usize)> = None;
            for (at, column) in self.columns.iter().enumerate() {
                // For the way that it goes, or columns of many pods would always seem to win.
                let way: f64 = column.entries.iter().map(|(_, entry)| entry * entry).sum();
                let gain = gain(column) / way.sqrt();
                if gain > EPSILON && best.is_none_or(|(most, _)| gain > most) {
                    best = Some((gain, at));
                }
            }
            let Some((_, entering)) = best else { return step };
            if !self.pivot(entering) {
                return step;
            }
        }
        steps
    }

    /// Brings a column into the basis. False where it could grow without bound, which a price above 0 excludes.
    fn pivot(&mut self, entering: usize) -> bool {
        let rows = self.wanted.len();
        let mut direction = vec![0.0; rows];
        for (place, direction) in direction.iter_mut().enumerate() {
            let inverse = &self.inverse[place];
            *direction = self.columns[entering]
                .entries
                .iter()
                .map(|(row, entry)| inverse[*row] * entry)
                .sum();
        }
        let mut leaving: Option<(f64, f64, usize)> = None;
        for (place, by) in direction.iter().enumerate() {
            if *by > EPSILON {
                let ratio = self.amounts[place].max(0.0) / by;
                let better = leaving.is_none_or(|(least, pivot, _)| {
                    ratio < least - EPSILON || (ratio <= least + EPSILON && *by > pivot)
                });
                if better {
                    leaving = Some((ratio, *by, place));
                }
            }
        }
        let Some((ratio, pivot, place)) = leaving else {
            return false;
        };
        let row: Vec<f64> = self.inverse[place].iter().map(|entry| entry / pivot).collect();
        for (at, along) in direction.iter().enumerate() {
            if at != place && *along != 0.0 {
                for (entry, by) in self.inverse[at].iter_mut().zip(&row) {
                    *entry -= along * by;
                }
                self.amounts[at] -= along * ratio;
            }
        }
        self.inverse[place] = row;
        self.amounts[place] = ratio;
        self.basis[place] = entering;
        true
    }

    /// How much of each pattern, by its number; only what is there.
    pub(crate) fn amounts(&self) -> impl Iterator<Item = (usize, f64)> {
        let patterns = self.wanted.len() + self.pods;
        self.basis
            .iter()
            .zip(&self.amounts)
            .filter(move |(column, amount)| **column >= patterns && **amount > EPSILON)
            .map(|(column, amount)| (*column, *amount))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(program: &Program) -> f64 {
        program
            .amounts()
            .map(|(at, amount)| program.columns[at].price * amount)
            .sum()
    }

    #[test]
    fn the_cheapest_cover() {
        // Two sorts of pods; patterns (price, pods of the first, of the second), limit, price of the cover.
        type Case<'a> = (&'a str, [u32; 2], &'a [(f64, u32, u32)], u32, f64);
        let cases: [Case<'_>; 4] = [
            (
                "one pattern each",
                [10, 6],
                &[(5.0, 2, 0), (4.0, 0, 3)],
                100,
                33.0,
            ),
            (
                "a mixture is cheaper",
                [10, 10],
                &[(5.0, 2, 0), (5.0, 0, 2), (6.0, 2, 2)],
                100,
                30.0,
            ),
            ("half a node counts half", [5, 0], &[(4.0, 2, 0)], 100, 10.0),
            (
                "few nodes: the dear large ones",
                [10, 0],
                &[(1.0, 1, 0), (9.0, 5, 0)],
                2,
                18.0,
            ),
        ];
        for (name, pods, patterns, limit, price) in cases {
            let mut program = Program::new(&pods, &[limit], 1000.0);
            for (price, one, other) in patterns {
                program.add(*price, &[(0, *one), (1, *other)], &[0]);
            }
            program.solve(100);
            assert!(
                (total(&program) - price).abs() < 1e-6,
                "{name}: {}",
                total(&program)
            );
        }
    }

    #[test]
    fn the_value_of_a_pod_is_what_one_more_would_cost() {
        let mut program = Program::new(&[9], &[100], 1000.0);
        program.add(6.0, &[(0, 3)], &[0]);
        program.solve(100);
        assert_eq!(program.values(), [2.0, 0.0]);
    }
}
