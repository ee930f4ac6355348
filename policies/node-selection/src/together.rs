//! Pods that no group can take alone: topology spread over zones where each zone is a group, and the like.
//!
//! No column tells it. It shows in pods that stay without a place although nodes that hold them can be had. The
//! oracle is then offered nodes of all groups at once, the cheapest first, on top of what is bought already. What
//! it uses is bought, what it leaves empty is not.

use crate::candidate::enough;
use policy_sdk::ClassCount;
use policy_sdk::node_selection::Snapshot;
use policy_sdk::what_if::{self, Addition, Question};
use std::collections::BTreeMap;

/// Questions per decision. Each offers twice as many nodes as the one before: a new node may let others take more.
const ROUNDS: u32 = 12;

/// Who is offered the nodes that the cluster may still gain.
#[derive(Clone, Copy)]
enum To {
    /// Every group all of them.
    All,
    /// Every group its part, where all together would take too many.
    Shares,
    /// The group in this place alone, where the parts are too small for those that matter.
    One(usize),
}

/// What is bought for all groups.
pub(crate) struct Together<'a> {
    snapshot: &'a Snapshot,
    /// At most one addition per template.
    pub(crate) additions: Vec<Addition>,
}

impl<'a> Together<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, bought: Vec<Addition>) -> Self {
        Self {
            snapshot,
            additions: bought,
        }
    }

    /// Whether nodes of the group that hold pods of the class can be had.
    pub(crate) fn can_grow_for(&self, group: u32, class: u32) -> bool {
        self.room(group) > 0 && self.cheapest(group, &[ClassCount { class, pods: 1 }]).is_some()
    }

    /// Buys for those of `pods` that are `left` so far, and returns those that still are.
    pub(crate) fn buy(&mut self, pods: &[ClassCount], mut left: Vec<ClassCount>) -> Vec<ClassCount> {
        let mut to = To::All;
        for round in 0..ROUNDS {
            let before = total(&left);
            let Some(trial) = self.larger(&left, round, to).filter(|_| before > 0) else {
                break;
            };
            let outcome = what_if::ask(&Question::additions(trial.clone(), pods.to_vec()));
            let known = std::mem::replace(&mut self.additions, trial);
            for (at, addition) in self.additions.iter_mut().enumerate() {
                addition.count = outcome.used_of(at);
            }
            self.additions.retain(|addition| addition.count > 0);
            let limit = self.snapshot.context.cluster_headroom.unwrap_or(u32::MAX);
            let too_many = self.bought(|_| true) > limit;
            if outcome.unplaced_pods() < before && !too_many {
                to = To::All;
                left = outcome
                    .unplaced
                    .iter()
                    .map(|left| ClassCount {
                        class: left.class,
                        pods: left.pods,
                    })
                    .collect();
                continue;
            }
            self.additions = known;
            to = match to {
                To::All if too_many => To::Shares,
                To::All => break,
                To::Shares => To::One(0),
                To::One(place) => To::One(place + 1),
            };
        }
        left
    }

    /// The additions with nodes of the groups that may take some of what is left; none where there are no more.
    fn larger(&self, left: &[ClassCount], round: u32, to: To) -> Option<Vec<Addition>> {
        let groups = (0..).take(self.snapshot.catalogue.groups.len());
        let mut offers: Vec<(bool, u128, u32, u32)> = groups
            .filter_map(|group| {
                let (failing, per_pod, template) = self.cheapest(group, left)?;
                Some((failing, per_pod, template, group))
            })
            .collect();
        offers.sort_unstable();
        let spare = self.spare();
        let mut shared = spare;
        let mut trial = self.additions.clone();
        let offered = offers.len();
        for (place, (.., template, group)) in offers.into_iter().enumerate() {
            let most = match to {
                To::All => spare,
                To::Shares => shared.div_ceil(u32::try_from(offered - place).unwrap_or(u32::MAX)),
                To::One(one) if one == place => spare,
                To::One(_) => 0,
            };
            let wanted = enough(self.snapshot, template, left).saturating_mul(1 << round);
            let count = wanted
                .min(u32::try_from(total(left)).unwrap_or(u32::MAX))
                .min(self.headroom(template))
                .min(self.room(group))
                .min(most);
            shared = shared.saturating_sub(count);
            match trial.iter_mut().find(|addition| addition.template == template) {
                Some(addition) => addition.count += count,
                None if count > 0 => trial.push(Addition { template, count }),
                None => {}
            }
        }
        let is_last = matches!(to, To::One(one) if one >= offered);
        (!is_last && (trial != self.additions || matches!(to, To::One(_)))).then_some(trial)
    }

    /// The template of the group that can be had and takes some of the pods: one that works before one that failed,
    /// then the least money per pod.
    fn cheapest(&self, group: u32, pods: &[ClassCount]) -> Option<(bool, u128, u32)> {
        let Snapshot {
            catalogue, pending, ..
        } = self.snapshot;
        let groups = u32::try_from(catalogue.groups.len()).unwrap_or(u32::MAX).max(1);
        let held = |template: u32| -> u64 {
            // The pods are shared among groups, so that a node too large for its part is no bargain.
            let held = |count: &ClassCount| {
                let part = count.pods.div_ceil(groups);
                part.min(pending.pods_per_node(count.class, template))
            };
            pods.iter().map(|count| u64::from(held(count))).sum()
        };
        catalogue
            .templates_of(group)
            .filter(|(number, row)| row.is_available() && self.headroom(*number) > 0 && held(*number) > 0)
            .map(|(number, row)| {
                let per_pod = u128::from(row.hourly_micros) * 1000 / u128::from(held(number));
                (row.failures > 0, per_pod, number)
            })
            .min()
    }

    fn bought(&self, counts: impl Fn(u32) -> bool) -> u32 {
        let bought = self.additions.iter();
        bought
            .filter(|addition| counts(addition.template))
            .fold(0, |sum, addition| sum.saturating_add(addition.count))
    }

    /// Nodes that the template has left.
    fn headroom(&self, template: u32) -> u32 {
        let row = self.snapshot.catalogue.templates.get(template as usize);
        row.map_or(0, |row| row.headroom)
            .saturating_sub(self.bought(|bought| bought == template))
    }

    /// Nodes that the group may still gain by its own limit.
    fn room(&self, group: u32) -> u32 {
        let catalogue = &self.snapshot.catalogue;
        let row = catalogue.groups.get(group as usize);
        let is_own = |template: u32| {
            let row = catalogue.templates.get(template as usize);
            row.is_some_and(|row| row.group == group)
        };
        row.map_or(0, |row| row.max.saturating_sub(row.current))
            .saturating_sub(self.bought(is_own))
    }

    /// Nodes that the cluster may still gain.
    fn spare(&self) -> u32 {
        let headroom = self.snapshot.context.cluster_headroom.unwrap_or(u32::MAX);
        headroom.saturating_sub(self.bought(|_| true))
    }
}

/// Pods by class, each class once.
pub(crate) fn by_class(counts: impl Iterator<Item = ClassCount>) -> Vec<ClassCount> {
    let mut sums: BTreeMap<u32, u32> = BTreeMap::new();
    for count in counts {
        let sum = sums.entry(count.class).or_insert(0);
        *sum = sum.saturating_add(count.pods);
    }
    let counts = sums.into_iter().filter(|(_, pods)| *pods > 0);
    counts.map(|(class, pods)| ClassCount { class, pods }).collect()
}

fn total(counts: &[ClassCount]) -> u64 {
    counts.iter().map(|count| u64::from(count.pods)).sum()
}

#[cfg(test)]
#[path = "together_tests.rs"]
mod tests;
