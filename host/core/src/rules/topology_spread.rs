//! Topology spread (`DoNotSchedule`): no domain may run ahead of the emptiest one by more than `maxSkew`.

use crate::model::{ClassId, NodeId};
use crate::packing::State;

pub(super) fn allows(state: &State, class: ClassId, node: NodeId) -> bool {
    state.tables().links.of(class).spread.iter().all(|constraint| {
        let Some(domain) = state.domain(node, constraint.key) else {
            return false;
        };
        let counter = state.counter(constraint.counter);
        // While there are fewer domains than asked for, skew is measured from an imagined empty one.
        let minimum = if counter.domains() < constraint.min_domains {
            0
        } else {
            counter.minimum()
        };
        skew_after(counter.count(domain), constraint.counts_itself, minimum) <= i64::from(constraint.max_skew)
    })
}

/// How far the domain is ahead of `minimum` once the pod runs in it.
pub(crate) fn skew_after(count: u32, counts_itself: bool, minimum: u32) -> i64 {
    i64::from(count) + i64::from(counts_itself) - i64::from(minimum)
}

#[cfg(test)]
mod tests {
    use crate::decision::Cause;
    use crate::model::{
        LabelSelector, Labels, Movability, NodeState, SpreadConstraint, Taint, TaintEffect, WhenUnsatisfiable,
    };
    use crate::testing::{Cluster, labels, pod, selector, spread};

    fn zonal() -> SpreadConstraint {
        spread("zone", 1)
    }

    type Change = fn(&mut SpreadConstraint);

    /// Nodes a, b, c in zones of their own with so many pods of the class; which of them take one more?
    #[test]
    fn counts() {
        let cases: [([u32; 3], Change, &str, &str); 13] = [
            ([0, 0, 0], |_| {}, "abc", "all empty"),
            ([1, 0, 0], |_| {}, "bc", "one ahead"),
            ([1, 1, 0], |_| {}, "c", "two ahead"),
            ([2, 2, 2], |_| {}, "abc", "level"),
            ([1, 0, 0], |c| c.max_skew = 2, "abc", "a larger skew"),
            ([2, 0, 1], |c| c.max_skew = 2, "bc", "a larger skew, used up"),
            ([1, 1, 1], |c| c.min_domains = 3, "abc", "enough domains"),
            (
                [1, 1, 1],
                |c| c.min_domains = 4,
                "",
                "too few domains: measured from zero",
            ),
            (
                [0, 0, 0],
                |c| c.min_domains = 4,
                "abc",
                "too few domains, all empty",
            ),
            (
                [5, 0, 0],
                |c| c.when_unsatisfiable = WhenUnsatisfiable::ScheduleAnyway,
                "abc",
                "a wish only",
            ),
            (
                [5, 0, 0],
                |c| c.selector = None,
                "abc",
                "no selector counts nothing, not even itself",
            ),
            (
                [5, 0, 0],
                |c| c.selector = Some(LabelSelector::default()),
                "abc",
                "an empty selector counts nothing",
            ),
            (
                [1, 0, 0],
                |c| c.selector = Some(selector(&[("app", "db")])),
                "abc",
                "it counts others",
            ),
        ];
        for (counts, change, expected, why) in cases {
            let mut constraint = zonal();
            change(&mut constraint);
            let mut cluster = Cluster::default();
            let names = ["a", "b", "c"];
            let nodes = names.map(|name| cluster.labelled(name, 64_000, &[("zone", name)]));
            let class = cluster.class(
                pod(10)
                    .labels(&[("app", "web")])
                    .with(|c| c.topology_spread = vec![constraint]),
            );
            for (node, count) in nodes.into_iter().zip(counts) {
                (0..count).for_each(|_| cluster.bound(class, node));
            }
            let state = cluster.state();
            let open: String = names
                .iter()
                .zip(nodes)
                .filter(|(_, node)| state.fits(class, *node).is_ok())
                .map(|(n, _)| *n)
                .collect();
            assert_eq!(open, expected, "{why}");
        }
    }

