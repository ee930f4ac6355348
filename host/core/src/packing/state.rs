//! The state of a placement: what is free, what runs in which domain; every step can be taken back.
//!
//! Nodes of the snapshot keep their number; imagined nodes follow. The undo log grows by one entry per step,
//! and [`State::rollback`] restores exactly what was there at the mark.

use super::counters::Counter;
use super::links::CounterId;
use super::neighbours::Neighbours;
use super::possessions::Held;
use super::shapes::{ShapeId, Verdict};
use super::tables::Tables;
use super::topology::{DomainId, KeyId};
use crate::decision::Cause;
use crate::model::{ClassId, NodeId, Snapshot, TemplateId};
use crate::rules;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether a node takes pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Ready,
    Upcoming,
    Imagined,
    /// Not ready: no pod goes there.
    Closed,
    /// Cordoned, with its pods still on it.
    Leaving,
    /// Cordoned, and the pods that a drain evicts are gone. It is a domain and a place until it is deleted.
    Drained,
    /// Deleted: as if it had never been.
    Gone,
}

impl Standing {
    /// Whether the node carries the taint of cordoned nodes, or is about to.
    fn is_cordoned(self) -> bool {
        matches!(self, Self::Leaving | Self::Drained)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Placed {
        class: ClassId,
        node: NodeId,
        pods: u32,
    },
    /// A pod that was placed here by an earlier step left again.
    Withdrawn {
        class: ClassId,
        node: NodeId,
        pods: u32,
    },
    /// Pods of the snapshot left their node.
    Evicted {
        class: ClassId,
        node: NodeId,
        pods: u32,
    },
    Added,
    /// The node stands otherwise than it did.
    Stood {
        node: NodeId,
        was: Standing,
    },
    /// A promise was kept or given up.
    Released {
        class: ClassId,
        node: NodeId,
    },
}

/// A moment that [`State::rollback`] can return to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(usize);

/// Pods and nodes in the course of a placement.
#[derive(Clone)]
pub struct State {
    pub(super) tables: Arc<Tables>,
    pub(super) standing: Vec<Standing>,
    /// Templates of the nodes that were imagined, in their order.
    pub(super) imagined: Vec<TemplateId>,
    pub(super) shapes: Vec<ShapeId>,
    /// nodes × amounts. Sums of 64-bit amounts: they cannot overflow 128 bits, so that steps undo exactly.
    pub(super) free: Vec<i128>,
    /// nodes × keys.
    pub(super) domains: Vec<Option<DomainId>>,
    pub(super) held: Held,
    /// By node: pods that were placed here, by class, ascending.
    pub(super) arrivals: Vec<Vec<(ClassId, u32)>>,
    pub(super) counters: Vec<Counter>,
    /// Waiting pods that a node is promised to, by node, then by class.
    pub(super) promises: BTreeMap<NodeId, Vec<ClassId>>,
    pub(super) log: Vec<Step>,
}

impl State {
    /// The snapshot that this is a placement of.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.tables.snapshot
    }

    /// How many nodes there are, imagined and removed ones included.
    pub fn nodes(&self) -> usize {
        self.standing.len()
    }

    /// Nodes that may take pods, ready ones first, imagined ones last.
    pub fn open_nodes(&self) -> Vec<NodeId> {
        let rank = |standing: &Standing| match standing {
            Standing::Ready => Some(0),
            Standing::Upcoming => Some(1),
            Standing::Imagined => Some(2),
            Standing::Closed | Standing::Leaving | Standing::Drained | Standing::Gone => None,
        };
        let mut open: Vec<(u8, NodeId)> = self
            .standing
            .iter()
            .zip(0..)
            .filter_map(|(standing, node)| Some((rank(standing)?, node)))
            .collect();
        open.sort_unstable();
        open.into_iter().map(|(_, node)| node).collect()
    }

    /// Whether the node runs already.
    pub fn is_ready(&self, node: NodeId) -> bool {
        self.standing.get(node as usize) == Some(&Standing::Ready)
    }

    /// The template of an imagined node.
    pub fn imagined(&self, node: NodeId) -> Option<TemplateId> {
        let stands = self.standing.get(node as usize) == Some(&Standing::Imagined);
        self.template_of_imagined(node).filter(|_| stands)
    }

    /// Pods that were placed on the node, by class; those that ran there before are not among them.
    pub fn arrivals(&self, node: NodeId) -> &[(ClassId, u32)] {
        self.arrivals.get(node as usize).map_or(&[], Vec::as_slice)
    }

    /// Pods of the snapshot that run on the node, removed or not, by class.
    pub(crate) fn residents(&self, node: NodeId) -> &[Neighbours] {
        self.tables.neighbourhoods.of(node)
    }

