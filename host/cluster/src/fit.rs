//! Which pending pod would run on which node, each pod for itself: what the filters of kube-scheduler say.

use autoscaler_core::decision::Cause;
use autoscaler_core::model::{ClassId, Snapshot};
use autoscaler_core::packing::State;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the rules say of one pod and each node.
type Verdicts = Vec<Result<(), Cause>>;

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
        let nodes = || (0..).take(snapshot.nodes.len());
        let mut of_classes: BTreeMap<ClassId, Verdicts> = BTreeMap::new();
        let mut fit = Self::default();
        for (id, pod) in (0..).zip(&snapshot.pods) {
            // A node that is promised to the pod is open to it, and not to others of its class.
            let own: Option<Verdicts> = pod
                .nominated
                .map(|_| nodes().map(|node| state.fits_pod(id, node)).collect());
            let alike = || nodes().map(|node| state.fits(pod.class, node)).collect();
            let verdicts = match &own {
                Some(own) => own,
                None => of_classes.entry(pod.class).or_insert_with(alike),
            };
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
