//! Promises: nodes that the scheduler makes room on for waiting pods (`status.nominatedNodeName`).
//!
//! Until such a pod runs, others of its priority or below have to leave its room to it. Those above it may take
//! the room; whoever relies on its company waits until it is there.

use super::State;
use super::neighbours::Neighbours;
use super::state::Standing;
use crate::decision::Cause;
use crate::model::{ClassId, NodeId, PodId, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The promises of a snapshot.
pub(super) fn given(snapshot: &Snapshot) -> BTreeMap<NodeId, Vec<ClassId>> {
    let mut promises: BTreeMap<NodeId, Vec<ClassId>> = BTreeMap::new();
    for pod in &snapshot.pods {
        if let Some(node) = pod.nominated
            && (node as usize) < snapshot.nodes.len()
            && (pod.class as usize) < snapshot.classes.len()
        {
            promises.entry(node).or_default().push(pod.class);
        }
    }
    promises.values_mut().for_each(|classes| classes.sort_unstable());
    promises
}

impl State {
    /// As [`State::fits`], for a waiting pod of the snapshot: a promise to itself does not stand in its way.
    ///
    /// # Errors
    /// The first rule that says no.
    pub fn fits_pod(&self, pod: PodId, node: NodeId) -> Result<(), Cause> {
        let Some(pod) = self.tables.snapshot.pods.get(pod as usize) else {
            return Err(Cause::NodeAffinity);
        };
        if pod.nominated == Some(node) {
            let mut without = self.clone();
            without.withdraw(pod.class, node);
            return without.fits(pod.class, node);
        }
        self.fits(pod.class, node)
    }

    /// The node that is still promised to a waiting pod.
    pub(super) fn promised_to(&self, pod: PodId) -> Option<NodeId> {
        let pod = self.tables.snapshot.pods.get(pod as usize)?;
        let node = pod.nominated?;
        let classes = self.promises.get(&node)?;
        classes.binary_search(&pod.class).ok().map(|_| node)
    }

    /// The state in which the pods that come first run on the node; none where the node is promised to nobody who
    /// does. Promises are few, and none is left once waiting pods are placed.
    pub(super) fn beside_promised(&self, class: ClassId, node: NodeId) -> Option<Self> {
        let priority = |class: ClassId| self.tables.snapshot.classes[class as usize].priority;
        let first = |other: &&ClassId| priority(**other) >= priority(class);
        let promises = self.promises.get(&node)?;
        let before: Vec<ClassId> = promises.iter().filter(first).copied().collect();
        if before.is_empty() {
            return None;
        }
        let mut beside = self.clone();
        before.iter().for_each(|other| beside.put(*other, node, 1));
        beside.count_promised(class, node, &before);
        if !self.judges_affinity(class) {
            for counter in &self.tables.links.of(class).shunned_by {
                beside.counters[*counter as usize].clone_from(self.counter(*counter));
            }
        }
        Some(beside)
    }

    /// Counts promised pods for the constraints of the class that count no others.
    fn count_promised(&mut self, class: ClassId, node: NodeId, promised: &[ClassId]) {
        let tables = Arc::clone(&self.tables);
        let namespace = |class: ClassId| &tables.snapshot.classes[class as usize].namespace;
        let own = promised
            .iter()
            .filter(|other| namespace(**other) == namespace(class));
        let pods = u32::try_from(own.count()).unwrap_or(u32::MAX);
        // Equal constraints share a counter.
        let mut counted = BTreeSet::new();
        for spread in &tables.links.of(class).spread {
            if spread.counts_promised_only
                && counted.insert(spread.counter)
                && self.in_scope(spread.counter, node)
                && let Some(domain) = self.domain(node, spread.key)
            {
                self.counters[spread.counter as usize].add(domain, pods);
            }
        }
    }

    /// Whether a term of the class, or of a pod that runs, concerns pods of the class. Where none does, kube-scheduler
    /// leaves the rule out, and with it whom a promised pod would keep away.
    fn judges_affinity(&self, class: ClassId) -> bool {
        let own = &self.tables.snapshot.classes[class as usize];
        let shunned_by = &self.tables.links.of(class).shunned_by;
        !own.pod_affinity.is_empty()
            || !own.pod_anti_affinity.is_empty()
            || shunned_by
                .iter()
                .any(|counter| self.counter(*counter).total() > 0)
    }

    /// Lets a pod have the node that is promised to it, if it fits there once its victims are gone: pods of lower
    /// priority that are being deleted. The promise is over either way.
    pub(super) fn keep_promise(&mut self, class: ClassId, node: NodeId) -> bool {
        self.release(class, node);
        let snapshot = Arc::clone(&self.tables.snapshot);
        let priority = snapshot.classes[class as usize].priority;
        let tables = Arc::clone(&self.tables);
        let residents = match self.standing.get(node as usize) {
            Some(Standing::Drained | Standing::Gone) | None => &[],
            Some(_) => tables.neighbourhoods.of(node),
        };
        let is_victim = |pods: &&Neighbours| {
            let class = &snapshot.classes[pods.class as usize];
            class.terminating && class.priority < priority
        };
        let victims = || residents.iter().filter(is_victim);
        victims().for_each(|victims| self.take(victims.class, node, victims.pods));
        let fits = self.fits(class, node).is_ok();
        victims().for_each(|victims| self.put(victims.class, node, victims.pods));
        if fits {
            self.place(class, node, 1);
        }
        fits
    }

    pub(super) fn promise(&mut self, class: ClassId, node: NodeId) {
        let classes = self.promises.entry(node).or_default();
        let at = classes.partition_point(|known| *known < class);
        classes.insert(at, class);
    }

    /// False where nothing was promised.
    pub(super) fn withdraw(&mut self, class: ClassId, node: NodeId) -> bool {
        let Some(classes) = self.promises.get_mut(&node) else {
            return false;
        };
        let found = classes.binary_search(&class);
        if let Ok(at) = found {
            classes.remove(at);
            if classes.is_empty() {
                self.promises.remove(&node);
            }
        }
        found.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use crate::decision::Cause;
    use crate::model::{PodAffinityTerm, PodClass};
    use crate::packing::place_pending;
    use crate::testing::{Cluster, pod, selector};

    fn near(app: &str) -> Vec<PodAffinityTerm> {
        vec![PodAffinityTerm {
            selector: Some(selector(&[("app", app)])),
            topology_key: "zone".into(),
            namespaces: vec!["default".into()],
            sought_everywhere: false,
        }]
    }

    /// A node with room for one pod, promised to a pod of priority 5. May another have it?
    #[test]
    fn who_yields() {
        let ranked = |priority| pod(1000).with(|class| class.priority = priority);
        let cases: [(PodClass, Result<(), Cause>, &str); 6] = [
            (ranked(4), Err(Cause::Resources), "lower priority"),
            (ranked(5), Err(Cause::Resources), "equal priority"),
            (ranked(6), Ok(()), "higher priority"),
            (
                pod(0).with(|class| class.priority = 4),
                Ok(()),
                "there is room for both",
            ),
            (
                pod(0).with(|class| class.pod_anti_affinity = near("db")),
                Err(Cause::PodAffinity),
                "kept away from who will be there",
            ),
            (
                pod(0).with(|class| class.pod_affinity = near("db")),
                Err(Cause::PodAffinity),
                "relying on who is not there yet",
            ),
        ];
        for (class, expected, why) in cases {
            let mut cluster = Cluster::default();
            let node = cluster.labelled("n", 1000, &[("zone", "a")]);
            let first = cluster.class(ranked(5).labels(&[("app", "db")]));
            cluster.waiting(first, 1);
            cluster.snapshot.pods[0].nominated = Some(node);
            let class = cluster.class(class);
            let state = cluster.state();
            assert_eq!(state.fits(class, node), expected, "{why}");
            assert_eq!(state.fits_pod(0, node), Ok(()), "{why}: the pod itself");
        }
    }

    /// A node that is promised to a pod which keeps others away. The scheduler notices where it judges affinity for
    /// the other pod at all.
    #[test]
    fn whom_a_promised_pod_keeps_away() {
        let apart = |class: &mut PodClass| class.pod_anti_affinity = near("web");
        for (neighbour, own_term, expected, why) in [
            (false, false, Ok(()), "nobody has terms that concern the pod"),
            (true, false, Err(Cause::PodAffinity), "somebody who runs has"),
            (false, true, Err(Cause::PodAffinity), "the pod itself has"),
        ] {
            let mut cluster = Cluster::default();
            let node = cluster.labelled("n", 1000, &[("zone", "a")]);
            let elsewhere = cluster.labelled("elsewhere", 1000, &[("zone", "b")]);
            let first = cluster.class(pod(10).with(apart));
            cluster.waiting(first, 1);
            cluster.snapshot.pods[0].nominated = Some(node);
            if neighbour {
                cluster.bound(first, elsewhere);
            }
            let class = cluster.class(pod(20).labels(&[("app", "web")]).with(|class| {
                if own_term {
                    class.pod_anti_affinity = near("cache");
                }
            }));
            assert_eq!(cluster.state().fits(class, node), expected, "{why}");
        }
    }

    /// A full node that is promised to a pod; another pod of its class waits as well.
    #[test]
    fn what_becomes_of_a_promise() {
        for (victim_priority, terminating, expected, why) in [
            (0, true, 1, "its victim leaves"),
            (0, false, 0, "nobody leaves"),
            (9, true, 0, "who leaves is not a victim"),
        ] {
            let mut cluster = Cluster::default();
            let node = cluster.node("n", 1000);
            let victim = cluster.class(pod(1000).with(|class| {
                class.priority = victim_priority;
                class.terminating = terminating;
            }));
            cluster.bound(victim, node);
            let class = cluster.class(pod(1000).with(|class| class.priority = 5));
            cluster.waiting(class, 2);
            cluster.snapshot.pods[1].nominated = Some(node);
            let placement = place_pending(&cluster.shared());
            assert_eq!(placement.placed.len(), expected, "{why}");
            assert!(
                placement.placed.iter().all(|placed| *placed == (1, node)),
                "{why}"
            );
            assert_eq!(placement.unplaced_pods() as usize, 2 - expected, "{why}");
        }
    }

    #[test]
    fn a_promise_that_cannot_be_kept_does_not_bind_the_pod() {
        let mut cluster = Cluster::default();
        let (full, free) = (cluster.node("full", 500), cluster.node("free", 1000));
        let class = cluster.class(pod(1000));
        cluster.waiting(class, 1);
        cluster.snapshot.pods[0].nominated = Some(full);
        assert_eq!(place_pending(&cluster.shared()).placed, [(0, free)]);
    }

    #[test]
    fn a_promise_that_is_taken_back_stands_again() {
        let mut cluster = Cluster::default();
        let node = cluster.node("n", 1000);
        let class = cluster.class(pod(1000));
        cluster.waiting(class, 1);
        cluster.snapshot.pods[0].nominated = Some(node);
        let mut state = cluster.state();
        let (before, mark) = (state.clone(), state.mark());
        assert!(state.keep_promise(class, node));
        assert!(state != before);
        state.rollback(mark);
        assert!(state == before);
    }

    #[test]
    fn a_dangling_promise_is_ignored() {
        let mut cluster = Cluster::default();
        let node = cluster.node("n", 1000);
        let class = cluster.class(pod(1000));
        cluster.waiting(class, 1);
        cluster.snapshot.pods[0].nominated = Some(77);
        assert_eq!(place_pending(&cluster.shared()).placed, [(0, node)]);
    }
}
