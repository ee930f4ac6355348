//! Which pending pod would run on which node, each pod for itself: what the filters of kube-scheduler say.

use autoscaler_core::decision::Cause;
use autoscaler_core::model::{ClassId, NodeId, Snapshot};
use autoscaler_core::packing::State;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The answer for every pending pod and every node. Pods are `namespace/name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fit {
    /// Nodes that a pod fits on, by name.
    pub feasible: BTreeMap<String, Vec<String>>,
    /// For each other node the rule that refuses.
    pub refused: BTreeMap<String, BTreeMap<String, Cause>>,
}

impl Fit {
    /// Asks every rule about every pair; no pod is placed, so that none is in another's way.
    pub fn of(snapshot: Snapshot) -> Self {
        let snapshot = Arc::new(snapshot);
        let state = State::new(&snapshot);
        let mut of_classes: BTreeMap<ClassId, Vec<Result<(), Cause>>> = BTreeMap::new();
        let mut fit = Self::default();
        for pod in snapshot.pods.iter().filter(|pod| pod.node.is_none()) {
            let nodes = (0..).take(snapshot.nodes.len());
            let verdicts = of_classes
                .entry(pod.class)
                .or_insert_with(|| nodes.map(|node: NodeId| state.fits(pod.class, node)).collect());
            let key = pod.key.to_string();
            let feasible = fit.feasible.entry(key.clone()).or_default();
            let refused = fit.refused.entry(key).or_default();
            for (node, verdict) in snapshot.nodes.iter().zip(verdicts) {
                match verdict {
                    Ok(()) => feasible.push(node.name.clone()),
                    Err(cause) => drop(refused.insert(node.name.clone(), *cause)),
                }
            }
            feasible.sort_unstable();
        }
        fit
    }
}
