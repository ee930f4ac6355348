//! Clusters of seeds, in the shorthand of cases. Even seeds make sound ones, as somebody might run them; odd ones hostile
//! ones: amounts at the ends of what a number holds, limits that contradict each other, demands that nothing meets.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

const ZONES: [&str; 3] = ["dc-1", "dc-2", "dc-3"];
const TIERS: [&str; 3] = ["web", "batch", "gpu"];
const SOUND_CPU: [&str; 7] = ["50m", "100m", "250m", "500m", "1", "2", "3500m"];
const SOUND_MEMORY: [&str; 6] = ["64Mi", "256Mi", "1Gi", "2Gi", "6Gi", "15Gi"];
/// Zero, nearly nothing, the largest numbers that fit, and more than fit.
const HOSTILE: [&str; 9] = [
    "0",
    "1n",
    "1m",
    "4",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775807m",
    "1e18",
    "8Ei",
];

/// The cluster of a seed.
pub(super) fn cluster(seed: u64) -> Value {
    let mut dice = Dice {
        source: ChaCha8Rng::seed_from_u64(seed),
        hostile: !seed.is_multiple_of(2),
    };
    let offerings = dice.offerings();
    let groups = dice.groups(&offerings);
    let nodes = dice.nodes(&groups, &offerings);
    let mut cluster = json!({"seed": dice.source.next_u64() >> 1});
    let (pods, budgets, daemons) = (dice.pods(&nodes), dice.budgets(), dice.daemons());
    let lists = [
        ("offerings", offerings),
        ("groups", groups),
        ("nodes", nodes),
        ("pods", pods),
        ("budgets", budgets),
        ("daemons", daemons),
    ];
    for (name, list) in lists {
        cluster[name] = list.into();
    }
    if dice.one_in(3) {
        cluster["maxNodes"] = dice.size(40).into();
    }
    if dice.one_in(3) {
        cluster["removalBudget"] = dice.size(5).into();
    }
    if dice.one_in(4) {
        cluster["reserved"] = json!({"cpu": dice.cpu(), "memory": dice.memory()});
    }
    cluster
}

