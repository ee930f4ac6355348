//! What a way of packing came to, to be repeated without being worked out again.

use super::State;
use super::fill::Offer;
use super::pack::Put;
use super::sorts::Want;
use crate::model::{NodeId, TemplateId};

/// What a way of packing came to.
pub(super) struct Packed {
    /// Templates of the nodes that it opened, in turn.
    pub(super) opened: Vec<TemplateId>,
    pub(super) offers: Vec<Offer>,
    pub(super) puts: Vec<Put>,
}

impl Packed {
    /// Takes the same steps from the same start.
    pub(super) fn again(self, state: &mut State, wanted: &[Want], offers: &mut [Offer]) -> Vec<Put> {
        for template in self.opened {
            state.add_node(template);
        }
        for (position, node, pods) in &self.puts {
            state.place(wanted[*position].class, *node, *pods);
        }
        offers.clone_from_slice(&self.offers);
        self.puts
    }
}

/// Templates of the nodes that were imagined after so many were there.
pub(super) fn imagined_since(state: &State, nodes: usize) -> Vec<TemplateId> {
    (nodes..state.nodes())
        .filter_map(|node| state.imagined(NodeId::try_from(node).ok()?))
        .collect()
}
