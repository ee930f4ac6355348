//! What the tests share: one engine, the misbehaving guests, small questions, and an oracle to count on.

#![allow(dead_code, reason = "each test binary uses a part")]

use autoscaler_core::decision::{
    Answer, Catalogue, Cause, ClassRow, Context, Fleet, GroupRow, Leftover, NodeFlags, Oracle, Pending,
    Question, TemplateRow, WhatIfOutcome, WhatIfQuestion,
};
use autoscaler_core::packing::PerNewNode;
use autoscaler_policy::{Binding, CompiledPolicy, Engine, PolicySet};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new().expect("this machine runs WebAssembly"))
}

pub(crate) fn policies() -> &'static PolicySet {
    static POLICIES: OnceLock<PolicySet> = OnceLock::new();
    POLICIES.get_or_init(|| PolicySet::built_in(engine()).expect("the built-in policies compile"))
}

/// A guest of `tests/guests`, as `cargo xtask policies` built it. Kept, because the engine forgets a policy that
/// nobody uses.
pub(crate) fn guest(name: &str) -> Arc<CompiledPolicy> {
    static GUESTS: Mutex<BTreeMap<String, Arc<CompiledPolicy>>> = Mutex::new(BTreeMap::new());
    let mut guests = GUESTS.lock().unwrap_or_else(PoisonError::into_inner);
    guests
        .entry(name.to_owned())
        .or_insert_with(|| load(name))
        .clone()
}

