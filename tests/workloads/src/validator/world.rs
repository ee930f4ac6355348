//! The cluster while pods are bound one by one: the nodes, and the pods on each.

use super::constraints::Tally;
use super::{Assignment, Home, Rule};
use crate::cluster::HOSTNAME;
use autoscaler_core::model::{
    AttachLimits, Attachments, Disk, HostPort, Labels, NodeState, PodClass, Resources, Snapshot, Taint,
    TaintEffect, Toleration,
};
use std::collections::{BTreeMap, BTreeSet};

/// What a pod of a cordoned node would have to tolerate.
const CORDON: &str = "node.kubernetes.io/unschedulable";

pub(super) struct Place {
    pub(super) name: String,
    pub(super) labels: Labels,
    pub(super) taints: Vec<Taint>,
    allocatable: Resources,
    used: Resources,
    cordoned: bool,
    /// Takes pods.
    open: bool,
    /// Exists at all: pods of nodes that leave still count for their domain.
    pub(super) exists: bool,
    ports: Vec<HostPort>,
    disks: Vec<Disk>,
    attach_limits: AttachLimits,
    /// By driver: volumes of one pod alone, and the names of those that pods share.
    attached: BTreeMap<String, (u32, BTreeSet<String>)>,
}

pub(super) struct World {
    places: Vec<Place>,
    existing: usize,
    tally: Tally,
    /// Claims that one pod at a time may use, by namespace.
    claimed: BTreeSet<(String, String)>,
}

impl World {
    /// Nodes and templates of the plan must exist.
    pub(super) fn new(snapshot: &Snapshot, plan: &Assignment) -> Self {
        let mut places: Vec<Place> = (0..)
            .zip(&snapshot.nodes)
            .map(|(id, node)| {
                let exists = !plan.removed.contains(&id);
                let mut labels = Labels::clone(&node.labels);
                if node.state == NodeState::Upcoming {
                    labels
                        .entry(HOSTNAME.to_owned())
                        .or_insert_with(|| node.name.clone());
                }
                Place {
                    name: node.name.clone(),
                    labels,
                    taints: node.taints.clone(),
                    allocatable: node.allocatable.clone(),
                    used: Resources::default(),
                    cordoned: node.unschedulable,
                    open: exists && matches!(node.state, NodeState::Ready | NodeState::Upcoming),
                    exists,
                    ports: Vec::new(),
                    disks: Vec::new(),
                    attach_limits: AttachLimits::clone(&node.attach_limits),
                    attached: BTreeMap::new(),
                }
            })
            .collect();
        let existing = places.len();
        places.extend((0..).zip(&plan.bought).map(|(at, template)| {
            let bought = &snapshot.templates[*template as usize];
            let name = format!("new-{at}");
            let mut labels = bought.labels.clone();
            labels.insert(HOSTNAME.to_owned(), name.clone());
            Place {
                name,
                labels,
                taints: bought.taints.clone(),
                allocatable: bought.allocatable.clone(),
                used: Resources::default(),
                cordoned: false,
                open: true,
                exists: true,
                ports: Vec::new(),
                disks: Vec::new(),
                attach_limits: bought.attach_limits.clone(),
                attached: BTreeMap::new(),
            }
        }));
        let mut world = Self {
            tally: Tally::new(snapshot, &places),
            places,
            existing,
            claimed: BTreeSet::new(),
        };
        for (at, template) in plan.bought.iter().enumerate() {
            let daemons = snapshot.templates[*template as usize].daemons.iter();
            for class in daemons.filter_map(|class| snapshot.classes.get(*class as usize)) {
                world.meet(class, existing + at);
            }
        }
        for (at, node) in snapshot.nodes.iter().enumerate() {
            if !world.places[at].exists {
                continue;
            }
            for pod in node.residents.iter() {
                if let Some(class) = snapshot.classes.get(snapshot.class_of(pod.class) as usize) {
                    world.bind(class, at);
                }
            }
        }
        world
    }

    pub(super) fn number(&self, home: Home) -> Option<usize> {
        let number = match home {
            Home::Existing(node) => Some(node as usize).filter(|node| *node < self.existing),
            Home::New(at) => self.existing.checked_add(at),
        };
        number.filter(|number| *number < self.places.len())
    }

    pub(super) fn bind(&mut self, class: &PodClass, node: usize) {
        let place = &mut self.places[node];
        place.used.add(&class.requests);
        for attachments in &class.attachments {
            let (own, shared) = place.attached.entry(attachments.driver.clone()).or_default();
            *own = own.saturating_add(attachments.own);
            shared.extend(attachments.shared.iter().cloned());
        }
        for claim in &class.exclusive_claims {
            self.claimed.insert((class.namespace.clone(), claim.clone()));
        }
        self.meet(class, node);
    }

