//! A way to buy for a group, as the oracle judges it.

use policy_sdk::node_selection::Snapshot;
use policy_sdk::what_if::{self, Addition, Leftover, Question};
use policy_sdk::{ClassCount, Template};

/// Nodes of one template, and what they would do for the pods.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) template: u32,
    pub(crate) count: u32,
    pub(crate) cost: u64,
    pub(crate) unplaced: Vec<ClassCount>,
    unplaced_pods: u64,
    failing: bool,
}

impl Candidate {
    /// Asks for a template; none where it would take no pod.
    pub(crate) fn ask(snapshot: &Snapshot, template: u32, limit: u32, pods: &[ClassCount]) -> Option<Self> {
        let row = snapshot.catalogue.templates.get(template as usize)?;
        let count = enough(snapshot, template, pods).min(row.headroom).min(limit);
        if count == 0 || !row.is_available() {
            return None;
        }
        let outcome = what_if::ask(&Question::additions(
            vec![Addition { template, count }],
            pods.to_vec(),
        ));
        let used = outcome.used_of(0);
        (used > 0).then(|| Self {
            template,
            count: used,
            cost: cost(row, used),
            unplaced_pods: outcome.unplaced_pods(),
            unplaced: leftovers(&outcome.unplaced),
            failing: row.failures > 0,
        })
    }

    /// Order of preference: many pods placed, no recent failure, little money, few nodes, then the number,
    /// which follows the names.
    pub(crate) fn preference(&self) -> (u64, bool, u64, u32, u32) {
        (
            self.unplaced_pods,
            self.failing,
            self.cost,
            self.count,
            self.template,
        )
    }

    /// Whether it places as many pods and fails no more than the other.
    pub(crate) fn is_as_good_a_home_as(&self, other: &Self) -> bool {
        (self.unplaced_pods, self.failing) <= (other.unplaced_pods, other.failing)
    }

    /// The same with the last node exchanged for nodes of another template, where all pods keep a place and
    /// it costs less. The nodes of the other template come as a second candidate.
    pub(crate) fn with_smaller_end(
        &self,
        snapshot: &Snapshot,
        other: u32,
        limit: u32,
        pods: &[ClassCount],
    ) -> Option<(Self, Self)> {
        let templates = &snapshot.catalogue.templates;
        let (row, other_row) = (
            templates.get(self.template as usize)?,
            templates.get(other as usize)?,
        );
        let kept = self.count.checked_sub(1).filter(|kept| *kept > 0)?;
        // As many as cost less than the node that they replace.
        let affordable = row
            .hourly_micros
            .saturating_sub(1)
            .checked_div(other_row.hourly_micros)?;
        let count = narrow(affordable)
            .min(other_row.headroom)
            .min(limit.saturating_sub(kept));
        if count == 0 || !other_row.is_available() || other_row.failures > 0 {
            return None;
        }
        let additions = vec![
            Addition {
                template: self.template,
                count: kept,
            },
            Addition {
                template: other,
                count,
            },
        ];
        let outcome = what_if::ask(&Question::additions(additions, pods.to_vec()));
        let (kept, count) = (outcome.used_of(0), outcome.used_of(1));
        if outcome.unplaced_pods() > self.unplaced_pods || kept == 0 || count == 0 {
            return None;
        }
        let main = Self {
            count: kept,
            cost: cost(row, kept),
            ..self.clone()
        };
        let end = Self {
            template: other,
            count,
            cost: cost(other_row, count),
            ..self.clone()
        };
        (main.cost + end.cost < self.cost).then_some((main, end))
    }
}

/// Nodes that surely suffice: as if no two classes shared a node.
pub(crate) fn enough(snapshot: &Snapshot, template: u32, pods: &[ClassCount]) -> u32 {
    let nodes: u64 = pods
        .iter()
        .map(
            |count| match snapshot.pending.pods_per_node(count.class, template) {
                0 => 0,
                per_node => u64::from(count.pods.div_ceil(per_node)),
            },
        )
        .sum();
    narrow(nodes)
}

fn leftovers(unplaced: &[Leftover]) -> Vec<ClassCount> {
    unplaced
        .iter()
        .map(|leftover| ClassCount {
            class: leftover.class,
            pods: leftover.pods,
        })
        .collect()
}

fn cost(template: &Template, count: u32) -> u64 {
    template.hourly_micros.saturating_mul(u64::from(count))
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
