//! Questions, made of a placement: the snapshot as columns, with what the host would allow.
//!
//! Rows of groups and templates are those of the snapshot, so that their numbers mean the same on both sides.
//! Rows of classes and nodes are a choice, and the question remembers which.

use super::budgets::Budgets;
use super::growth::{backs_off, cluster_room, group_room, held};
use super::{
    Catalogue, ClassRow, Context, Fleet, GroupDemand, GroupRow, NodeFlags, Pending, Question, TemplateRow,
};
use crate::model::{ClassId, GroupId, Labels, NodeId, NodeState, Resources, Snapshot, TemplateId};
use crate::packing::{Placement, State, Unplaced, per_new_node, permille};
use std::sync::Arc;

/// Annotations of the context, for rebalance policies.
const MAY_REPLACE: &str = "may-replace";
const GIVEN_UP: &str = "given-up";

/// The two questions of growth. They are about the same columns, which are worked out once.
#[derive(Clone, Debug)]
pub struct Growth {
    context: Context,
    catalogue: Arc<Catalogue>,
    pending: Arc<Pending>,
}

/// What is asked where pods need new nodes. `partition` tells the groups that are asked about.
pub fn growth(placement: &Placement, partition: &dyn Fn(GroupId) -> bool) -> Growth {
    let catalogue = catalogue(placement, partition);
    Growth {
        context: context(placement),
        pending: Arc::new(pending(placement, &catalogue)),
        catalogue: Arc::new(catalogue),
    }
}

impl Growth {
    /// Which node groups shall grow, for which pods?
    pub fn scale_up(&self) -> Question {
        Question::ScaleUp {
            context: self.context.clone(),
            catalogue: Arc::clone(&self.catalogue),
            pending: Arc::clone(&self.pending),
        }
    }

    /// Which templates shall be bought for this demand?
    pub fn node_selection(&self, demand: Vec<GroupDemand>) -> Question {
        Question::NodeSelection {
            context: self.context.clone(),
            catalogue: Arc::clone(&self.catalogue),
            pending: Arc::clone(&self.pending),
            demand,
        }
    }
}

/// [`Growth::scale_up`] where nothing else is asked.
pub fn scale_up(placement: &Placement, partition: &dyn Fn(GroupId) -> bool) -> Question {
    growth(placement, partition).scale_up()
}

/// Which nodes shall go? The fleet is that of the groups of the partition.
pub fn rebalance(placement: &Placement, partition: &dyn Fn(GroupId) -> bool) -> Question {
    let catalogue = catalogue(placement, partition);
    Question::Rebalance {
        context: Context {
            annotations: replacing(placement),
            ..context(placement)
        },
        fleet: fleet(placement, partition),
        waiting_pods: waiting_for_growth(placement, &catalogue),
        catalogue,
        removal_budget: placement.snapshot().removal_budget,
    }
}

/// What a policy has to know to propose replacements: whether they are wanted, and which offerings were given up for
/// cheaper ones: `namespace/group offering milliseconds-ago`.
fn replacing(placement: &Placement) -> Vec<(String, String)> {
    let snapshot = placement.snapshot();
    if !snapshot.may_replace {
        return Vec::new();
    }
    let given_up = snapshot.given_up.iter().filter_map(|(group, offering, at)| {
        let group = snapshot.groups.get(*group as usize)?;
        let ago = since(snapshot.now_ms, *at);
        let text = format!("{}/{} {offering} {ago}", group.namespace, group.name);
        Some((GIVEN_UP.to_owned(), text))
    });
    std::iter::once((MAY_REPLACE.to_owned(), "true".to_owned()))
        .chain(given_up)
        .collect()
}

