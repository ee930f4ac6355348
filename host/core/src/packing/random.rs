//! Random clusters, small and full of constraints: what is rare in real ones is common here.

use super::HOSTNAME_LABEL;
use crate::model::*;
use crate::testing::{Cluster, labels, selector, taint};
use proptest::prelude::*;
use std::sync::Arc;

fn some_labels() -> impl Strategy<Value = Labels> {
    let value = |values: &'static [&'static str]| prop::option::weighted(0.8, prop::sample::select(values));
    (value(&["a", "b", "c"]), value(&["1", "2"])).prop_map(|(zone, rack)| {
        let pairs = [("zone", zone), ("rack", rack)];
        pairs
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())))
            .collect()
    })
}

fn some_key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["zone", "zone", "rack", HOSTNAME_LABEL]).prop_map(str::to_owned)
}

fn some_selector() -> impl Strategy<Value = Option<LabelSelector>> {
    prop::sample::select(vec![
        Some(selector(&[("app", "web")])),
        Some(selector(&[("app", "web")])),
        Some(selector(&[("app", "db")])),
        Some(LabelSelector::default()),
        None,
    ])
}

fn some_term() -> impl Strategy<Value = PodAffinityTerm> {
    let namespaces = prop::sample::select(vec![
        vec!["default"],
        vec!["default"],
        vec!["other"],
        vec!["default", "other"],
        vec![],
    ]);
    let everywhere = prop::bool::weighted(0.1);
    (some_selector(), some_key(), namespaces, everywhere).prop_map(
        |(selector, topology_key, namespaces, sought_everywhere)| PodAffinityTerm {
            selector,
            topology_key,
            namespaces: namespaces.into_iter().map(str::to_owned).collect(),
            sought_everywhere,
        },
    )
}

fn some_spread() -> impl Strategy<Value = SpreadConstraint> {
    (
        1..3_i32,
        some_key(),
        prop::bool::weighted(0.8),
        some_selector(),
        0..4_i32,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(max_skew, topology_key, hard, selector, min_domains, honor_affinity, honor_taints)| {
                SpreadConstraint {
                    max_skew,
                    topology_key,
                    when_unsatisfiable: if hard {
                        WhenUnsatisfiable::DoNotSchedule
                    } else {
                        WhenUnsatisfiable::ScheduleAnyway
                    },
                    selector,
                    min_domains,
                    honor_affinity,
                    honor_taints,
                }
            },
        )
}

fn some_affinity() -> impl Strategy<Value = NodeSelector> {
    let zone = |operator, values: &[&str]| NodeSelectorTerm {
        match_expressions: vec![LabelRequirement {
            key: "zone".into(),
            operator,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }],
        match_fields: Vec::new(),
    };
    let named = |operator| NodeSelectorTerm {
        match_expressions: Vec::new(),
        match_fields: vec![LabelRequirement {
            key: NodeSelectorTerm::NAME_FIELD.into(),
            operator,
            values: vec!["node-1".into()],
        }],
    };
    prop::sample::select(vec![
        vec![zone(LabelOperator::In, &["a", "b"])],
        vec![zone(LabelOperator::NotIn, &["a"])],
        vec![
            zone(LabelOperator::DoesNotExist, &[]),
            zone(LabelOperator::In, &["c"]),
        ],
        vec![named(LabelOperator::NotIn)],
        vec![named(LabelOperator::In)],
    ])
    .prop_map(|terms| NodeSelector { terms })
}

fn some_attachments() -> impl Strategy<Value = Attachments> {
    let shared = prop::sample::select(vec![vec![], vec![], vec!["a"], vec!["b"], vec!["a", "b"]]);
    (prop::sample::select(vec!["csi", "nfs"]), 0..2_u32, shared).prop_map(|(driver, own, shared)| {
        Attachments {
            driver: driver.into(),
            own,
            shared: shared.into_iter().map(str::to_owned).collect(),
        }
    })
}

fn some_limits() -> impl Strategy<Value = AttachLimits> {
    prop::sample::select(vec![None, None, Some(0), Some(1), Some(2), Some(4)])
        .prop_map(|limit| limit.map(|limit| ("csi".to_owned(), limit)).into_iter().collect())
}

fn some_class() -> impl Strategy<Value = PodClass> {
    let rarely = |weight| prop::bool::weighted(weight);
    let identity = (
        prop::sample::select(vec!["default", "default", "other"]),
        prop::sample::select(vec!["web", "web", "db"]),
        prop::sample::select(vec![0_i64, 500, 1000, 1500]),
        -1..2_i32,
    );
    let placement = (
        rarely(0.4),
        prop::option::weighted(0.1, some_affinity()),
        prop::option::weighted(0.1, some_affinity()),
        rarely(0.1),
        rarely(0.1),
        rarely(0.15),
    );
    let possessions = (
        prop::collection::vec(some_attachments(), 0..3),
        prop::sample::select(vec![vec![], vec![], vec![], vec!["data"], vec!["data", "logs"]]),
        prop::sample::select(vec![None, None, None, Some(true), Some(false)]),
    );
    let together = (
        prop::collection::vec(some_term(), 0..2),
        prop::collection::vec(some_term(), 0..2),
        prop::collection::vec(some_spread(), 0..3),
        rarely(0.25),
        rarely(0.25),
    );
    (identity, placement, possessions, together).prop_map(|(identity, placement, possessions, together)| {
        let (namespace, app, cpu_milli, priority) = identity;
        let (tolerant, node_affinity, volume_topology, zonal, ports, terminating) = placement;
        let (mut attachments, claims, read_only) = possessions;
        attachments.sort();
        attachments.dedup_by(|one, other| one.driver == other.driver);
        let (pod_affinity, pod_anti_affinity, topology_spread, attracted, repelled) = together;
        let class = PodClass {
            namespace: namespace.into(),
            labels: labels(&[("app", app)]),
            requests: Resources {
                cpu_milli,
                pods: 1,
                ..Resources::default()
            },
            priority,
            tolerations: Vec::new(),
            node_selector: if zonal {
                labels(&[("zone", "a")])
            } else {
                Labels::new()
            },
            node_affinity,
            volume_topology: volume_topology.into_iter().collect(),
            attachments,
            exclusive_claims: claims.into_iter().map(str::to_owned).collect(),
            disks: read_only
                .map(|read_only| Disk {
                    name: "iscsi/a".into(),
                    read_only,
                })
                .into_iter()
                .collect(),
            pod_affinity: if attracted { pod_affinity } else { Vec::new() },
            pod_anti_affinity: if repelled { pod_anti_affinity } else { Vec::new() },
            topology_spread,
            host_ports: if ports {
                vec![HostPort {
                    port: 80,
                    protocol: "TCP".into(),
                    host_ip: String::new(),
                }]
            } else {
                vec![]
            },
            preferences: Preferences::default(),
            terminating,
        };
        if tolerant { class.tolerates("gpu") } else { class }
    })
}

