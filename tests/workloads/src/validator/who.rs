//! Pods by number, wherever they are.

use autoscaler_core::model::{ClassId, NodeId, PodId, PodKey, Resident, Snapshot};

/// A pod of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// One that waits.
    Waiting(PodId),
    /// One that runs on this node: its place among those there.
    Running(NodeId, usize),
}

impl Who {
    /// The pods that run on the node.
    pub fn on(snapshot: &Snapshot, node: NodeId) -> impl Iterator<Item = (Self, &Resident)> {
        let node_of = snapshot.nodes.get(node as usize);
        let pods = node_of.into_iter().flat_map(|node| node.residents.iter());
        pods.enumerate()
            .map(move |(at, pod)| (Self::Running(node, at), pod))
    }

    /// Key and class of the pod, where it exists.
    #[must_use]
    pub fn look_up(self, snapshot: &Snapshot) -> Option<(&PodKey, ClassId)> {
        match self {
            Self::Waiting(pod) => snapshot.pods.get(pod as usize).map(|pod| (&pod.key, pod.class)),
            Self::Running(node, at) => {
                let pod = snapshot.nodes.get(node as usize)?.residents.iter().nth(at)?;
                Some((&pod.key, snapshot.class_of(pod.class)))
            }
        }
    }
}
