use super::*;
use crate::model::{HostPort, LabelSelector, PodAffinityTerm, PodClass, SpreadConstraint};
use crate::packing::Work;
use crate::testing::{Cluster, pod, selector, spread, taint};

fn term(key: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        selector: Some(selector(&[("app", "web")])),
        topology_key: key.into(),
        namespaces: vec!["default".into()],
        sought_everywhere: false,
    }
}

const HOST: &str = super::super::HOSTNAME_LABEL;

/// What each template holds of the class.
fn row(state: &mut State, class: ClassId, growable: &[bool]) -> Vec<u32> {
    let table = per_new_node(state, &[class], growable);
    (0..growable.len())
        .map(|template| table.pods(0, template))
        .collect()
}

/// One existing full node in zone c; templates a (4 cores, zone a), b (8 cores, zone b, tainted).
#[test]
fn cases() {
    let web = || pod(1000).labels(&[("app", "web")]);
    let cases: Vec<(PodClass, [bool; 2], [u32; 2], &str)> = vec![
        (
            web(),
            [true, true],
            [4, 0],
            "by resources, and not where a taint is",
        ),
        (web().tolerates("gpu"), [true, true], [4, 8], "tolerated"),
        (
            pod(5000).tolerates("gpu"),
            [true, true],
            [0, 1],
            "too large for one of them",
        ),
        (
            web()
                .tolerates("gpu")
                .with(|class| class.pod_anti_affinity = vec![term(HOST)]),
            [true, true],
            [1, 1],
            "one to a host",
        ),
        (
            web().with(|class| {
                class.host_ports = vec![HostPort {
                    port: 80,
                    ..HostPort::default()
                }]
            }),
            [true, true],
            [1, 0],
            "one host port",
        ),
        (
            web().with(|class| class.pod_affinity = vec![term("zone")]),
            [true, true],
            [4, 0],
            "first of a circle",
        ),
        (
            web().with(|class| class.pod_affinity = vec![term("rack")]),
            [true, true],
            [0, 0],
            "no rack in this cluster",
        ),
        (
            web()
                .tolerates("gpu")
                .with(|class| class.topology_spread = vec![spread("zone", 1)]),
            [true, true],
            [1, 1],
            "zone c cannot follow",
        ),
        (
            web().tolerates("gpu").with(|class| {
                class.topology_spread = vec![spread("zone", 1)];
                class.node_selector = crate::testing::labels(&[("ours", "yes")]);
            }),
            [true, true],
            [4, 8],
            "zone c does not count, a and b can follow each other",
        ),
        (
            web()
                .tolerates("gpu")
                .with(|class| class.topology_spread = vec![spread(HOST, 2)]),
            [true, true],
            [2, 2],
            "the full node holds the others down",
        ),
        (
            web().tolerates("gpu").with(|class| {
                let selector = Some(LabelSelector::default());
                class.topology_spread = vec![SpreadConstraint {
                    selector,
                    ..spread("zone", 1)
                }];
            }),
            [true, true],
            [4, 8],
            "an empty selector counts no pod, so that no zone runs ahead",
        ),
        (
            web().with(|class| class.topology_spread = vec![spread("rack", 1)]),
            [true, true],
            [0, 0],
            "a key that templates lack",
        ),
    ];
    for (class, growable, expected, why) in cases {
        let mut cluster = Cluster::default();
        cluster.labelled("full", 0, &[("zone", "c"), (HOST, "full")]);
        cluster.template("a", 4000, &[("zone", "a"), ("ours", "yes")]);
        cluster.template("b", 8000, &[("zone", "b"), ("ours", "yes")]);
        cluster.snapshot.templates[1].taints.push(taint("gpu"));
        let class = cluster.class(class);
        let mut state = cluster.state();
        let before = state.clone();
        assert_eq!(row(&mut state, class, &growable), expected, "{why}");
        assert!(state == before, "{why}: nothing stays behind");
    }
}