pub(super) fn some_cluster() -> impl Strategy<Value = Snapshot> {
    let state = prop::sample::select(vec![
        NodeState::Ready,
        NodeState::Ready,
        NodeState::Ready,
        NodeState::Upcoming,
        NodeState::NotReady,
        NodeState::Leaving,
    ]);
    let rarely = || prop::bool::weighted(0.15);
    let node = (
        some_labels(),
        state,
        rarely(),
        rarely(),
        1..5_i64,
        rarely(),
        some_limits(),
    );
    let daemons = prop::collection::vec(0..4_usize, 0..3);
    let template = (
        some_labels(),
        rarely(),
        1..5_i64,
        0..6_u32,
        some_limits(),
        daemons,
    );
    (
        prop::collection::vec(some_class(), 1..5),
        prop::collection::vec(node, 1..6),
        prop::collection::vec(template, 1..4),
        prop::collection::vec((0..4_usize, 0..5_usize, 0..8_u8), 0..10),
        prop::collection::vec((0..4_usize, prop::option::weighted(0.15, 0..5_usize)), 0..12),
        (prop::option::of(0..12_u32), 0..4_u32, 0..3_u32),
    )
        .prop_map(
            |(classes, nodes, templates, bound, waiting, (max, removal_budget, room))| {
                let mut cluster = Cluster::default();
                let (classes_known, nodes_known) = (classes.len(), nodes.len());
                for class in classes {
                    cluster.class(class);
                }
                for (at, (labels, tainted, cores, most, limits, daemons)) in templates.into_iter().enumerate()
                {
                    let template = cluster.template(&format!("offer-{at}"), cores * 1000, &[]) as usize;
                    cluster.snapshot.groups[template].max = most;
                    cluster.snapshot.groups[template].may_grow = most != 3;
                    cluster.snapshot.groups[template].min = most / 4;
                    cluster.snapshot.templates[template].labels = labels;
                    cluster.snapshot.templates[template].allocatable.pods = 6;
                    cluster.snapshot.templates[template].attach_limits = limits;
                    cluster.snapshot.templates[template].daemons = daemons
                        .into_iter()
                        .map(|class| u32::try_from(class % classes_known).unwrap())
                        .collect();
                    if tainted {
                        cluster.snapshot.templates[template].taints.push(taint("gpu"));
                    }
                }
                for (at, (labels, state, cordoned, tainted, cores, unnamed, limits)) in
                    nodes.into_iter().enumerate()
                {
                    let name = format!("node-{at}");
                    let id = cluster.managed(&name, 0) as usize;
                    let node = &mut cluster.snapshot.nodes[id];
                    node.labels = labels.into();
                    if !unnamed {
                        Arc::make_mut(&mut node.labels).insert(HOSTNAME_LABEL.into(), name);
                    }
                    (node.state, node.unschedulable) = (state, cordoned);
                    node.taints = if tainted { vec![taint("gpu")] } else { Vec::new() };
                    node.allocatable.cpu_milli = cores * 1000;
                    node.allocatable.pods = 6;
                    node.attach_limits = limits.into();
                }
                for (class, node, kind) in bound {
                    let (class, node) = (class % classes_known, node % nodes_known);
                    let node = u32::try_from(node).unwrap();
                    cluster.bound(u32::try_from(class).unwrap(), node);
                    let last = cluster.snapshot.nodes[node as usize].residents.len() - 1;
                    cluster.resident(node, last, |pod| {
                        pod.judgement.lasting = match kind {
                            0 => Movability::Blocks("Test".into(), String::new()),
                            1 => Movability::Ignored,
                            _ => Movability::Moves,
                        }
                    });
                }
                for (class, nominated) in waiting {
                    cluster.waiting(u32::try_from(class % classes_known).unwrap(), 1);
                    let pod = cluster.snapshot.pods.last_mut().unwrap();
                    pod.nominated = nominated.map(|node| u32::try_from(node % nodes_known).unwrap());
                }
                cluster.snapshot.max_cluster_nodes = max;
                cluster.snapshot.removal_budget = removal_budget;
                cluster.snapshot.budgets.push(DisruptionBudget {
                    namespace: "default".into(),
                    name: "web".into(),
                    selector: Some(selector(&[("app", "web")])),
                    disruptions_allowed: room,
                    spares_unready: false,
                });
                cluster.snapshot
            },
        )
}
