//! What stays the same however pods are placed: worked out once per snapshot, shared by all states.

use super::links::{CounterId, Links};
use super::neighbours::Neighbourhoods;
use super::possessions::Possessions;
use super::shapes::Shapes;
use super::topology::{KeyId, Topology};
use crate::decision::Cause;
use crate::model::{AttachLimits, ClassId, NodeId, NodeState, ResourceId, Resources, Snapshot, TemplateId};
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

/// The resource that every pod takes one of.
const PODS: ResourceId = 3;

pub(crate) struct Tables {
    pub(crate) snapshot: Arc<Snapshot>,
    /// The resources that some pod asks for; amounts are kept for these only.
    columns: Vec<ResourceId>,
    /// By class: what one pod takes, as columns and amounts.
    pub(crate) needs: Vec<Vec<(usize, i128)>>,
    /// By class: how large a pod is, in millionths of the largest node, CPU and memory together.
    sizes: Vec<u64>,
    pub(crate) shapes: Shapes,
    pub(crate) topology: Topology,
    pub(crate) links: Links,
    pub(crate) possessions: Possessions,
    pub(crate) neighbourhoods: Neighbourhoods,
    traits: Vec<Traits>,
    /// By template: the counters that look at its new nodes, with their keys. Worked out with the first of them.
    pub(super) scoped: Vec<OnceLock<Vec<(CounterId, KeyId)>>>,
}

/// What is asked of a class at every turn.
#[derive(Clone, Copy)]
struct Traits {
    bulk: bool,
    bare: bool,
    plain: bool,
    may_reconsider: bool,
    minds_company: bool,
}

