//! The linear program of patterns: how much of each pattern covers all pods at the least price.
//!
//! The revised simplex method with a dense inverse of the basis. Every row begins with an artificial column that
//! leaves its pods without a place, at a price that nobody pays while there is another way; so there is a basis at
//! once, and limits that are too tight show as pods without a place.

const EPSILON: f64 = 1e-7;

/// A column: its price, how many pods of each row it covers, and how long it is.
#[derive(Clone, Debug)]
struct Column {
    price: f64,
    entries: Vec<(usize, f64)>,
    /// The gain counts for the way that it goes, or columns of many pods would always seem to win.
    per_length: f64,
}

impl Column {
    fn new(price: f64, entries: Vec<(usize, f64)>) -> Self {
        let squared: f64 = entries.iter().map(|(_, entry)| entry * entry).sum();
        Self {
            per_length: 1.0 / squared.sqrt(),
            price,
            entries,
        }
    }

    /// What is saved by a node of it at these values.
    fn gain(&self, values: &[f64]) -> f64 {
        let worth: f64 = self.entries.iter().map(|(row, entry)| values[*row] * entry).sum();
        worth - self.price
    }
}

pub(crate) struct Program {
    /// How many rows there are: pods, then the limits of nodes.
    rows: usize,
    /// How many of the rows are pods.
    pods: usize,
    columns: Vec<Column>,
    /// By place in the basis.
    basis: Vec<usize>,
    amounts: Vec<f64>,
    /// Places × rows.
    inverse: Vec<f64>,
    /// What one more of each row would cost. Each step changes them along one row of the inverse.
    values: Vec<f64>,
}

impl Program {
    /// Covers these pods within these limits of nodes; a pod without a place costs `penalty`.
    pub(crate) fn new(pods: &[u32], limits: &[u32], penalty: f64) -> Self {
        let amounts: Vec<f64> = pods
            .iter()
            .chain(limits)
            .map(|amount| f64::from(*amount))
            .collect();
        let rows = amounts.len();
        // Those of limits are their slack, and cost nothing.
        let price = |row: usize| if row < pods.len() { penalty } else { 0.0 };
        let lacking = (0..rows).map(|row| Column::new(price(row), vec![(row, 1.0)]));
        // More places than pods.
        let spare = (0..pods.len()).map(|row| Column::new(0.0, vec![(row, -1.0)]));
        let mut inverse = vec![0.0; rows * rows];
        inverse
            .iter_mut()
            .step_by(rows + 1)
            .for_each(|entry| *entry = 1.0);
        Self {
            columns: lacking.chain(spare).collect(),
            basis: (0..rows).collect(),
            values: (0..rows).map(price).collect(),
            pods: pods.len(),
            rows,
            amounts,
            inverse,
        }
    }

    /// Adds a pattern that counts under these limits, and returns its number.
    pub(crate) fn add(&mut self, price: f64, load: &[(usize, u32)], limits: &[usize]) -> usize {
        let pods = load.iter().map(|(row, pods)| (*row, f64::from(*pods)));
        let limits = limits.iter().map(|limit| (self.pods + limit, 1.0));
        self.columns
            .push(Column::new(price, pods.chain(limits).collect()));
        self.columns.len() - 1
    }

    /// What one more pod of each row would cost, then what one node more under each limit.
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// What the nodes cost at present, pods without a place included.
    pub(crate) fn price(&self) -> f64 {
        let parts = self.basis.iter().zip(&self.amounts);
        parts
            .map(|(column, amount)| self.columns[*column].price * amount)
            .sum()
    }

    /// Improves until nothing does, or for so many steps. Returns how many it took.
    pub(crate) fn solve(&mut self, steps: usize) -> usize {
        self.value_anew();
        for step in 0..steps {
            let mut best: Option<(f64, f64, usize)> = None;
            for (at, column) in self.columns.iter().enumerate() {
                let gain = column.gain(&self.values);
                let along = gain * column.per_length;
                if along > EPSILON && best.is_none_or(|(most, ..)| along > most) {
                    best = Some((along, gain, at));
                }
            }
            let Some((_, gain, entering)) = best else {
                return step;
            };
            if !self.pivot(entering, gain) {
                return step;
            }
        }
        steps
    }

    /// The values as the basis has them: what steps change of them gathers errors.
    fn value_anew(&mut self) {
        self.values.fill(0.0);
        for (column, row) in self.basis.iter().zip(self.inverse.chunks_exact(self.rows)) {
            let price = self.columns[*column].price;
            if price != 0.0 {
                for (value, entry) in self.values.iter_mut().zip(row) {
                    *value += price * entry;
                }
            }
        }
    }

    /// Brings a column of this gain into the basis. False where it could grow without bound, which a price above 0
    /// excludes.
    fn pivot(&mut self, entering: usize, gain: f64) -> bool {
        let entries = &self.columns[entering].entries;
        let along = |row: &[f64]| entries.iter().map(|(at, entry)| row[*at] * entry).sum();
        let direction: Vec<f64> = self.inverse.chunks_exact(self.rows).map(along).collect();
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
        let at = place * self.rows;
        let row: Vec<f64> = self.inverse[at..at + self.rows]
            .iter()
            .map(|entry| entry / pivot)
            .collect();
        let others = self.inverse.chunks_exact_mut(self.rows).zip(&mut self.amounts);
        for (at, ((other, amount), along)) in others.zip(&direction).enumerate() {
            if at != place && *along != 0.0 {
                for (entry, by) in other.iter_mut().zip(&row) {
                    *entry -= along * by;
                }
                *amount -= along * ratio;
            }
        }
        for (value, by) in self.values.iter_mut().zip(&row) {
            *value -= gain * by;
        }
        self.inverse[at..at + self.rows].copy_from_slice(&row);
        self.amounts[place] = ratio;
        self.basis[place] = entering;
        true
    }

    /// How much of each pattern, by its number; only what is there.
    pub(crate) fn amounts(&self) -> impl Iterator<Item = (usize, f64)> {
        let patterns = self.rows + self.pods;
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
            let found = program.price();
            assert!((found - price).abs() < 1e-6, "{name}: {found}");
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
