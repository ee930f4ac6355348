//! Replacements: what does not work, what is not what it should be, what is too old, and what would cost less otherwise.
//!
//! One replacement per decision: the next decision sees what came of it. New nodes are tried from the cheapest up; the
//! oracle says whether the pods fit. What is done for the money has to earn more than it costs in the time that a node
//! is expected to live, and an offering that was given up for a cheaper one is not bought again for a while.

use crate::Config;
use crate::eligibility::Node;
use crate::worth::Worth;
use policy_sdk::Reason;
use policy_sdk::rebalance::{NodeFlags, Replacement, ReplacementKind, Snapshot};
use policy_sdk::what_if::{self, Addition, Question};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Context annotations of the host.
const MAY_REPLACE: &str = "may-replace";
const GIVEN_UP: &str = "given-up";

/// Why a node has to be replaced, if it has.
type Concern<'a> = &'a dyn Fn(&Node<'_>) -> Option<Reason>;

/// A replacement worth proposing, and why.
pub(crate) type Found = (Replacement, Reason);

/// What a search looks at.
pub(crate) struct Search<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) config: &'a Config,
    /// Questions that may still be asked.
    pub(crate) questions: usize,
}

/// A way to buy.
#[derive(Clone, Copy)]
struct Offer {
    template: u32,
    hourly_micros: u64,
    headroom: u32,
}