    /// What a DaemonSet pod does to its neighbours: what it requests is off the node's amounts already.
    fn meet(&mut self, class: &PodClass, node: usize) {
        let place = &mut self.places[node];
        place.ports.extend(class.host_ports.iter().cloned());
        place.disks.extend(class.disks.iter().cloned());
        self.tally.bind(class, node);
    }

    fn volumes_can_be_had(&self, class: &PodClass, place: &Place) -> bool {
        let reachable = class
            .volume_topology
            .iter()
            .all(|where_| where_.matches(&place.name, &place.labels));
        let free = class
            .exclusive_claims
            .iter()
            .all(|claim| !self.claimed.contains(&(class.namespace.clone(), claim.clone())));
        let disks = class.disks.iter().all(|wanted| {
            let agrees = |used: &Disk| wanted.name != used.name || (wanted.read_only && used.read_only);
            place.disks.iter().all(agrees)
        });
        reachable && free && disks && class.attachments.iter().all(|more| attaches(more, place))
    }

    /// Every rule by which a pod may not be bound to the node now.
    pub(super) fn refusals(&self, class: &PodClass, node: usize) -> Vec<Rule> {
        let place = &self.places[node];
        let cordon = Taint {
            key: CORDON.to_owned(),
            value: String::new(),
            effect: TaintEffect::NoSchedule,
        };
        let verdicts = [
            (Rule::Closed, place.open),
            (
                Rule::Cordoned,
                !place.cordoned || tolerates(&class.tolerations, &cordon),
            ),
            (Rule::Taints, tolerates_all(class, place)),
            (Rule::NodeAffinity, selects(class, place)),
            (Rule::Volumes, self.volumes_can_be_had(class, place)),
            (Rule::Resources, has_room(class, place)),
            (Rule::HostPorts, ports_are_free(class, place)),
            (Rule::PodAffinity, self.tally.company(class, node)),
            (Rule::PodAntiAffinity, self.tally.keeps_apart(class, node)),
            (
                Rule::TopologySpread,
                self.tally.is_spread(class, node, &self.places),
            ),
        ];
        verdicts
            .into_iter()
            .filter(|(_, holds)| !holds)
            .map(|(rule, _)| rule)
            .collect()
    }
}

/// A limit that is exceeded already keeps nobody away who attaches nothing new.
fn attaches(more: &Attachments, place: &Place) -> bool {
    let Some(limit) = place.attach_limits.get(&more.driver) else {
        return true;
    };
    let (own, shared) = place.attached.get(&more.driver).cloned().unwrap_or_default();
    let new = more.shared.iter().filter(|name| !shared.contains(*name)).count() as u64 + u64::from(more.own);
    new == 0 || u64::from(own) + shared.len() as u64 + new <= u64::from(*limit)
}

fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| toleration.tolerates(taint))
}

/// `PreferNoSchedule` keeps nobody out.
pub(super) fn tolerates_all(class: &PodClass, place: &Place) -> bool {
    place
        .taints
        .iter()
        .filter(|taint| taint.effect != TaintEffect::PreferNoSchedule)
        .all(|taint| tolerates(&class.tolerations, taint))
}

pub(super) fn selects(class: &PodClass, place: &Place) -> bool {
    class
        .node_selector
        .iter()
        .all(|(key, value)| place.labels.get(key) == Some(value))
        && class
            .node_affinity
            .as_ref()
            .is_none_or(|affinity| affinity.matches(&place.name, &place.labels))
}

/// A resource that the pod does not ask for may be overdrawn; the number of pods never.
fn has_room(class: &PodClass, place: &Place) -> bool {
    let extended = class.requests.extended.iter().map(|(id, _)| *id);
    (0..4).chain(extended).all(|id| {
        let wanted = class.requests.get(id);
        wanted == 0 || place.used.get(id).saturating_add(wanted) <= place.allocatable.get(id)
    })
}

/// Two host ports collide where port and protocol are the same and their addresses overlap.
fn ports_are_free(class: &PodClass, place: &Place) -> bool {
    let any = |address: &str| address.is_empty() || address == "0.0.0.0";
    fn protocol(port: &HostPort) -> &str {
        if port.protocol.is_empty() {
            "TCP"
        } else {
            &port.protocol
        }
    }
    class.host_ports.iter().all(|wanted| {
        place.ports.iter().all(|used| {
            wanted.port != used.port
                || protocol(wanted) != protocol(used)
                || (wanted.host_ip != used.host_ip && !any(&wanted.host_ip) && !any(&used.host_ip))
        })
    })
}
