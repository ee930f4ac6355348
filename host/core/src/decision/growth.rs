//! The checker of growth: whatever a policy proposes, no limit is exceeded.

use super::{Action, Checked, Note, NoteCode, Plan, Proposed, Reason, Refusal};
use crate::model::{Group, GroupId, Snapshot, Template, TemplateId};
use crate::packing::Placement;

/// How many nodes one plan may buy: what goes beyond waits for the next loop, which sees how this one went.
pub const MAX_NODES_PER_PLAN: u32 = 5000;

/// Trims the purchases of a plan to what the groups, the cluster and back-off allow. `partition` tells which
/// groups the policy speaks for.
///
/// # Errors
/// A [`Refusal`] where the plan names a template that does not exist, or removes nodes.
pub fn check_growth(
    placement: &Placement,
    plan: Plan<Proposed>,
    partition: &dyn Fn(GroupId) -> bool,
) -> Result<Plan<Checked>, Refusal> {
    let snapshot = placement.snapshot();
    let mut trim = Trim {
        snapshot,
        partition,
        groups: (0..)
            .zip(&snapshot.groups)
            .map(|(id, group)| group_room(placement, id, group))
            .collect(),
        cluster: cluster_room(placement),
        plan: MAX_NODES_PER_PLAN,
        notes: Vec::new(),
    };
    let mut actions = Vec::with_capacity(plan.actions().len());
    for action in plan.actions() {
        match action {
            Action::Buy {
                template,
                count,
                fallbacks,
                reason,
            } => {
                for named in fallbacks.iter().chain([template]) {
                    known(snapshot, *named)?;
                }
                actions.extend(trim.purchase(*template, *count, fallbacks, reason));
            }
            Action::Remove { .. } | Action::Replace { .. } => {
                let (asked, answered) = (super::Kind::NodeSelection, super::Kind::Rebalance);
                return Err(Refusal::WrongKind { asked, answered });
            }
        }
    }
    let notes = trim.notes;
    Ok(plan.checked(actions, notes))
}

/// How many nodes the group may still gain by its maximum, purchases of accepted plans counted.
pub(super) fn group_room(placement: &Placement, id: GroupId, group: &Group) -> u32 {
    group
        .max
        .saturating_sub(group.current)
        .saturating_sub(placement.bought(id))
}

/// How many nodes the cluster may still gain; none for no limit.
pub(super) fn cluster_room(placement: &Placement) -> Option<u32> {
    let snapshot = placement.snapshot();
    let current = snapshot
        .groups
        .iter()
        .fold(0_u32, |sum, group| sum.saturating_add(group.current));
    let groups = (0..).zip(&snapshot.groups);
    let bought = groups.fold(0_u32, |sum, (id, _)| sum.saturating_add(placement.bought(id)));
    snapshot
        .max_cluster_nodes
        .map(|max| max.saturating_sub(current).saturating_sub(bought))
}

/// Whether the template is backing off at the time of the snapshot.
pub(super) fn backs_off(snapshot: &Snapshot, template: &Template) -> bool {
    template
        .backoff_until_ms
        .is_some_and(|until| until > snapshot.now_ms)
}

/// Whether the group may not grow, and why.
pub(super) fn held(group: &Group) -> Option<(&str, &str)> {
    match &group.held {
        Some((code, text)) => Some((code, text)),
        None if !group.may_grow => Some(("ScaleUpDisabled", "scale-up is switched off")),
        None => None,
    }
}

fn known(snapshot: &Snapshot, template: TemplateId) -> Result<(), Refusal> {
    let count = snapshot.templates.len();
    let group = snapshot.templates.get(template as usize).map(|known| known.group);
    match group {
        Some(group) if (group as usize) < snapshot.groups.len() => Ok(()),
        _ => Err(Refusal::OutOfRange {
            what: "template",
            index: template,
            count,
        }),
    }
}

struct Trim<'a> {
    snapshot: &'a Snapshot,
    partition: &'a dyn Fn(GroupId) -> bool,
    /// Nodes that each group may still gain.
    groups: Vec<u32>,
    cluster: Option<u32>,
    plan: u32,
    notes: Vec<Note>,
}

impl Trim<'_> {
    fn purchase(
        &mut self,
        template: TemplateId,
        count: u32,
        fallbacks: &[TemplateId],
        reason: &Reason,
    ) -> Option<Action> {
        let group = self.snapshot.templates[template as usize].group;
        let offered = &self.snapshot.groups[group as usize];
        let subject = format!("{}/{}", offered.namespace, offered.name);
        if count == 0 {
            return self.drop(&subject, NoteCode::NothingToBuy, "a purchase of 0 nodes");
        }
        if !(self.partition)(group) {
            return self.drop(
                &subject,
                NoteCode::OtherPartition,
                "other policies decide for this group",
            );
        }
        if let Some((code, text)) = held(offered) {
            return self.drop(&subject, NoteCode::GroupHeld, format!("{code}: {text}"));
        }
        // The first choice may be backing off while a fall-back of the policy's own order is not.
        let ranked = || std::iter::once(template).chain(fallbacks.iter().copied());
        let mut usable = ranked().filter(|id| {
            let candidate = &self.snapshot.templates[*id as usize];
            candidate.group == group && !backs_off(self.snapshot, candidate)
        });
        let chosen = usable.next();
        let fallbacks: Vec<TemplateId> = usable.collect();
        if chosen != Some(template) {
            let offering = &self.snapshot.templates[template as usize].offering;
            self.note(
                &subject,
                NoteCode::TemplateBackoff,
                format!("{offering} is backing off after failures"),
            );
        }
        let template = chosen?;

        let mut bought = count;
        let limits = [
            (
                NoteCode::GroupMaxSize,
                Some(self.groups[group as usize]),
                "the group's maximum",
            ),
            (
                NoteCode::ClusterMaxSize,
                self.cluster,
                "the maximum of the cluster",
            ),
            (NoteCode::PlanSize, Some(self.plan), "what one plan may buy"),
        ];
        for (code, room, what) in limits {
            let Some(room) = room.filter(|room| *room < bought) else {
                continue;
            };
            self.note(
                &subject,
                code,
                format!("{what} leaves room for {room} of {bought} nodes"),
            );
            bought = room;
        }
        if bought == 0 {
            return None;
        }
        self.groups[group as usize] -= bought;
        self.cluster = self.cluster.map(|room| room - bought);
        self.plan -= bought;
        Some(Action::Buy {
            template,
            count: bought,
            fallbacks,
            reason: reason.clone(),
        })
    }

    fn drop(&mut self, subject: &str, code: NoteCode, text: impl Into<String>) -> Option<Action> {
        self.note(subject, code, text);
        None
    }

    fn note(&mut self, subject: &str, code: NoteCode, text: impl Into<String>) {
        self.notes.push(Note {
            subject: subject.to_owned(),
            reason: Reason::new(code.as_str(), text),
        });
    }
}
