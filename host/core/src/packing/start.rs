//! The state that a snapshot starts with.
//!
//! What it costs: a row of free amounts per node, one step per node and class that runs there, and one question per
//! spread constraint and kind of node. Pods are not looked at one by one.

use super::State;
use super::counters::Counter;
use super::possessions::Held;
use super::shapes::ShapeId;
use super::state::Standing;
use super::tables::Tables;
use super::topology::DomainId;
use crate::model::{NodeId, NodeState, Snapshot};
use std::collections::BTreeMap;
use std::sync::Arc;

impl State {
    /// The cluster as it is: bound pods on their nodes, nothing else placed.
    pub fn new(snapshot: &Arc<Snapshot>) -> Self {
        let tables = Arc::new(Tables::new(Arc::clone(snapshot)));
        let nodes = snapshot.nodes.len();
        let mut state = Self {
            standing: Vec::with_capacity(nodes),
            imagined: Vec::new(),
            shapes: tables.shapes.of_nodes.clone(),
            free: Vec::with_capacity(nodes * tables.row()),
            domains: tables.topology.of_nodes.clone(),
            held: Held::new(tables.possessions.claims, nodes),
            arrivals: vec![Vec::new(); nodes],
            counters: tables
                .links
                .counters
                .iter()
                .map(|counter| Counter::new(tables.topology.known[counter.key], counter.scope.is_some()))
                .collect(),
            promises: super::promises::given(snapshot),
            log: Vec::new(),
            tables: Arc::clone(&tables),
        };
        for node in &snapshot.nodes {
            state.standing.push(match node.state {
                NodeState::Ready => Standing::Ready,
                NodeState::Upcoming => Standing::Upcoming,
                NodeState::NotReady => Standing::Closed,
                NodeState::Leaving => Standing::Leaving,
            });
            state
                .free
                .extend(tables.amounts(&node.allocatable, &node.attach_limits));
        }
        // Most pods take room and nothing else.
        let seen: Vec<bool> = (0..)
            .zip(&snapshot.classes)
            .map(|(id, _)| tables.is_seen(id))
            .collect();
        for (id, _) in (0..).zip(&snapshot.nodes) {
            let row = state.row_mut(id);
            for there in tables.neighbourhoods.of(id) {
                for (column, amount) in &tables.needs[there.class as usize] {
                    row[*column] -= amount * i128::from(there.pods);
                }
            }
            for there in tables.neighbourhoods.of(id) {
                if seen[there.class as usize] {
                    state.attach(there.class, id, there.pods);
                    state.settle(there.class, id, there.pods);
                }
            }
            state.each_daemon(id, Self::settle);
        }
        // Last, so that counts that are still rising need not keep their smallest.
        state.introduce();
        state
    }

    /// Tells the counters that look at nodes about those of the snapshot. Nodes of one kind are the same to a counter,
    /// but for the host name.
    fn introduce(&mut self) {
        let tables = Arc::clone(&self.tables);
        if tables.links.scoped.is_empty() {
            return;
        }
        let hostname = tables.topology.hostname;
        let mut kinds: Vec<Vec<NodeId>> = Vec::new();
        let mut known: BTreeMap<(Standing, ShapeId, Vec<Option<DomainId>>), usize> = BTreeMap::new();
        for (id, standing) in (0..).zip(&self.standing) {
            let mut domains = self.node_domains(id).to_vec();
            if let Some(key) = hostname {
                domains[key] = domains[key].map(|_| 0);
            }
            let kind = (*standing, self.shapes[id as usize], domains);
            let at = *known.entry(kind).or_insert(kinds.len());
            if at == kinds.len() {
                kinds.push(Vec::new());
            }
            kinds[at].push(id);
        }
        for id in &tables.links.scoped {
            let key = tables.links.counters[*id as usize].key;
            let mut hosts = vec![0; tables.topology.known[key] as usize];
            for nodes in &kinds {
                let first = nodes[0];
                let Some(domain) = self.domain(first, key) else {
                    continue;
                };
                if !self.in_scope(*id, first) {
                    continue;
                }
                if Some(key) == hostname {
                    let domains = nodes.iter().filter_map(|node| self.domain(*node, key));
                    domains.for_each(|domain| hosts[domain as usize] += 1);
                } else {
                    hosts[domain as usize] += u32::try_from(nodes.len()).unwrap_or(u32::MAX);
                }
            }
            self.counters[*id as usize].begin(hosts);
        }
    }
}
