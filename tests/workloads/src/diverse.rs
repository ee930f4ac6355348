//! The shapes of Karpenter's scheduling benchmark: an empty cluster, one node group of 400 instance types, and
//! pods that use every rule about other pods.
//!
//! Its pods come from a seeded generator of another language; these are equal in distribution, not pod by pod.

use crate::cluster::{Cluster, GIB, HOSTNAME, MIB, ZONE, class, price, resources, selector};
use crate::draw::Draw;
use autoscaler_core::model::{PodAffinityTerm, PodClass, Snapshot, SpreadConstraint, WhenUnsatisfiable};

const TYPES: i64 = 400;
const SEED: u64 = 42;
/// Zone and way of paying; all at the same price.
const OFFERINGS: [(&str, &str); 5] = [
    ("test-zone-1", "spot"),
    ("test-zone-2", "spot"),
    ("test-zone-1", "on-demand"),
    ("test-zone-2", "on-demand"),
    ("test-zone-3", "on-demand"),
];
const CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";
const LETTERS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// Fifths: without constraints, spread over zones, spread over nodes, together in a zone, each on a node of its
/// own. What five does not divide has no constraints.
pub(crate) fn diverse(pods: u32) -> Snapshot {
    drawn(SEED, pods)
}

pub(crate) fn drawn(seed: u64, pods: u32) -> Snapshot {
    let mut cluster = catalogue();
    let mut draw = Draw::new(seed);
    let fifth = pods / 5;
    for number in 0..pods {
        let labelled = |draw: &mut Draw| {
            let mut class = sized(draw);
            class.labels = crate::cluster::labels(&[("my-label", draw.of(&LETTERS))]);
            class
        };
        let class = match number.checked_div(fifth) {
            Some(1) => spread(labelled(&mut draw), ZONE, draw.of(&LETTERS)),
            Some(2) => spread(labelled(&mut draw), HOSTNAME, draw.of(&LETTERS)),
            Some(3) => together(sized(&mut draw), draw.of(&LETTERS)),
            Some(4) => apart(sized(&mut draw)),
            _ => labelled(&mut draw),
        };
        let class = cluster.class(class);
        cluster.pod(class, None);
    }
    cluster.snapshot
}

/// Pods of `app: nginx` that would like to be in the first zone and apart. The model knows requirements only:
/// a preference never causes a purchase, so these pods are alike but for their size.
pub(crate) fn preferring(pods: u32) -> Snapshot {
    let mut cluster = catalogue();
    let mut draw = Draw::new(SEED);
    // One draw for all: the benchmark gives every pod the requests of the first.
    let mut class = sized(&mut draw);
    class.labels = crate::cluster::labels(&[("app", "nginx")]);
    let class = cluster.class(class);
    (0..pods).for_each(|_| cluster.pod(class, None));
    cluster.snapshot
}

/// Type *i* has *i* cores, 2 *i* GiB and room for 10 *i* pods, of which the kubelet keeps a little.
fn catalogue() -> Cluster {
    let mut cluster = Cluster::new();
    let group = cluster.group("default", 1_000_000);
    for cores in 1..=TYPES {
        let memory = 2 * cores * GIB;
        for (zone, capacity_type) in OFFERINGS {
            let allocatable = resources(cores * 1000 - 100, memory - 10 * MIB, cores * 10);
            let offering = format!("fake-it-{}-{capacity_type}", cores - 1);
            let id = cluster.template(group, &offering, zone, allocatable, price(cores, memory));
            cluster.snapshot.templates[id as usize]
                .labels
                .insert(CAPACITY_TYPE.to_owned(), capacity_type.to_owned());
        }
    }
    cluster
}

fn sized(draw: &mut Draw) -> PodClass {
    let cpu = draw.of(&[100, 250, 500, 1000, 1500]);
    let memory = draw.of(&[100, 256, 512, 1024, 2048, 4096]);
    class(cpu, memory * MIB)
}

fn spread(mut class: PodClass, topology_key: &str, letter: &str) -> PodClass {
    class.topology_spread = vec![SpreadConstraint {
        max_skew: 1,
        topology_key: topology_key.to_owned(),
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: Some(selector(&[("my-label", letter)])),
        min_domains: 0,
        honor_affinity: true,
        honor_taints: false,
    }];
    class
}

fn term(topology_key: &str, key: &str, value: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        selector: Some(selector(&[(key, value)])),
        topology_key: topology_key.to_owned(),
        namespaces: vec!["default".to_owned()],
        sought_everywhere: false,
    }
}

fn together(mut class: PodClass, letter: &str) -> PodClass {
    // The key is spelt as in the benchmark.
    class.labels = crate::cluster::labels(&[("my-affininity", letter)]);
    class.pod_affinity = vec![term(ZONE, "my-affininity", letter)];
    class
}

fn apart(mut class: PodClass) -> PodClass {
    class.labels = crate::cluster::labels(&[("app", "nginx")]);
    class.pod_anti_affinity = vec![term(HOSTNAME, "app", "nginx")];
    class
}
