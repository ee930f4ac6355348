//! A field of nodes that pods look for a place on, with what it takes to pass over the full ones.
//!
//! Nodes stand in blocks. A block knows the most that any of its nodes has free, resource by resource, so that a
//! class which no node of it can hold costs one comparison, and a class on a full cluster does not cost a walk
//! over the cluster.

use super::State;
use super::shapes::ShapeId;
use crate::model::{ClassId, NodeId};

/// Nodes of a block.
const BLOCK: usize = 32;

#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(super) nodes: Vec<NodeId>,
    /// By column: no node has more free. It may be too high after pods were placed, never too low.
    most: Vec<i128>,
    /// How many nodes of each shape there are: why a class is refused, where no node needs to be looked at.
    pub(super) shapes: Vec<(ShapeId, u32)>,
}

/// Nodes in the order of preference.
#[derive(Clone, Debug, Default)]
pub(crate) struct Field {
    pub(super) blocks: Vec<Block>,
}

impl Field {
    pub(crate) fn new(state: &State, nodes: &[NodeId]) -> Self {
        let block = |nodes: &[NodeId]| {
            let mut shapes: Vec<(ShapeId, u32)> = Vec::new();
            for node in nodes {
                let shape = state.shapes[*node as usize];
                match shapes.iter_mut().find(|(known, _)| *known == shape) {
                    Some((_, count)) => *count += 1,
                    None => shapes.push((shape, 1)),
                }
            }
            let mut block = Block {
                nodes: nodes.to_vec(),
                most: Vec::new(),
                shapes,
            };
            block.refresh(state);
            block
        };
        Self {
            blocks: nodes.chunks(BLOCK).map(block).collect(),
        }
    }
}

impl Block {
    /// Whether some node might hold a pod of the class.
    pub(super) fn may_hold(&self, state: &State, class: ClassId) -> bool {
        state.tables().needs[class as usize]
            .iter()
            .all(|&(column, amount)| amount <= self.most[column])
    }

    /// Looks at the nodes anew.
    pub(super) fn refresh(&mut self, state: &State) {
        self.most.clear();
        self.most.resize(state.tables().width(), i128::MIN);
        for node in &self.nodes {
            for (most, free) in self.most.iter_mut().zip(state.free(*node)) {
                *most = (*most).max(*free);
            }
        }
    }
}