    #[test]
    fn which_nodes_and_pods_count() {
        type Arrange = fn(&mut Cluster, &mut SpreadConstraint, &mut Labels);
        // Zone a holds one pod; zone b is empty and only there to hold the minimum down.
        let cases: [(Arrange, bool, &str); 10] = [
            (|_, _, _| {}, false, "zone b holds the minimum at zero"),
            (
                |_, _, selector| *selector = labels(&[("zone", "a")]),
                true,
                "b is out of reach of the selector",
            ),
            (
                |_, constraint, selector| {
                    *selector = labels(&[("zone", "a")]);
                    constraint.honor_affinity = false;
                },
                false,
                "unless the selector shall not count",
            ),
            (
                |cluster, _, _| cluster.taint(1, "gpu"),
                false,
                "a tainted zone counts by default",
            ),
            (
                |cluster, constraint, _| {
                    cluster.taint(1, "gpu");
                    constraint.honor_taints = true;
                },
                true,
                "unless taints are honoured",
            ),
            (
                |cluster, _, _| cluster.snapshot.nodes[1].unschedulable = true,
                false,
                "a cordoned node counts",
            ),
            (
                |cluster, _, _| cluster.snapshot.nodes[1].labels = std::sync::Arc::default(),
                true,
                "a node without the key does not",
            ),
            (
                |cluster, _, _| cluster.class_mut(0).namespace = "other".into(),
                true,
                "pods elsewhere do not",
            ),
            (
                |cluster, _, _| cluster.class_mut(0).labels = labels(&[("app", "db")]),
                true,
                "nor do pods that are not selected",
            ),
            (
                |cluster, _, _| cluster.class_mut(0).terminating = true,
                true,
                "nor do pods that are being deleted",
            ),
        ];
        for (arrange, expected, why) in cases {
            let mut cluster = Cluster::default();
            let a = cluster.labelled("a", 64_000, &[("zone", "a")]);
            cluster.labelled("b", 64_000, &[("zone", "b")]);
            let running = cluster.class(pod(10).labels(&[("app", "web")]));
            cluster.bound(running, a);
            let (mut constraint, mut node_selector) = (zonal(), Labels::new());
            arrange(&mut cluster, &mut constraint, &mut node_selector);
            let class = cluster.class(pod(20).labels(&[("app", "web")]).with(|class| {
                class.topology_spread = vec![constraint];
                class.node_selector = node_selector;
            }));
            let found = cluster.state().fits(class, a);
            assert_eq!(
                found,
                if expected {
                    Ok(())
                } else {
                    Err(Cause::TopologySpread)
                },
                "{why}"
            );
        }
    }

    #[test]
    fn the_node_must_have_every_key() {
        let mut cluster = Cluster::default();
        let bare = cluster.labelled("bare", 64_000, &[("zone", "a")]);
        let racked = cluster.labelled("racked", 64_000, &[("zone", "a"), ("rack", "1")]);
        let class = cluster.class(pod(10).labels(&[("app", "web")]).with(|class| {
            class.topology_spread = vec![
                zonal(),
                SpreadConstraint {
                    topology_key: "rack".into(),
                    ..zonal()
                },
            ];
        }));
        let state = cluster.state();
        assert_eq!(state.fits(class, bare), Err(Cause::TopologySpread));
        assert_eq!(state.fits(class, racked), Ok(()));
    }

    #[test]
    fn a_new_node_is_a_new_domain() {
        let mut cluster = Cluster::default();
        let a = cluster.labelled("a", 64_000, &[("zone", "a")]);
        let template = cluster.template("big", 64_000, &[("zone", "b")]);
        let class = cluster.class(
            pod(10)
                .labels(&[("app", "web")])
                .with(|class| class.topology_spread = vec![zonal()]),
        );
        cluster.bound(class, a);
        let mut state = cluster.state();
        assert_eq!(state.try_place(class, a), Ok(()), "the only zone may be filled");
        let mark = state.mark();
        let b = state.add_node(template);
        assert_eq!(state.fits(class, a), Err(Cause::TopologySpread));
        assert_eq!(state.try_place(class, b), Ok(()));
        assert_eq!(state.try_place(class, b), Ok(()));
        assert_eq!(state.try_place(class, b), Ok(()));
        assert_eq!(state.try_place(class, b), Err(Cause::TopologySpread));
        state.rollback(mark);
        assert_eq!(state.fits(class, a), Ok(()));
    }