impl Search<'_> {
    /// Whether the host would replace anything.
    pub(crate) fn is_wanted(&self) -> bool {
        let mut annotations = self.snapshot.context.annotations.iter();
        annotations.any(|(key, value)| key == MAY_REPLACE && value == "true")
    }

    /// Nodes that have to be replaced whatever it costs: those that do not work first.
    pub(crate) fn needed(&mut self, nodes: &[Node<'_>]) -> Option<Found> {
        let unhealthy = u64::from(self.config.unhealthy_seconds) * 1000;
        let max_age = u64::from(self.config.max_age_seconds) * 1000;
        let kinds: [(ReplacementKind, Concern<'_>); 3] = [
            (ReplacementKind::Repair, &|node| {
                let silent = node.not_ready_ms;
                (unhealthy > 0 && silent >= unhealthy).then(|| {
                    Reason::new(
                        "NotReady",
                        format!("it has not been ready for {} s", silent / 1000),
                    )
                })
            }),
            (ReplacementKind::Drift, &|node| {
                node.flags
                    .contains(NodeFlags::DRIFTED)
                    .then(|| Reason::new("Drifted", "it differs from what its group's spec asks for"))
            }),
            (ReplacementKind::Expire, &|node| {
                let age = node.age_ms;
                (max_age > 0 && age >= max_age)
                    .then(|| Reason::new("TooOld", format!("it is {} s old", age / 1000)))
            }),
        ];
        for (kind, concerns) in kinds {
            let mut found: Vec<(&Node<'_>, Reason)> = nodes
                .iter()
                .filter_map(|node| Some((node, concerns(node)?)))
                .collect();
            found.retain(|(node, _)| self.may_go(node));
            found.sort_by_key(|(node, _)| (Reverse(node.age_ms), node.name));
            for (node, reason) in found {
                for offer in self.offers(node.group) {
                    if self.fits(&[node.number], offer.template, 1) == Some(1) {
                        return Some((self.replacement(&[node.number], offer, 1, kind), reason));
                    }
                }
            }
        }
        None
    }

    /// The replacement that saves most, by one node or by several that make way together.
    pub(crate) fn saving(&mut self, nodes: &[Node<'_>]) -> Option<Found> {
        let mut best: Option<(u64, Found)> = None;
        let mut candidates: Vec<&Node<'_>> = nodes
            .iter()
            .filter(|node| {
                let ready = node.flags.contains(NodeFlags::READY);
                ready && node.hourly_micros > 0 && self.may_go(node) && self.is_settled(node)
            })
            .collect();
        // Nodes that will go by themselves in a moment: what is left then is another fleet.
        let idle = u64::from(self.config.idle_seconds) * 1000;
        let emptying = nodes
            .iter()
            .filter(|node| node.pods_to_move == 0 && node.idle_ms < idle && self.may_go(node));
        let emptying: BTreeSet<u32> = emptying.map(|node| node.group).collect();
        candidates.retain(|node| !emptying.contains(&node.group));
        // Those whose load fills least of what they cost.
        candidates.sort_by_key(|node| (node.busiest_permille, Reverse(node.hourly_micros), node.name));
        let groups: BTreeSet<u32> = candidates.iter().map(|node| node.group).collect();
        let mut sets: Vec<Vec<&Node<'_>>> = Vec::new();
        for group in groups {
            let members: Vec<&Node<'_>> = candidates
                .iter()
                .copied()
                .filter(|node| node.group == group)
                .collect();
            let most = members.len().min(self.config.most_merged as usize);
            // The emptiest ones together, and each by itself.
            sets.extend((2..=most).rev().map(|count| members[..count].to_vec()));
            sets.extend(members.iter().map(|node| vec![*node]).filter(|_| most > 0));
        }
        // From another one on in every decision, so that those beyond the limit of questions have their turn.
        let turn = usize::try_from(self.snapshot.context.seed / 1000).unwrap_or(0) % sets.len().max(1);
        sets.rotate_left(turn);
        for set in sets {
            if let Some((saving, found)) = self.cheaper(&set)
                && best.as_ref().is_none_or(|(known, _)| saving > *known)
            {
                best = Some((saving, found));
            }
        }
        best.map(|(_, found)| found)
    }

    /// The cheapest nodes of one offering that take what these nodes carry; and what they earn, in millionths.
    fn cheaper(&mut self, set: &[&Node<'_>]) -> Option<(u64, Found)> {
        let old: u64 = set.iter().map(|node| node.hourly_micros).sum();
        let pods: u64 = set.iter().map(|node| u64::from(node.pods_to_move)).sum();
        let numbers: Vec<u32> = set.iter().map(|node| node.number).collect();
        let group = set.first()?.group;
        let worth = Worth {
            snapshot: self.snapshot,
            config: self.config,
        };
        let mut best: Option<(u64, Found)> = None;
        for offer in self.offers(group) {
            if self.was_given_up(group, offer.template) {
                continue;
            }
            // So many that they still cost less.
            let affordable = old.saturating_sub(1) / offer.hourly_micros.max(1);
            let count = u32::try_from(affordable)
                .unwrap_or(u32::MAX)
                .min(offer.headroom)
                .min(self.config.most_merged);
            let Some(used) = (count > 0)
                .then(|| self.fits(&numbers, offer.template, count))
                .flatten()
            else {
                continue;
            };
            let new = offer.hourly_micros * u64::from(used);
            let saving = old.saturating_sub(new);
            let Some(net) = worth.of_replacement(group, old, new, pods) else {
                continue;
            };
            if best.as_ref().is_some_and(|(known, _)| *known >= net) {
                continue;
            }
            let kind = if set.len() == 1 && used == 1 {
                ReplacementKind::Cheaper
            } else {
                ReplacementKind::Consolidate
            };
            let name = &self.snapshot.catalogue.templates[offer.template as usize].offering;
            let text = format!(
                "{used} × {name} do for {} nodes: {saving} millionths an hour less",
                set.len()
            );
            let reason = Reason::new("CheaperNodes", text);
            best = Some((net, (self.replacement(&numbers, offer, used, kind), reason)));
        }
        best
    }

    /// How many of `count` new nodes the pods of these nodes need; none where they do not fit.
    fn fits(&mut self, nodes: &[u32], template: u32, count: u32) -> Option<u32> {
        self.questions = self.questions.checked_sub(1)?;
        let outcome = what_if::ask(&Question::replacement(
            vec![Addition { template, count }],
            nodes.to_vec(),
        ));
        outcome.unplaced.is_empty().then(|| outcome.used_of(0).max(1))
    }

    /// What can be bought for the group now, the cheapest first.
    fn offers(&self, group: u32) -> Vec<Offer> {
        let templates = (0..).zip(&self.snapshot.catalogue.templates);
        let mut offers: Vec<Offer> = templates
            .filter(|(_, template)| {
                template.group == group && template.headroom > 0 && template.backoff_ms == 0
            })
            .map(|(number, template)| Offer {
                template: number,
                hourly_micros: template.hourly_micros,
                headroom: template.headroom,
            })
            .collect();
        offers.sort_by_key(|offer| (offer.hourly_micros, offer.template));
        offers
    }

    fn replacement(&self, nodes: &[u32], offer: Offer, count: u32, kind: ReplacementKind) -> Replacement {
        Replacement {
            nodes: nodes.to_vec(),
            additions: vec![Addition {
                template: offer.template,
                count,
            }],
            kind,
        }
    }

    fn may_go(&self, node: &Node<'_>) -> bool {
        let away = NodeFlags::LEAVING | NodeFlags::UPCOMING;
        !node.flags.intersects(away) && !node.flags.contains(NodeFlags::BLOCKED)
    }

    /// It is no newcomer, and its group has not grown lately.
    fn is_settled(&self, node: &Node<'_>) -> bool {
        let settle = u64::from(self.config.settle_seconds) * 1000;
        let group = self.snapshot.catalogue.groups.get(node.group as usize);
        let grown = group
            .and_then(|group| group.since_scale_up_ms)
            .unwrap_or(u64::MAX);
        node.age_ms >= settle && grown >= settle
    }

    /// Whether nodes of this offering were replaced by cheaper ones a short time ago.
    fn was_given_up(&self, group: u32, template: u32) -> bool {
        let catalogue = &self.snapshot.catalogue;
        let name = catalogue.group_name(group);
        let offering = catalogue.templates[template as usize].offering.as_str();
        let window = u64::from(self.config.flip_back_seconds) * 1000;
        self.snapshot.context.annotations.iter().any(|(key, value)| {
            let mut words = value.split(' ');
            key == GIVEN_UP
                && words.next() == Some(name)
                && words.next() == Some(offering)
                && words
                    .next()
                    .and_then(|ago| ago.parse::<u64>().ok())
                    .is_some_and(|ago| ago < window)
        })
    }
}

#[cfg(test)]
#[path = "replace_tests.rs"]
mod tests;
