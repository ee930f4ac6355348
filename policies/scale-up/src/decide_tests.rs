//! Small clusters, each with the demand that a person would expect.

use super::*;
use policy_sdk::testing::{node_group, table_rows, with_oracle};
use policy_sdk::what_if::{Cause, Leftover, Outcome};
use policy_sdk::{Catalogue, Context, Pending, PodClass, Template};

/// (price, headroom, backoff, failures) of one template per group, all groups with max 10.
type TemplateCase = (u64, u32, u64, u32);

fn snapshot(templates: &[TemplateCase], classes: &[(u32, &[u32])]) -> Snapshot {
    let groups = (0..templates.len())
        .map(|number| node_group(&format!("ns/g{number}"), 10))
        .collect();
    let rows = (0..)
        .zip(templates)
        .map(
            |(group, &(hourly_micros, headroom, backoff_ms, failures))| Template {
                group,
                offering: format!("o{group}"),
                datacenter: "dc".to_owned(),
                hourly_micros,
                headroom,
                failures,
                backoff_ms,
            },
        )
        .collect();
    Snapshot {
        context: Context {
            now_ms: 0,
            seed: 0,
            resource_names: vec![
                "cpu".into(),
                "memory".into(),
                "ephemeral-storage".into(),
                "pods".into(),
            ],
            cluster_headroom: None,
            annotations: Vec::new(),
        },
        catalogue: Catalogue {
            groups,
            templates: rows,
            allocatable: templates.iter().flat_map(|_| [4000, 8 << 30, 0, 110]).collect(),
        },
        pending: Pending {
            classes: classes
                .iter()
                .enumerate()
                .map(|(number, (unplaced, _))| PodClass {
                    name: format!("ns/c{number}"),
                    priority: 0,
                    unplaced: *unplaced,
                    waiting_ms: 60_000,
                    topology_bound: true,
                })
                .collect(),
            requests: classes.iter().flat_map(|_| [100, 1 << 20, 0, 1]).collect(),
            row_of: table_rows(classes.len(), templates.len()),
            column_of: (0..).take(templates.len()).collect(),
            per_node: classes
                .iter()
                .flat_map(|(_, per_node)| per_node.iter().copied())
                .collect(),
        },
    }
}

/// (group, [(class, pods)]).
fn summary(demand: &Demand) -> Vec<(u32, Vec<(u32, u32)>)> {
    demand
        .groups
        .iter()
        .map(|group| {
            (
                group.group,
                group.pods.iter().map(|count| (count.class, count.pods)).collect(),
            )
        })
        .collect()
}

/// Everything fits the first nodes that are offered.
fn first_takes_all(question: &policy_sdk::what_if::Question) -> Outcome {
    Outcome {
        used: (0..question.additions.len())
            .map(|at| u32::from(at == 0))
            .collect(),
        unplaced: Vec::new(),
        hourly_delta_micros: 0,
        cpu_permille: 0,
        memory_permille: 0,
    }
}

fn refused_by(cause: Cause) -> impl Fn(&policy_sdk::what_if::Question) -> Outcome {
    move |question| Outcome {
        used: vec![0; question.additions.len()],
        unplaced: vec![Leftover {
            class: 0,
            pods: 1,
            cause,
        }],
        hourly_delta_micros: 0,
        cpu_permille: 0,
        memory_permille: 0,
    }
}

#[test]
fn pods_go_where_their_place_costs_least() {
    let ok = |price| (price, 10, 0, 0);
    // Name, templates, (unplaced, pods per node) of the classes, demand.
    type Case<'a> = (
        &'a str,
        &'a [TemplateCase],
        &'a [(u32, &'a [u32])],
        &'a [(u32, &'a [(u32, u32)])],
    );
    let cases: &[Case<'_>] = &[
        (
            "the cheaper of two equal groups",
            &[ok(200), ok(100)],
            &[(4, &[2, 2])],
            &[(1, &[(0, 4)])],
        ),
        (
            "one pod: the small node, though dearer per pod",
            &[ok(100), ok(40)],
            &[(1, &[10, 2])],
            &[(1, &[(0, 1)])],
        ),
        (
            "many pods: the large node",
            &[ok(100), ok(40)],
            &[(20, &[10, 2])],
            &[(0, &[(0, 20)])],
        ),
        (
            "equal prices: the name decides",
            &[ok(100), ok(100)],
            &[(1, &[5, 5])],
            &[(0, &[(0, 1)])],
        ),
        (
            "what the cheapest cannot take goes to the next",
            &[(100, 1, 0, 0), ok(500)],
            &[(5, &[3, 3])],
            &[(0, &[(0, 3)]), (1, &[(0, 2)])],
        ),
        (
            "a second class shares a started node",
            &[ok(100), ok(90)],
            &[(1, &[2, 0]), (1, &[4, 4])],
            &[(0, &[(0, 1), (1, 1)])],
        ),
        (
            "a template that fails is the last choice",
            &[(100, 10, 0, 2), ok(900)],
            &[(1, &[2, 2])],
            &[(1, &[(0, 1)])],
        ),
        (
            "a template that backs off is none",
            &[(100, 10, 5, 2), ok(900)],
            &[(1, &[2, 2])],
            &[(1, &[(0, 1)])],
        ),
        ("nothing waits", &[ok(100)], &[(0, &[2])], &[]),
    ];
    for (name, templates, classes, expected) in cases {
        let snapshot = snapshot(templates, classes);
        let demand = with_oracle(first_takes_all, move || decide(&snapshot, &Config::default()));
        let expected: Vec<_> = expected
            .iter()
            .map(|(group, pods)| (*group, pods.to_vec()))
            .collect();
        assert_eq!(summary(&demand), expected, "{name}");
        assert!(demand.rejections.is_empty(), "{name}: {:?}", demand.rejections);
    }
}

