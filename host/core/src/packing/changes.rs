//! The changes that steps are made of: each has an inverse that restores every number.

use super::State;
use super::counters::Counter;
use super::links::CounterId;
use super::shapes::ShapeId;
use super::state::Standing;
use super::topology::{DomainId, KeyId};
use crate::model::{ClassId, NodeId, TemplateId};
use std::sync::Arc;

impl State {
    pub(super) fn node_domains(&self, node: NodeId) -> &[Option<DomainId>] {
        let keys = self.tables.topology.keys.len();
        &self.domains[node as usize * keys..(node as usize + 1) * keys]
    }

    pub(super) fn next_hostname(&self, key: KeyId) -> DomainId {
        let imagined = self.standing.len() - self.tables.snapshot.nodes.len();
        self.tables.topology.known[key].saturating_add(u32::try_from(imagined).unwrap_or(u32::MAX))
    }

    pub(super) fn push_node(
        &mut self,
        standing: Standing,
        shape: ShapeId,
        free: impl Iterator<Item = i128>,
        domains: &[Option<DomainId>],
    ) {
        let node = NodeId::try_from(self.standing.len()).unwrap_or(NodeId::MAX);
        self.standing.push(standing);
        self.shapes.push(shape);
        self.free.extend(free);
        self.domains.extend_from_slice(domains);
        self.held.push_node();
        self.arrivals.push(Vec::new());
        self.each_scope(node, Counter::add_host);
        self.each_daemon(node, Self::settle);
    }

    pub(super) fn pop_node(&mut self) {
        let Some(last) = self.standing.len().checked_sub(1) else {
            return;
        };
        let node = NodeId::try_from(last).unwrap_or(NodeId::MAX);
        self.each_daemon(node, Self::unsettle);
        self.each_scope(node, Counter::remove_host);
        self.standing.pop();
        self.shapes.pop();
        self.free.truncate(last * self.tables.row());
        self.domains.truncate(last * self.tables.topology.keys.len());
        self.held.pop_node();
        self.arrivals.pop();
        self.imagined.pop();
        let tables = Arc::clone(&self.tables);
        for counter in &tables.links.by_hostname {
            self.counters[*counter as usize].pop_domain();
        }
    }

    /// Tells the counters that look at nodes about this one.
    pub(super) fn each_scope(&mut self, node: NodeId, tell: impl Fn(&mut Counter, DomainId)) {
        let tables = Arc::clone(&self.tables);
        if self.standing[node as usize] == Standing::Imagined
            && let Some(template) = self.template_of_imagined(node)
        {
            let counters = tables.scoped[template as usize].get_or_init(|| self.scopes(node));
            for (counter, key) in counters {
                if let Some(domain) = self.domain(node, *key) {
                    tell(&mut self.counters[*counter as usize], domain);
                }
            }
            return;
        }
        for counter in &tables.links.scoped {
            let key = tables.links.counters[*counter as usize].key;
            if self.in_scope(*counter, node)
                && let Some(domain) = self.domain(node, key)
            {
                tell(&mut self.counters[*counter as usize], domain);
            }
        }
    }

    /// The counters that look at the node. All new nodes of a template are alike to them.
    fn scopes(&self, node: NodeId) -> Vec<(CounterId, KeyId)> {
        let links = &self.tables.links;
        let counters = links
            .scoped
            .iter()
            .filter(|counter| self.in_scope(**counter, node));
        counters
            .map(|counter| (*counter, links.counters[*counter as usize].key))
            .collect()
    }

    /// The template of a node that was imagined, whatever became of it.
    pub(super) fn template_of_imagined(&self, node: NodeId) -> Option<TemplateId> {
        let at = (node as usize).checked_sub(self.tables.snapshot.nodes.len())?;
        self.imagined.get(at).copied()
    }

