//! The oracle's answers, and that asking leaves no trace.

use super::WhatIf;
use crate::decision::{Addition, Cause, ClassCount, Leftover, Oracle, WhatIfQuestion, questions};
use crate::model::NodeState;
use crate::packing::place_pending;
use crate::testing::{Cluster, pod, spread, taint};

fn grow(additions: &[(u32, u32)], pods: Option<&[(u32, u32)]>) -> WhatIfQuestion {
    WhatIfQuestion {
        additions: additions
            .iter()
            .map(|(template, count)| Addition {
                template: *template,
                count: *count,
            })
            .collect(),
        removals: Vec::new(),
        pods: pods.map(|pods| {
            pods.iter()
                .map(|(class, pods)| ClassCount {
                    class: *class,
                    pods: *pods,
                })
                .collect()
        }),
    }
}

/// Templates of 4 cores (price 4000) and of 8 cores, tainted. Waiting: ten pods of one core, two that tolerate
/// the taint and take 3 cores, in rows 0 and 1.
fn waiting() -> Cluster {
    let mut cluster = Cluster::default();
    cluster.template("plain", 4000, &[]);
    cluster.template("tainted", 8000, &[]);
    cluster.snapshot.templates[1].taints.push(taint("gpu"));
    let (small, large) = (
        cluster.class(pod(1000)),
        cluster.class(pod(3000).tolerates("gpu")),
    );
    cluster.waiting(small, 10);
    cluster.waiting(large, 2);
    cluster
}

#[test]
fn additions() {
    let placement = place_pending(&waiting().shared());
    let oracle = WhatIf::new(&placement, &questions::scale_up(&placement, &|_| true));
    type Case<'a> = (
        WhatIfQuestion,
        &'a [u32],
        &'a [(u32, u32, Cause)],
        i64,
        u32,
        &'a str,
    );
    let cases: Vec<Case<'_>> = vec![
        (
            grow(&[], None),
            &[],
            &[(0, 10, Cause::Resources), (1, 2, Cause::Resources)],
            0,
            0,
            "nothing",
        ),
        (
            grow(&[(1, 1)], None),
            &[1],
            &[(0, 10, Cause::Taints)],
            8_000_000,
            750,
            "the tainted one",
        ),
        (
            grow(&[(0, 2)], None),
            &[2],
            &[(0, 2, Cause::Resources), (1, 2, Cause::Resources)],
            8_000_000,
            1000,
            "those first that could go nowhere else",
        ),
        (
            grow(&[(1, 1), (0, 3)], None),
            &[1, 3],
            &[],
            20_000_000,
            800,
            "all of them",
        ),
        (
            grow(&[(1, 1), (0, 900_000_000)], None),
            &[1, 3],
            &[],
            20_000_000,
            800,
            "more than needed",
        ),
        (
            grow(&[(0, 0), (0, 1)], Some(&[(0, 3)])),
            &[0, 1],
            &[],
            4_000_000,
            750,
            "some pods only",
        ),
        (
            grow(&[(0, 9)], Some(&[(0, 7), (0, 7)])),
            &[3],
            &[],
            12_000_000,
            833,
            "no more pods than there are",
        ),
    ];
    for (question, used, unplaced, hourly, cpu, why) in cases {
        let (outcome, work) = oracle.what_if(&question).expect(why);
        assert_eq!(outcome.used, used, "{why}");
        let left: Vec<_> = outcome
            .unplaced
            .iter()
            .map(|left| (left.class, left.pods, left.cause))
            .collect();
        assert_eq!(left, unplaced, "{why}");
        assert_eq!(
            (outcome.hourly_delta_micros, outcome.cpu_permille),
            (hourly, cpu),
            "{why}"
        );
        assert!(work < 1000, "{why}: {work} steps");
        assert_eq!(
            oracle.what_if(&question),
            Ok((outcome, work)),
            "{why}: asked again"
        );
    }
}

