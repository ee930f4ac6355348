//! What is replaced, by what, and when it is not worth it.

use crate::Config;
use crate::decide::decide;
use policy_sdk::rebalance::{Action, Fleet, NodeFlags, ReplacementKind, Snapshot};
use policy_sdk::testing::{node_group, with_oracle};
use policy_sdk::what_if::{Cause, Leftover, Outcome, Question};
use policy_sdk::{Catalogue, Context, NodeGroup, Template};

const DAY_MS: u64 = 86_400_000;

/// A group of nodes that cost 100 000 an hour each and are half full, in a cluster that offers the same size and one
/// at a third of the price.
fn fleet(nodes: usize) -> Snapshot {
    let count = u32::try_from(nodes).unwrap();
    let template = |offering: &str, hourly_micros| Template {
        group: 0,
        offering: offering.to_owned(),
        datacenter: "dc".to_owned(),
        hourly_micros,
        headroom: 10,
        failures: 0,
        backoff_ms: 0,
    };
    Snapshot {
        context: Context {
            now_ms: 0,
            seed: 0,
            resource_names: Vec::new(),
            cluster_headroom: None,
            annotations: vec![("may-replace".to_owned(), "true".to_owned())],
        },
        catalogue: Catalogue {
            groups: vec![NodeGroup {
                current: count,
                since_scale_up_ms: Some(DAY_MS),
                ..node_group("ns/g", 20)
            }],
            templates: vec![template("big", 100_000), template("small", 33_000)],
            allocatable: Vec::new(),
        },
        fleet: Fleet {
            names: (0..count).map(|number| format!("n{number}")).collect(),
            group: vec![0; nodes],
            template: vec![0; nodes],
            hourly_micros: vec![100_000; nodes],
            cpu_permille: vec![600; nodes],
            memory_permille: vec![600; nodes],
            pods_to_move: vec![4; nodes],
            age_ms: vec![DAY_MS; nodes],
            idle_ms: vec![0; nodes],
            not_ready_ms: vec![0; nodes],
            flags: vec![NodeFlags::READY; nodes],
        },
        waiting_pods: 0,
        removal_budget: 1,
    }
}

/// The load of a node needs one small or half a big node; nothing fits on nodes that stay.
fn oracle(question: &Question) -> Outcome {
    let needed: u32 = match question.additions.first() {
        Some(addition) => {
            let per_node = if addition.template == 0 { 2 } else { 1 };
            u32::try_from(question.removals.len()).unwrap().div_ceil(per_node)
        }
        None => u32::MAX,
    };
    let offered = question.additions.first().map_or(0, |addition| addition.count);
    let unplaced = if needed > offered {
        vec![Leftover {
            class: 0,
            pods: 1,
            cause: Cause::Resources,
        }]
    } else {
        Vec::new()
    };
    Outcome {
        used: vec![needed.min(offered)],
        unplaced,
        hourly_delta_micros: 0,
        cpu_permille: 0,
        memory_permille: 0,
    }
}

/// Nodes, template, count and kind of what is replaced.
type Answer = Option<(Vec<u32>, u32, u32, ReplacementKind)>;

fn ask(snapshot: Snapshot, config: Config) -> Answer {
    let proposal = with_oracle(oracle, move || decide(&snapshot, &config));
    proposal.steps.into_iter().find_map(|step| match step.action {
        Action::Replace(replacement) => {
            let addition = replacement.additions[0];
            Some((
                replacement.nodes,
                addition.template,
                addition.count,
                replacement.kind,
            ))
        }
        Action::Remove(_) => None,
    })
}

