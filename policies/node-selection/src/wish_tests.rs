//! Who buys for what is left, round by round.

use super::*;
use policy_sdk::testing::node_group;
use policy_sdk::{Catalogue, Context, Pending, PodClass, Template};

/// Classes that a new node holds ten of, and one of.
const PLAIN: u32 = 0;
const LONELY: u32 = 1;

/// Two groups with a template in each of two datacenters; the second group's cost twice as much.
fn snapshot() -> Snapshot {
    let template = |(group, datacenter): (u32, &str)| Template {
        group,
        offering: "o".to_owned(),
        datacenter: datacenter.to_owned(),
        hourly_micros: 100 * u64::from(group + 1),
        headroom: 10,
        failures: 0,
        backoff_ms: 0,
    };
    let class = |name: &str| PodClass {
        name: name.to_owned(),
        priority: 0,
        unplaced: 9,
        waiting_ms: 0,
        topology_bound: true,
    };
    Snapshot {
        context: Context {
            now_ms: 0,
            seed: 0,
            resource_names: vec!["cpu".to_owned()],
            cluster_headroom: None,
            annotations: Vec::new(),
        },
        catalogue: Catalogue {
            groups: vec![node_group("one", 10), node_group("two", 10)],
            templates: [(0, "ams"), (0, "hel"), (1, "ams"), (1, "hel")]
                .map(template)
                .to_vec(),
            allocatable: vec![1000; 4],
        },
        pending: Pending {
            classes: vec![class("plain"), class("lonely")],
            requests: vec![100, 100],
            row_of: vec![0, 4],
            column_of: vec![0, 1, 2, 3],
            per_node: vec![10, 10, 10, 10, 1, 1, 1, 1],
        },
        demand: Vec::new(),
    }
}

#[test]
fn who_buys_for_what_is_left() {
    type Demands<'a> = &'a [(u32, &'a [u32])];
    type Case<'a> = (
        &'a str,
        Demands<'a>,
        &'a [(u32, Cause)],
        Turn,
        &'a [(u32, Option<&'a str>, &'a [u32])],
    );
    let turn = |round, vain| Turn {
        round,
        vain,
        was_in_vain: vain > 0,
    };
    let (room, spread) = (Cause::Resources, Cause::TopologySpread);
    let cases: [Case<'_>; 8] = [
        (
            "a group buys for what it was asked",
            &[(1, &[PLAIN])],
            &[(PLAIN, room)],
            turn(0, 0),
            &[(1, None, &[PLAIN])],
        ),
        (
            "lonely pods of one group are bought for at once",
            &[(0, &[PLAIN, LONELY])],
            &[(PLAIN, room), (LONELY, room)],
            turn(0, 0),
            &[(0, None, &[PLAIN, LONELY])],
        ),
        (
            "of several groups, after the others",
            &[(0, &[PLAIN, LONELY]), (1, &[LONELY])],
            &[(PLAIN, room), (LONELY, room)],
            turn(0, 0),
            &[(0, None, &[PLAIN]), (1, None, &[LONELY])],
        ),
        (
            "which is the next round",
            &[(0, &[PLAIN, LONELY]), (1, &[PLAIN])],
            &[(LONELY, room)],
            turn(1, 0),
            &[(0, None, &[LONELY])],
        ),
        (
            "spread: the group that was asked, in each datacenter",
            &[(1, &[PLAIN])],
            &[(PLAIN, spread)],
            turn(1, 0),
            &[(1, Some("ams"), &[PLAIN]), (1, Some("hel"), &[PLAIN])],
        ),
        (
            "spread: the cheapest, where nobody there was asked",
            &[(1, &[LONELY])],
            &[(PLAIN, spread)],
            turn(1, 0),
            &[(0, Some("ams"), &[PLAIN]), (0, Some("hel"), &[PLAIN])],
        ),
        (
            "spread, after it was in vain: everybody",
            &[(1, &[PLAIN])],
            &[(PLAIN, spread)],
            turn(2, 1),
            &[
                (0, Some("ams"), &[PLAIN]),
                (0, Some("hel"), &[PLAIN]),
                (1, Some("ams"), &[PLAIN]),
                (1, Some("hel"), &[PLAIN]),
            ],
        ),
        ("nothing left", &[(0, &[PLAIN])], &[], turn(1, 0), &[]),
    ];
    let snapshot = snapshot();
    for (name, demanded, left, turn, expected) in cases {
        let nine = |classes: &[u32]| classes.iter().map(|class| (*class, 9)).collect();
        let demanded: Demanded = demanded
            .iter()
            .map(|(group, classes)| (*group, nine(classes)))
            .collect();
        let left = left.iter().map(|(class, cause)| (*class, (9, *cause))).collect();
        let wishes = wishes(&snapshot, &demanded, &left, turn);
        let told: Vec<(u32, Option<&str>, Vec<u32>)> = wishes
            .iter()
            .map(|wish| {
                (
                    wish.group,
                    wish.datacenter,
                    wish.pods.iter().map(|count| count.class).collect(),
                )
            })
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(group, place, classes)| (*group, *place, classes.to_vec()))
            .collect();
        assert_eq!(told, expected, "{name}");
    }
}
