//! Nodes beside the records behind them, in one pass over both.

use super::counts;
use crate::index::{NodeEntry, ObjectKey, State};
use autoscaler_api::VPSieNode;
use autoscaler_api::vpsie_node::Phase;
use autoscaler_core::model::{AttachLimits, Residents, Resources};
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::sync::Arc;

/// A VPSieNode with its key.
pub(super) type Record<'a> = (&'a ObjectKey, &'a Arc<VPSieNode>);

/// A node with what is known of it.
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    pub(super) entry: &'a NodeEntry,
    pub(super) record: Option<Record<'a>>,
    pub(super) residents: Option<&'a Arc<Residents>>,
    pub(super) attach_limits: Option<&'a Arc<AttachLimits>>,
}

/// What the records say of a group.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) current: u32,
    pub(super) upcoming: u32,
}

/// What a node of a group and offering really offers: the least of those that have joined.
pub(super) type Learned = (Resources, AttachLimits);

#[derive(Default)]
pub(super) struct Fleet<'a> {
    /// By name.
    pub(super) members: Vec<Member<'a>>,
    /// Records of nodes on their way that are not there in any form yet, by key.
    pub(super) planned: Vec<Record<'a>>,
    /// By namespace and name of the group.
    tallies: BTreeMap<(&'a str, &'a str), Tally>,
    /// By group and offering.
    learned: BTreeMap<(&'a str, &'a str, &'a str), Learned>,
}

impl<'a> Fleet<'a> {
    pub(super) fn new(state: &'a State) -> Self {
        let mut fleet = Self::default();
        let mut named: Vec<(&str, Record<'_>)> = Vec::with_capacity(state.vpsie_nodes.len());
        for (key, node) in &state.vpsie_nodes {
            if counts(node) {
                let group = (key.namespace.as_str(), node.spec.node_group_name.as_str());
                let tally = fleet.tallies.entry(group).or_default();
                tally.current += 1;
                tally.upcoming += u32::from(node.phase() != Phase::Ready);
            }
            match node.node_name() {
                Some(name) => named.push((name, (key, node))),
                None => fleet.plan((key, node)),
            }
        }
        named.sort_by_key(|(name, _)| *name);
        let mut records = Beside::new(named.iter().map(|(name, record)| (*name, *record)));
        let mut residents = Beside::new(state.residents.iter().map(|(name, pods)| (&**name, pods)));
        let mut limits = Beside::new(
            state
                .attach_limits
                .iter()
                .map(|(name, limits)| (name.as_str(), limits)),
        );
        for (name, entry) in &state.nodes {
            let passed = |(_, record)| fleet.plan(record);
            let record = records.of(name, passed);
            let member = Member {
                name,
                entry,
                record,
                residents: residents.of(name, drop),
                attach_limits: limits.of(name, drop),
            };
            fleet.learn(&member);
            fleet.members.push(member);
        }
        records.rest().for_each(|(_, record)| fleet.plan(record));
        fleet.planned.sort_by_key(|(key, _)| *key);
        fleet
    }

    pub(super) fn tally(&self, group: &'a ObjectKey) -> Tally {
        let tally = self.tallies.get(&(group.namespace.as_str(), group.name.as_str()));
        tally.copied().unwrap_or_default()
    }

    pub(super) fn learned(&self, group: &'a ObjectKey, offering: &'a str) -> Option<&Learned> {
        self.learned
            .get(&(group.namespace.as_str(), group.name.as_str(), offering))
    }

    fn plan(&mut self, record: Record<'a>) {
        if counts(record.1) && record.1.phase() != Phase::Ready {
            self.planned.push(record);
        }
    }

    fn learn(&mut self, member: &Member<'a>) {
        let Some((key, node)) = member.record.filter(|(_, node)| node.phase() == Phase::Ready) else {
            return;
        };
        let offered = &member.entry.allocatable;
        if offered.cpu_milli <= 0 {
            return;
        }
        let spec = &node.spec;
        let known = (
            key.namespace.as_str(),
            spec.node_group_name.as_str(),
            spec.instance_type.as_str(),
        );
        let (smallest, limits) = self
            .learned
            .entry(known)
            .or_insert_with(|| (offered.clone(), AttachLimits::new()));
        if offered < smallest {
            smallest.clone_from(offered);
        }
        for (driver, limit) in member.attach_limits.into_iter().flat_map(|limits| &**limits) {
            match limits.get_mut(driver) {
                Some(known) => *known = (*known).min(*limit),
                None => drop(limits.insert(driver.clone(), *limit)),
            }
        }
    }
}

/// Things by name, read beside names that come in order.
struct Beside<'a, V, I: Iterator<Item = (&'a str, V)>>(Peekable<I>);

impl<'a, V, I: Iterator<Item = (&'a str, V)>> Beside<'a, V, I> {
    fn new(things: I) -> Self {
        Self(things.peekable())
    }

    /// The last thing of this name; those before it go to `passed`.
    fn of(&mut self, name: &str, mut passed: impl FnMut((&'a str, V))) -> Option<V> {
        let mut found = None;
        while let Some(next) = self.0.next_if(|(next, _)| *next <= name) {
            if next.0 == name {
                found = Some(next.1);
            } else {
                passed(next);
            }
        }
        found
    }

    fn rest(self) -> impl Iterator<Item = (&'a str, V)> {
        self.0
    }
}
