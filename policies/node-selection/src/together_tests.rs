//! Groups that are zones, with an oracle that spreads the pods of a class over them.

use crate::Config;
use crate::decide::decide;
use policy_sdk::node_selection::{Mix, Snapshot};
use policy_sdk::testing::{node_group, with_oracle};
use policy_sdk::what_if::{Cause, Leftover, Outcome, Question};
use policy_sdk::{Catalogue, ClassCount, Context, GroupDemand, Pending, PodClass, Reason, Template};

/// A zone with the pods that run there, how many more nodes its group may gain, and the price of one.
#[derive(Clone, Copy)]
struct Zone {
    pods: u32,
    room: u32,
    price: u64,
}

const EMPTY: Zone = Zone {
    pods: 0,
    room: 10,
    price: 100,
};

/// Nodes hold two pods each; all pods are demanded of the first group.
fn snapshot(zones: &[Zone], pods: u32) -> Snapshot {
    let group = |(number, zone): (usize, &Zone)| node_group(&format!("ns/g{number}"), zone.room);
    let template = |(group, zone): (u32, &Zone)| Template {
        group,
        offering: format!("o{group}"),
        datacenter: "dc".to_owned(),
        hourly_micros: zone.price,
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
            annotations: Vec::new(),
        },
        catalogue: Catalogue {
            groups: zones.iter().enumerate().map(group).collect(),
            templates: (0..).zip(zones).map(template).collect(),
            allocatable: Vec::new(),
        },
        pending: Pending {
            classes: vec![PodClass {
                name: "ns/c".to_owned(),
                priority: 0,
                unplaced: pods,
                waiting_ms: 0,
                topology_bound: false,
            }],
            requests: Vec::new(),
            row_of: vec![0],
            column_of: vec![0; zones.len()],
            per_node: vec![2],
        },
        demand: vec![GroupDemand {
            group: 0,
            pods: vec![ClassCount { class: 0, pods }],
            reason: Reason::new("Test", ""),
        }],
    }
}

/// Pods go one by one to the emptiest zone that has a place; no zone may be more than one ahead of another.
fn spreads(zones: &[Zone]) -> impl Fn(&Question) -> Outcome + 'static {
    let there: Vec<u32> = zones.iter().map(|zone| zone.pods).collect();
    move |question| {
        let mut counts = there.clone();
        let mut places = vec![0; counts.len()];
        for addition in &question.additions {
            places[addition.template as usize] += 2 * addition.count;
        }
        let mut left: u32 = question.pods.iter().flatten().map(|count| count.pods).sum();
        while left > 0 {
            let least = counts.iter().copied().min().unwrap_or(0);
            let next = (0..counts.len()).find(|zone| places[*zone] > 0 && counts[*zone] <= least);
            let Some(zone) = next else { break };
            (counts[zone], places[zone], left) = (counts[zone] + 1, places[zone] - 1, left - 1);
        }
        let used = |template: u32| (counts[template as usize] - there[template as usize]).div_ceil(2);
        let unplaced = Leftover {
            class: 0,
            pods: left,
            cause: Cause::TopologySpread,
        };
        Outcome {
            used: question
                .additions
                .iter()
                .map(|addition| used(addition.template))
                .collect(),
            unplaced: (left > 0).then_some(unplaced).into_iter().collect(),
            hourly_delta_micros: 0,
            cpu_permille: 0,
            memory_permille: 0,
        }
    }
}

fn mix(zones: &[Zone], pods: u32, cluster_headroom: Option<u32>) -> Mix {
    let mut snapshot = snapshot(zones, pods);
    snapshot.context.cluster_headroom = cluster_headroom;
    with_oracle(spreads(zones), move || decide(&snapshot, &Config::default()))
}

#[test]
fn zones_grow_together() {
    let behind = |pods| Zone { pods, ..EMPTY };
    let room = |room| Zone { room, ..EMPTY };
    // Zones, pods, room of the cluster, nodes by group, pods left.
    type Case<'a> = (&'a str, &'a [Zone], u32, Option<u32>, &'a [(u32, u32)], bool);
    let cases: &[Case<'_>] = &[
        ("evenly", &[EMPTY; 3], 12, None, &[(0, 2), (1, 2), (2, 2)], false),
        (
            "one plan for many",
            &[EMPTY; 3],
            30,
            None,
            &[(0, 5), (1, 5), (2, 5)],
            false,
        ),
        (
            "the group that was asked is ahead",
            &[behind(2), EMPTY],
            2,
            None,
            &[(1, 1)],
            false,
        ),
        (
            "a full group holds the others back",
            &[EMPTY, room(1)],
            12,
            None,
            &[(0, 2), (1, 1)],
            true,
        ),
        (
            "a group without room is no help",
            &[EMPTY, room(0)],
            12,
            None,
            &[(0, 1)],
            true,
        ),
        (
            "the cluster's limit is shared",
            &[EMPTY; 2],
            12,
            Some(4),
            &[(0, 2), (1, 2)],
            true,
        ),
        (
            "the last node of the cluster goes where it helps",
            &[
                behind(3),
                Zone {
                    pods: 2,
                    price: 900,
                    ..EMPTY
                },
            ],
            7,
            Some(1),
            &[(1, 1)],
            true,
        ),
        ("one group is enough", &[EMPTY], 12, None, &[(0, 6)], false),
    ];
    for (name, zones, pods, headroom, expected, leaves) in cases {
        let mix = mix(zones, *pods, *headroom);
        let mut nodes: Vec<(u32, u32)> = mix
            .purchases
            .iter()
            .map(|purchase| (purchase.template, purchase.count))
            .collect();
        nodes.sort_unstable();
        assert_eq!(nodes, *expected, "{name}");
        assert_eq!(
            !mix.rejections.is_empty(),
            *leaves,
            "{name}: {:?}",
            mix.rejections
        );
    }
}
