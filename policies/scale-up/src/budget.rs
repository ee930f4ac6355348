//! How much of each group is spoken for, in parts of a node.
//!
//! A pod of which a node holds *n* takes 1/n of a node. That is exact for one class and an estimate for a
//! mixture; node selection, which asks the oracle, has the last word.

/// One node.
const NODE: u64 = 1_000_000;

/// What a group may still gain, and what is already called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    nodes: u64,
    used: u64,
}

impl Budget {
    pub(crate) fn new(nodes: u32) -> Self {
        Self {
            nodes: u64::from(nodes),
            used: 0,
        }
    }

    /// Whole nodes that the load so far calls for.
    pub(crate) fn nodes_used(self) -> u64 {
        self.used.div_ceil(NODE)
    }

    /// How many pods still have room when the group may use `spare` nodes beyond those it uses already.
    pub(crate) fn room(self, per_node: u32, spare: u64) -> u64 {
        let nodes = self.nodes.min(self.nodes_used().saturating_add(spare));
        (nodes * NODE).saturating_sub(self.used) / share(per_node)
    }

    /// Nodes that have to come for these pods in addition.
    pub(crate) fn extra_nodes(self, pods: u64, per_node: u32) -> u64 {
        let mut after = self;
        after.take(pods, per_node);
        after.nodes_used() - self.nodes_used()
    }

    pub(crate) fn take(&mut self, pods: u64, per_node: u32) {
        self.used = self.used.saturating_add(pods.saturating_mul(share(per_node)));
    }
}

/// The part of a node that one pod takes; rounded down, so that n pods never take more than one node.
fn share(per_node: u32) -> u64 {
    (NODE / u64::from(per_node.max(1))).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_holds_what_it_is_said_to_hold() {
        for per_node in [1, 2, 3, 7, 30, 110] {
            let budget = Budget::new(3);
            assert_eq!(
                budget.extra_nodes(u64::from(per_node), per_node),
                1,
                "{per_node} pods on one node"
            );
            assert_eq!(
                budget.extra_nodes(u64::from(per_node) * 2, per_node),
                2,
                "{per_node} pods on each of two"
            );
            assert_eq!(
                budget.room(per_node, 3) / u64::from(per_node),
                3,
                "{per_node} per node"
            );
        }
    }

    #[test]
    fn a_second_class_shares_the_started_node() {
        let mut budget = Budget::new(2);
        budget.take(1, 2);
        assert_eq!(budget.extra_nodes(1, 4), 0);
        assert_eq!(budget.extra_nodes(3, 4), 1);
        assert_eq!(budget.room(4, 0), 2, "what is left of the started node");
        assert_eq!(budget.room(4, 9), 6, "the group's own limit holds");
    }
}