    /// A pod in each of two zones; that of zone a is evicted, and its node cordoned. May the next one go to zone b?
    #[test]
    fn a_node_that_is_drained_is_a_domain_until_it_is_deleted() {
        const CORDON: &str = "node.kubernetes.io/unschedulable";
        #[derive(Clone, Copy, PartialEq)]
        enum A {
            Stands,
            IsDrained,
            IsDeleted,
            KeepsADaemonPod,
            Leaves,
        }
        let cases: [(A, bool, bool, bool, &str); 10] = [
            (A::Stands, false, false, true, "both zones are level"),
            (A::IsDrained, false, false, false, "zone a is there, and empty"),
            (
                A::IsDrained,
                true,
                false,
                true,
                "unless the taint of cordoned nodes counts",
            ),
            (A::IsDrained, true, true, false, "which the pod tolerates"),
            (A::IsDeleted, false, false, true, "zone a is gone"),
            (
                A::IsDeleted,
                true,
                true,
                true,
                "for those who tolerate the taint as well",
            ),
            (
                A::KeepsADaemonPod,
                false,
                false,
                true,
                "what is not evicted counts",
            ),
            (
                A::KeepsADaemonPod,
                true,
                false,
                true,
                "and goes with its node where taints count",
            ),
            (A::Leaves, false, false, true, "its pod is still there"),
            (
                A::Leaves,
                true,
                false,
                true,
                "and goes with its node where taints count",
            ),
        ];
        for (what, honor_taints, tolerant, expected, why) in cases {
            let mut cluster = Cluster::default();
            let a = cluster.labelled("a", 64_000, &[("zone", "a")]);
            let b = cluster.labelled("b", 64_000, &[("zone", "b")]);
            let class = pod(10).labels(&[("app", "web")]).with(|class| {
                class.topology_spread = vec![SpreadConstraint {
                    honor_taints,
                    ..zonal()
                }];
            });
            let class = if tolerant { class.tolerates(CORDON) } else { class };
            let class = cluster.class(class);
            cluster.bound(class, a);
            cluster.bound(class, b);
            if what == A::KeepsADaemonPod {
                cluster.resident(a, 0, |pod| pod.judgement.lasting = Movability::Ignored);
            }
            if what == A::Leaves {
                cluster.snapshot.nodes[0].state = NodeState::Leaving;
            }
            let mut state = cluster.state();
            let (before, mark) = (state.clone(), state.mark());
            if !matches!(what, A::Stands | A::Leaves) {
                state.remove_node(a);
            }
            if what == A::IsDeleted {
                state.delete_node(a);
            }
            let found = state.fits(class, b);
            assert_eq!(found.is_ok(), expected, "{why}: {found:?}");
            state.rollback(mark);
            assert!(state == before, "{why}: taken back");
        }
    }

    #[test]
    fn taints_of_one_effect_do_not_count() {
        let taint = Taint {
            key: "soft".into(),
            value: String::new(),
            effect: TaintEffect::PreferNoSchedule,
        };
        let mut cluster = Cluster::default();
        let a = cluster.labelled("a", 64_000, &[("zone", "a")]);
        cluster.labelled("b", 64_000, &[("zone", "b")]);
        cluster.snapshot.nodes[1].taints.push(taint);
        let class = cluster.class(pod(10).labels(&[("app", "web")]).with(|class| {
            class.topology_spread = vec![SpreadConstraint {
                honor_taints: true,
                ..zonal()
            }];
        }));
        cluster.bound(class, a);
        assert_eq!(cluster.state().fits(class, a), Err(Cause::TopologySpread));
    }
}
