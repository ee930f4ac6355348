//! Who runs where, by number and class: what a state begins with, read off the nodes without a look at the pods.

use crate::model::{ClassId, NodeId, Snapshot};

/// How many pods of a class run on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neighbours {
    pub(crate) class: ClassId,
    pub(crate) pods: u32,
    /// Of these, those that need another place when the node goes.
    pub(crate) moving: u32,
}

/// Neighbours of all nodes, one node after the other.
pub(crate) struct Neighbourhoods {
    all: Vec<Neighbours>,
    /// By node: where its own end.
    ends: Vec<usize>,
}

impl Neighbourhoods {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let mut all = Vec::with_capacity(
            snapshot
                .nodes
                .iter()
                .map(|node| node.residents.crowds().len())
                .sum(),
        );
        let mut ends = Vec::with_capacity(snapshot.nodes.len());
        for node in &snapshot.nodes {
            let known = node.residents.crowds().iter().filter_map(|crowd| {
                let class = snapshot.class_of(crowd.class);
                ((class as usize) < snapshot.classes.len()).then_some(Neighbours {
                    class,
                    pods: crowd.pods,
                    moving: crowd.moving,
                })
            });
            all.extend(known);
            ends.push(all.len());
        }
        Self { all, ends }
    }

    /// Those of a node of the snapshot; of others, none.
    pub(crate) fn of(&self, node: NodeId) -> &[Neighbours] {
        let at = node as usize;
        let Some(end) = self.ends.get(at) else {
            return &[];
        };
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.all[start..*end]
    }
}
