//! From watches to a snapshot: Kubernetes objects are folded into an index, and the index into one value.
//!
//! ```text
//!   kube watchers ──▶ Feed ──▶ Index::apply(Change) ──▶ Index::snapshot(&Inputs) ──▶ core::model::Snapshot
//!                       └────▶ listeners (work queues of the controllers)
//! ```
//!
//! *Architecture invariant:* folding is synchronous and needs no server, so that the index can be tested with
//! plain values. Pods are kept as classes, not as objects: memory follows the number of shapes.

mod convert;
mod dump;
mod error;
mod feed;
mod fit;
mod index;
mod inputs;
mod lean;
mod snapshot;

pub use convert::labels_of_new_node;
pub use dump::Dump;
pub use error::Error;
pub use feed::{Change, Feed, Kind, Listener, Pauses};
pub use fit::Fit;
pub use index::{Index, ObjectKey};
pub use inputs::{Inputs, Offering, TemplateHealth, View};
pub use snapshot::spare_owner;