#[test]
fn nodes_make_way_where_it_is_needed_or_pays() {
    use ReplacementKind::{Cheaper, Consolidate, Drift, Expire, Repair};
    type Change = fn(&mut Snapshot, &mut Config);
    let cases: &[(&str, usize, Change, Answer)] = &[
        ("a cheaper node", 1, |_, _| {}, Some((vec![0], 1, 1, Cheaper))),
        (
            "all of them at once",
            3,
            |_, _| {},
            Some((vec![0, 1, 2], 1, 3, Consolidate)),
        ),
        (
            "no more than is allowed",
            3,
            |_, c| c.most_merged = 2,
            Some((vec![0, 1], 1, 2, Consolidate)),
        ),
        ("never for the money", 3, |_, c| c.most_merged = 0, None),
        (
            "not wanted by the host",
            1,
            |s, _| s.context.annotations.clear(),
            None,
        ),
        ("pods wait", 1, |s, _| s.waiting_pods = 1, None),
        ("no removal left", 1, |s, _| s.removal_budget = 0, None),
        ("too young", 1, |s, _| s.fleet.age_ms[0] = 0, None),
        (
            "the group just grew",
            1,
            |s, _| s.catalogue.groups[0].since_scale_up_ms = Some(0),
            None,
        ),
        (
            "blocked",
            1,
            |s, _| s.fleet.flags[0] = NodeFlags::READY | NodeFlags::BLOCKED,
            None,
        ),
        (
            "moves cost more than it saves",
            1,
            |_, c| c.eviction_cost_micros = 1_000_000_000,
            None,
        ),
        ("it lives too short", 1, |_, c| c.expected_life_seconds = 60, None),
        (
            "the group grew a while ago, and will again",
            1,
            |s, c| {
                s.catalogue.groups[0].since_scale_up_ms = Some(120 * 60_000);
                c.eviction_cost_micros = 10_000;
            },
            Some((vec![0], 1, 1, Cheaper)),
        ),
        (
            "by that time the moves are not paid",
            1,
            |s, c| {
                s.catalogue.groups[0].since_scale_up_ms = Some(120 * 60_000);
                c.eviction_cost_micros = 12_000;
            },
            None,
        ),
        (
            "the group shrank just now, and will again",
            1,
            |s, _| s.catalogue.groups[0].since_scale_down_ms = Some(60_000),
            None,
        ),
        (
            "another node will go by itself in a moment",
            2,
            |s, _| {
                s.fleet.pods_to_move[1] = 0;
                s.fleet.idle_ms[1] = 60_000;
            },
            None,
        ),
        (
            "it saves too little",
            1,
            |_, c| c.minimum_saving_permille = 700,
            None,
        ),
        (
            "backs off",
            1,
            |s, _| s.catalogue.templates[1].backoff_ms = 1,
            None,
        ),
        (
            "no room for it",
            1,
            |s, _| s.catalogue.templates[1].headroom = 0,
            None,
        ),
        (
            "given up an hour ago",
            1,
            |s, _| {
                s.context
                    .annotations
                    .push(("given-up".to_owned(), "ns/g small 3600000".to_owned()))
            },
            None,
        ),
        (
            "given up two days ago",
            1,
            |s, _| {
                s.context
                    .annotations
                    .push(("given-up".to_owned(), "ns/g small 172800000".to_owned()))
            },
            Some((vec![0], 1, 1, Cheaper)),
        ),
        (
            "drifted",
            2,
            |s, _| s.fleet.flags[1] = NodeFlags::READY | NodeFlags::DRIFTED,
            Some((vec![1], 1, 1, Drift)),
        ),
        (
            "not ready for long",
            2,
            |s, _| s.fleet.not_ready_ms[1] = 700_000,
            Some((vec![1], 1, 1, Repair)),
        ),
        (
            "not ready for a moment",
            2,
            |s, c| {
                s.fleet.not_ready_ms[1] = 7_000;
                c.most_merged = 0
            },
            None,
        ),
        (
            "too old",
            2,
            |s, c| {
                s.fleet.age_ms[0] = 2 * DAY_MS;
                c.max_age_seconds = 100_000
            },
            Some((vec![0], 1, 1, Expire)),
        ),
        (
            "repair before drift",
            2,
            |s, _| {
                s.fleet.not_ready_ms[1] = 700_000;
                s.fleet.flags[0] = NodeFlags::READY | NodeFlags::DRIFTED
            },
            Some((vec![1], 1, 1, Repair)),
        ),
    ];
    for (name, nodes, change, wanted) in cases {
        let (mut snapshot, mut config) = (fleet(*nodes), Config::default());
        change(&mut snapshot, &mut config);
        assert_eq!(ask(snapshot, config), *wanted, "{name}");
    }
}
