use super::*;
use crate::model::SpreadConstraint;
use crate::testing::{Cluster, pod, spread};

fn lot(class: ClassId, pods: u32) -> Lot {
    Lot {
        class,
        pods,
        field: None,
        promised: None,
    }
}

/// Places pods on offers alone.
fn onto(state: &mut State, lots: &[Lot], offers: &mut [Offer]) -> FilledLots {
    fill_all(state, lots, &mut [], offers, &mut Work::new(100_000))
}

#[test]
fn the_most_frequent_cause_counts() {
    let tally = |causes: &[Cause]| {
        let mut tally = Tally::default();
        causes.iter().for_each(|cause| tally.add(*cause, 1));
        tally.most()
    };
    assert_eq!(tally(&[]), Cause::Resources);
    assert_eq!(tally(&[Cause::Taints]), Cause::Taints);
    assert_eq!(
        tally(&[Cause::Taints, Cause::Volumes, Cause::Volumes]),
        Cause::Volumes
    );
    assert_eq!(
        tally(&[Cause::Volumes, Cause::Taints]),
        Cause::Taints,
        "list order among equals"
    );
}

#[test]
fn zonal_spread_goes_round_the_zones() {
    let mut cluster = Cluster::default();
    let mut offers: Vec<Offer> = ["a", "b", "c"]
        .map(|zone| Offer::new(cluster.template(zone, 10_000, &[("zone", zone)]), 5))
        .to_vec();
    let class = cluster.class(pod(1000).labels(&[("app", "web")]).with(|class| {
        class.topology_spread = vec![SpreadConstraint {
            min_domains: 3,
            ..spread("zone", 1)
        }];
    }));
    let mut state = cluster.state();
    let filled = &onto(&mut state, &[lot(class, 30)], &mut offers).lots[0];
    assert_eq!(filled.left, 0);
    let opened: Vec<usize> = offers.iter().map(|offer| offer.opened.len()).collect();
    assert_eq!(
        opened,
        [1, 1, 1],
        "ten pods to a node, ten pods to a zone: {:?}",
        filled.placed
    );
    let more = &onto(&mut state, &[lot(class, 31)], &mut offers[..1]).lots[0];
    assert_eq!((more.left, more.cause()), (30, Cause::TopologySpread));
}

#[test]
fn pods_by_the_number_land_as_they_do_one_by_one() {
    let mut cluster = Cluster::default();
    let nodes = [cluster.node("a", 2500), cluster.node("b", 1000)];
    let class = cluster.class(pod(1000));
    let mut state = cluster.state();
    let filled = fill(&mut state, class, 10, &nodes, &mut Work::new(1000));
    assert_eq!(filled.placed, [(nodes[0], 2), (nodes[1], 1)]);
    assert_eq!((filled.left, filled.cause()), (7, Cause::Resources));
}

/// What each node got, by class.
fn loads(state: &State, offers: &[Offer]) -> Vec<Vec<(ClassId, u32)>> {
    offers
        .iter()
        .flat_map(|offer| &offer.opened)
        .map(|node| state.arrivals(*node).to_vec())
        .collect()
}

#[test]
fn pods_that_want_different_things_share_a_node() {
    let mut cluster = Cluster::default();
    let template = cluster.template("plain", 8000, &[]);
    let gib = 1_i64 << 30;
    let wants = |cpu, memory: i64| pod(cpu).with(|class| class.requests.memory = memory * gib);
    let (cpu, memory) = (cluster.class(wants(1900, 1)), cluster.class(wants(100, 15)));
    let mut state = cluster.state();
    let mut offers = [Offer::new(template, 100)];
    let filled = onto(&mut state, &[lot(cpu, 40), lot(memory, 40)], &mut offers);
    assert!(filled.lots.iter().all(|lot| lot.left == 0));
    assert_eq!(loads(&state, &offers), vec![vec![(cpu, 4), (memory, 4)]; 10]);
}

#[test]
fn who_has_nowhere_else_to_go_comes_first() {
    let mut cluster = Cluster::default();
    cluster.template("plain", 4000, &[]);
    let dedicated = cluster.template("dedicated", 4000, &[]);
    cluster.snapshot.templates[dedicated as usize]
        .labels
        .insert("kind".into(), "gpu".into());
    let anywhere = cluster.class(pod(1000));
    let bound = cluster.class(pod(500).with(|class| {
        class.node_selector = crate::testing::labels(&[("kind", "gpu")]);
    }));
    let mut state = cluster.state();
    let mut offers = [Offer::new(dedicated, 1), Offer::new(0, 1)];
    let filled = onto(&mut state, &[lot(anywhere, 6), lot(bound, 4)], &mut offers);
    assert_eq!(filled.lots.iter().map(|lot| lot.left).sum::<u32>(), 0);
    assert_eq!(
        loads(&state, &offers),
        [vec![(anywhere, 2), (bound, 4)], vec![(anywhere, 4)]]
    );
}

#[test]
fn the_more_important_come_first_on_new_nodes_too() {
    let mut cluster = Cluster::default();
    let template = cluster.template("plain", 4000, &[]);
    let urgent = cluster.class(pod(1000).with(|class| class.priority = 1));
    let large = cluster.class(pod(2000));
    let mut state = cluster.state();
    let mut offers = [Offer::new(template, 1)];
    let filled = onto(&mut state, &[lot(urgent, 3), lot(large, 2)], &mut offers);
    let left: Vec<u32> = filled.lots.iter().map(|lot| lot.left).collect();
    assert_eq!(left, [0, 2]);
    assert_eq!(filled.lots[1].cause(), Cause::Resources);
}

#[test]
fn a_budget_ends_the_search_and_says_so() {
    for plain in [true, false] {
        let mut cluster = Cluster::default();
        let template = cluster.template("plain", 1000, &[]);
        let lonely = |class: &mut crate::model::PodClass| {
            if !plain {
                class.host_ports = vec![crate::model::HostPort {
                    port: 80,
                    ..Default::default()
                }];
            }
        };
        let class = cluster.class(pod(1000).with(lonely));
        let mut state = cluster.state();
        let mut work = Work::new(50);
        let filled = fill_all(
            &mut state,
            &[lot(class, 1000)],
            &mut [],
            &mut [Offer::new(template, 1000)],
            &mut work,
        );
        let lot = &filled.lots[0];
        assert!(
            (1..1000).contains(&lot.left),
            "plain {plain}: a part is done: {}",
            lot.left
        );
        assert_eq!(lot.cause(), Cause::Budget, "plain {plain}");
        assert!(work.done() < 100, "plain {plain}: {}", work.done());
    }
}
