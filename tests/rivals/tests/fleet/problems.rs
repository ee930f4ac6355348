//! The fleets: what waits, what can be bought, and at which prices. Everything random comes from a fixed seed.

use autoscaler_core::model::{
    AttachLimits, DrainRules, Group, LabelSelector, Labels, Pod, PodAffinityTerm, PodClass, PodKey,
    Resources, Snapshot, SpreadConstraint, Taint, TaintEffect, Template, Toleration, TolerationOperator,
    WhenUnsatisfiable,
};
use std::collections::BTreeMap;

const GIB: i64 = 1 << 30;
const MIB: i64 = 1 << 20;
const ZONE: &str = "topology.kubernetes.io/zone";
const HOST: &str = "kubernetes.io/hostname";

pub(crate) struct Problem {
    pub(crate) name: &'static str,
    pub(crate) snapshot: Snapshot,
    /// The number of nodes, where it is known.
    pub(crate) nodes: Option<usize>,
}

pub(crate) fn all() -> Vec<Problem> {
    let problem = |name, fleet: Fleet| Problem {
        name,
        snapshot: fleet.done(),
        nodes: None,
    };
    vec![
        Problem {
            nodes: Some(2595),
            ..problem("51 000 small pods, one size of node (H3)", estimate())
        },
        problem("twelve sizes of pods, linear prices", mixed(&LINEAR, 900)),
        problem(
            "twelve sizes, large nodes cost less per core",
            mixed(&RISING, 900),
        ),
        problem(
            "twelve sizes, large nodes cost more per core",
            mixed(&FALLING, 900),
        ),
        problem("twelve sizes, a price list with jumps", mixed(&JUMPING, 900)),
        problem("pods of half a node and of a third", coarse()),
        problem(
            "CPU or memory, one kind of node",
            skewed(&[("general", 8, 32, 80_000)]),
        ),
        problem(
            "CPU or memory, three families",
            skewed(&[
                ("general", 8, 32, 80_000),
                ("compute", 8, 16, 68_000),
                ("memory", 8, 64, 100_000),
            ]),
        ),
        problem("many tiny pods, the pod count decides", tiny()),
        problem("a dedicated pool beside a common one", tainted()),
        problem("two architectures by node selector", selected()),
        problem("zonal spread over three groups", zonal()),
        problem("one replica per host, many services", lonely()),
        problem("a cheap group with a limit, a dear one without", limited()),
    ]
}

/// (cores, GiB, price).
type Sizes = [(i64, i64, u64); 6];
const LINEAR: Sizes = [
    (2, 8, 20_000),
    (4, 16, 40_000),
    (8, 32, 80_000),
    (16, 64, 160_000),
    (32, 128, 320_000),
    (4, 8, 32_000),
];
const RISING: Sizes = [
    (2, 8, 26_000),
    (4, 16, 46_000),
    (8, 32, 84_000),
    (16, 64, 160_000),
    (32, 128, 300_000),
    (4, 8, 38_000),
];
const FALLING: Sizes = [
    (2, 8, 18_000),
    (4, 16, 38_000),
    (8, 32, 80_000),
    (16, 64, 170_000),
    (32, 128, 360_000),
    (4, 8, 33_000),
];
const JUMPING: Sizes = [
    (2, 4, 14_880),
    (4, 8, 29_760),
    (6, 16, 59_520),
    (8, 16, 71_430),
    (16, 32, 119_050),
    (24, 96, 238_100),
];

/// Splitmix64: a handful of numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound).unwrap()
    }
}

#[derive(Default)]
struct Fleet {
    snapshot: Snapshot,
    /// Pods by class, in the order of their making.
    waiting: BTreeMap<String, (PodClass, u32)>,
}

