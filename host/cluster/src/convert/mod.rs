//! Kubernetes objects as the core's values.

mod movability;
mod node;
mod pod;
mod requests;

pub(crate) use movability::{Judgement, movability};
pub use node::labels_of_new_node;
pub(crate) use node::{allocatable, is_ready, protection, taints_of};
pub(crate) use pod::{
    Surroundings, class_of_template, depends_on_surroundings, label_selector, pod_class, unschedulable_since,
};