/// Pods without a place that a new node could hold: a pod that fits nowhere waits for a person, and must not
/// keep nodes that nobody needs.
fn waiting_for_growth(placement: &Placement, catalogue: &Catalogue) -> u32 {
    let may_come = |class: ClassId| {
        let refusals = placement.refusals_by_template(class);
        catalogue
            .templates
            .iter()
            .zip(refusals)
            .any(|(template, refusal)| template.headroom > 0 && refusal.is_none())
    };
    let waiting = placement
        .unplaced
        .iter()
        .filter(|unplaced| may_come(unplaced.class));
    u32::try_from(waiting.map(|unplaced| unplaced.pods.len()).sum::<usize>()).unwrap_or(u32::MAX)
}

/// A time span that is none where the clock of somebody else runs ahead.
fn since(now_ms: i64, then_ms: i64) -> u64 {
    u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0)
}

/// A row of a table of resources.
fn row(snapshot: &Snapshot, amounts: &Resources) -> impl Iterator<Item = u64> {
    (0..snapshot.resources.as_slice().len())
        .map(|id| amounts.get(u16::try_from(id).unwrap_or(u16::MAX)))
        .map(|amount| u64::try_from(amount).unwrap_or(0))
}

fn pairs(labels: &Labels) -> Vec<(String, String)> {
    labels
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn context(placement: &Placement) -> Context {
    let snapshot = placement.snapshot();
    Context {
        now_ms: since(snapshot.now_ms, 0),
        seed: snapshot.seed,
        resource_names: snapshot.resources.as_slice().to_vec(),
        cluster_headroom: cluster_room(placement),
        annotations: Vec::new(),
    }
}

fn catalogue(placement: &Placement, partition: &dyn Fn(GroupId) -> bool) -> Catalogue {
    let snapshot = placement.snapshot();
    let group_rows = (0..).zip(&snapshot.groups).map(|(id, group)| GroupRow {
        name: format!("{}/{}", group.namespace, group.name),
        min: group.min,
        max: group.max,
        current: group.current.saturating_add(placement.bought(id)),
        upcoming: group.upcoming.saturating_add(placement.bought(id)),
        since_scale_up_ms: group.last_scale_up_ms.map(|then| since(snapshot.now_ms, then)),
        since_scale_down_ms: group.last_scale_down_ms.map(|then| since(snapshot.now_ms, then)),
        annotations: pairs(&group.annotations),
    });
    let template_rows = (0..).zip(&snapshot.templates).map(|(id, template)| TemplateRow {
        group: template.group,
        offering: template.offering.clone(),
        datacenter: template.datacenter.clone(),
        hourly_micros: template.hourly_micros,
        headroom: headroom(placement, id, partition),
        failures: template.failures,
        backoff_ms: template
            .backoff_until_ms
            .map_or(0, |until| since(until, snapshot.now_ms)),
    });
    Catalogue {
        groups: group_rows.collect(),
        templates: template_rows.collect(),
        allocatable: snapshot
            .templates
            .iter()
            .flat_map(|template| row(snapshot, &template.allocatable))
            .collect(),
    }
}

/// How many nodes of the template the checker would let pass, were it alone in a plan.
fn headroom(placement: &Placement, template: TemplateId, partition: &dyn Fn(GroupId) -> bool) -> u32 {
    let snapshot = placement.snapshot();
    let template = &snapshot.templates[template as usize];
    let Some(group) = snapshot.groups.get(template.group as usize) else {
        return 0;
    };
    if !partition(template.group) || held(group).is_some() || backs_off(snapshot, template) {
        return 0;
    }
    group_room(placement, template.group, group).min(cluster_room(placement).unwrap_or(u32::MAX))
}

fn pending(placement: &Placement, catalogue: &Catalogue) -> Pending {
    let snapshot = placement.snapshot();
    let class_ids: Vec<ClassId> = placement.unplaced.iter().map(|unplaced| unplaced.class).collect();
    let growable: Vec<bool> = catalogue
        .templates
        .iter()
        .map(|template| template.headroom > 0)
        .collect();
    let per_node = placement.try_out(|state| per_new_node(state, &class_ids, &growable));
    let state = placement.state();
    let row_of = |unplaced: &Unplaced| class_row(snapshot, unplaced, state.is_topology_bound(unplaced.class));
    Pending {
        classes: placement.unplaced.iter().map(row_of).collect(),
        requests: class_ids
            .iter()
            .flat_map(|class| row(snapshot, &snapshot.classes[*class as usize].requests))
            .collect(),
        class_ids,
        per_node,
    }
}

fn class_row(snapshot: &Snapshot, unplaced: &Unplaced, topology_bound: bool) -> ClassRow {
    let first = unplaced
        .pods
        .first()
        .and_then(|pod| snapshot.pods.get(*pod as usize));
    let class = &snapshot.classes[unplaced.class as usize];
    let name = first.map_or_else(String::new, |pod| {
        pod.owner.clone().unwrap_or_else(|| pod.key.name.to_string())
    });
    ClassRow {
        name: format!("{}/{name}", class.namespace),
        priority: class.priority,
        unplaced: u32::try_from(unplaced.pods.len()).unwrap_or(u32::MAX),
        waiting_ms: since(snapshot.now_ms, unplaced.oldest_ms),
        topology_bound,
    }
}

fn fleet(placement: &Placement, partition: &dyn Fn(GroupId) -> bool) -> Fleet {
    let snapshot = placement.snapshot();
    let budgets = Budgets::new(snapshot);
    let state = placement.state();
    let mut fleet = Fleet::default();
    for (id, node) in (0..).zip(&snapshot.nodes) {
        let Some(group_id) = node.group.filter(|group| partition(*group)) else {
            continue;
        };
        let Some(group) = snapshot.groups.get(group_id as usize) else {
            continue;
        };
        let load = load(&state, id);
        let blocked = !group.may_shrink || node.protected.is_some() || budgets.claims(&state, id).is_err();
        fleet.names.push(node.name.clone());
        fleet.node_ids.push(id);
        fleet.group.push(group_id);
        fleet.template.push(node.template.unwrap_or(TemplateId::MAX));
        fleet.hourly_micros.push(node.hourly_micros);
        fleet
            .cpu_permille
            .push(share(load.requests.cpu_milli, node.allocatable.cpu_milli));
        fleet
            .memory_permille
            .push(share(load.requests.memory, node.allocatable.memory));
        fleet.pods_to_move.push(load.pods);
        fleet.age_ms.push(since(snapshot.now_ms, node.created_ms));
        let idle_since = node.idle_since_ms.filter(|_| load.pods == 0);
        fleet
            .idle_ms
            .push(idle_since.map_or(0, |then| since(snapshot.now_ms, then)));
        let silent_since = node.not_ready_since_ms;
        fleet
            .not_ready_ms
            .push(silent_since.map_or(0, |then| since(snapshot.now_ms, then).max(1)));
        fleet.flags.push(NodeFlags {
            drifted: node.drifted.is_some(),
            ready: node.state == NodeState::Ready && !node.unschedulable,
            blocked,
            cordoned: node.unschedulable,
            upcoming: node.state == NodeState::Upcoming,
            leaving: node.state == NodeState::Leaving,
        });
    }
    fleet
}

/// `part` of what a node offers in thousandths. A node that offers nothing has no share to tell: it counts as full
/// where something is asked of it, so that nobody takes it for little used.
fn share(part: i64, whole: i64) -> u32 {
    if part > 0 && whole <= 0 {
        1000
    } else {
        permille(part, whole)
    }
}

struct Load {
    requests: Resources,
    /// Pods that would have to move, those that are about to land here included.
    pods: u32,
}

/// What the node carries besides DaemonSets and the like.
fn load(state: &State, node: NodeId) -> Load {
    let snapshot = state.snapshot();
    let mut load = Load {
        requests: Resources::default(),
        pods: 0,
    };
    let residents = state.residents(node).iter();
    let residents = residents
        .filter(|pods| pods.moving > 0)
        .map(|pods| (pods.class, pods.moving));
    for (class, pods) in residents.chain(state.arrivals(node).iter().copied()) {
        load.requests
            .add_scaled(&snapshot.classes[class as usize].requests, i64::from(pods));
        load.pods = load.pods.saturating_add(pods);
    }
    load
}
