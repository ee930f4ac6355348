//! The rules, read plainly: every question is answered by looking at the whole cluster. Slow, and independent of
//! the classes, shapes and counters that it is held against.

use super::HOSTNAME_LABEL;
use crate::model::*;
use crate::testing::taint;
use std::collections::BTreeMap;

/// A cluster written down plainly.
pub(super) struct Plain<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) nodes: Vec<Option<PlainNode>>,
    /// Class and node of every pod.
    pub(super) pods: Vec<(ClassId, NodeId)>,
    /// Class and node of waiting pods that a node is promised to.
    pub(super) promised: Vec<(ClassId, NodeId)>,
    /// Of `pods`, those that are there by promise only.
    kept_for: Vec<(ClassId, NodeId)>,
}

#[derive(Clone)]
pub(super) struct PlainNode {
    name: String,
    labels: Labels,
    taints: Vec<Taint>,
    allocatable: Resources,
    cordoned: bool,
    open: bool,
    /// Its pods were evicted.
    drained: bool,
    limits: AttachLimits,
    /// DaemonSet pods whose requests are off `allocatable` already.
    daemons: Vec<ClassId>,
}

impl<'a> Plain<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let node = |node: &Node| {
            let mut labels = Labels::clone(&node.labels);
            if node.state == NodeState::Upcoming {
                labels
                    .entry(HOSTNAME_LABEL.into())
                    .or_insert_with(|| node.name.clone());
            }
            let open = matches!(node.state, NodeState::Ready | NodeState::Upcoming);
            Some(PlainNode {
                name: node.name.clone(),
                labels,
                taints: match node.state {
                    NodeState::Leaving => node.taints.iter().cloned().chain([cordon()]).collect(),
                    _ => node.taints.clone(),
                },
                drained: false,
                allocatable: node.allocatable.clone(),
                cordoned: node.unschedulable,
                open,
                limits: AttachLimits::clone(&node.attach_limits),
                daemons: match (node.state, node.template) {
                    (NodeState::Upcoming, Some(template)) => {
                        snapshot.templates[template as usize].daemons.clone()
                    }
                    _ => Vec::new(),
                },
            })
        };
        Self {
            snapshot,
            nodes: snapshot.nodes.iter().map(node).collect(),
            pods: (0..)
                .zip(&snapshot.nodes)
                .flat_map(|(id, node)| node.residents.iter().map(move |pod| (pod.class, id)))
                .collect(),
            promised: snapshot
                .pods
                .iter()
                .filter_map(|pod| Some((pod.class, pod.nominated?)))
                .collect(),
            kept_for: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, template: TemplateId) {
        let template = &self.snapshot.templates[template as usize];
        let name = format!("new {}", self.nodes.len());
        let mut labels = template.labels.clone();
        labels.insert(HOSTNAME_LABEL.into(), name.clone());
        self.nodes.push(Some(PlainNode {
            name,
            labels,
            taints: template.taints.clone(),
            allocatable: template.allocatable.clone(),
            cordoned: false,
            open: true,
            drained: false,
            limits: template.attach_limits.clone(),
            daemons: template.daemons.clone(),
        }));
    }

    /// Cordons the node and evicts its pods; those of DaemonSets stay.
    pub(super) fn remove(&mut self, node: NodeId) {
        let Some(plain) = &mut self.nodes[node as usize] else {
            return;
        };
        if std::mem::replace(&mut plain.drained, true) {
            return;
        }
        plain.open = false;
        plain.taints.push(cordon());
        self.pods.retain(|(_, on)| *on != node);
        let residents = self
            .snapshot
            .nodes
            .get(node as usize)
            .map(|node| &*node.residents);
        let residents = residents.into_iter().flat_map(Residents::iter);
        let staying = residents.filter(|pod| pod.judgement.is_ignored());
        self.pods.extend(staying.map(|pod| (pod.class, node)));
    }

    /// Deletes the node where it was removed.
    pub(super) fn delete(&mut self, node: NodeId) {
        let plain = &mut self.nodes[node as usize];
        if plain.as_ref().is_some_and(|plain| plain.drained) {
            *plain = None;
            self.pods.retain(|(_, on)| *on != node);
        }
    }

    /// Everybody on the node.
    fn on<'b>(&'b self, node: &'b PlainNode) -> impl Iterator<Item = &'b PodClass> {
        let daemons = node.daemons.iter();
        self.pods_on(node)
            .chain(daemons.map(|class| &*self.snapshot.classes[*class as usize]))
    }

    /// Those whose requests are not off its amounts.
    fn pods_on<'b>(&'b self, node: &'b PlainNode) -> impl Iterator<Item = &'b PodClass> {
        self.pods
            .iter()
            .filter(|(_, on)| {
                self.nodes[*on as usize]
                    .as_ref()
                    .is_some_and(|n| n.name == node.name)
            })
            .map(|(class, _)| &*self.snapshot.classes[*class as usize])
    }

    fn everywhere(&self) -> impl Iterator<Item = (&PlainNode, &PodClass)> {
        self.nodes
            .iter()
            .flatten()
            .flat_map(|node| self.on(node).map(move |class| (node, class)))
    }

    /// With those that come first and without them.
    pub(super) fn fits(&self, class: ClassId, node: NodeId) -> bool {
        let priority = |class: ClassId| self.snapshot.classes[class as usize].priority;
        let first = self
            .promised
            .iter()
            .filter(|(other, on)| *on == node && priority(*other) >= priority(class));
        let kept_for: Vec<_> = first.copied().collect();
        let beside = Self {
            snapshot: self.snapshot,
            nodes: self.nodes.clone(),
            pods: self.pods.iter().chain(&kept_for).copied().collect(),
            promised: Vec::new(),
            kept_for,
        };
        let judged = self.judges_affinity(&self.snapshot.classes[class as usize]);
        self.fits_as_it_is(class, node, judged) && beside.fits_as_it_is(class, node, judged)
    }

    /// The scheduler leaves the rule between pods out where no term of the pod, or of one that runs, concerns it.
    fn judges_affinity(&self, class: &PodClass) -> bool {
        !class.pod_affinity.is_empty()
            || !class.pod_anti_affinity.is_empty()
            || self.everywhere().any(|(other, pod)| {
                pod.pod_anti_affinity
                    .iter()
                    .any(|term| matches(term, class) && other.labels.contains_key(&term.topology_key))
            })
    }

    fn fits_as_it_is(&self, class: ClassId, node: NodeId, affinity: bool) -> bool {
        let class = &self.snapshot.classes[class as usize];
        let Some(node) = &self.nodes[node as usize] else {
            return false;
        };
        let cordon = cordon();
        node.open
            && (!node.cordoned
                || class
                    .tolerations
                    .iter()
                    .any(|toleration| toleration.tolerates(&cordon)))
            && tolerates(class, node)
            && selects(class, node)
            && class
                .volume_topology
                .iter()
                .all(|wanted| wanted.matches(&node.name, &node.labels))
            && self.ports_are_free(class, node)
            && self.volumes_can_be_had(class, node)
            && self.resources_are_free(class, node)
            && self.spread_holds(class, node)
            && (!affinity || self.affinity_holds(class, node))
    }

    fn ports_are_free(&self, class: &PodClass, node: &PlainNode) -> bool {
        self.on(node).flat_map(|other| &other.host_ports).all(|used| {
            class.host_ports.iter().all(|port| {
                port.port != used.port
                    || (port.host_ip != used.host_ip && !port.host_ip.is_empty() && !used.host_ip.is_empty())
            })
        })
    }

    fn resources_are_free(&self, class: &PodClass, node: &PlainNode) -> bool {
        let mut used = Resources::default();
        self.pods_on(node).for_each(|other| used.add(&other.requests));
        (0..4).all(|id| {
            let wanted = class.requests.get(id);
            wanted == 0 || used.get(id) + wanted <= node.allocatable.get(id)
        })
    }

    fn volumes_can_be_had(&self, class: &PodClass, node: &PlainNode) -> bool {
        let everyone = || {
            let alive = self
                .pods
                .iter()
                .filter(|(_, on)| self.nodes[*on as usize].is_some());
            alive.map(|(class, _)| &*self.snapshot.classes[*class as usize])
        };
        let claims_are_free = class.exclusive_claims.iter().all(|claim| {
            everyone().all(|pod| pod.namespace != class.namespace || !pod.exclusive_claims.contains(claim))
        });
        let disks_are_free = self.on(node).flat_map(|pod| &pod.disks).all(|used| {
            class
                .disks
                .iter()
                .all(|disk| disk.name != used.name || (disk.read_only && used.read_only))
        });
        let drivers = class.attachments.iter().map(|attached| &attached.driver);
        let limits_hold = drivers
            .filter_map(|driver| node.limits.get_key_value(driver))
            .all(|(driver, limit)| {
                let count = |pods: &[&PodClass]| {
                    let of_driver = || {
                        pods.iter()
                            .flat_map(|pod| &pod.attachments)
                            .filter(|attached| attached.driver == *driver)
                    };
                    let shared: std::collections::BTreeSet<&String> =
                        of_driver().flat_map(|attached| &attached.shared).collect();
                    of_driver().map(|attached| attached.own as usize).sum::<usize>() + shared.len()
                };
                let mut pods: Vec<&PodClass> = self.pods_on(node).collect();
                let before = count(&pods);
                pods.push(class);
                let after = count(&pods);
                after == before || after <= *limit as usize
            });
        claims_are_free && disks_are_free && limits_hold
    }

    fn spread_holds(&self, class: &PodClass, node: &PlainNode) -> bool {
        let hard = || {
            class
                .topology_spread
                .iter()
                .filter(|c| c.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule)
        };
        hard().all(|constraint| {
            let Some(here) = node.labels.get(&constraint.topology_key) else {
                return false;
            };
            let mut counts: BTreeMap<&str, i32> = BTreeMap::new();
            let nodes = (0..).zip(&self.nodes);
            for (at, other) in nodes.filter_map(|(at, node)| Some((at, node.as_ref()?))) {
                let counted = hard().all(|c| other.labels.contains_key(&c.topology_key))
                    && (!constraint.honor_affinity || selects(class, other))
                    && (!constraint.honor_taints || tolerates(class, other));
                if counted {
                    let matching = |pod: &&PodClass| {
                        !pod.terminating
                            && pod.namespace == class.namespace
                            && constraint
                                .selector
                                .as_ref()
                                .is_some_and(|s| !s.is_empty() && s.matches(&pod.labels))
                    };
                    let asks_for_nothing = constraint.selector.as_ref().is_some_and(|s| s.is_empty());
                    let pods = if asks_for_nothing {
                        let own = |class: &ClassId| &self.snapshot.classes[*class as usize];
                        let here = self.kept_for.iter().filter(|(_, on)| *on == at);
                        here.filter(|(other, _)| own(other).namespace == class.namespace)
                            .count()
                    } else {
                        self.on(other).filter(matching).count()
                    };
                    let pods = i32::try_from(pods).unwrap();
                    *counts.entry(&other.labels[&constraint.topology_key]).or_default() += pods;
                }
            }
            let least = if counts.len() < usize::try_from(constraint.min_domains.max(1)).unwrap() {
                0
            } else {
                counts.values().copied().min().unwrap()
            };
            let itself = i32::from(
                constraint
                    .selector
                    .as_ref()
                    .is_some_and(|s| s.matches(&class.labels)),
            );
            counts.get(here.as_str()).copied().unwrap_or(0) + itself - least <= constraint.max_skew
        })
    }

    fn affinity_holds(&self, class: &PodClass, node: &PlainNode) -> bool {
        let together = |key: &str, other: &PlainNode| {
            node.labels
                .get(key)
                .is_some_and(|here| other.labels.get(key) == Some(here))
        };
        let all = |pod: &PodClass| class.pod_affinity.iter().all(|term| seeks(term, pod));
        let attracted = class.pod_affinity.iter().all(|term| {
            self.everywhere()
                .any(|(other, pod)| all(pod) && together(&term.topology_key, other))
        });
        let has_keys = class
            .pod_affinity
            .iter()
            .all(|term| node.labels.contains_key(&term.topology_key));
        let company = self.everywhere().any(|(other, pod)| {
            all(pod)
                && class
                    .pod_affinity
                    .iter()
                    .any(|term| other.labels.contains_key(&term.topology_key))
        });
        let repelled = self.everywhere().any(|(other, pod)| {
            class
                .pod_anti_affinity
                .iter()
                .any(|term| seeks(term, pod) && together(&term.topology_key, other))
                || pod
                    .pod_anti_affinity
                    .iter()
                    .any(|term| matches(term, class) && together(&term.topology_key, other))
        });
        !repelled && (attracted || (has_keys && !company && all(class)))
    }
}

/// The taint of cordoned nodes.
fn cordon() -> Taint {
    taint("node.kubernetes.io/unschedulable")
}

/// Whether the pod that carries the term looks for this one.
fn seeks(term: &PodAffinityTerm, pod: &PodClass) -> bool {
    term.sought_everywhere && term.selector.as_ref().is_some_and(|s| s.matches(&pod.labels))
        || matches(term, pod)
}

fn matches(term: &PodAffinityTerm, pod: &PodClass) -> bool {
    (term.namespaces.is_empty() || term.namespaces.contains(&pod.namespace))
        && term.selector.as_ref().is_some_and(|s| s.matches(&pod.labels))
}

fn selects(class: &PodClass, node: &PlainNode) -> bool {
    class
        .node_selector
        .iter()
        .all(|(key, value)| node.labels.get(key) == Some(value))
        && class
            .node_affinity
            .as_ref()
            .is_none_or(|affinity| affinity.matches(&node.name, &node.labels))
}

fn tolerates(class: &PodClass, node: &PlainNode) -> bool {
    node.taints.iter().all(|taint| {
        taint.effect == TaintEffect::PreferNoSchedule || class.tolerations.iter().any(|t| t.tolerates(taint))
    })
}