#[test]
fn removals() {
    let mut cluster = Cluster::default();
    let template = cluster.template("plain", 2000, &[]);
    let class = cluster.class(pod(500));
    for name in ["n0", "n1", "n2"] {
        let node = cluster.managed(name, template);
        cluster.bound(class, node);
        cluster.bound(class, node);
    }
    let ask = |cluster: &Cluster, removals: &[u32], additions: &[(u32, u32)]| {
        let placement = place_pending(&cluster.shared());
        let oracle = WhatIf::new(&placement, &questions::rebalance(&placement, &|_| true));
        let question = WhatIfQuestion {
            removals: removals.to_vec(),
            ..grow(additions, None)
        };
        oracle.what_if(&question).unwrap().0
    };
    let one = ask(&cluster, &[1], &[]);
    assert_eq!((one.unplaced, one.hourly_delta_micros), (vec![], -2_000_000));
    let two = ask(&cluster, &[0, 1, 1], &[]);
    assert_eq!(
        two.unplaced,
        [Leftover {
            class: u32::MAX,
            pods: 2,
            cause: Cause::Resources
        }]
    );
    assert_eq!(
        two.hourly_delta_micros, -4_000_000,
        "a node that is named twice goes once"
    );
    let replaced = ask(&cluster, &[0, 1], &[(template, 1)]);
    assert_eq!(
        (replaced.unplaced, replaced.hourly_delta_micros, replaced.used),
        (vec![], -2_000_000, vec![1])
    );
    cluster.snapshot.nodes[2].state = NodeState::Upcoming;
    assert_eq!(ask(&cluster, &[0], &[]).unplaced, [], "the other one has room");
    cluster.snapshot.nodes[1].state = NodeState::Upcoming;
    assert_eq!(
        ask(&cluster, &[0], &[]).unplaced.len(),
        1,
        "what is on its way is no place"
    );
}

/// Full nodes in zones a and b, with one pod of the class in a; new ones come in a only. The second of two pods lacks no
/// room: it lacks a node in b, and whoever buys for it has to know.
#[test]
fn full_nodes_do_not_hide_that_a_domain_is_ahead() {
    let mut cluster = Cluster::default();
    cluster.template("a", 8000, &[("zone", "a")]);
    let class = cluster.class(pod(1000).labels(&[("app", "web")]).with(|class| {
        class.topology_spread = vec![spread("zone", 2)];
    }));
    for zone in ["a", "b", "b", "b"] {
        let node = cluster.labelled(
            &format!("{zone}-{}", cluster.snapshot.nodes.len()),
            1000,
            &[("zone", zone)],
        );
        let filler = cluster.class(pod(1000));
        cluster.bound(if zone == "a" { class } else { filler }, node);
    }
    cluster.waiting(class, 2);
    let placement = place_pending(&cluster.shared());
    assert_eq!(placement.unplaced[0].cause, Cause::Resources);
    let oracle = WhatIf::new(&placement, &questions::scale_up(&placement, &|_| true));
    let (outcome, _) = oracle.what_if(&grow(&[(0, 2)], None)).unwrap();
    let ahead = Leftover {
        class: 0,
        pods: 1,
        cause: Cause::TopologySpread,
    };
    assert_eq!((outcome.used, outcome.unplaced), (vec![1], vec![ahead]));
}

#[test]
fn numbers_out_of_range_are_named() {
    let placement = place_pending(&waiting().shared());
    let oracle = WhatIf::new(&placement, &questions::scale_up(&placement, &|_| true));
    for (question, expected) in [
        (grow(&[(2, 1)], None), "template 2 of 2"),
        (grow(&[], Some(&[(5, 1)])), "class 5 of 2"),
        (
            WhatIfQuestion {
                removals: vec![0],
                ..grow(&[], None)
            },
            "node 0 of 0",
        ),
        (grow(&vec![(0, 1); 10_001], None), "10001 additions"),
    ] {
        let text = oracle.what_if(&question).unwrap_err();
        assert!(text.starts_with(expected), "{text}");
    }
}
