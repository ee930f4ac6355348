//! A node group: its room, what can be bought for it, whose policies decide, and which of its nodes are not ready.

use super::{Explanation, Fact, Scene, Section, moment, price};
use crate::scaling::{shadows, speaker};
use autoscaler_api::VPSieNode;
use autoscaler_api::vpsie_node::Phase;
use autoscaler_cluster::{ObjectKey, spare_owner};
use autoscaler_core::decision::Kind;
use autoscaler_core::model::{Group, GroupId, Pod, Template};
use kube::ResourceExt;

impl Scene<'_> {
    pub(super) fn group(&self, key: &ObjectKey) -> Option<Explanation> {
        let mut groups = (0..).zip(&self.snapshot.groups);
        let found = groups.find(|(_, group)| group.namespace == key.namespace && group.name == key.name);
        let (id, group) = found?;
        Some(Explanation {
            summary: format!(
                "node group {key} has {} nodes, {} of them on their way (min {}, max {})",
                group.current, group.upcoming, group.min, group.max
            ),
            sections: vec![
                Section {
                    title: "May it change?".to_owned(),
                    facts: self.room(id, group),
                },
                Section {
                    title: "Who decides".to_owned(),
                    facts: self.policies(id),
                },
                Section {
                    title: "What shadows would have done".to_owned(),
                    facts: self.shadows(id),
                },
                Section {
                    title: "What can be bought".to_owned(),
                    facts: self.offers(id),
                },
                Section {
                    title: "VPSieNodes that are not ready".to_owned(),
                    facts: self.unready(key),
                },
            ],
        })
    }

    fn room(&self, id: GroupId, group: &Group) -> Vec<Fact> {
        let grows = match (&group.held, group.may_grow) {
            (Some((code, text)), _) => format!("no: {code}: {text}"),
            (None, false) => "no: scale-up is switched off".to_owned(),
            (None, true) => match group.max.saturating_sub(group.current) {
                0 => format!("no: at maxNodes ({})", group.max),
                room => format!("by {room} nodes"),
            },
        };
        let shrinks = if !group.may_shrink {
            "no: scale-down is switched off".to_owned()
        } else {
            match group.current.saturating_sub(group.min) {
                0 => format!("no: at minNodes ({})", group.min),
                room => format!("by {room} nodes"),
            }
        };
        let waiting = self.placement.unplaced.iter().filter(|left| {
            let refusals = self.placement.refusals_by_template(left.class);
            let mut templates = self.snapshot.templates.iter().zip(refusals);
            templates.any(|(template, refusal)| template.group == id && refusal.is_none())
        });
        let waiting: usize = waiting.map(|left| left.pods.len()).sum();
        let mut facts = self.headroom(group);
        let last = |ms: Option<i64>| ms.map_or_else(|| "never".to_owned(), moment);
        facts.extend([
            Fact::new("grow", grows),
            Fact::new("shrink", shrinks),
            Fact::new("waiting pods", format!("{waiting} would fit on a new node of it")),
            Fact::new("last scale-up", last(group.last_scale_up_ms)),
            Fact::new("last scale-down", last(group.last_scale_down_ms)),
        ]);
        facts
    }

    /// How much of the room that the group keeps is there.
    fn headroom(&self, group: &Group) -> Vec<Fact> {
        let kept = |pod: &Pod| {
            !pod.exists()
                && *pod.key.namespace == *group.namespace
                && pod.owner.as_ref() == Some(&spare_owner(&group.name))
        };
        let all = self.snapshot.pods.iter().filter(|pod| kept(pod)).count();
        let left = self.placement.unplaced.iter().flat_map(|left| &left.pods);
        let left = left
            .filter(|pod| kept(&self.snapshot.pods[**pod as usize]))
            .count();
        let text = format!("{} of {all} pods of its size would find a place now", all - left);
        (all > 0)
            .then(|| Fact::new("headroom", text))
            .into_iter()
            .collect()
    }

    fn policies(&self, id: GroupId) -> Vec<Fact> {
        let kinds = [Kind::ScaleUp, Kind::NodeSelection, Kind::Rebalance];
        let deciding = kinds.into_iter().filter_map(|kind| {
            let binding = speaker(self.ctx, &self.snapshot, kind, id)?;
            let text = format!("{} ({})", binding.name, binding.policy.digest());
            Some(Fact::new(kind.as_str(), text))
        });
        deciding.collect()
    }

    /// Each shadow beside what decides, summed over the decisions that both made since this process loaded it. They are
    /// those of all its groups: a decision is one for all of them.
    fn shadows(&self, id: GroupId) -> Vec<Fact> {
        let mut facts = Vec::new();
        for shadow in shadows(self.ctx, &self.snapshot, id) {
            let compared = shadow.tally.comparison();
            let (active, other) = (compared.active, compared.shadow);
            let mut tell = |text: String| facts.push(Fact::new(shadow.name.clone(), text));
            if compared.decisions == 0 {
                tell("nothing was decided yet that it was asked about".to_owned());
                continue;
            }
            tell(format!(
                "{} of {} decisions otherwise, {} without an answer",
                compared.different, compared.decisions, compared.failed
            ));
            tell(format!(
                "nodes {} instead of {}, {} instead of {}, pods left waiting {} instead of {}",
                other.nodes,
                active.nodes,
                price(other.hourly_micros),
                price(active.hourly_micros),
                other.waiting_pods,
                active.waiting_pods
            ));
            if let Some(text) = compared.last_difference {
                tell(format!("the last time: {text}"));
            }
        }
        facts
    }

    fn offers(&self, id: GroupId) -> Vec<Fact> {
        let templates = self
            .snapshot
            .templates
            .iter()
            .filter(|template| template.group == id);
        let offer = |template: &Template| {
            let text = match self.obstacle(template) {
                Some(obstacle) => format!("{}; {obstacle}", price(template.hourly_micros)),
                None => price(template.hourly_micros),
            };
            Fact::new(format!("{} in {}", template.offering, template.datacenter), text)
        };
        let facts: Vec<Fact> = templates.map(offer).collect();
        if facts.is_empty() {
            return vec![Fact::new(
                "nothing",
                "VPSie has not told of any of its offerings yet",
            )];
        }
        facts
    }

    /// Why nothing is bought of a template now; none where it may be.
    pub(super) fn obstacle(&self, template: &Template) -> Option<String> {
        let group = &self.snapshot.groups[template.group as usize];
        if let Some((code, text)) = &group.held {
            return Some(format!("{code}: {text}"));
        }
        if !group.may_grow {
            return Some("scale-up of its group is switched off".to_owned());
        }
        if group.current >= group.max {
            return Some(format!("its group is at maxNodes ({})", group.max));
        }
        let until = template
            .backoff_until_ms
            .filter(|until| *until > self.snapshot.now_ms)?;
        Some(format!(
            "it is left alone until {} after {} failures in a row",
            moment(until),
            template.failures
        ))
    }

    fn unready(&self, key: &ObjectKey) -> Vec<Fact> {
        let nodes = self.ctx.index.vpsie_nodes_of(key);
        let unready = nodes.iter().filter(|node| node.phase() != Phase::Ready);
        let fact = |node: &std::sync::Arc<VPSieNode>| {
            let status = node.status.as_ref();
            let since = status.and_then(|status| status.phase_since.as_ref());
            let since = since.map_or_else(String::new, |time| {
                format!(" since {}", moment(time.0.as_millisecond()))
            });
            let reason = status.and_then(|status| status.reason.as_deref());
            let error = status.and_then(|status| status.last_error.as_deref());
            let why: Vec<&str> = reason.into_iter().chain(error).collect();
            let why = if why.is_empty() {
                String::new()
            } else {
                format!(": {}", why.join(": "))
            };
            Fact::new(node.name_any(), format!("{}{since}{why}", node.phase()))
        };
        unready.map(fact).collect()
    }
}
