//! The checker of replacements against a table of cases.

use super::{Action, Addition, Plan, Reason, Replacement, ReplacementKind, check_removals};
use crate::model::{DisruptionBudget, NodeState};
use crate::packing::place_pending;
use crate::testing::{Cluster, pod, selector};

/// Two big nodes of 4000, each with a pod of 1500; small ones of 2000 cost half as much.
fn fleet() -> Cluster {
    let mut cluster = Cluster::default();
    cluster.snapshot.removal_budget = 10;
    cluster.snapshot.may_replace = true;
    let group = cluster.group("a", 0, 4);
    let big = cluster.template_of(group, "big", 4000, &[]);
    cluster.template_of(group, "small", 2000, &[]);
    let class = cluster.class(pod(1500).labels(&[("app", "web")]));
    for name in ["n0", "n1"] {
        let node = cluster.managed(name, big);
        cluster.bound(class, node);
        // No room for another one: what leaves needs a new node.
        let filler = cluster.class(pod(1500).labels(&[("app", "filler")]));
        cluster.bound(filler, node);
    }
    cluster
}

const BIG: u32 = 0;
const SMALL: u32 = 1;

#[test]
fn replacements() {
    use ReplacementKind::{Cheaper, Consolidate, Drift, Repair};
    type Arrange = fn(&mut Cluster);
    type Case<'a> = (
        Arrange,
        &'a [u32],
        &'a [(u32, u32)],
        ReplacementKind,
        &'a [&'a str],
        &'a str,
    );
    let cases: &[Case<'_>] = &[
        (|_| {}, &[0], &[(BIG, 1)], Drift, &[], "one by its like"),
        (
            |_| {},
            &[0],
            &[(BIG, 1)],
            Cheaper,
            &["NoSaving"],
            "its like is no cheaper",
        ),
        (
            |_| {},
            &[0],
            &[(SMALL, 1)],
            Drift,
            &["NoPlaceToMovePods"],
            "too small for both pods",
        ),
        (
            |_| {},
            &[0, 1],
            &[(BIG, 1)],
            Consolidate,
            &["NoPlaceToMovePods"],
            "four pods on one",
        ),
        (
            |c| c.no_pods(),
            &[0, 1],
            &[(SMALL, 1)],
            Consolidate,
            &[],
            "two by one",
        ),
        (
            |c| c.snapshot.may_replace = false,
            &[0],
            &[(BIG, 1)],
            Drift,
            &["ReplacingDisabled"],
            "switched off",
        ),
        (
            |c| c.snapshot.groups[0].max = 2,
            &[0],
            &[(BIG, 1)],
            Drift,
            &["GroupMaxSize"],
            "new ones come first",
        ),
        (
            |c| c.snapshot.max_cluster_nodes = Some(2),
            &[0],
            &[(BIG, 1)],
            Drift,
            &["ClusterMaxSize"],
            "the cluster's maximum",
        ),
        (
            |c| {
                c.no_pods();
                c.snapshot.groups[0].min = 2
            },
            &[0, 1],
            &[(SMALL, 1)],
            Consolidate,
            &["GroupMinSize"],
            "the minimum",
        ),
        (
            |c| c.snapshot.groups[0].may_grow = false,
            &[0],
            &[(BIG, 1)],
            Repair,
            &["GroupHeld"],
            "may not grow",
        ),
        (
            |c| c.snapshot.templates[0].backoff_until_ms = Some(i64::MAX),
            &[0],
            &[(BIG, 1)],
            Repair,
            &["TemplateBackoff"],
            "backs off",
        ),
        (
            |c| c.snapshot.groups[0].may_shrink = false,
            &[0],
            &[(BIG, 1)],
            Repair,
            &[],
            "repair is no shrinkage",
        ),
        (
            |c| {
                c.no_pods();
                c.snapshot.groups[0].may_shrink = false
            },
            &[0],
            &[(SMALL, 1)],
            Cheaper,
            &["GroupMayNotShrink"],
            "saving is",
        ),
        (
            |c| c.snapshot.nodes[0].protected = Some(("OptOut".into(), String::new())),
            &[0],
            &[(BIG, 1)],
            Drift,
            &["NodeProtected"],
            "protected",
        ),
        (
            |c| c.snapshot.nodes[0].state = NodeState::Leaving,
            &[0],
            &[(BIG, 1)],
            Drift,
            &["AlreadyLeaving"],
            "leaving",
        ),
        (
            |c| c.snapshot.nodes[0].group = None,
            &[0],
            &[(BIG, 1)],
            Drift,
            &["NotManaged"],
            "somebody else's",
        ),
        (
            |c| c.snapshot.removal_budget = 0,
            &[0],
            &[(BIG, 1)],
            Drift,
            &["RemovalBudget"],
            "the loop's budget",
        ),
        (|_| {}, &[], &[(BIG, 1)], Drift, &["NothingToBuy"], "no old node"),
        (|_| {}, &[0], &[], Drift, &["NothingToBuy"], "no new node"),
        (
            |c| {
                c.snapshot.budgets.push(DisruptionBudget {
                    namespace: "default".into(),
                    name: "web".into(),
                    selector: Some(selector(&[("app", "web")])),
                    disruptions_allowed: 0,
                    spares_unready: false,
                });
            },
            &[0],
            &[(BIG, 1)],
            Drift,
            &["NotEnoughBudget"],
            "a budget without room",
        ),
    ];
    for (arrange, nodes, additions, kind, wanted, why) in cases {
        let mut cluster = fleet();
        arrange(&mut cluster);
        let action = Action::Replace {
            replacement: Replacement {
                nodes: nodes.to_vec(),
                additions: additions
                    .iter()
                    .map(|(template, count)| Addition {
                        template: *template,
                        count: *count,
                    })
                    .collect(),
                kind: *kind,
            },
            batch: 0,
            reason: Reason::new("Test", ""),
        };
        let placement = place_pending(&cluster.shared());
        let plan = check_removals(&placement, Plan::propose(vec![action])).unwrap();
        let codes: Vec<&str> = plan
            .notes()
            .iter()
            .map(|note| note.reason.code.as_str())
            .collect();
        assert_eq!(codes, *wanted, "{why}: {:?}", plan.notes());
        assert_eq!(plan.is_empty(), !wanted.is_empty(), "{why}");
    }
}

#[test]
fn what_leads_nowhere_is_refused() {
    let cluster = fleet();
    let placement = place_pending(&cluster.shared());
    for (nodes, template) in [(vec![9], BIG), (vec![0, 0], BIG), (vec![0], 7)] {
        let replacement = Replacement {
            nodes,
            additions: vec![Addition { template, count: 1 }],
            kind: ReplacementKind::Drift,
        };
        let reason = Reason::new("Test", "");
        let plan = Plan::propose(vec![Action::Replace {
            replacement,
            batch: 0,
            reason,
        }]);
        assert!(check_removals(&placement, plan).is_err());
    }
}
