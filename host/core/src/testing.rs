//! Small clusters for tests, in few words.

use crate::model::{
    AttachLimits, ClassId, DrainRules, Group, GroupId, Health, LabelSelector, Labels, Movability, Node,
    NodeId, NodeState, Pod, PodClass, PodKey, Resident, Resources, Snapshot, SpreadConstraint, Taint,
    TaintEffect, Template, TemplateId, Toleration, TolerationOperator, WhenUnsatisfiable,
};
use crate::packing::State;
use std::sync::Arc;

const GIB: i64 = 1 << 30;

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

/// Pods with the label `app: web` may be in one domain of the key only so many ahead of the others.
pub(crate) fn spread(key: &str, max_skew: i32) -> SpreadConstraint {
    SpreadConstraint {
        max_skew,
        topology_key: key.into(),
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: Some(selector(&[("app", "web")])),
        min_domains: 0,
        honor_affinity: true,
        honor_taints: false,
    }
}

/// `key:NoSchedule` without a value.
pub(crate) fn taint(key: &str) -> Taint {
    Taint {
        key: key.into(),
        value: String::new(),
        effect: TaintEffect::NoSchedule,
    }
}

/// A class of pods that request this much CPU, in the namespace `default`.
pub(crate) fn pod(cpu_milli: i64) -> PodClass {
    PodClass {
        namespace: "default".into(),
        requests: Resources {
            cpu_milli,
            pods: 1,
            ..Resources::default()
        },
        ..PodClass::default()
    }
}

impl PodClass {
    pub(crate) fn labels(mut self, pairs: &[(&str, &str)]) -> Self {
        self.labels = labels(pairs);
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn tolerates(mut self, key: &str) -> Self {
        let operator = TolerationOperator::Exists;
        self.tolerations.push(Toleration {
            key: key.into(),
            operator,
            value: String::new(),
            effect: None,
        });
        self
    }
}

/// A cluster in the making.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) snapshot: Snapshot,
    /// How many pods there have been.
    pods: usize,
}

impl Cluster {
    /// A ready node without labels, with room for 110 pods.
    pub(crate) fn node(&mut self, name: &str, cpu_milli: i64) -> NodeId {
        self.labelled(name, cpu_milli, &[])
    }

