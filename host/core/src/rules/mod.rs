//! The rules by which kube-scheduler lets a pod onto a node: one file, one rule, one table of cases.
//!
//! Rules come in two lists. *Static* ones depend on the pod's class and on what is written on the node; they
//! are asked once per class and kind of node. *Dynamic* ones depend on what else runs, and are asked whenever
//! a pod is tried. The first rule that says no gives the [`Cause`].

mod attach_limits;
mod disks;
mod exclusive_claims;
mod host_ports;
mod node_affinity;
mod pod_affinity;
mod resources;
mod taints;
mod topology_spread;
mod unschedulable;
mod volumes;

use crate::decision::Cause;
use crate::model::{ClassId, Labels, NodeId, PodClass, Taint};
use crate::packing::State;

pub(crate) use node_affinity::{allows as selects_node, preferred as preferred_terms};
pub(crate) use taints::{allows as tolerates_node, discouraging as discouraging_taints};
pub(crate) use topology_spread::skew_after;
pub(crate) use unschedulable::tolerates as tolerates_cordon;

/// What static rules see of a node, existing or imagined.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'a> {
    pub name: &'a str,
    pub labels: &'a Labels,
    pub taints: &'a [Taint],
    /// Cordoned.
    pub unschedulable: bool,
}

type StaticRule = fn(&PodClass, &NodeView<'_>) -> bool;
type DynamicRule = fn(&State, ClassId, NodeId) -> bool;

/// Rules about a class and a node, in the order in which they are asked.
const STATIC: [(Cause, StaticRule); 4] = [
    (Cause::Unschedulable, unschedulable::allows),
    (Cause::Taints, taints::allows),
    (Cause::NodeAffinity, node_affinity::allows),
    (Cause::Volumes, volumes::allows),
];

/// Rules about a class and a node in the light of what else runs, asked after the static ones.
const DYNAMIC: [(Cause, DynamicRule); 7] = [
    (Cause::HostPorts, host_ports::allows),
    (Cause::Resources, resources::allows),
    (Cause::Volumes, exclusive_claims::allows),
    (Cause::Volumes, disks::allows),
    (Cause::Volumes, attach_limits::allows),
    (Cause::TopologySpread, topology_spread::allows),
    (Cause::PodAffinity, pod_affinity::allows),
];

/// The rules that have something to say of the class: most pods take no ports and no volumes.
fn dynamic(state: &State, class: ClassId) -> impl Iterator<Item = (Cause, DynamicRule)> {
    let bare = state.tables().is_bare(class);
    let about_possessions = |cause| matches!(cause, Cause::HostPorts | Cause::Volumes);
    DYNAMIC
        .into_iter()
        .filter(move |(cause, _)| !(bare && about_possessions(*cause)))
}

/// The static rule that keeps pods of the class from the node, if any.
pub fn refused_by_nature(class: &PodClass, node: &NodeView<'_>) -> Option<Cause> {
    STATIC
        .iter()
        .find(|(_, allows)| !allows(class, node))
        .map(|(cause, _)| *cause)
}

/// The dynamic rule that keeps a pod of the class from the node now, if any.
pub(crate) fn refused_by_state(state: &State, class: ClassId, node: NodeId) -> Option<Cause> {
    dynamic(state, class)
        .find(|(_, allows)| !allows(state, class, node))
        .map(|(cause, _)| cause)
}

/// Whether some dynamic rule other than topology spread keeps a pod of the class from the node now.
pub(crate) fn refused_whatever_spreads(state: &State, class: ClassId, node: NodeId) -> bool {
    dynamic(state, class)
        .filter(|(cause, _)| *cause != Cause::TopologySpread)
        .any(|(_, allows)| !allows(state, class, node))
}

/// The same of rules that ask what runs beside the pod, and not how much room there is.
pub(crate) fn refused_for_company(state: &State, class: ClassId, node: NodeId) -> bool {
    dynamic(state, class)
        .filter(|(cause, _)| !matches!(cause, Cause::TopologySpread | Cause::Resources))
        .any(|(_, allows)| !allows(state, class, node))
}
