//! A field of nodes that pods look for a place on, with what it takes to pass over the full ones.
//!
//! Nodes stand in blocks. A block knows the most that any of its nodes has free, resource by resource, so that a
//! class which no node of it can hold costs one comparison, and a class on a full cluster does not cost a walk
//! over the cluster.

use super::State;
use super::shapes::ShapeId;
use crate::model::{ClassId, NodeId};

/// Nodes of a block.
pub(super) const BLOCK: usize = 32;

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
        may_hold(&self.most, state, class)
    }

    /// Looks at the nodes anew.
    pub(super) fn refresh(&mut self, state: &State) {
        self.most = most(state, &self.nodes);
    }
}

/// The most that any node of a block has free, for blocks of nodes that are filled and never emptied. What it says may
/// be too high, never too low.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ceilings(Vec<Vec<i128>>);

impl Ceilings {
    /// Whether some node of the block might hold a pod of the class; true where nobody has looked yet.
    pub(super) fn may_hold(&self, block: usize, state: &State, class: ClassId) -> bool {
        let known = self.0.get(block).filter(|most| !most.is_empty());
        known.is_none_or(|most| may_hold(most, state, class))
    }

    /// Looks at the nodes of the block.
    pub(super) fn look(&mut self, block: usize, state: &State, nodes: &[NodeId]) {
        if self.0.len() <= block {
            self.0.resize(block + 1, Vec::new());
        }
        self.0[block] = most(state, nodes);
    }
}

fn may_hold(most: &[i128], state: &State, class: ClassId) -> bool {
    state.tables().needs[class as usize]
        .iter()
        .all(|&(column, amount)| amount <= most[column])
}

fn most(state: &State, nodes: &[NodeId]) -> Vec<i128> {
    let mut most = vec![i128::MIN; state.tables().width()];
    for node in nodes {
        for (most, free) in most.iter_mut().zip(state.free(*node)) {
            *most = (*most).max(*free);
        }
    }
    most
}