    /// Whether other pods have a say in where a pod of the class goes, beside the room that they take.
    pub(crate) fn is_topology_bound(&self, class: ClassId) -> bool {
        !self.tables.links.of(class).is_plain()
    }

    /// A key that sorts classes in the order of placing: what matters most first, then what is hardest to place.
    pub(crate) fn rank(&self, class: ClassId) -> impl Ord + use<> {
        self.tables.rank(class)
    }

    /// Whether a pod of the class may go to the node now. Where the node is promised to others that come first,
    /// the pod must fit with them there and without them, as kube-scheduler asks.
    ///
    /// # Errors
    /// The first rule that says no.
    pub fn fits(&self, class: ClassId, node: NodeId) -> Result<(), Cause> {
        self.fits_by_nature(class, node)?;
        rules::refused_by_state(self, class, node).map_or(Ok(()), Err)?;
        match self.beside_promised(class, node) {
            Some(beside) => rules::refused_by_state(&beside, class, node).map_or(Ok(()), Err),
            None => Ok(()),
        }
    }

    /// What does not depend on other pods.
    pub(crate) fn fits_by_nature(&self, class: ClassId, node: NodeId) -> Result<(), Cause> {
        match self.standing.get(node as usize) {
            Some(Standing::Ready | Standing::Upcoming | Standing::Imagined) => {}
            Some(Standing::Closed | Standing::Leaving | Standing::Drained | Standing::Gone) | None => {
                return Err(Cause::Unschedulable);
            }
        }
        if class as usize >= self.tables.needs.len() {
            return Err(Cause::NodeAffinity);
        }
        self.verdict(class, node).refused.map_or(Ok(()), Err)
    }

    /// What the static rules say of the class and the node, its wishes among them.
    pub(crate) fn verdict(&self, class: ClassId, node: NodeId) -> Verdict {
        let shape = self.shapes[node as usize];
        self.tables.shapes.verdict(&self.tables.snapshot, class, shape)
    }

    /// How many pods of the class the node's free resources hold, all other rules aside.
    pub(crate) fn room(&self, class: ClassId, node: NodeId) -> u32 {
        let free = self.free(node);
        let quotients = self.tables.needs[class as usize]
            .iter()
            .map(|(column, amount)| free[*column].max(0) / amount);
        quotients
            .chain(self.attachment_room(class, node))
            .min()
            .map_or(0, |pods| u32::try_from(pods).unwrap_or(u32::MAX))
    }

    /// Places a pod where the rules let it.
    ///
    /// # Errors
    /// The first rule that says no; nothing is changed then.
    pub fn try_place(&mut self, class: ClassId, node: NodeId) -> Result<(), Cause> {
        self.fits(class, node)?;
        self.place(class, node, 1);
        Ok(())
    }

    /// Places pods without asking.
    pub(crate) fn place(&mut self, class: ClassId, node: NodeId, pods: u32) {
        self.put(class, node, pods);
        self.arrive(class, node, pods);
        self.log.push(Step::Placed { class, node, pods });
    }

    /// Imagines a new, empty node of the template.
    pub fn add_node(&mut self, template: TemplateId) -> NodeId {
        let tables = Arc::clone(&self.tables);
        let at = template as usize;
        let keys = tables.topology.keys.len();
        let mut domains = tables.topology.of_templates[at * keys..(at + 1) * keys].to_vec();
        if let Some(key) = tables.topology.hostname {
            domains[key] = Some(self.next_hostname(key));
            for counter in &tables.links.by_hostname {
                self.counters[*counter as usize].push_domain();
            }
        }
        let node = NodeId::try_from(self.standing.len()).unwrap_or(NodeId::MAX);
        let offered = &tables.snapshot.templates[at];
        self.imagined.push(template);
        self.push_node(
            Standing::Imagined,
            tables.shapes.of_templates[at],
            tables.amounts(&offered.allocatable, &offered.attach_limits),
            &domains,
        );
        self.log.push(Step::Added);
        node
    }

