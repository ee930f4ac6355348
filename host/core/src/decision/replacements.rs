//! The checker of replacements: new nodes come first, so the groups must have room for both for a while; then every pod
//! of the old ones must find a place on what runs or comes.

use super::growth::{backs_off, held};
use super::removals::{Objected, Trial, is_free, stands};
use super::{NoteCode, Refusal, Replacement};
use crate::model::{GroupId, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// # Errors
/// A template that does not exist.
pub(super) fn templates_exist(snapshot: &Snapshot, replacement: &Replacement) -> Result<(), Refusal> {
    let count = snapshot.templates.len();
    let lost = |index: u32| {
        snapshot
            .templates
            .get(index as usize)
            .is_none_or(|template| template.group as usize >= snapshot.groups.len())
    };
    match replacement
        .additions
        .iter()
        .find(|addition| lost(addition.template))
    {
        Some(addition) => Err(Refusal::OutOfRange {
            what: "template",
            index: addition.template,
            count,
        }),
        None => Ok(()),
    }
}

impl Trial<'_> {
    /// Tries one replacement, and keeps what it did if nothing speaks against it.
    pub(super) fn replace(&mut self, replacement: &Replacement) -> Result<(), Objected> {
        if !self.snapshot.may_replace {
            return Err((
                NoteCode::ReplacingDisabled,
                "spec.rebalancer.enabled of AutoscalerConfig default is false".to_owned(),
            ));
        }
        let groups = self.groups_of(replacement)?;
        let gains = self.gains(replacement, &groups)?;
        self.saves(replacement)?;
        let mut claims = Vec::new();
        for node in &replacement.nodes {
            let claimed = self.budgets.claims(self.state, *node);
            claims.extend(claimed.map_err(|objection| self.explain(&objection))?);
        }
        if self.left == 0 {
            let budget = self.snapshot.removal_budget;
            return Err((
                NoteCode::RemovalBudget,
                format!("one loop removes at most {budget} nodes"),
            ));
        }
        self.resettle(&replacement.nodes, &replacement.additions)?;
        self.budgets.take(&claims);
        for (group, lost) in &groups {
            self.current[*group as usize] -= lost;
        }
        for (group, gained) in gains {
            self.coming[group as usize] += gained;
            self.rooms[group as usize] -= gained;
            self.cluster = self.cluster.map(|room| room - gained);
        }
        // Its nodes go one after the other, as many at once as the settings allow: one of the loop's budget.
        self.left -= 1;
        self.draining.extend(&replacement.nodes);
        Ok(())
    }

    /// How many nodes each group loses.
    fn groups_of(&self, replacement: &Replacement) -> Result<BTreeMap<GroupId, u32>, Objected> {
        let mut groups = BTreeMap::new();
        for id in &replacement.nodes {
            let node = &self.snapshot.nodes[*id as usize];
            let known = node
                .group
                .filter(|group| (*group as usize) < self.snapshot.groups.len());
            let Some(at) = known else {
                return Err((NoteCode::NotManaged, "it belongs to no node group".into()));
            };
            stands(node)?;
            is_free(node)?;
            let group = &self.snapshot.groups[at as usize];
            // What is broken or outdated is replaced even where the group is not to shrink.
            if replacement.kind.is_for_saving() && !group.may_shrink {
                return Err((
                    NoteCode::GroupMayNotShrink,
                    format!("scale-down of {} is switched off", group.name),
                ));
            }
            *groups.entry(at).or_insert(0) += 1;
        }
        if groups.is_empty() {
            return Err((NoteCode::NothingToBuy, "a replacement of no node".into()));
        }
        Ok(groups)
    }

    /// How many nodes each group gains, if it may.
    fn gains(
        &self,
        replacement: &Replacement,
        groups: &BTreeMap<GroupId, u32>,
    ) -> Result<BTreeMap<GroupId, u32>, Objected> {
        let mut gains: BTreeMap<GroupId, u32> = BTreeMap::new();
        for addition in &replacement.additions {
            let template = &self.snapshot.templates[addition.template as usize];
            let group = &self.snapshot.groups[template.group as usize];
            if !groups.contains_key(&template.group) {
                let text = format!("{} has no node among those that go", group.name);
                return Err((NoteCode::OtherPartition, text));
            }
            if let Some((code, text)) = held(group) {
                return Err((NoteCode::GroupHeld, format!("{code}: {text}")));
            }
            if backs_off(self.snapshot, template) {
                let text = format!("{} is backing off after failures", template.offering);
                return Err((NoteCode::TemplateBackoff, text));
            }
            *gains.entry(template.group).or_insert(0) += addition.count;
        }
        let total: u32 = gains.values().sum();
        if total == 0 {
            return Err((NoteCode::NothingToBuy, "a replacement by no node".into()));
        }
        if let Some(room) = self.cluster.filter(|room| *room < total) {
            let text = format!("the maximum of the cluster leaves room for {room} of {total} new nodes");
            return Err((NoteCode::ClusterMaxSize, text));
        }
        let all: BTreeSet<GroupId> = groups.keys().chain(gains.keys()).copied().collect();
        for id in all {
            let at = id as usize;
            let group = &self.snapshot.groups[at];
            let gained = gains.get(&id).copied().unwrap_or(0);
            let lost = groups.get(&id).copied().unwrap_or(0);
            let room = self.rooms[at];
            if gained > room {
                let text = format!(
                    "new nodes come first: {} has room for {room} of {gained}",
                    group.name
                );
                return Err((NoteCode::GroupMaxSize, text));
            }
            let after = (self.current[at] + self.coming[at] + gained).saturating_sub(lost);
            if after < group.min {
                let text = format!("{} would fall below its minimum of {}", group.name, group.min);
                return Err((NoteCode::GroupMinSize, text));
            }
        }
        Ok(gains)
    }

    /// What is done for the money must save some.
    fn saves(&self, replacement: &Replacement) -> Result<(), Objected> {
        if !replacement.kind.is_for_saving() {
            return Ok(());
        }
        let old: u128 = replacement
            .nodes
            .iter()
            .map(|node| u128::from(self.snapshot.nodes[*node as usize].hourly_micros))
            .sum();
        let new: u128 = replacement
            .additions
            .iter()
            .map(|addition| {
                let template = &self.snapshot.templates[addition.template as usize];
                u128::from(template.hourly_micros) * u128::from(addition.count)
            })
            .sum();
        if new < old {
            return Ok(());
        }
        let text = format!("the new nodes cost {new} millionths an hour, the old ones {old}");
        Err((NoteCode::NoSaving, text))
    }
}
