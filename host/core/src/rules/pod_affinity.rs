//! Required affinity and anti-affinity between pods, the anti-affinity of pods that already run included.

use crate::model::{ClassId, NodeId};
use crate::packing::{CounterId, State};

pub(crate) fn allows(state: &State, class: ClassId, node: NodeId) -> bool {
    let links = state.tables().links.of(class);
    let occupied = |counter: &CounterId| state.count_at(*counter, node) > 0;
    attracted(state, class, node)
        && !links.anti.iter().any(occupied)
        && !links.shunned_by.iter().any(occupied)
}

/// Whether every affinity term finds its company in the node's domain. The first pod of a circle that wants
/// to be with itself may go wherever the keys exist.
fn attracted(state: &State, class: ClassId, node: NodeId) -> bool {
    let links = state.tables().links.of(class);
    let keyed = |counter: &CounterId| {
        state
            .domain(node, state.tables().links.counters[*counter as usize].key)
            .is_some()
    };
    links.affinity.is_empty()
        || links
            .affinity
            .iter()
            .all(|counter| state.count_at(*counter, node) > 0)
        || (links.attracts_itself
            && links.affinity.iter().all(keyed)
            && links
                .affinity
                .iter()
                .all(|counter| state.counter(*counter).total() == 0))
}

#[cfg(test)]
mod tests {
    use crate::decision::Cause;
    use crate::model::{PodAffinityTerm, PodClass};
    use crate::testing::{Cluster, pod, selector};

    fn term(app: &str, key: &str) -> PodAffinityTerm {
        PodAffinityTerm {
            selector: Some(selector(&[("app", app)])),
            topology_key: key.into(),
            namespaces: vec!["default".into()],
            sought_everywhere: false,
        }
    }

    fn near(app: &'static str) -> impl FnOnce(&mut PodClass) {
        move |class| class.pod_affinity = vec![term(app, "zone")]
    }

    fn apart(app: &'static str) -> impl FnOnce(&mut PodClass) {
        move |class| class.pod_anti_affinity = vec![term(app, "zone")]
    }

