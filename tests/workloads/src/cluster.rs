//! A snapshot in the making. Equal pods become one class, as the index makes them.

use autoscaler_core::model::{
    AttachLimits, ClassId, DrainRules, Group, GroupId, Health, LabelSelector, Labels, Movability, Node,
    NodeId, NodeState, Pod, PodClass, PodKey, Resident, Resources, Snapshot, Template, TemplateId,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const HOSTNAME: &str = "kubernetes.io/hostname";
pub(crate) const ZONE: &str = "topology.kubernetes.io/zone";
pub(crate) const MIB: i64 = 1 << 20;
pub(crate) const GIB: i64 = 1 << 30;
const HOUR: i64 = 3_600_000;
/// An afternoon in 2026, in milliseconds since the Unix epoch.
const NOW: i64 = 1_780_000_000_000;

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

pub(crate) fn selector(pairs: &[(&str, &str)]) -> LabelSelector {
    LabelSelector {
        match_labels: labels(pairs),
        match_expressions: Vec::new(),
    }
}

pub(crate) fn resources(cpu_milli: i64, memory: i64, pods: i64) -> Resources {
    Resources {
        pods,
        ..Resources::cpu_memory(cpu_milli, memory)
    }
}

/// A class without constraints in the namespace `default`.
pub(crate) fn class(cpu_milli: i64, memory: i64) -> PodClass {
    PodClass {
        namespace: "default".to_owned(),
        requests: resources(cpu_milli, memory, 1),
        ..PodClass::default()
    }
}

/// Millionths of the price of so many cores and bytes: a tenth per core and per 10⁹ bytes.
pub(crate) fn price(cores: i64, memory: i64) -> u64 {
    (cores.unsigned_abs() * 100_000).saturating_add(memory.unsigned_abs() / 10_000)
}

pub(crate) struct Cluster {
    pub(crate) snapshot: Snapshot,
    known: BTreeMap<PodClass, ClassId>,
    /// How many pods there are.
    pods: usize,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self {
            snapshot: Snapshot {
                now_ms: NOW,
                seed: 42,
                removal_budget: u32::MAX,
                ..Snapshot::default()
            },
            known: BTreeMap::new(),
            pods: 0,
        }
    }

    pub(crate) fn group(&mut self, name: &str, max: u32) -> GroupId {
        self.snapshot.groups.push(Group {
            namespace: "default".to_owned(),
            name: name.to_owned(),
            min: 0,
            max,
            current: 0,
            upcoming: 0,
            may_grow: true,
            may_shrink: true,
            held: None,
            last_scale_up_ms: None,
            last_scale_down_ms: None,
            annotations: Labels::new(),
            drain: DrainRules::default(),
        });
        last(self.snapshot.groups.len())
    }

    pub(crate) fn template(
        &mut self,
        group: GroupId,
        offering: &str,
        zone: &str,
        allocatable: Resources,
        hourly_micros: u64,
    ) -> TemplateId {
        self.snapshot.templates.push(Template {
            group,
            offering: offering.to_owned(),
            datacenter: zone.to_owned(),
            size: 0,
            labels: labels(&[(ZONE, zone)]),
            taints: Vec::new(),
            allocatable,
            daemons: Vec::new(),
            attach_limits: AttachLimits::new(),
            hourly_micros,
            failures: 0,
            backoff_until_ms: None,
        });
        last(self.snapshot.templates.len())
    }

    /// A ready node, bought as its template hours ago.
    pub(crate) fn node(&mut self, template: TemplateId) -> NodeId {
        let number = self.snapshot.nodes.len();
        let name = format!("node-{number:05}");
        let bought = &self.snapshot.templates[template as usize];
        let mut labels = bought.labels.clone();
        labels.insert(HOSTNAME.to_owned(), name.clone());
        self.snapshot.groups[bought.group as usize].current += 1;
        self.snapshot.nodes.push(Node {
            vpsie_node: Some(format!("default/{name}")),
            name,
            labels: Arc::new(labels),
            taints: bought.taints.clone(),
            allocatable: bought.allocatable.clone(),
            attach_limits: Arc::new(bought.attach_limits.clone()),
            unschedulable: false,
            state: NodeState::Ready,
            group: Some(bought.group),
            template: Some(template),
            created_ms: NOW - 5 * HOUR,
            idle_since_ms: Some(NOW - 4 * HOUR),
            not_ready_since_ms: None,
            drifted: None,
            protected: None,
            hourly_micros: bought.hourly_micros,
            residents: Arc::default(),
        });
        last(number + 1)
    }

    /// The number of an equal class that is known, or a new one.
    pub(crate) fn class(&mut self, class: PodClass) -> ClassId {
        if let Some(known) = self.known.get(&class) {
            return *known;
        }
        self.snapshot.classes.push(Arc::new(class.clone()));
        let id = last(self.snapshot.classes.len());
        self.known.insert(class, id);
        id
    }

    /// A pod of the class on the node; without a node, one that the scheduler calls unschedulable.
    pub(crate) fn pod(&mut self, class: ClassId, node: Option<NodeId>) {
        let name = format!("pod-{:06}", self.pods);
        self.pods += 1;
        let uid = name.clone();
        let key = PodKey {
            namespace: "default".into(),
            name: name.into(),
        };
        if let Some(node) = node {
            let node = &mut self.snapshot.nodes[node as usize];
            node.idle_since_ms = None;
            Arc::make_mut(&mut node.residents).insert(Arc::new(Resident {
                key,
                class,
                judgement: Movability::Moves.into(),
                health: Health::Ready,
            }));
            return;
        }
        self.snapshot.pods.push(Pod {
            uid,
            key,
            class,
            nominated: None,
            owner: None,
            unschedulable_since_ms: Some(NOW - 1000),
        });
    }
}

/// The number of the last of so many.
fn last(count: usize) -> u32 {
    u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX)
}
