//! How long it takes to place waiting pods on a cluster, and to work out what new nodes would hold.

use autoscaler_core::decision::questions;
use autoscaler_core::model::{
    AttachLimits, DrainRules, Group, Health, LabelSelector, Labels, Movability, Node, NodeState, Pod,
    PodClass, PodKey, Resident, Resources, Snapshot, SpreadConstraint, Template, WhenUnsatisfiable,
};
use autoscaler_core::packing::place_pending;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;

const CLASSES: u32 = 50;
const TEMPLATES: u32 = 40;

fn resources(cpu_milli: i64, gib: i64) -> Resources {
    Resources {
        cpu_milli,
        memory: gib << 30,
        ephemeral: 0,
        pods: 110,
        extended: Vec::new(),
    }
}

/// Classes of different sizes; every fifth spreads over zones.
fn class(id: u32) -> PodClass {
    let labels = Labels::from([("app".to_owned(), format!("app-{id}"))]);
    let spread = SpreadConstraint {
        max_skew: 1,
        topology_key: "zone".into(),
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: Some(LabelSelector {
            match_labels: labels.clone(),
            match_expressions: Vec::new(),
        }),
        min_domains: 0,
        honor_affinity: true,
        honor_taints: false,
    };
    PodClass {
        namespace: "default".into(),
        labels,
        requests: Resources {
            pods: 1,
            ..resources(100 + i64::from(id % 10) * 150, 1 + i64::from(id % 4))
        },
        topology_spread: if id.is_multiple_of(5) {
            vec![spread]
        } else {
            Vec::new()
        },
        ..PodClass::default()
    }
}

fn zone(number: u32) -> Labels {
    Labels::from([("zone".to_owned(), format!("zone-{}", number % 3))])
}

/// `nodes` half-full nodes of 8 cores and `pods` waiting pods.
fn cluster(nodes: u32, pods: u32) -> Arc<Snapshot> {
    let key = |number: u32| PodKey {
        namespace: "default".into(),
        name: format!("pod-{number:06}").into(),
    };
    let pod = |number: u32| Pod {
        key: key(number),
        uid: number.to_string(),
        class: number % CLASSES,
        nominated: None,
        owner: None,
        unschedulable_since_ms: Some(0),
    };
    let resident = |number: u32| {
        Arc::new(Resident {
            key: key(number),
            class: number % CLASSES,
            judgement: Movability::Moves.into(),
            health: Health::Ready,
        })
    };
    let node = |number: u32| Node {
        name: format!("node-{number:05}"),
        labels: Arc::new(zone(number)),
        taints: Vec::new(),
        allocatable: resources(8000, 32),
        attach_limits: Arc::default(),
        unschedulable: false,
        state: NodeState::Ready,
        group: Some(0),
        template: Some(0),
        vpsie_node: None,
        created_ms: 0,
        idle_since_ms: None,
        not_ready_since_ms: None,
        drifted: None,
        protected: None,
        hourly_micros: 100,
        residents: Arc::new((0..5).map(|at| resident(number + at * nodes)).collect()),
    };
    let template = |number: u32| Template {
        group: 0,
        offering: format!("offering-{number}"),
        datacenter: "dc".into(),
        size: i64::from(number),
        labels: zone(number),
        taints: Vec::new(),
        allocatable: resources(
            2000 * (1 + i64::from(number % 8)),
            8 * (1 + i64::from(number % 8)),
        ),
        daemons: Vec::new(),
        attach_limits: AttachLimits::new(),
        hourly_micros: 100,
        failures: 0,
        backoff_until_ms: None,
    };
    let group = Group {
        namespace: "default".into(),
        name: "group".into(),
        min: 0,
        max: 100_000,
        current: nodes,
        upcoming: 0,
        may_grow: true,
        may_shrink: true,
        held: None,
        last_scale_up_ms: None,
        last_scale_down_ms: None,
        annotations: Labels::new(),
        drain: DrainRules::default(),
    };
    Arc::new(Snapshot {
        classes: (0..CLASSES).map(class).map(Arc::new).collect(),
        nodes: (0..nodes).map(node).collect(),
        pods: (0..pods).map(|number| pod(nodes * 5 + number)).collect(),
        groups: vec![group],
        templates: (0..TEMPLATES).map(template).collect(),
        ..Snapshot::default()
    })
}

fn placement(c: &mut Criterion) {
    let mut group = c.benchmark_group("place_pending");
    group.sample_size(10);
    for (nodes, pods) in [(100, 1_000), (1_000, 10_000), (5_000, 50_000)] {
        let snapshot = cluster(nodes, pods);
        group.bench_function(
            BenchmarkId::from_parameter(format!("{nodes} nodes, {pods} pods")),
            |b| {
                b.iter(|| black_box(place_pending(&snapshot)));
            },
        );
    }
    group.finish();

    let mut group = c.benchmark_group("scale_up_question");
    group.sample_size(10);
    for (nodes, pods) in [(100, 10_000), (1_000, 50_000)] {
        let placement = place_pending(&cluster(nodes, pods));
        assert!(placement.unplaced_pods() > 0, "a question about nothing");
        group.bench_function(
            BenchmarkId::from_parameter(format!("{nodes} nodes, {pods} pods")),
            |b| {
                b.iter(|| black_box(questions::scale_up(&placement, &|_| true)));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, placement);
criterion_main!(benches);