    /// Nodes a1 and a2 in zone a, b in zone b, bare without a zone. `db` runs on a1. Where may the pod go?
    #[test]
    fn cases() {
        let web = || pod(10).labels(&[("app", "web")]);
        let db = || pod(20).labels(&[("app", "db")]);
        let elsewhere = |mut class: PodClass| {
            class.namespace = "other".into();
            class
        };
        let cases: Vec<(PodClass, PodClass, &[&str], &str)> = vec![
            (db(), web(), &["a1", "a2", "b", "bare"], "no wish"),
            (
                db(),
                web().with(near("db")),
                &["a1", "a2"],
                "near the database, on any node of its zone",
            ),
            (db(), web().with(near("cache")), &[], "near what does not run"),
            (
                db(),
                web().with(near("web")),
                &["a1", "a2", "b"],
                "the first of its kind, where the key exists",
            ),
            (
                db(),
                db().with(near("db")),
                &["a1", "a2"],
                "not the first of its kind",
            ),
            (
                elsewhere(db()),
                web().with(near("db")),
                &[],
                "company in another namespace",
            ),
            (
                db(),
                web().with(|class| {
                    class.pod_affinity = vec![PodAffinityTerm {
                        selector: None,
                        ..term("db", "zone")
                    }]
                }),
                &[],
                "no selector selects nothing",
            ),
            (
                db(),
                web().with(|class| class.pod_affinity = vec![term("db", "zone"), term("web", "zone")]),
                &[],
                "one pod must satisfy all terms",
            ),
            (
                db(),
                web().with(|class| class.pod_affinity = vec![term("db", "zone"), term("db", "rack")]),
                &[],
                "a key that no node has",
            ),
            (
                db(),
                web().with(apart("db")),
                &["b", "bare"],
                "away from the database",
            ),
            (
                db(),
                web().with(apart("web")),
                &["a1", "a2", "b", "bare"],
                "away from what does not run",
            ),
            (
                elsewhere(db()),
                web().with(apart("db")),
                &["a1", "a2", "b", "bare"],
                "another namespace is far enough",
            ),
            (
                db(),
                web().with(|class| {
                    class.pod_anti_affinity = vec![PodAffinityTerm {
                        namespaces: vec!["x".into(), "default".into()],
                        ..term("db", "zone")
                    }];
                }),
                &["b", "bare"],
                "a list of namespaces",
            ),
            (
                elsewhere(db()),
                web().with(|class| {
                    class.pod_anti_affinity = vec![PodAffinityTerm {
                        namespaces: vec![],
                        ..term("db", "zone")
                    }];
                }),
                &["b", "bare"],
                "every namespace",
            ),
            (
                elsewhere(db()),
                web().with(|class| {
                    class.pod_anti_affinity = vec![PodAffinityTerm {
                        sought_everywhere: true,
                        ..term("db", "zone")
                    }];
                }),
                &["b", "bare"],
                "the pod looks everywhere, whatever the list says",
            ),
            (
                elsewhere(db()).with(|class| {
                    class.pod_anti_affinity = vec![PodAffinityTerm {
                        namespaces: vec!["other".into()],
                        sought_everywhere: true,
                        ..term("web", "zone")
                    }];
                }),
                web(),
                &["a1", "a2", "b", "bare"],
                "whom it keeps away follows the list",
            ),
            (
                db().with(|class| class.terminating = true),
                web().with(near("db")),
                &["a1", "a2"],
                "company that is being deleted is company",
            ),
            (
                db().with(apart("web")),
                web(),
                &["b", "bare"],
                "the database keeps others away",
            ),
            (
                db().with(apart("cache")),
                web(),
                &["a1", "a2", "b", "bare"],
                "it keeps away somebody else",
            ),
            (
                db().with(apart("web")),
                web().with(near("db")),
                &[],
                "attracted and kept away",
            ),
        ];
        for (running, waiting, expected, why) in cases {
            let mut cluster = Cluster::default();
            let names = ["a1", "a2", "b", "bare"];
            let zones: [&[(&str, &str)]; 4] = [&[("zone", "a")], &[("zone", "a")], &[("zone", "b")], &[]];
            let nodes: Vec<_> = names
                .iter()
                .zip(zones)
                .map(|(name, zone)| cluster.labelled(name, 64_000, zone))
                .collect();
            let running = cluster.class(running);
            cluster.bound(running, nodes[0]);
            let class = cluster.class(waiting);
            let state = cluster.state();
            let open: Vec<&str> = names
                .into_iter()
                .zip(&nodes)
                .filter(|(_, n)| state.fits(class, **n).is_ok())
                .map(|(n, _)| n)
                .collect();
            assert_eq!(open, expected, "{why}");
        }
    }

    #[test]
    fn anti_affinity_to_itself_spreads() {
        let mut cluster = Cluster::default();
        let nodes = ["a", "b"].map(|name| cluster.labelled(name, 64_000, &[("zone", name)]));
        let class = cluster.class(pod(10).labels(&[("app", "web")]).with(apart("web")));
        let mut state = cluster.state();
        for node in nodes {
            assert_eq!(state.try_place(class, node), Ok(()));
            assert_eq!(state.try_place(class, node), Err(Cause::PodAffinity));
        }
    }

    #[test]
    fn the_second_of_a_circle_follows_the_first() {
        let mut cluster = Cluster::default();
        let [a, b] = ["a", "b"].map(|name| cluster.labelled(name, 64_000, &[("zone", name)]));
        let class = cluster.class(pod(10).labels(&[("app", "web")]).with(near("web")));
        let mut state = cluster.state();
        assert_eq!(state.try_place(class, b), Ok(()));
        assert_eq!(state.try_place(class, a), Err(Cause::PodAffinity));
        assert_eq!(state.try_place(class, b), Ok(()));
    }
}
