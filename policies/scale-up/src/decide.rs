//! The decision: classes by priority, each to the cheapest groups that can take it.

use crate::Config;
use crate::budget::Budget;
use crate::refusal;
use crate::sharing::Sharing;
use policy_sdk::scale_up::{Demand, Snapshot};
use policy_sdk::{ClassCount, GroupDemand, Pending, Reason, Rejection, Template};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A group for a class, by the template that holds the class best.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) group: u32,
    pub(crate) template: u32,
    pub(crate) per_node: u32,
    hourly_micros: u64,
    failing: bool,
}

pub(crate) fn decide(snapshot: &Snapshot, config: &Config) -> Demand {
    let mut state = State::new(snapshot);
    let mut rejections = Vec::new();
    let mut refusals = refusal::Refusals::new(snapshot);
    let mut sharing = Sharing::new(snapshot);
    let mut offers = Offers::new(snapshot);
    for class in by_priority(snapshot) {
        let row = &snapshot.pending.classes[class as usize];
        if row.waiting_ms < u64::from(config.min_wait_seconds) * 1000 {
            let text = format!(
                "waits {} s of the {} s it has to",
                row.waiting_ms / 1000,
                config.min_wait_seconds
            );
            rejections.push(Rejection {
                class,
                group: None,
                reason: Reason::new("TooEarly", text),
            });
            continue;
        }
        let pods = u64::from(row.unplaced);
        let offers = offers.of(class);
        let shares = sharing.shares(class, pods, &offers);
        let left = if shares.is_empty() {
            state.place(class, pods, &offers, None)
        } else {
            // What a group has no room for, no other may take: the pods have to be spread.
            shares
                .into_iter()
                .map(|(group, pods)| state.place(class, pods, &offers, Some(group)))
                .sum()
        };
        if left > 0 {
            rejections.push(Rejection {
                class,
                group: None,
                reason: refusals.explain(class, left),
            });
        }
    }
    Demand {
        groups: state.into_demand(),
        rejections,
    }
}

/// Classes with pods to place: important first, then the longest wait, then by number.
fn by_priority(snapshot: &Snapshot) -> Vec<u32> {
    let mut classes: Vec<_> = (0..)
        .zip(&snapshot.pending.classes)
        .filter(|(_, row)| row.unplaced > 0)
        .collect();
    classes.sort_by_key(|(class, row)| (Reverse(row.priority), Reverse(row.waiting_ms), *class));
    classes.into_iter().map(|(class, _)| class).collect()
}

/// What has been given out so far.
struct State<'a> {
    snapshot: &'a Snapshot,
    budgets: Vec<Budget>,
    /// By group: (class, pods).
    given: Vec<Vec<(u32, u64)>>,
}

impl<'a> State<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        let groups = snapshot.catalogue.groups.len();
        let budgets = (0..)
            .take(groups)
            .map(|group| Budget::new(room_of(snapshot, group)))
            .collect();
        Self {
            snapshot,
            budgets,
            given: vec![Vec::new(); groups],
        }
    }

    /// Gives as many pods as possible to groups, cheapest first, and returns how many are left. With `only`, no
    /// other group is asked.
    fn place(&mut self, class: u32, mut pods: u64, offers: &[Offer], only: Option<u32>) -> u64 {
        let mut offers = offers.to_vec();
        offers.retain(|offer| only.is_none_or(|group| offer.group == group));
        while pods > 0 {
            let spare = self.spare_nodes();
            let best = offers
                .iter()
                .enumerate()
                .filter_map(|(position, offer)| {
                    let budget = self.budgets[offer.group as usize];
                    let room = budget.room(offer.per_node, spare).min(pods);
                    (room > 0).then(|| (position, room, self.cost(offer, budget, room)))
                })
                .min_by(|a, b| a.2.cmp(&b.2));
            let Some((position, room, _)) = best else { break };
            let offer = offers.swap_remove(position);
            self.budgets[offer.group as usize].take(room, offer.per_node);
            self.given[offer.group as usize].push((class, room));
            pods -= room;
        }
        pods
    }

    /// Order of preference: templates that work, little money per pod for the nodes that have to come, little
    /// money per pod on a full node, then the name.
    fn cost(&self, offer: &Offer, budget: Budget, pods: u64) -> (bool, u128, u128, &'a str) {
        // Thousandths, so that the division keeps what distinguishes close prices.
        let extra = u128::from(budget.extra_nodes(pods, offer.per_node));
        let marginal = extra * u128::from(offer.hourly_micros) * 1000 / u128::from(pods);
        let full = u128::from(offer.hourly_micros) * 1000 / u128::from(offer.per_node);
        (
            offer.failing,
            marginal,
            full,
            self.snapshot.catalogue.group_name(offer.group),
        )
    }

    /// Nodes that the whole cluster may still gain.
    fn spare_nodes(&self) -> u64 {
        let used: u64 = self.budgets.iter().map(|budget| budget.nodes_used()).sum();
        match self.snapshot.context.cluster_headroom {
            Some(headroom) => u64::from(headroom).saturating_sub(used),
            None => u64::MAX,
        }
    }

    fn into_demand(self) -> Vec<GroupDemand> {
        let mut demand = Vec::new();
        for (group, (mut given, budget)) in (0..).zip(self.given.into_iter().zip(self.budgets)) {
            if given.is_empty() {
                continue;
            }
            given.sort_unstable();
            let total: u64 = given.iter().map(|(_, pods)| pods).sum();
            let text = format!(
                "{total} pods wait; about {} nodes, the cheapest place for them",
                budget.nodes_used()
            );
            let pods = given
                .into_iter()
                .map(|(class, pods)| ClassCount {
                    class,
                    pods: narrow(pods),
                })
                .collect();
            demand.push(GroupDemand {
                group,
                pods,
                reason: Reason::new("PodsPending", text),
            });
        }
        demand
    }
}

