//! Why a pod must wait, in the words of kube-scheduler.

use autoscaler_core::decision::Cause;
use std::collections::BTreeMap;

/// Nodes counted by what kept the pod from them.
pub(super) struct Tally {
    nodes: usize,
    counts: BTreeMap<String, usize>,
}

impl Tally {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            nodes,
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn refused(&mut self, cause: Cause) {
        let text = match cause {
            Cause::Taints => "node(s) had untolerated taint(s)",
            Cause::NodeAffinity => "node(s) didn't match Pod's node affinity/selector",
            Cause::PodAffinity => "node(s) didn't match pod affinity/anti-affinity rules",
            Cause::TopologySpread => "node(s) didn't match pod topology spread constraints",
            Cause::HostPorts => "node(s) didn't have free ports for the requested pod ports",
            Cause::Volumes => "node(s) had volume node affinity conflict",
            Cause::Unschedulable => "node(s) were unschedulable",
            Cause::Resources | Cause::Limits | Cause::Budget => "node(s) had too little room",
        };
        self.add(text.to_owned());
    }

    /// A node has too little of these resources; a node that lacks several counts under each, as it does there.
    pub(super) fn short(&mut self, resources: &[String]) {
        for name in resources {
            self.add(if name == "pods" {
                "Too many pods".to_owned()
            } else {
                format!("Insufficient {name}")
            });
        }
        if resources.is_empty() {
            self.refused(Cause::Resources);
        }
    }

    fn add(&mut self, text: String) {
        *self.counts.entry(text).or_default() += 1;
    }

    pub(super) fn message(&self) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let mut parts: Vec<String> = self
            .counts
            .iter()
            .map(|(text, count)| format!("{count} {text}"))
            .collect();
        parts.sort();
        format!("0/{} nodes are available: {}.", self.nodes, parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        assert_eq!(Tally::new(0).message(), "no nodes available to schedule pods");
        let mut tally = Tally::new(4);
        tally.refused(Cause::Unschedulable);
        tally.short(&["cpu".to_owned(), "memory".to_owned()]);
        tally.short(&["memory".to_owned(), "pods".to_owned()]);
        tally.refused(Cause::NodeAffinity);
        assert_eq!(
            tally.message(),
            "0/4 nodes are available: 1 Insufficient cpu, 1 Too many pods, 1 node(s) didn't match Pod's node \
             affinity/selector, 1 node(s) were unschedulable, 2 Insufficient memory."
        );
    }
}