    pub(crate) fn labelled(&mut self, name: &str, cpu_milli: i64, pairs: &[(&str, &str)]) -> NodeId {
        self.snapshot.nodes.push(Node {
            name: name.into(),
            labels: Arc::new(labels(pairs)),
            taints: Vec::new(),
            allocatable: Resources {
                cpu_milli,
                memory: 64 * GIB,
                ephemeral: 0,
                pods: 110,
                extended: Vec::new(),
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
        });
        NodeId::try_from(self.snapshot.nodes.len() - 1).unwrap()
    }

    /// A ready node of the group, bought as its template.
    pub(crate) fn managed(&mut self, name: &str, template: TemplateId) -> NodeId {
        let offered = self.snapshot.templates[template as usize].clone();
        let id = self.node(name, 0);
        let node = &mut self.snapshot.nodes[id as usize];
        let mut labels = offered.labels;
        labels.insert(crate::packing::HOSTNAME_LABEL.into(), name.into());
        node.labels = Arc::new(labels);
        node.taints = offered.taints;
        node.attach_limits = Arc::new(offered.attach_limits);
        node.allocatable = offered.allocatable;
        node.hourly_micros = offered.hourly_micros;
        (node.group, node.template) = (Some(offered.group), Some(template));
        node.vpsie_node = Some(format!("default/{name}"));
        self.snapshot.groups[offered.group as usize].current += 1;
        id
    }

    pub(crate) fn taint(&mut self, node: NodeId, key: &str) {
        self.snapshot.nodes[node as usize].taints.push(taint(key));
    }

    pub(crate) fn group(&mut self, name: &str, min: u32, max: u32) -> GroupId {
        self.snapshot.groups.push(Group {
            namespace: "default".into(),
            name: name.into(),
            min,
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
        GroupId::try_from(self.snapshot.groups.len() - 1).unwrap()
    }

    /// A template of a group of its own with room for ten nodes, at a price of one per core.
    pub(crate) fn template(&mut self, name: &str, cpu_milli: i64, pairs: &[(&str, &str)]) -> TemplateId {
        let group = self.group(name, 0, 10);
        self.template_of(group, name, cpu_milli, pairs)
    }

    pub(crate) fn template_of(
        &mut self,
        group: GroupId,
        offering: &str,
        cpu_milli: i64,
        pairs: &[(&str, &str)],
    ) -> TemplateId {
        self.snapshot.templates.push(Template {
            group,
            offering: offering.into(),
            datacenter: "dc".into(),
            size: 1,
            labels: labels(pairs),
            taints: Vec::new(),
            allocatable: Resources {
                cpu_milli,
                memory: 64 * GIB,
                ephemeral: 0,
                pods: 110,
                extended: Vec::new(),
            },
            daemons: Vec::new(),
            attach_limits: AttachLimits::new(),
            hourly_micros: cpu_milli.unsigned_abs() * 1000,
            failures: 0,
            backoff_until_ms: None,
        });
        TemplateId::try_from(self.snapshot.templates.len() - 1).unwrap()
    }

    /// A class that is there already, to be changed.
    pub(crate) fn class_mut(&mut self, class: ClassId) -> &mut PodClass {
        Arc::make_mut(&mut self.snapshot.classes[class as usize])
    }

    pub(crate) fn class(&mut self, class: PodClass) -> ClassId {
        self.snapshot.classes.push(Arc::new(class));
        ClassId::try_from(self.snapshot.classes.len() - 1).unwrap()
    }

    /// A running pod that may move, the last of its node by key.
    pub(crate) fn bound(&mut self, class: ClassId, node: NodeId) {
        let (key, _) = self.name();
        let residents = Arc::make_mut(&mut self.snapshot.nodes[node as usize].residents);
        residents.insert(Arc::new(Resident {
            key,
            class,
            judgement: Movability::Moves.into(),
            health: Health::Ready,
        }));
    }

    /// Pods that the scheduler calls unschedulable.
    pub(crate) fn waiting(&mut self, class: ClassId, pods: usize) {
        for _ in 0..pods {
            let (key, uid) = self.name();
            self.snapshot.pods.push(Pod {
                key,
                uid,
                class,
                nominated: None,
                owner: Some("ReplicaSet/web".into()),
                unschedulable_since_ms: Some(self.snapshot.now_ms),
            });
        }
    }

    /// Changes the `at`-th pod, by key, that runs on the node.
    pub(crate) fn resident(&mut self, node: NodeId, at: usize, change: impl FnOnce(&mut Resident)) {
        let residents = Arc::make_mut(&mut self.snapshot.nodes[node as usize].residents);
        let mut pod = residents.iter().nth(at).unwrap().clone();
        change(&mut pod);
        residents.insert(Arc::new(pod));
    }

    /// Nobody runs and nobody waits.
    pub(crate) fn no_pods(&mut self) {
        self.snapshot.pods.clear();
        self.snapshot
            .nodes
            .iter_mut()
            .for_each(|node| node.residents = Arc::default());
    }

    /// Key and uid of the next pod.
    fn name(&mut self) -> (PodKey, String) {
        let name = format!("pod-{:05}", self.pods);
        self.pods += 1;
        let namespace = "default".into();
        (
            PodKey {
                namespace,
                name: name.as_str().into(),
            },
            name,
        )
    }

    pub(crate) fn shared(&self) -> Arc<Snapshot> {
        Arc::new(self.snapshot.clone())
    }

    pub(crate) fn state(&self) -> State {
        State::new(&self.shared())
    }
}