/// Every new node starts with a DaemonSet pod `agent` that holds port 9100.
#[test]
fn daemons_are_on_new_nodes_before_others() {
    let port = |port| HostPort {
        port,
        ..HostPort::default()
    };
    let agent = |key: &str| PodAffinityTerm {
        selector: Some(selector(&[("app", "agent")])),
        ..term(key)
    };
    for (class, expected, why) in [
        (pod(1000), 4, "its requests are off the template already"),
        (
            pod(1000).with(|class| class.host_ports = vec![port(9100)]),
            0,
            "its port is taken",
        ),
        (
            pod(1000).with(|class| class.host_ports = vec![port(9200)]),
            1,
            "another port is not",
        ),
        (
            pod(1000).with(|class| class.pod_affinity = vec![agent(HOST)]),
            4,
            "it is company",
        ),
        (
            pod(1000).with(|class| class.pod_anti_affinity = vec![agent(HOST)]),
            0,
            "it keeps away who avoids it",
        ),
    ] {
        let mut cluster = Cluster::default();
        cluster.template("a", 4000, &[]);
        let daemon = cluster.class(pod(4000).labels(&[("app", "agent")]).with(|class| {
            class.host_ports = vec![port(9100)];
        }));
        cluster.snapshot.templates[0].daemons = vec![daemon, 77];
        let upcoming = cluster.managed("upcoming", 0);
        cluster.snapshot.nodes[0].state = crate::model::NodeState::Upcoming;
        let class = cluster.class(class);
        let mut state = cluster.state();
        assert_eq!(row(&mut state, class, &[true]), [expected], "{why}");
        assert_eq!(
            state.fits(class, upcoming).is_ok(),
            expected > 0,
            "{why}, on its way"
        );
    }
}

#[test]
fn volumes_fill_a_new_node() {
    let mounting = |own, shared: &[&str]| {
        pod(100).with(|class| {
            class.attachments = vec![crate::model::Attachments {
                driver: "csi".into(),
                own,
                shared: shared.iter().map(|name| (*name).to_owned()).collect(),
            }]
        })
    };
    for (class, expected, why) in [
        (mounting(1, &[]), 7, "one each"),
        (mounting(2, &[]), 3, "two each"),
        (mounting(2, &["a"]), 3, "two each and one together"),
        (mounting(0, &["a"]), 40, "one together"),
        (mounting(8, &[]), 0, "too many"),
        (
            pod(100).with(|class| class.exclusive_claims = vec!["data".into()]),
            1,
            "a claim for one pod",
        ),
    ] {
        let mut cluster = Cluster::default();
        cluster.template("a", 4000, &[]);
        cluster.snapshot.templates[0]
            .attach_limits
            .insert("csi".into(), 7);
        let class = cluster.class(class);
        let mut state = cluster.state();
        assert_eq!(row(&mut state, class, &[true]), [expected], "{why}");
        let node = state.add_node(0);
        let filled = crate::packing::fill::fill(&mut state, class, 100, &[node], &mut Work::new(1000));
        assert_eq!(100 - filled.left, expected, "{why}: filling one");
    }
}

#[test]
fn a_zone_that_cannot_be_bought_cannot_follow() {
    let mut cluster = Cluster::default();
    cluster.template("a", 4000, &[("zone", "a")]);
    cluster.template("b", 4000, &[("zone", "b")]);
    cluster.labelled("full", 0, &[("zone", "b")]);
    let class = cluster.class(
        pod(1000)
            .labels(&[("app", "web")])
            .with(|class| class.topology_spread = vec![spread("zone", 1)]),
    );
    let mut state = cluster.state();
    assert_eq!(row(&mut state, class, &[true, true]), [4, 4]);
    assert_eq!(row(&mut state, class, &[true, false]), [1, 1]);
}

/// Sizes and zones make columns, requests and rules make rows; names make neither.
#[test]
fn what_is_alike_is_told_once() {
    let mut cluster = Cluster::default();
    for zone in ["a", "b"] {
        for size in [2000, 4000, 8000, 8000] {
            cluster.template(zone, size, &[("zone", zone)]);
        }
    }
    let mut classes = Vec::new();
    for app in 0..50 {
        let name = format!("app-{app}");
        let labelled = |cpu| pod(cpu).labels(&[("app", name.as_str())]);
        classes.push(cluster.class(labelled(500)));
        classes.push(cluster.class(labelled(1000).with(|class| class.pod_anti_affinity = vec![term(HOST)])));
    }
    let spreading = pod(500).labels(&[("app", "web")]);
    classes.push(cluster.class(spreading.with(|class| class.topology_spread = vec![spread("zone", 1)])));
    let mut state = cluster.state();
    let table = per_new_node(&mut state, &classes, &[true; 8]);
    let rows: std::collections::BTreeSet<u32> = table.row_of.iter().copied().collect();
    let columns: std::collections::BTreeSet<u32> = table.column_of.iter().copied().collect();
    assert_eq!((rows.len(), columns.len()), (2, 6), "three sizes in two zones");
    assert_eq!(table.pods.len(), 2 * 6);
    assert_eq!(
        [0, 1, 2, 3].map(|template| table.pods(0, template)),
        [4, 8, 16, 16]
    );
    assert_eq!(
        [4, 5, 6, 7].map(|template| table.pods(1, template)),
        [2, 4, 8, 8],
        "others than `web` may meet"
    );
}