impl Tables {
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        let needs: Vec<Vec<(ResourceId, i64)>> = snapshot
            .classes
            .iter()
            .map(|class| needs(&class.requests))
            .collect();
        let columns: BTreeSet<ResourceId> = needs.iter().flatten().map(|(id, _)| *id).collect();
        let columns: Vec<ResourceId> = columns.into_iter().collect();
        let needs = needs
            .into_iter()
            .map(|needs| {
                let column = |id| columns.binary_search(&id).unwrap_or_default();
                needs
                    .into_iter()
                    .map(|(id, amount)| (column(id), i128::from(amount)))
                    .collect()
            })
            .collect();
        let topology = Topology::new(&snapshot);
        let links = Links::new(&snapshot, &topology);
        let possessions = Possessions::new(&snapshot);
        let classes = (0..).zip(&snapshot.classes);
        let traits = classes.map(|(class, _)| {
            let (links, possessions) = (links.of(class), possessions.of(class));
            Traits {
                bulk: links.is_bulk() && possessions.is_bulk(),
                bare: possessions.is_empty(),
                plain: links.is_plain() && possessions.is_empty(),
                may_reconsider: links.may_reconsider(),
                minds_company: links.minds_company(),
            }
        });
        Self {
            sizes: sizes(&snapshot),
            traits: traits.collect(),
            scoped: snapshot.templates.iter().map(|_| OnceLock::new()).collect(),
            possessions,
            shapes: Shapes::new(&snapshot),
            columns,
            needs,
            topology,
            links,
            neighbourhoods: Neighbourhoods::new(&snapshot),
            snapshot,
        }
    }

    /// How many resources are kept per node.
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    /// How many amounts are kept per node: of resources, then of volumes by driver.
    pub(crate) fn row(&self) -> usize {
        self.width() + self.possessions.drivers()
    }

    /// The amounts of an empty node.
    pub(crate) fn amounts<'a>(
        &'a self,
        resources: &'a Resources,
        limits: &'a AttachLimits,
    ) -> impl Iterator<Item = i128> + 'a {
        let resources = self.columns.iter().map(|id| i128::from(resources.get(*id)));
        resources.chain(self.possessions.limits(limits))
    }

    /// Whether one pod of the class changes nothing but amounts for the next: then they can be placed by the
    /// number.
    pub(crate) fn is_bulk(&self, class: ClassId) -> bool {
        self.traits[class as usize].bulk
    }

    /// Whether pods of the class may prefer one node to another.
    pub(crate) fn has_wishes(&self, class: ClassId) -> bool {
        let links = self.links.of(class);
        self.shapes.discouraging
            || !links.wishes.is_empty()
            || !links.soft_spread.is_empty()
            || !self.snapshot.classes[class as usize].preferences.nodes.is_empty()
    }

    /// Whether a pod of the class takes nothing of its node but resources.
    pub(crate) fn is_bare(&self, class: ClassId) -> bool {
        self.traits[class as usize].bare
    }

    /// Whether nothing but the shape of a node and its free resources decides about a pod of the class.
    pub(crate) fn is_plain(&self, class: ClassId) -> bool {
        self.traits[class as usize].plain
    }

    /// Whether a node that refuses a pod of the class may take one after another was placed elsewhere.
    pub(crate) fn may_reconsider(&self, class: ClassId) -> bool {
        self.traits[class as usize].may_reconsider
    }

    /// Whether affinity decides about pods of the class, their own or that of others.
    pub(crate) fn minds_company(&self, class: ClassId) -> bool {
        self.traits[class as usize].minds_company
    }

    /// Whether a pod of the class does more to its node and to others than to take resources.
    pub(crate) fn is_seen(&self, class: ClassId) -> bool {
        !self.links.of(class).moves.is_empty() || !self.is_bare(class)
    }

    /// What keeps a class from every new node of the template, whatever else runs.
    pub(crate) fn refused_by_template(&self, class: ClassId, template: TemplateId) -> Option<Cause> {
        let shape = self.shapes.of_templates[template as usize];
        self.shapes.verdict(&self.snapshot, class, shape).refused
    }

    /// The resources of an empty node of the template.
    pub(crate) fn offered(&self, template: TemplateId) -> impl Iterator<Item = i128> + '_ {
        let template = &self.snapshot.templates[template as usize];
        let amounts = self.amounts(&template.allocatable, &template.attach_limits);
        amounts.take(self.width())
    }

    /// Classes of the DaemonSet pods that a node of the template starts with.
    pub(crate) fn daemons(&self, template: TemplateId) -> impl Iterator<Item = ClassId> + '_ {
        let template = self.snapshot.templates.get(template as usize);
        let daemons = template.into_iter().flat_map(|template| &template.daemons);
        let known = |class: &ClassId| (*class as usize) < self.snapshot.classes.len();
        daemons.copied().filter(known)
    }

    /// The template of a node of the snapshot that has yet to come.
    pub(crate) fn upcoming(&self, node: NodeId) -> Option<TemplateId> {
        let node = self.snapshot.nodes.get(node as usize)?;
        node.template.filter(|_| node.state == NodeState::Upcoming)
    }

    /// The order in which classes are placed: what matters most first, then what is hardest to place.
    pub(crate) fn rank(&self, class: ClassId) -> (std::cmp::Reverse<i32>, std::cmp::Reverse<u64>, ClassId) {
        let priority = self.snapshot.classes[class as usize].priority;
        (
            std::cmp::Reverse(priority),
            std::cmp::Reverse(self.sizes[class as usize]),
            class,
        )
    }
}

/// What one pod takes: nothing that it does not ask for, and always one place.
fn needs(requests: &Resources) -> Vec<(ResourceId, i64)> {
    let mut needs: Vec<(ResourceId, i64)> = [
        (0, requests.cpu_milli),
        (1, requests.memory),
        (2, requests.ephemeral),
        (PODS, requests.pods.max(1)),
    ]
    .into_iter()
    .chain(requests.extended.iter().copied())
    .filter(|(_, amount)| *amount > 0)
    .collect();
    needs.sort_unstable();
    needs
}

fn sizes(snapshot: &Snapshot) -> Vec<u64> {
    let allocatables = || {
        let nodes = snapshot.nodes.iter().map(|node| &node.allocatable);
        nodes.chain(snapshot.templates.iter().map(|template| &template.allocatable))
    };
    let largest_cpu = allocatables()
        .map(|resources| resources.cpu_milli)
        .max()
        .unwrap_or(0);
    let largest_memory = allocatables()
        .map(|resources| resources.memory)
        .max()
        .unwrap_or(0);
    let share = |amount: i64, largest: i64| {
        let share = i128::from(amount.max(0)) * 1_000_000 / i128::from(largest.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    };
    snapshot
        .classes
        .iter()
        .map(|class| {
            share(class.requests.cpu_milli, largest_cpu)
                .saturating_add(share(class.requests.memory, largest_memory))
        })
        .collect()
}
