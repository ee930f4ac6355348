//! Follows the changes of a few collections and lets each controller look at what may concern it, in a fixed order.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tokio::time::Instant;

use super::context::{BUDGETS, DEPLOYMENTS, Kind, NODES, PODS, REPLICA_SETS, Step, controller};
use super::timers::{Due, Timers};
use super::{Delays, deployment, disruption, kubelet, node_lifecycle, pod_garbage, replica_set};
use crate::collect;
use crate::resources::ResourceKey;
use crate::state::State;
use crate::store::{ObjectKey, Stored};
use crate::update::key_of;

/// More rounds than this without rest means that two controllers fight.
const MAX_ROUNDS: usize = 1_000;

/// What has to be looked at in this round.
#[derive(Debug, Default)]
struct Dirty {
    deployments: BTreeSet<ObjectKey>,
    replica_sets: BTreeSet<ObjectKey>,
    pods: BTreeSet<ObjectKey>,
    nodes: BTreeSet<String>,
    /// Nodes that are gone.
    lost: BTreeSet<String>,
    /// Namespaces whose disruption budgets have to be counted anew.
    budgets: BTreeSet<String>,
}

/// The controllers and how far each has read.
#[derive(Debug)]
pub(super) struct Engine {
    delays: Delays,
    cursors: BTreeMap<Kind, u64>,
    timers: Timers,
    dirty: Dirty,
}

impl Engine {
    pub(super) fn new(delays: Delays) -> Self {
        Self {
            delays,
            cursors: BTreeMap::new(),
            timers: Timers::default(),
            dirty: Dirty::default(),
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Works until nothing is left to do at this moment.
    pub(super) fn settle(&mut self, state: &mut State, now: Timestamp) {
        for _ in 0..MAX_ROUNDS {
            let before = state.store.revision;
            for kind in [DEPLOYMENTS, REPLICA_SETS, PODS, NODES, BUDGETS] {
                self.read(state, kind);
            }
            let dirty = std::mem::take(&mut self.dirty);
            let mut step = Step {
                state,
                now,
                timers: &mut self.timers,
                delays: &self.delays,
            };
            for key in &dirty.deployments {
                deployment::sync(&mut step, key);
            }
            for key in &dirty.replica_sets {
                replica_set::sync(&mut step, key);
            }
            for name in &dirty.nodes {
                kubelet::look_at_node(&mut step, name);
                node_lifecycle::sync(&mut step, name);
            }
            for key in &dirty.pods {
                kubelet::look_at_pod(&mut step, key);
                node_lifecycle::look_at_pod(&mut step, key);
                pod_garbage::look_at_pod(&mut step, key);
            }
            for name in &dirty.lost {
                pod_garbage::node_lost(&mut step, name);
            }
            while let Some(due) = step.timers.pop(Instant::now()) {
                act(&mut step, &due);
            }
            for namespace in &dirty.budgets {
                disruption::sync(&mut step, namespace);
            }
            collect::run(state, now);
            if state.store.revision == before {
                return;
            }
        }
        tracing::error!("the controllers of the simulated cluster do not come to rest");
    }

    /// Reads the changes of one collection since the last time.
    fn read(&mut self, state: &State, kind: Kind) {
        let resource = ResourceKey::new(kind.0, kind.1);
        let cursor = self.cursors.get(&kind).copied();
        self.cursors.insert(kind, state.store.revision);
        let changes = cursor.and_then(|cursor| state.store.changes_after(&resource, cursor));
        let Some(changes) = changes else {
            for (key, stored) in state.store.list(&resource, "") {
                self.mark(kind, key, None, Some(stored));
            }
            return;
        };
        for change in changes {
            self.mark(
                kind,
                &change.key,
                change.before.as_deref(),
                change.after.as_deref(),
            );
        }
    }

    fn mark(&mut self, kind: Kind, key: &ObjectKey, before: Option<&Stored>, after: Option<&Stored>) {
        let dirty = &mut self.dirty;
        let states = [before, after];
        let owners = states
            .into_iter()
            .flatten()
            .filter_map(|stored| controller(&stored.value))
            .filter_map(|reference| Some((reference["kind"].as_str()?, reference["name"].as_str()?)));
        match kind {
            DEPLOYMENTS => {
                dirty.deployments.insert(key.clone());
            }
            REPLICA_SETS => {
                dirty.replica_sets.insert(key.clone());
                dirty.budgets.insert(key.0.clone());
                dirty
                    .deployments
                    .extend(owners.map(|(_, name)| (key.0.clone(), name.to_owned())));
            }
            PODS => {
                dirty.pods.insert(key.clone());
                dirty.budgets.insert(key.0.clone());
                let sets = owners.filter(|(kind, _)| *kind == "ReplicaSet");
                dirty
                    .replica_sets
                    .extend(sets.map(|(_, name)| (key.0.clone(), name.to_owned())));
            }
            NODES => {
                if after.is_some() {
                    dirty.nodes.insert(key.1.clone());
                } else {
                    dirty.lost.insert(key.1.clone());
                }
            }
            _ => {
                dirty.budgets.insert(key.0.clone());
            }
        }
    }
}

fn act(step: &mut Step<'_>, due: &Due) {
    match due {
        Due::NodeReady { name, uid } => kubelet::make_node_ready(step, name, uid),
        Due::PodStarts { key, uid } => kubelet::start_pod(step, key, uid),
        Due::PodStops { key, uid } => kubelet::stop_pod(step, key, uid),
        Due::PodCollected { key, uid } => pod_garbage::collect(step, key, uid),
        Due::PodEvicted { key, uid } => node_lifecycle::evict(step, key, uid),
    }
}

/// The key of a stored object.
pub(super) fn key(stored: &Stored) -> ObjectKey {
    key_of(&stored.value)
}