#[test]
fn a_class_without_a_place_is_told_why() {
    let ok = (100, 10, 0, 0);
    // Name, templates, pods per node, what is special, code, part of the text.
    type Case<'a> = (
        &'a str,
        &'a [TemplateCase],
        &'a [u32],
        fn(&mut Snapshot),
        &'a str,
        &'a str,
    );
    let cases: &[Case<'_>] = &[
        ("no group", &[], &[], |_| {}, "NoGroups", "no node group"),
        (
            "a taint",
            &[ok],
            &[0],
            |_| {},
            "NoGroupFits",
            "ns/g0: an untolerated taint",
        ),
        (
            "too big",
            &[ok],
            &[0],
            |s| s.pending.requests[0] = 9000,
            "NoGroupFits",
            "requests 9000m cpu, a new node offers 4000m",
        ),
        (
            "at maximum",
            &[ok],
            &[2],
            |s| s.catalogue.groups[0].current = 10,
            "GroupsFull",
            "maximum of 10",
        ),
        (
            "provider limit",
            &[(100, 0, 0, 0)],
            &[2],
            |_| {},
            "GroupsFull",
            "spoken for",
        ),
        (
            "backing off",
            &[(100, 5, 2500, 1)],
            &[2],
            |_| {},
            "BackingOff",
            "next try in 3 s",
        ),
        (
            "cluster limit",
            &[ok],
            &[2],
            |s| s.context.cluster_headroom = Some(0),
            "ClusterFull",
            "no place for 3 pods",
        ),
        (
            "full beats misfit",
            &[ok, (100, 0, 0, 0)],
            &[0, 1],
            |_| {},
            "GroupsFull",
            "ns/g0: an untolerated taint; ns/g1:",
        ),
    ];
    for (name, templates, per_node, change, code, part) in cases {
        let mut snapshot = snapshot(templates, &[(3, per_node)]);
        change(&mut snapshot);
        let demand = with_oracle(refused_by(Cause::Taints), move || {
            decide(&snapshot, &Config::default())
        });
        assert!(demand.groups.is_empty(), "{name}");
        let [rejection] = demand.rejections.as_slice() else {
            panic!("{name}: {:?}", demand.rejections)
        };
        assert_eq!(
            (rejection.class, rejection.reason.code.as_str()),
            (0, *code),
            "{name}"
        );
        assert!(
            rejection.reason.text.contains(part),
            "{name}: {}",
            rejection.reason.text
        );
    }
}

#[test]
fn the_cluster_limit_is_shared_by_the_groups() {
    let mut snapshot = snapshot(&[(100, 10, 0, 0), (200, 10, 0, 0)], &[(4, &[2, 0]), (4, &[0, 2])]);
    snapshot.context.cluster_headroom = Some(3);
    let demand = with_oracle(refused_by(Cause::Taints), move || {
        decide(&snapshot, &Config::default())
    });
    assert_eq!(summary(&demand), [(0, vec![(0, 4)]), (1, vec![(1, 2)])]);
    assert_eq!(demand.rejections.len(), 1);
    assert!(demand.rejections[0].reason.text.contains("2 pods"));
}

#[test]
fn important_pods_come_first() {
    let mut snapshot = snapshot(&[(100, 1, 0, 0)], &[(2, &[2]), (2, &[2])]);
    snapshot.pending.classes[1].priority = 100;
    let demand = decide(&snapshot, &Config::default());
    assert_eq!(summary(&demand), [(0, vec![(1, 2)])]);
    assert_eq!(demand.rejections[0].class, 0);
}

#[test]
fn young_pods_wait() {
    let snapshot = snapshot(&[(100, 9, 0, 0)], &[(2, &[2])]);
    for (seconds, groups, code) in [(60, 1, None), (61, 0, Some("TooEarly"))] {
        let demand = decide(
            &snapshot,
            &Config {
                min_wait_seconds: seconds,
            },
        );
        assert_eq!(demand.groups.len(), groups, "{seconds}");
        assert_eq!(
            demand
                .rejections
                .first()
                .map(|rejection| rejection.reason.code.as_str()),
            code,
            "{seconds}"
        );
    }
}

#[test]
fn pods_that_have_to_spread_are_shared_among_groups() {
    // Nodes that the oracle uses of each group, demand.
    type Case<'a> = (&'a [u32], &'a [(u32, u32)], &'a str);
    let cases: [Case<'_>; 3] = [
        (&[2, 2, 2], &[(0, 10), (1, 10), (2, 10)], "evenly"),
        (&[0, 3, 3], &[(1, 15), (2, 15)], "one zone is ahead"),
        (&[6, 0, 0], &[(0, 30)], "nothing forces it"),
    ];
    for (used, expected, why) in cases {
        let snapshot = snapshot(
            &[(100, 10, 0, 0), (100, 10, 0, 0), (100, 10, 0, 0)],
            &[(30, &[5, 5, 5])],
        );
        let used = used.to_vec();
        let oracle = move |question: &policy_sdk::what_if::Question| Outcome {
            used: used.clone(),
            ..first_takes_all(question)
        };
        let demand = with_oracle(oracle, move || decide(&snapshot, &Config::default()));
        let expected: Vec<_> = expected
            .iter()
            .map(|(group, pods)| (*group, vec![(0, *pods)]))
            .collect();
        assert_eq!(summary(&demand), expected, "{why}");
    }
}
