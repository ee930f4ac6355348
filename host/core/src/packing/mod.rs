//! Packing: which pod goes where, on nodes that exist and on nodes that might.
//!
//! Pods are handled by class, node descriptions by shape, topology by counters; the state changes step by
//! step and remembers how to go back, so that nothing is ever copied to try something out.

mod capacity;
mod changes;
mod counters;
mod field;
mod fill;
mod links;
mod neighbours;
mod onto_new;
mod pack;
mod packed;
mod pending;
#[cfg(test)]
mod plain;
mod possessions;
mod preferences;
mod promises;
#[cfg(test)]
mod properties;
mod quotas;
#[cfg(test)]
mod random;
mod run;
mod shapes;
mod sorts;
mod spread_room;
mod start;
mod state;
mod tables;
mod topology;
mod what_if;
#[cfg(test)]
mod what_if_tests;
mod work;

pub use capacity::{PerNewNode, per_new_node};
pub(crate) use field::Field;
pub(crate) use fill::{Filled, Lot, Offer, fill_all};
pub(crate) use links::CounterId;
pub use pending::{Placement, Unplaced, place_pending, place_pending_within};
pub(crate) use possessions::Holding;
pub use state::{Mark, State};
pub use topology::HOSTNAME_LABEL;
pub use what_if::WhatIf;
pub(crate) use what_if::permille;
pub(crate) use work::Work;
pub use work::{PLACEMENT_STEPS, QUESTION_STEPS};
