//! One round over one snapshot: which node each waiting pod gets.
//!
//! Filtering is the core's; among the nodes that are left the one with most room wins (kube-scheduler's
//! `LeastAllocated`), the first by name among equals.

use super::message::Tally;
use autoscaler_cluster::ObjectKey;
use autoscaler_core::decision::Cause;
use autoscaler_core::model::{ClassId, NodeId, PodId, Resources, Snapshot};
use autoscaler_core::packing::State;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What became of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes to this node.
    Node(String),
    /// No node takes it, in the words of kube-scheduler.
    Nowhere(String),
    /// The snapshot does not know it.
    Unknown,
}

pub(super) struct Placing {
    snapshot: Arc<Snapshot>,
    state: State,
    /// By node: what its pods request.
    used: Vec<Resources>,
    waiting: BTreeMap<ObjectKey, PodId>,
    /// Pods only take room here. Unless some pod wants company, what is refused once stays refused.
    refused: BTreeMap<ClassId, String>,
    company_wanted: bool,
}

impl Placing {
    pub(super) fn new(snapshot: &Arc<Snapshot>) -> Self {
        let mut used = vec![Resources::default(); snapshot.nodes.len()];
        let mut waiting = BTreeMap::new();
        for (sum, node) in used.iter_mut().zip(&snapshot.nodes) {
            for crowd in node.residents.crowds() {
                let class = &snapshot.classes[snapshot.class_of(crowd.class) as usize];
                sum.add_scaled(&class.requests, i64::from(crowd.pods));
            }
        }
        for (id, pod) in (0..).zip(&snapshot.pods) {
            waiting.insert(ObjectKey::new(&*pod.key.namespace, &*pod.key.name), id);
        }
        Self {
            state: State::new(snapshot),
            used,
            waiting,
            refused: BTreeMap::new(),
            company_wanted: snapshot
                .classes
                .iter()
                .any(|class| !class.pod_affinity.is_empty()),
            snapshot: snapshot.clone(),
        }
    }

    pub(super) fn place(&mut self, key: &ObjectKey) -> Outcome {
        let Some(pod) = self.waiting.get(key) else {
            return Outcome::Unknown;
        };
        let class = self.snapshot.pods[*pod as usize].class;
        if let Some(message) = self.refused.get(&class).filter(|_| !self.company_wanted) {
            return Outcome::Nowhere(message.clone());
        }
        let mut best: Option<(i64, NodeId)> = None;
        let mut tally = Tally::new(self.snapshot.nodes.len());
        for node in 0..self.snapshot.nodes.len() as NodeId {
            match self.state.fits(class, node) {
                Ok(()) => {
                    let score = self.score(class, node);
                    if best.is_none_or(|(most, _)| score > most) {
                        best = Some((score, node));
                    }
                }
                Err(Cause::Resources) => tally.short(&self.shortages(class, node)),
                Err(cause) => tally.refused(cause),
            }
        }
        let placed = best.filter(|(_, node)| self.state.try_place(class, *node).is_ok());
        let Some((_, node)) = placed else {
            let message = tally.message();
            self.refused.insert(class, message.clone());
            return Outcome::Nowhere(message);
        };
        self.used[node as usize].add(&self.snapshot.classes[class as usize].requests);
        Outcome::Node(self.snapshot.nodes[node as usize].name.clone())
    }

    /// Room that is left once the pod is there, CPU and memory alike, in per mille.
    fn score(&self, class: ClassId, node: NodeId) -> i64 {
        let requests = &self.snapshot.classes[class as usize].requests;
        let (allocatable, used) = (
            &self.snapshot.nodes[node as usize].allocatable,
            &self.used[node as usize],
        );
        let left = |all: i64, used: i64, wanted: i64| {
            (all.saturating_sub(used).saturating_sub(wanted))
                .max(0)
                .saturating_mul(1000)
                / all.max(1)
        };
        left(allocatable.cpu_milli, used.cpu_milli, requests.cpu_milli)
            + left(allocatable.memory, used.memory, requests.memory)
    }

    /// Names of the resources that the node has too little of.
    fn shortages(&self, class: ClassId, node: NodeId) -> Vec<String> {
        let requests = &self.snapshot.classes[class as usize].requests;
        let (allocatable, used) = (
            &self.snapshot.nodes[node as usize].allocatable,
            &self.used[node as usize],
        );
        (0u16..)
            .zip(self.snapshot.resources.as_slice())
            .filter(|(id, _)| requests.get(*id) > 0)
            .filter(|(id, _)| requests.get(*id) > allocatable.get(*id).saturating_sub(used.get(*id)))
            .map(|(_, name)| name.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoscaler_core::model::{
        Health, Movability, Node, NodeState, Pod, PodClass, PodKey, Resident, Taint, TaintEffect,
    };

    fn node(name: &str, cpu_milli: i64, taint: Option<&str>) -> Node {
        Node {
            name: name.to_owned(),
            labels: Arc::default(),
            taints: taint
                .map(|key| Taint {
                    key: key.to_owned(),
                    value: String::new(),
                    effect: TaintEffect::NoSchedule,
                })
                .into_iter()
                .collect(),
            allocatable: Resources {
                cpu_milli,
                memory: 8 << 30,
                ephemeral: 0,
                pods: 110,
                extended: vec![],
            },
            attach_limits: Arc::default(),
            unschedulable: false,
            state: NodeState::Ready,
            group: None,
            template: None,
            vpsie_node: None,
            created_ms: 0,
            idle_since_ms: None,
            not_ready_since_ms: None,
            drifted: None,
            protected: None,
            hourly_micros: 0,
            residents: Arc::default(),
        }
    }

    fn key(name: &str) -> PodKey {
        PodKey {
            namespace: "team".into(),
            name: name.into(),
        }
    }

    fn pod(name: &str) -> Pod {
        Pod {
            key: key(name),
            uid: name.to_owned(),
            class: 0,
            nominated: None,
            owner: None,
            unschedulable_since_ms: None,
        }
    }

    #[test]
    fn the_emptiest_node_wins_and_then_the_first_by_name() {
        let requests = Resources {
            cpu_milli: 1000,
            memory: 1 << 30,
            pods: 1,
            ..Resources::default()
        };
        let resident = Resident {
            key: key("u"),
            class: 0,
            judgement: Movability::Moves.into(),
            health: Health::Ready,
        };
        let snapshot = Snapshot {
            classes: vec![Arc::new(PodClass {
                namespace: "team".to_owned(),
                requests,
                ..PodClass::default()
            })],
            nodes: vec![
                node("a", 2000, None),
                Node {
                    residents: Arc::new([Arc::new(resident)].into_iter().collect()),
                    ..node("b", 3000, None)
                },
                node("c", 9000, Some("gpu")),
            ],
            pods: ["p", "q", "r", "s", "t"].map(pod).to_vec(),
            ..Snapshot::default()
        };
        let mut placing = Placing::new(&Arc::new(snapshot));
        let mut place = |name: &str| placing.place(&ObjectKey::new("team", name));
        assert_eq!(place("p"), Outcome::Node("a".to_owned()));
        assert_eq!(place("q"), Outcome::Node("b".to_owned()));
        assert_eq!(place("r"), Outcome::Node("a".to_owned()));
        assert_eq!(place("s"), Outcome::Node("b".to_owned()));
        let message = "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu.";
        assert_eq!(place("t"), Outcome::Nowhere(message.to_owned()));
        assert_eq!(place("nobody"), Outcome::Unknown);
    }
}