    /// Cordons a node and evicts its pods, as a removal does. Returns those that now need another place, by class.
    /// DaemonSet pods stay, and so does the node, for kube-scheduler a domain and a place of pods, until it is
    /// deleted.
    pub fn remove_node(&mut self, node: NodeId) -> BTreeMap<ClassId, u32> {
        let at = node as usize;
        let mut displaced = BTreeMap::new();
        let Some(was) = self.standing.get(at).copied() else {
            return displaced;
        };
        if matches!(was, Standing::Drained | Standing::Gone) {
            return displaced;
        }
        for (class, pods) in std::mem::take(&mut self.arrivals[at]) {
            self.take(class, node, pods);
            self.log.push(Step::Withdrawn { class, node, pods });
            *displaced.entry(class).or_insert(0) += pods;
        }
        let tables = Arc::clone(&self.tables);
        for Neighbours { class, moving, .. } in tables.neighbourhoods.of(node).iter().copied() {
            if moving == 0 {
                continue;
            }
            self.take(class, node, moving);
            self.log.push(Step::Evicted {
                class,
                node,
                pods: moving,
            });
            *displaced.entry(class).or_insert(0) += moving;
        }
        self.log.push(Step::Stood { node, was });
        self.stand(node, Standing::Drained);
        displaced
    }

    /// Deletes a node that was removed, with what is left on it.
    pub fn delete_node(&mut self, node: NodeId) {
        if self.standing.get(node as usize) == Some(&Standing::Drained) {
            let was = Standing::Drained;
            self.log.push(Step::Stood { node, was });
            self.stand(node, Standing::Gone);
        }
    }

    /// The present moment.
    pub fn mark(&self) -> Mark {
        Mark(self.log.len())
    }

    /// Takes back every step since the mark.
    pub fn rollback(&mut self, mark: Mark) {
        while self.log.len() > mark.0 {
            match self.log.pop() {
                Some(Step::Placed { class, node, pods }) => {
                    self.depart(class, node, pods);
                    self.take(class, node, pods);
                }
                Some(Step::Withdrawn { class, node, pods }) => {
                    self.put(class, node, pods);
                    self.arrive(class, node, pods);
                }
                Some(Step::Evicted { class, node, pods }) => self.put(class, node, pods),
                Some(Step::Released { class, node }) => self.promise(class, node),
                Some(Step::Added) => self.pop_node(),
                Some(Step::Stood { node, was }) => self.stand(node, was),
                None => break,
            }
        }
    }

    /// Forgets that the node is promised to a pod of the class.
    pub(super) fn release(&mut self, class: ClassId, node: NodeId) {
        if self.withdraw(class, node) {
            self.log.push(Step::Released { class, node });
        }
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Free amounts of resources; negative where the node is overcommitted.
    pub(crate) fn free(&self, node: NodeId) -> &[i128] {
        &self.row(node)[..self.tables.width()]
    }

    /// Free amounts of everything that is kept per node.
    pub(super) fn row(&self, node: NodeId) -> &[i128] {
        let length = self.tables.row();
        &self.free[node as usize * length..(node as usize + 1) * length]
    }

    pub(super) fn row_mut(&mut self, node: NodeId) -> &mut [i128] {
        let length = self.tables.row();
        &mut self.free[node as usize * length..(node as usize + 1) * length]
    }

    pub(crate) fn domain(&self, node: NodeId, key: KeyId) -> Option<DomainId> {
        self.domains[node as usize * self.tables.topology.keys.len() + key]
    }

    pub(crate) fn counter(&self, counter: CounterId) -> &Counter {
        &self.counters[counter as usize]
    }

    /// The count in the node's domain; none where it has no domain.
    pub(crate) fn count_at(&self, counter: CounterId, node: NodeId) -> u32 {
        let key = self.tables.links.counters[counter as usize].key;
        self.domain(node, key)
            .map_or(0, |domain| self.counter(counter).count(domain))
    }

    /// Whether a counter takes notice of the node.
    pub(crate) fn in_scope(&self, counter: CounterId, node: NodeId) -> bool {
        let Some(scope) = &self.tables.links.counters[counter as usize].scope else {
            return true;
        };
        let snapshot = &self.tables.snapshot;
        let shape = self.shapes[node as usize];
        let verdict = self.tables.shapes.verdict(snapshot, scope.asker, shape);
        let tolerated = || {
            verdict.tolerated
                && (!self.standing[node as usize].is_cordoned()
                    || rules::tolerates_cordon(&snapshot.classes[scope.asker as usize]))
        };
        let domains = self.node_domains(node);
        (!scope.honor_affinity || verdict.selected)
            && (!scope.honor_taints || tolerated())
            && scope.keys.iter().all(|key| domains[*key].is_some())
    }
}

/// Two states of one snapshot are equal when no question can tell them apart; how they came about is aside.
#[cfg(test)]
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.standing == other.standing
            && self.imagined == other.imagined
            && self.shapes == other.shapes
            && self.free == other.free
            && self.domains == other.domains
            && self.held == other.held
            && self.promises == other.promises
            && self.arrivals == other.arrivals
            && self.counters == other.counters
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("nodes", &self.nodes())
            .field("steps", &self.log.len())
            .finish_non_exhaustive()
    }
}
