//! Kubernetes objects as the core's values.

mod capacity;
mod daemons;
mod drain;
mod movability;
mod node;
mod pod;
mod requests;
mod selectors;
mod surroundings;
mod volumes;

pub(crate) use daemons::{daemon, daemon_runs_on};
pub(crate) use drain::{drain_rules, surges};
pub(crate) use movability::{health, movability};
pub use node::labels_of_new_node;
pub(crate) use node::{allocatable, attach_limits, is_ready, protection, taints_of};
pub(crate) use pod::{pod_class, selects_namespaces, unschedulable_since};
pub(crate) use selectors::label_selector;
pub(crate) use surroundings::Surroundings;
pub(crate) use volumes::claim_names;