/// Nodes that the group may gain, its own limit and its best template's together.
fn room_of(snapshot: &Snapshot, group: u32) -> u32 {
    let row = &snapshot.catalogue.groups[group as usize];
    let best = snapshot
        .catalogue
        .templates_of(group)
        .filter(|(_, template)| template.is_available())
        .map(|(_, template)| template.headroom)
        .max();
    best.unwrap_or(0).min(row.max.saturating_sub(row.current))
}

/// For each group the template that holds the class at the least cost per pod. Worked out once for classes that every
/// template holds alike.
pub(crate) struct Offers<'a> {
    snapshot: &'a Snapshot,
    /// The templates that can be had, by number. Of those of a group that hold everything alike only the best.
    templates: Vec<(u32, &'a Template)>,
    /// By row of the table.
    known: BTreeMap<u32, Rc<[Offer]>>,
}

impl<'a> Offers<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        let mut best: BTreeMap<(u32, u32), (u32, &Template)> = BTreeMap::new();
        for (number, template) in (0..).zip(&snapshot.catalogue.templates) {
            if !template.is_available() {
                continue;
            }
            let cost = |template: &Template| (template.failures > 0, template.hourly_micros);
            best.entry((template.group, snapshot.pending.column_of(number)))
                .and_modify(|best| {
                    if cost(template) < cost(best.1) {
                        *best = (number, template);
                    }
                })
                .or_insert((number, template));
        }
        let mut templates: Vec<(u32, &Template)> = best.into_values().collect();
        templates.sort_unstable_by_key(|(number, _)| *number);
        Self {
            snapshot,
            templates,
            known: BTreeMap::new(),
        }
    }

    pub(crate) fn of(&mut self, class: u32) -> Rc<[Offer]> {
        let pending = &self.snapshot.pending;
        let offers = || offers(pending, &self.templates, class);
        Rc::clone(self.known.entry(pending.row_of(class)).or_insert_with(offers))
    }
}

fn offers(pending: &Pending, templates: &[(u32, &Template)], class: u32) -> Rc<[Offer]> {
    let mut best: BTreeMap<u32, Offer> = BTreeMap::new();
    for (number, template) in templates.iter().copied() {
        let per_node = pending.pods_per_node(class, number);
        if per_node == 0 {
            continue;
        }
        let offer = Offer {
            group: template.group,
            template: number,
            per_node,
            hourly_micros: template.hourly_micros,
            failing: template.failures > 0,
        };
        best.entry(template.group)
            .and_modify(|best| {
                if offer.is_better_than(best) {
                    *best = offer;
                }
            })
            .or_insert(offer);
    }
    best.into_values().collect()
}

impl Offer {
    /// Works, costs less per pod; at one price per pod the larger node, because a limit counts nodes.
    fn is_better_than(&self, other: &Self) -> bool {
        let cost = |this: &Self, other: &Self| times(this.hourly_micros, other.per_node);
        self.failing
            .cmp(&other.failing)
            .then_with(|| cost(self, other).cmp(&cost(other, self)))
            .then(other.per_node.cmp(&self.per_node))
            .is_lt()
    }
}

/// Of numbers that do not fill their 64 bits, as prices do not, without the detour that WebAssembly has to make for 128.
fn times(price: u64, pods: u32) -> u128 {
    match u32::try_from(price) {
        Ok(price) => u128::from(u64::from(price) * u64::from(pods)),
        Err(_) => u128::from(price) * u128::from(pods),
    }
}

fn narrow(pods: u64) -> u32 {
    u32::try_from(pods).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