fn load(name: &str) -> Arc<CompiledPolicy> {
    let folder = std::env::var_os("VPSIE_POLICIES_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/policies"),
        PathBuf::from,
    );
    let path = folder.join("test").join(format!("{name}.wasm"));
    let bytes = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask policies` first", path.display()));
    engine()
        .compile(&bytes)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(crate) fn binding(name: &str) -> Binding {
    Binding::new(name, guest(name))
}

/// A checker that has nothing against any answer.
pub(crate) fn anything(_: &Answer) -> Result<(), String> {
    Ok(())
}

fn context() -> Context {
    let names = ["cpu", "memory", "ephemeral-storage", "pods"];
    Context {
        now_ms: 1_700_000_000_000,
        seed: 7,
        resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
        cluster_headroom: None,
        annotations: Vec::new(),
    }
}

fn group(number: usize) -> GroupRow {
    GroupRow {
        name: format!("ns/g{number}"),
        min: 0,
        max: 10,
        current: 0,
        upcoming: 0,
        since_scale_up_ms: None,
        since_scale_down_ms: None,
        annotations: Vec::new(),
    }
}

fn template(group: u32, offering: &str, hourly_micros: u64) -> TemplateRow {
    TemplateRow {
        group,
        offering: offering.to_owned(),
        datacenter: "ams".to_owned(),
        hourly_micros,
        headroom: 10,
        failures: 0,
        backoff_ms: 0,
    }
}

/// Two groups: a cheap one with a small and a large template, and a dear one. A class that fits all, one that
/// fits the dear group only, and one that fits nowhere.
fn catalogue() -> Catalogue {
    Catalogue {
        groups: vec![group(0), group(1)],
        templates: vec![
            template(0, "small", 100),
            template(0, "large", 350),
            template(1, "dear", 500),
        ],
        allocatable: vec![
            2000,
            4 << 30,
            0,
            110,
            8000,
            16 << 30,
            0,
            110,
            4000,
            8 << 30,
            0,
            110,
        ],
    }
}

fn pending() -> Pending {
    let class = |name: &str, unplaced| ClassRow {
        name: name.to_owned(),
        priority: 0,
        unplaced,
        waiting_ms: 9000,
        topology_bound: false,
    };
    Pending {
        classes: vec![
            class("ns/plain", 20),
            class("ns/special", 3),
            class("ns/impossible", 2),
        ],
        class_ids: vec![0, 1, 2],
        requests: vec![500, 1 << 30, 0, 1, 500, 1 << 30, 0, 1, 64_000, 1 << 30, 0, 1],
        per_node: PerNewNode::whole(3, 3, vec![4, 16, 8, 0, 0, 8, 0, 0, 0]),
    }
}

pub(crate) fn growth() -> Question {
    Question::ScaleUp {
        context: context(),
        catalogue: Arc::new(catalogue()),
        pending: Arc::new(pending()),
    }
}

pub(crate) fn selection(demand: Vec<autoscaler_core::decision::GroupDemand>) -> Question {
    Question::NodeSelection {
        context: context(),
        catalogue: Arc::new(catalogue()),
        pending: Arc::new(pending()),
        demand,
    }
}

/// (CPU permille, pods to move, idle minutes) of each node, all of the cheap group.
pub(crate) fn shrinkage(nodes: &[(u32, u32, u64)]) -> Question {
    let mut catalogue = catalogue();
    catalogue.groups[0].current = u32::try_from(nodes.len()).unwrap();
    let ready = NodeFlags {
        ready: true,
        ..NodeFlags::default()
    };
    let fleet = Fleet {
        names: (0..nodes.len()).map(|number| format!("n{number}")).collect(),
        node_ids: (0..).take(nodes.len()).collect(),
        group: vec![0; nodes.len()],
        template: vec![0; nodes.len()],
        hourly_micros: vec![100; nodes.len()],
        cpu_permille: nodes.iter().map(|node| node.0).collect(),
        memory_permille: nodes.iter().map(|node| node.0).collect(),
        pods_to_move: nodes.iter().map(|node| node.1).collect(),
        age_ms: vec![3_600_000; nodes.len()],
        idle_ms: nodes.iter().map(|node| node.2 * 60_000).collect(),
        not_ready_ms: vec![0; nodes.len()],
        flags: vec![ready; nodes.len()],
    };
    Question::Rebalance {
        context: context(),
        catalogue,
        fleet,
        waiting_pods: 0,
        removal_budget: 10,
    }
}

/// A question of every kind.
pub(crate) fn every_kind() -> [Question; 3] {
    [
        growth(),
        selection(Vec::new()),
        shrinkage(&[(0, 0, 60), (900, 9, 0)]),
    ]
}

/// Places pods by the column `per_node` of [`growth`], a pod taking its share of a node; pods of removed
/// nodes always find a place. It costs `steps` a question.
pub(crate) struct Packing {
    pub(crate) steps: u64,
}

impl Oracle for Packing {
    fn what_if(&self, question: &WhatIfQuestion) -> Result<(WhatIfOutcome, u64), String> {
        let pending = pending();
        let width = catalogue().templates.len();
        let mut pods: Vec<(u32, u32)> = question
            .pods
            .iter()
            .flatten()
            .map(|count| (count.class, count.pods))
            .collect();
        let mut used = Vec::new();
        for addition in &question.additions {
            if addition.template as usize >= width {
                return Err(format!("template {} of {width}", addition.template));
            }
            let mut nodes = 0;
            for _ in 0..addition.count {
                let mut free = 720_720_u32;
                for (class, count) in &mut pods {
                    let per_node = pending.per_node.pods(*class as usize, addition.template as usize);
                    if let Some(share) = 720_720_u32.checked_div(per_node) {
                        let placed = (free / share).min(*count);
                        free -= placed * share;
                        *count -= placed;
                    }
                }
                nodes += u32::from(free < 720_720);
            }
            used.push(nodes);
        }
        let unplaced = pods.into_iter().filter(|(_, pods)| *pods > 0);
        let unplaced = unplaced
            .map(|(class, pods)| Leftover {
                class,
                pods,
                cause: Cause::Taints,
            })
            .collect();
        Ok((
            WhatIfOutcome {
                used,
                unplaced,
                ..WhatIfOutcome::default()
            },
            self.steps,
        ))
    }
}

/// An oracle that costs next to nothing.
pub(crate) const PACKING: Packing = Packing { steps: 10 };