impl Fleet {
    fn group(&mut self, name: &str, max: u32) -> u32 {
        self.snapshot.groups.push(Group {
            namespace: "prod".into(),
            name: name.into(),
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
        u32::try_from(self.snapshot.groups.len() - 1).unwrap()
    }

    fn template(
        &mut self,
        group: u32,
        allocatable: Resources,
        price: u64,
        labels: &[(&str, &str)],
    ) -> &mut Template {
        self.snapshot.templates.push(Template {
            group,
            offering: format!("offering-{}", self.snapshot.templates.len()),
            datacenter: "ams".into(),
            size: 1,
            labels: labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            taints: Vec::new(),
            allocatable,
            daemons: Vec::new(),
            attach_limits: AttachLimits::new(),
            hourly_micros: price,
            failures: 0,
            backoff_until_ms: None,
        });
        self.snapshot.templates.last_mut().unwrap()
    }

    fn sizes(&mut self, group: u32, sizes: &[(i64, i64, u64)], labels: &[(&str, &str)]) {
        for (cores, gib, price) in sizes {
            self.template(
                group,
                node(cores * 1000 - 100, gib * GIB - 256 * MIB),
                *price,
                labels,
            );
        }
    }

    /// Pods that wait; equal ones fold into a class.
    fn pods(&mut self, class: PodClass, count: u32) {
        let entry = self.waiting.entry(format!("{class:?}")).or_insert((class, 0));
        entry.1 += count;
    }

    fn done(mut self) -> Snapshot {
        for (id, (class, count)) in (0..).zip(self.waiting.into_values()) {
            self.snapshot.classes.push(class.into());
            for _ in 0..count {
                let name = format!("pod-{:06}", self.snapshot.pods.len());
                self.snapshot.pods.push(Pod {
                    uid: name.clone(),
                    key: PodKey {
                        namespace: "default".into(),
                        name: name.into(),
                    },
                    class: id,
                    nominated: None,
                    owner: None,
                    unschedulable_since_ms: Some(0),
                });
            }
        }
        self.snapshot.resources = autoscaler_core::model::ResourceNames::default();
        self.snapshot
    }
}

fn node(cpu_milli: i64, memory: i64) -> Resources {
    Resources {
        cpu_milli,
        memory,
        ephemeral: 0,
        pods: 110,
        extended: Vec::new(),
    }
}

fn pod(cpu_milli: i64, memory: i64) -> PodClass {
    PodClass {
        namespace: "default".into(),
        requests: Resources {
            pods: 1,
            ..node(cpu_milli, memory)
        },
        ..PodClass::default()
    }
}

fn app(mut class: PodClass, name: &str) -> PodClass {
    class.labels.insert("app".into(), name.into());
    class
}

fn selector(name: &str) -> Option<LabelSelector> {
    Some(LabelSelector {
        match_labels: Labels::from([("app".to_owned(), name.to_owned())]),
        match_expressions: Vec::new(),
    })
}

fn spread(mut class: PodClass, key: &str, name: &str) -> PodClass {
    class.topology_spread.push(SpreadConstraint {
        max_skew: 1,
        topology_key: key.into(),
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: selector(name),
        min_domains: 0,
        honor_affinity: true,
        honor_taints: false,
    });
    class
}

fn term(key: &str, name: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        selector: selector(name),
        topology_key: key.into(),
        namespaces: vec!["default".into()],
        sought_everywhere: false,
    }
}

fn one_per_host(class: PodClass, name: &str) -> PodClass {
    let mut class = app(class, name);
    class.pod_anti_affinity.push(term(HOST, name));
    class
}

fn estimate() -> Fleet {
    let mut fleet = Fleet::default();
    let group = fleet.group("all", 3000);
    fleet.template(
        group,
        Resources {
            pods: 100,
            ..node(1000, 5000)
        },
        10_000,
        &[],
    );
    fleet.pods(pod(50, 100), 50_000);
    fleet.pods(pod(95, 190), 1000);
    fleet
}

fn mixed(sizes: &Sizes, pods: u32) -> Fleet {
    let mut fleet = Fleet::default();
    let group = fleet.group("all", 1000);
    fleet.sizes(group, sizes, &[]);
    let mut random = Random(7);
    for _ in 0..12 {
        let cpu = 50 * (1 + random.below(20) as i64);
        let memory = 128 * MIB * (1 + random.below(30) as i64);
        fleet.pods(pod(cpu, memory), pods / 12);
    }
    fleet
}

fn coarse() -> Fleet {
    let mut fleet = Fleet::default();
    let group = fleet.group("all", 1000);
    fleet.sizes(group, &[(8, 32, 80_000), (16, 64, 150_000)], &[]);
    fleet.pods(pod(3900, 15 * GIB), 61);
    fleet.pods(pod(2600, 10 * GIB), 94);
    fleet.pods(pod(1300, 3 * GIB), 47);
    fleet
}

fn skewed(sizes: &[(&str, i64, i64, u64)]) -> Fleet {
    let mut fleet = Fleet::default();
    let group = fleet.group("all", 1000);
    for (family, cores, gib, price) in sizes {
        fleet.template(
            group,
            node(cores * 1000 - 100, gib * GIB - 256 * MIB),
            *price,
            &[("family", family)],
        );
    }
    for (cpu, memory, count) in [
        (1500, GIB, 160),
        (750, 512 * MIB, 120),
        (200, 6 * GIB, 150),
        (100, 3 * GIB, 140),
    ] {
        fleet.pods(pod(cpu, memory), count);
    }
    fleet
}

fn tiny() -> Fleet {
    let mut fleet = Fleet::default();
    let group = fleet.group("all", 1000);
    fleet.sizes(group, &LINEAR, &[]);
    fleet.pods(pod(10, 16 * MIB), 9000);
    fleet.pods(pod(200, 256 * MIB), 300);
    fleet
}

fn tainted() -> Fleet {
    let mut fleet = Fleet::default();
    let common = fleet.group("common", 1000);
    fleet.sizes(common, &LINEAR, &[]);
    let dedicated = fleet.group("dedicated", 1000);
    for (cores, gib, price) in [(8, 32, 110_000), (16, 64, 210_000)] {
        let template = fleet.template(
            dedicated,
            node(cores * 1000 - 100, gib * GIB - 256 * MIB),
            price,
            &[("pool", "ml")],
        );
        template.taints.push(Taint {
            key: "dedicated".into(),
            value: "ml".into(),
            effect: TaintEffect::NoSchedule,
        });
    }
    for (cpu, memory, count) in [(1200, 3 * GIB, 270), (400, 2 * GIB, 420)] {
        let mut class = pod(cpu, memory);
        class.node_selector.insert("pool".into(), "ml".into());
        class.tolerations.push(Toleration {
            key: "dedicated".into(),
            operator: TolerationOperator::Exists,
            value: String::new(),
            effect: None,
        });
        fleet.pods(class, count);
    }
    for (cpu, memory, count) in [(900, 4 * GIB, 360), (300, 700 * MIB, 600), (150, 300 * MIB, 450)] {
        fleet.pods(pod(cpu, memory), count);
    }
    fleet
}

fn selected() -> Fleet {
    let mut fleet = Fleet::default();
    for (arch, dearer) in [("amd64", 100), ("arm64", 80)] {
        let group = fleet.group(arch, 1000);
        let sizes = JUMPING.map(|(cores, gib, price)| (cores, gib, price * dearer / 100));
        fleet.sizes(group, &sizes, &[("arch", arch)]);
    }
    let on = |arch: &str, mut class: PodClass| {
        class.node_selector.insert("arch".into(), arch.into());
        class
    };
    for (cpu, memory, count) in [(700, GIB, 130), (1600, 3 * GIB, 60), (250, 512 * MIB, 200)] {
        fleet.pods(on("amd64", pod(cpu, memory)), count);
        fleet.pods(on("arm64", pod(cpu, memory)), count / 2);
    }
    fleet.pods(pod(500, 900 * MIB), 240);
    fleet
}

fn zonal() -> Fleet {
    let mut fleet = Fleet::default();
    for zone in ["zone-1", "zone-2", "zone-3"] {
        let group = fleet.group(zone, 1000);
        fleet.sizes(group, &LINEAR, &[(ZONE, zone)]);
    }
    for (name, cpu, memory, count) in [
        ("web", 800, 2 * GIB, 450),
        ("api", 1500, 5 * GIB, 270),
        ("log", 200, GIB, 630),
    ] {
        fleet.pods(spread(app(pod(cpu, memory), name), ZONE, name), count);
    }
    fleet.pods(pod(300, 1300 * MIB), 900);
    fleet
}

fn lonely() -> Fleet {
    let mut fleet = Fleet::default();
    let group = fleet.group("all", 1000);
    fleet.sizes(group, &LINEAR, &[]);
    for (name, cpu, memory, count) in [
        ("one", 500, GIB, 40),
        ("two", 900, 3 * GIB, 40),
        ("three", 300, 2 * GIB, 30),
        ("four", 1200, 2 * GIB, 25),
    ] {
        fleet.pods(one_per_host(pod(cpu, memory), name), count);
    }
    fleet.pods(pod(450, 1800 * MIB), 400);
    fleet
}

fn limited() -> Fleet {
    let mut fleet = Fleet::default();
    let cheap = fleet.group("cheap", 20);
    fleet.sizes(cheap, &[(4, 16, 25_000), (8, 32, 50_000)], &[]);
    let dear = fleet.group("dear", 1000);
    fleet.sizes(dear, &LINEAR, &[]);
    for (cpu, memory, count) in [(1300, 4 * GIB, 150), (600, 3 * GIB, 200), (250, 600 * MIB, 300)] {
        fleet.pods(pod(cpu, memory), count);
    }
    fleet
}