    /// The DaemonSet pods of a node to come. Nothing else is on it yet, and its amounts have them off already.
    pub(super) fn each_daemon(&mut self, node: NodeId, change: fn(&mut Self, ClassId, NodeId, u32)) {
        let template = self
            .template_of_imagined(node)
            .or_else(|| self.tables.upcoming(node));
        let tables = Arc::clone(&self.tables);
        for class in template.into_iter().flat_map(|template| tables.daemons(template)) {
            change(self, class, node, 1);
        }
    }

    /// Lets a node stand otherwise. Whether it counts as a domain, and who is left on it as a pod, may depend on that.
    pub(super) fn stand(&mut self, node: NodeId, standing: Standing) {
        let was = self.standing[node as usize];
        let gone = was == Standing::Gone || standing == Standing::Gone;
        if !gone && !self.tables.links.honors_taints {
            self.standing[node as usize] = standing;
            return;
        }
        if was != Standing::Gone {
            self.each_daemon(node, Self::unsettle);
            self.each_staying(node, Self::take);
            self.each_scope(node, Counter::remove_host);
        }
        self.standing[node as usize] = standing;
        if standing != Standing::Gone {
            self.each_scope(node, Counter::add_host);
            self.each_staying(node, Self::put);
            self.each_daemon(node, Self::settle);
        }
    }

    /// Pods that a drain leaves where they are.
    fn each_staying(&mut self, node: NodeId, change: fn(&mut Self, ClassId, NodeId, u32)) {
        let tables = Arc::clone(&self.tables);
        for there in tables.neighbourhoods.of(node) {
            let staying = there.pods - there.moving;
            if staying > 0 {
                change(self, there.class, node, staying);
            }
        }
    }

    pub(super) fn put(&mut self, class: ClassId, node: NodeId, pods: u32) {
        self.shift(class, node, -i128::from(pods));
        self.attach(class, node, pods);
        self.settle(class, node, pods);
    }

    pub(super) fn take(&mut self, class: ClassId, node: NodeId, pods: u32) {
        self.shift(class, node, i128::from(pods));
        self.detach(class, node, pods);
        self.unsettle(class, node, pods);
    }

    /// What others see of pods on the node, amounts aside.
    pub(super) fn settle(&mut self, class: ClassId, node: NodeId, pods: u32) {
        self.each_moved(class, node, |counter, domain| counter.add(domain, pods));
        self.hold(class, node, pods);
    }

    pub(super) fn unsettle(&mut self, class: ClassId, node: NodeId, pods: u32) {
        self.each_moved(class, node, |counter, domain| counter.sub(domain, pods));
        self.let_go(class, node, pods);
    }

    fn shift(&mut self, class: ClassId, node: NodeId, times: i128) {
        let tables = Arc::clone(&self.tables);
        let row = self.row_mut(node);
        for (column, amount) in &tables.needs[class as usize] {
            row[*column] += amount * times;
        }
    }

    fn each_moved(&mut self, class: ClassId, node: NodeId, tell: impl Fn(&mut Counter, DomainId)) {
        let tables = Arc::clone(&self.tables);
        for counter in &tables.links.of(class).moves {
            let key = tables.links.counters[*counter as usize].key;
            if let Some(domain) = self.domain(node, key)
                && self.in_scope(*counter, node)
            {
                tell(&mut self.counters[*counter as usize], domain);
            }
        }
    }

    pub(super) fn arrive(&mut self, class: ClassId, node: NodeId, pods: u32) {
        let arrivals = &mut self.arrivals[node as usize];
        match arrivals.binary_search_by_key(&class, |entry| entry.0) {
            Ok(at) => arrivals[at].1 += pods,
            Err(at) => arrivals.insert(at, (class, pods)),
        }
    }

    pub(super) fn depart(&mut self, class: ClassId, node: NodeId, pods: u32) {
        let arrivals = &mut self.arrivals[node as usize];
        if let Ok(at) = arrivals.binary_search_by_key(&class, |entry| entry.0) {
            arrivals[at].1 -= pods;
            if arrivals[at].1 == 0 {
                arrivals.remove(at);
            }
        }
    }
}