struct Dice {
    source: ChaCha8Rng,
    hostile: bool,
}

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.source.next_u64() % limit.max(1)
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    /// One in so many times of a hostile cluster; never of a sound one.
    fn strange(&mut self, chances: u64) -> bool {
        self.hostile && self.one_in(chances)
    }

    fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        let place = usize::try_from(self.below(list.len() as u64)).unwrap_or(0);
        list[place]
    }

    fn member<'a>(&mut self, list: &'a [Value]) -> Option<&'a Value> {
        let place = usize::try_from(self.below(list.len() as u64)).unwrap_or(0);
        list.get(place)
    }

    fn cpu(&mut self) -> &'static str {
        if self.strange(4) {
            self.pick(&HOSTILE)
        } else {
            self.pick(&SOUND_CPU)
        }
    }

    fn memory(&mut self) -> &'static str {
        if self.strange(4) {
            self.pick(&HOSTILE)
        } else {
            self.pick(&SOUND_MEMORY)
        }
    }

    /// A number of things that a limit may be.
    fn size(&mut self, most: u64) -> u64 {
        match self.strange(4) {
            true if self.one_in(2) => 0,
            true => u64::from(i32::MAX.unsigned_abs()),
            false => self.below(most) + 1,
        }
    }

    fn seconds(&mut self) -> u64 {
        match self.strange(6) {
            true => 0,
            false => self.below(100_000),
        }
    }

    fn list(&mut self, most: u64, mut make: impl FnMut(&mut Self, u64) -> Option<Value>) -> Vec<Value> {
        let length = self.below(most + 1);
        (0..length).filter_map(|number| make(self, number)).collect()
    }

    fn offerings(&mut self) -> Vec<Value> {
        let length = self.below(6) + 1;
        let make = |number: u64| {
            let cpu = match self.strange(6) {
                true if self.one_in(2) => 0,
                true => u64::from(u32::MAX),
                false => 1 << self.below(6),
            };
            let mut offering = json!({"name": format!("o{number}"), "cpu": cpu});
            if self.one_in(2) {
                // Gibibytes become bytes later on.
                offering["memory"] = (if self.strange(6) {
                    1_u64 << 40
                } else {
                    1 << self.below(8)
                })
                .into();
            }
            if self.one_in(2) {
                offering["price"] = (if self.strange(6) {
                    u64::MAX / 1000
                } else {
                    self.below(500)
                })
                .into();
            }
            if self.one_in(5) {
                offering["zone"] = self.pick(&ZONES).into();
            }
            offering
        };
        (0..length).map(make).collect()
    }

    fn names(&mut self, of: &[Value]) -> Vec<Value> {
        let chosen = of.iter().filter(|_| !self.one_in(3));
        chosen.map(|one| one["name"].clone()).collect()
    }

    fn groups(&mut self, offerings: &[Value]) -> Vec<Value> {
        self.list(4, |dice, number| {
            let mut group = json!({"name": format!("g{number}")});
            if dice.one_in(2) {
                group["max"] = dice.size(20).into();
            }
            if dice.one_in(3) {
                group["min"] = dice.size(3).into();
            }
            if dice.one_in(3) {
                group["zone"] = dice.pick(&ZONES).into();
            }
            if dice.one_in(3) {
                group["offerings"] = dice.names(offerings).into();
            }
            if dice.one_in(3) {
                let tier = dice.pick(&TIERS);
                group["labels"] = json!({"tier": tier});
                if dice.one_in(2) {
                    group["taints"] = json!([format!("tier={tier}:NoSchedule")]);
                }
            }
            for (field, chances) in [("grows", 8), ("shrinks", 8), ("mixed", 4)] {
                if dice.one_in(chances) {
                    group[field] = false.into();
                }
            }
            for field in ["grew", "shrank"] {
                if dice.one_in(4) {
                    group[field] = dice.seconds().into();
                }
            }
            if dice.one_in(5)
                && let Some(offering) = dice.member(offerings)
            {
                let name = offering["name"].as_str().unwrap_or_default().to_owned();
                group["failures"] = json!({name.clone(): dice.below(9) + 1});
                group["backoff"] = json!({name: dice.seconds()});
            }
            Some(group)
        })
    }

    fn nodes(&mut self, groups: &[Value], offerings: &[Value]) -> Vec<Value> {
        let most = if self.one_in(8) { 60 } else { 12 };
        self.list(most, |dice, number| {
            let mut node = json!({"name": format!("n{number}"), "age": dice.seconds()});
            let group = dice.member(groups).filter(|_| number % 5 != 0);
            if let Some(group) = group {
                node["group"] = group["name"].clone();
                node["offering"] = dice.member(offerings)?["name"].clone();
                if dice.one_in(8) {
                    node["phase"] = dice
                        .pick(&["Pending", "Provisioning", "Joining", "Failed", "Terminating"])
                        .into();
                }
            } else {
                node["cpu"] = dice.pick(&["2", "4", "16"]).into();
            }
            if dice.strange(6) {
                node["memory"] = dice.memory().into();
            }
            if dice.one_in(3) {
                node["idle"] = dice.seconds().into();
            }
            for (field, value) in [("cordoned", true), ("ready", false), ("deleting", true)] {
                if dice.one_in(10) {
                    node[field] = value.into();
                }
            }
            Some(node)
        })
    }

    fn pods(&mut self, nodes: &[Value]) -> Vec<Value> {
        // What runs needs a Node to run on; not every record of a machine has one yet.
        let joined: Vec<Value> = nodes
            .iter()
            .filter(|node| node.get("phase").is_none())
            .cloned()
            .collect();
        self.list(14, |dice, number| {
            let mut pod = dice.pod(number);
            if dice.one_in(2)
                && let Some(node) = dice.member(&joined)
            {
                pod["node"] = node["name"].clone();
                if dice.one_in(10) {
                    pod["owner"] = dice
                        .pick(&["none", "DaemonSet/d", "Job/j", "StatefulSet/s"])
                        .into();
                }
            } else {
                let most = if dice.strange(8) { 500 } else { 20 };
                pod["count"] = (dice.below(most) + 1).into();
                pod["waits"] = dice.seconds().into();
            }
            Some(pod)
        })
    }

    fn pod(&mut self, number: u64) -> Value {
        let tier = self.pick(&TIERS);
        let mut pod = json!({
            "name": format!("p{number}"), "cpu": self.cpu(), "memory": self.memory(), "labels": {"app": tier},
        });
        let wishes: [(&str, u64, Value); 6] = [
            ("tolerations", 4, json!([format!("tier={tier}:NoSchedule")])),
            ("nodeSelector", 6, json!({"tier": tier})),
            (
                "apart",
                7,
                json!([{"key": "kubernetes.io/hostname", "select": {"app": tier}}]),
            ),
            (
                "near",
                12,
                json!([{"key": "topology.kubernetes.io/zone", "select": {"app": tier}}]),
            ),
            (
                "spread",
                7,
                json!([{"key": "topology.kubernetes.io/zone", "select": {"app": tier}}]),
            ),
            ("ports", 12, json!(["8080"])),
        ];
        for (field, chances, value) in wishes {
            if self.one_in(chances) {
                pod[field] = value;
            }
        }
        if self.one_in(6) {
            let priority = if self.strange(2) { i32::MIN } else { 1000 };
            pod["priority"] = priority.into();
        }
        if self.strange(5) {
            pod["extended"] = json!({"example.com/gpu": self.pick(&HOSTILE)});
        }
        if self.strange(8) {
            let far: Map<String, Value> = [("nowhere".to_owned(), "at-all".into())].into_iter().collect();
            pod["nodeSelector"] = far.into();
        }
        pod
    }

    fn budgets(&mut self) -> Vec<Value> {
        self.list(2, |dice, number| {
            let tier = dice.pick(&TIERS);
            let allowed = dice.below(3);
            Some(json!({"name": format!("b{number}"), "select": {"app": tier}, "allowed": allowed}))
        })
    }

    fn daemons(&mut self) -> Vec<Value> {
        self.list(1, |dice, number| {
            Some(json!({"name": format!("d{number}"), "cpu": dice.cpu(), "memory": "64Mi", "tolerations": ["*"]}))
        })
    }
}
