//! How many pods of a class an empty new node of each template holds.
//!
//! For most rules that is a matter of the node alone. Topology spread is a matter between domains: a zone may
//! not run ahead, but the other zones can grow in the same plan. So a domain holds the others back only
//! where no template can bring a node into it.

use super::State;
use super::links::Spread;
use crate::model::{ClassId, NodeId, TemplateId};
use crate::rules::{self, skew_after};

/// One row per class, one column per template. `growable` tells which templates may be bought at all.
pub fn per_new_node(state: &mut State, classes: &[ClassId], growable: &[bool]) -> Vec<u32> {
    let templates = state.snapshot().templates.len();
    let mut table = vec![0; classes.len() * templates];
    if templates == 0 {
        return table;
    }
    let limits: Vec<Vec<u32>> = classes
        .iter()
        .map(|class| spread_limits(state, *class, growable))
        .collect();
    for template in 0..templates {
        let mark = state.mark();
        let node = state.add_node(TemplateId::try_from(template).unwrap_or(TemplateId::MAX));
        for ((class, row), limits) in classes.iter().zip(table.chunks_mut(templates)).zip(&limits) {
            row[template] = match limits[template] {
                0 => 0,
                limit => alone(state, *class, node).min(limit),
            };
        }
        state.rollback(mark);
    }
    table
}

/// How many pods the new node holds by all rules but topology spread.
fn alone(state: &mut State, class: ClassId, node: NodeId) -> u32 {
    if state.fits_by_nature(class, node).is_err() || rules::refused_whatever_spreads(state, class, node) {
        return 0;
    }
    let room = state.room(class, node);
    if state.tables().is_bulk(class) || room == 1 {
        return room;
    }
    // What the first pod does to the second, it does to all that follow.
    let mark = state.mark();
    state.place(class, node, 1);
    let together = !rules::refused_whatever_spreads(state, class, node);
    state.rollback(mark);
    if together { room } else { 1 }
}

/// By template: how many pods of the class its domains can still take before they run ahead of domains that
/// cannot follow.
fn spread_limits(state: &State, class: ClassId, growable: &[bool]) -> Vec<u32> {
    let tables = state.tables();
    let templates = tables.snapshot.templates.len();
    let mut limits = vec![u32::MAX; templates];
    let keys = tables.topology.keys.len();
    for spread in &tables.links.of(class).spread {
        let domains_of =
            |template: usize| &tables.topology.of_templates[template * keys..(template + 1) * keys];
        let is_hostname = Some(spread.key) == tables.topology.hostname;
        let grows = |template: &usize| {
            let shape = tables.shapes.of_templates[*template];
            growable.get(*template).copied().unwrap_or(false)
                && tables
                    .shapes
                    .verdict(&tables.snapshot, class, shape)
                    .refused
                    .is_none()
                && (is_hostname || domains_of(*template)[spread.key].is_some())
        };
        let growing: Vec<usize> = (0..templates).filter(grows).collect();
        let ground = Ground::new(state, class, spread, &growing, is_hostname, domains_of);
        for (template, limit) in limits.iter_mut().enumerate() {
            let domain = domains_of(template)[spread.key];
            *limit = (*limit).min(match (domain, is_hostname) {
                (_, true) => ground.room(spread, 0),
                (Some(domain), false) => ground.room(spread, state.counter(spread.counter).count(domain)),
                (None, false) => 0,
            });
        }
    }
    limits
}

/// What a domain of a constraint is measured against.
struct Ground {
    /// The smallest count over domains that no purchase reaches; none where every domain can follow.
    minimum: Option<u32>,
    /// A pod of the class adds to the counts.
    moves: bool,
}

impl Ground {
    fn new<'a>(
        state: &'a State,
        class: ClassId,
        spread: &Spread,
        growing: &[usize],
        is_hostname: bool,
        domains_of: impl Fn(usize) -> &'a [Option<u32>],
    ) -> Self {
        let counter = state.counter(spread.counter);
        let reached = |domain: u32| {
            !is_hostname
                && growing
                    .iter()
                    .any(|template| domains_of(*template)[spread.key] == Some(domain))
        };
        let anchored = counter
            .present()
            .filter(|(domain, _)| !reached(*domain))
            .map(|(_, count)| count);
        let mut minimum = anchored.min();
        let mut new: Vec<u32> = growing
            .iter()
            .filter_map(|template| domains_of(*template)[spread.key])
            .collect();
        new.retain(|domain| counter.present().all(|(present, _)| present != *domain));
        new.sort_unstable();
        new.dedup();
        let endless = is_hostname && !growing.is_empty();
        let domains = counter
            .domains()
            .saturating_add(u32::try_from(new.len()).unwrap_or(u32::MAX));
        if domains < spread.min_domains && !endless {
            minimum = Some(0);
        }
        Self {
            minimum,
            moves: state.tables().links.of(class).moves.contains(&spread.counter),
        }
    }

    /// How many more pods a domain with this count takes.
    fn room(&self, spread: &Spread, count: u32) -> u32 {
        let Some(minimum) = self.minimum else {
            return u32::MAX;
        };
        let room = i64::from(spread.max_skew) - skew_after(count, spread.counts_itself, minimum);
        match u32::try_from(room) {
            // The pod that is asked about, and those that may follow it.
            Ok(room) if self.moves => room.saturating_add(1),
            // Pods that do not count never run ahead.
            Ok(_) => u32::MAX,
            Err(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        HostPort, LabelSelector, PodAffinityTerm, PodClass, SpreadConstraint, WhenUnsatisfiable,
    };
    use crate::packing::Work;
    use crate::testing::{Cluster, pod, selector, taint};

    fn spread(key: &str, max_skew: i32) -> SpreadConstraint {
        SpreadConstraint {
            max_skew,
            topology_key: key.into(),
            when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
            selector: Some(selector(&[("app", "web")])),
            min_domains: 0,
            honor_affinity: true,
            honor_taints: false,
        }
    }

    fn term(key: &str) -> PodAffinityTerm {
        PodAffinityTerm {
            selector: Some(selector(&[("app", "web")])),
            topology_key: key.into(),
            namespaces: vec!["default".into()],
            sought_everywhere: false,
        }
    }

    const HOST: &str = super::super::HOSTNAME_LABEL;

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
            assert_eq!(per_new_node(&mut state, &[class], &growable), expected, "{why}");
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
            assert_eq!(per_new_node(&mut state, &[class], &[true]), [expected], "{why}");
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
            assert_eq!(per_new_node(&mut state, &[class], &[true]), [expected], "{why}");
            let node = state.add_node(0);
            let filled = crate::packing::fill(&mut state, class, 100, &[node], &mut Work::new(1000));
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
        assert_eq!(per_new_node(&mut state, &[class], &[true, true]), [4, 4]);
        assert_eq!(per_new_node(&mut state, &[class], &[true, false]), [1, 1]);
    }
}
