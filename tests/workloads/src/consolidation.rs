//! A fleet that has seen better days: 1 000 nodes of 20 node groups, some full, some nearly empty; and the same fleet
//! in a rush.

use crate::cluster::{Cluster, GIB, HOSTNAME, MIB, ZONE, class, labels, price, resources, selector};
use crate::draw::Draw;
use autoscaler_core::model::{
    ClassId, PodAffinityTerm, PodClass, Snapshot, SpreadConstraint, WhenUnsatisfiable,
};

const GROUPS: usize = 20;
const NODES_PER_GROUP: usize = 50;
const ZONES: [&str; 3] = ["zone-1", "zone-2", "zone-3"];
const APPLICATIONS: u64 = 240;

/// Every group has one size of node in three zones. Most applications may run anywhere, some in one group only;
/// some of them spread over zones or keep their pods on different nodes.
pub(crate) fn uneven() -> Snapshot {
    fleet(100, in_thirds).0.snapshot
}

/// The same fleet with little room left, and as many pods that wait, of the same applications.
pub(crate) fn crowded(waiting: usize) -> Snapshot {
    let (mut cluster, mut draw, applications) = fleet(100, |draw| {
        let shares = [850 + draw.below(100), 900 + draw.below(100)];
        draw.of(&shares)
    });
    for _ in 0..waiting {
        let class = draw.of(&applications);
        cluster.pod(class, None);
    }
    cluster.snapshot
}

/// A fleet as uneven, with smaller pods, and so with more of them.
pub(crate) fn small_pods() -> Snapshot {
    fleet(64, in_thirds).0.snapshot
}

/// Small pods again, on nodes that all do their work.
pub(crate) fn settled() -> Snapshot {
    fleet(84, |draw| 520 + draw.below(200)).0.snapshot
}

/// A third of the nodes is nearly empty, a third half full, the rest does its work.
fn in_thirds(draw: &mut Draw) -> u64 {
    let shares = [draw.below(250), 300 + draw.below(300), 700 + draw.below(250)];
    draw.of(&shares)
}

/// The nodes with their pods, and what the pods are of. What a pod asks for is so many hundredths of what is drawn for
/// it; `share` draws what is used of a node, in thousandths.
fn fleet(percent: i64, share: impl Fn(&mut Draw) -> u64) -> (Cluster, Draw, Vec<ClassId>) {
    let mut cluster = Cluster::new();
    let mut draw = Draw::new(42);
    let mut nodes = Vec::new();
    for number in 0..GROUPS {
        let name = format!("group-{number:02}");
        let cores = [4, 8, 16, 32][number % 4];
        let memory = cores * [2, 4][number / 4 % 2] * GIB;
        let group = cluster.group(&name, 200);
        let templates = ZONES.map(|zone| {
            let allocatable = resources(cores * 1000 - 100, memory - 500 * MIB, 110);
            let offering = format!("size-{cores}");
            let id = cluster.template(group, &offering, zone, allocatable, price(cores, memory));
            cluster.snapshot.templates[id as usize]
                .labels
                .insert("group".to_owned(), name.clone());
            id
        });
        nodes.extend((0..NODES_PER_GROUP).map(|at| cluster.node(templates[at % ZONES.len()])));
    }
    let applications: Vec<ClassId> = (0..APPLICATIONS)
        .map(|number| application(number, percent, &mut draw))
        .map(|class| cluster.class(class))
        .collect();
    for node in nodes {
        let share = i64::try_from(share(&mut draw)).unwrap_or(0);
        fill(&mut cluster, &mut draw, node, share, &applications);
    }
    (cluster, draw, applications)
}

fn application(number: u64, percent: i64, draw: &mut Draw) -> PodClass {
    let name = format!("app-{number:03}");
    let own = [("app", name.as_str())];
    let cpu = draw.of(&[50, 100, 200, 250, 500, 1000]);
    let memory = draw.of(&[64, 128, 256, 512, 1024]) * MIB;
    let mut class = class(cpu * percent / 100, memory * percent / 100);
    class.labels = labels(&own);
    match number % 12 {
        0 => {
            let group = format!("group-{:02}", draw.below(GROUPS as u64));
            class.node_selector = labels(&[("group", group.as_str())]);
        }
        1 => {
            class.topology_spread = vec![SpreadConstraint {
                max_skew: 40,
                topology_key: ZONE.to_owned(),
                when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
                selector: Some(selector(&own)),
                min_domains: 0,
                honor_affinity: true,
                honor_taints: false,
            }];
        }
        2 => {
            class.pod_anti_affinity = vec![PodAffinityTerm {
                selector: Some(selector(&own)),
                topology_key: HOSTNAME.to_owned(),
                namespaces: vec!["default".to_owned()],
                sought_everywhere: false,
            }];
        }
        _ => {}
    }
    class
}

/// Pods of drawn applications until so many thousandths of the node are asked for.
fn fill(cluster: &mut Cluster, draw: &mut Draw, node: u32, share: i64, applications: &[ClassId]) {
    let allocatable = cluster.snapshot.nodes[node as usize].allocatable.clone();
    let home = cluster.snapshot.nodes[node as usize].labels.get("group").cloned();
    let mut free = resources(
        allocatable.cpu_milli * share / 1000,
        allocatable.memory * share / 1000,
        allocatable.pods,
    );
    let mut apart = Vec::new();
    loop {
        let id = draw.of(applications);
        let class = &cluster.snapshot.classes[id as usize];
        let elsewhere = class
            .node_selector
            .get("group")
            .is_some_and(|group| home.as_ref() != Some(group));
        if elsewhere || apart.contains(&id) {
            continue;
        }
        if !class.pod_anti_affinity.is_empty() {
            apart.push(id);
        }
        free.sub(&class.requests);
        if free.cpu_milli < 0 || free.memory < 0 || free.pods < 0 {
            return;
        }
        cluster.pod(id, Some(node));
    }
}
