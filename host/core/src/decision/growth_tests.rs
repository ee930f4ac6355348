//! The checker of growth against a table of cases.

use super::{Action, MAX_NODES_PER_PLAN, Plan, Proposed, Reason, check_growth};
use crate::model::TemplateId;
use crate::packing::place_pending;
use crate::testing::{Cluster, pod};

fn buy(template: TemplateId, count: u32, fallbacks: &[TemplateId]) -> Action {
    Action::Buy {
        template,
        count,
        fallbacks: fallbacks.to_vec(),
        reason: Reason::new("Test", ""),
    }
}

fn remove(node: u32, batch: u32) -> Action {
    Action::Remove {
        node,
        batch,
        reason: Reason::new("Test", ""),
    }
}

fn codes<Stage>(plan: &Plan<Stage>) -> Vec<&str> {
    plan.notes()
        .iter()
        .map(|note| note.reason.code.as_str())
        .collect()
}

/// Groups `a` (template 0 and 1, two nodes of at most five) and `b` (template 2, none of at most 2000).
fn growing() -> Cluster {
    let mut cluster = Cluster::default();
    cluster.snapshot.now_ms = 1000;
    let (a, b) = (cluster.group("a", 0, 5), cluster.group("b", 0, 9000));
    let first = cluster.template_of(a, "small", 2000, &[]);
    cluster.template_of(a, "large", 4000, &[]);
    cluster.template_of(b, "other", 4000, &[]);
    cluster.managed("a-1", first);
    cluster.managed("a-2", first);
    cluster
}

#[test]
fn growth() {
    type Arrange = fn(&mut Cluster);
    type Case<'a> = (Arrange, Vec<Action>, Vec<(u32, u32)>, &'a [&'a str], &'a str);
    let cases: Vec<Case<'_>> = vec![
        (|_| {}, vec![], vec![], &[], "nothing"),
        (
            |_| {},
            vec![buy(0, 3, &[])],
            vec![(0, 3)],
            &[],
            "up to the maximum",
        ),
        (
            |_| {},
            vec![buy(0, 1000, &[])],
            vec![(0, 3)],
            &["GroupMaxSize"],
            "beyond it",
        ),
        (
            |_| {},
            vec![buy(0, 2, &[]), buy(1, 2, &[])],
            vec![(0, 2), (1, 1)],
            &["GroupMaxSize"],
            "both ways together",
        ),
        (
            |_| {},
            vec![buy(0, 3, &[]), buy(1, 1, &[])],
            vec![(0, 3)],
            &["GroupMaxSize"],
            "nothing left",
        ),
        (|_| {}, vec![buy(0, 0, &[])], vec![], &["NothingToBuy"], "no node"),
        (
            |_| {},
            vec![buy(2, 7500, &[])],
            vec![(2, MAX_NODES_PER_PLAN)],
            &["PlanSize"],
            "a plan has an end",
        ),
        (
            |cluster| cluster.snapshot.max_cluster_nodes = Some(4),
            vec![buy(0, 1, &[]), buy(2, 9, &[])],
            vec![(0, 1), (2, 1)],
            &["ClusterMaxSize"],
            "the cluster's maximum counts what is there",
        ),
        (
            |cluster| cluster.snapshot.max_cluster_nodes = Some(1),
            vec![buy(0, 1, &[])],
            vec![],
            &["ClusterMaxSize"],
            "beyond the cluster's maximum already",
        ),
        (
            |cluster| cluster.snapshot.groups[0].max = 1,
            vec![buy(0, 1, &[])],
            vec![],
            &["GroupMaxSize"],
            "beyond the group's maximum already",
        ),
        (
            |cluster| cluster.snapshot.groups[0].may_grow = false,
            vec![buy(0, 1, &[]), buy(2, 1, &[])],
            vec![(2, 1)],
            &["GroupHeld"],
            "a group that may not grow",
        ),
        (
            |cluster| cluster.snapshot.groups[0].held = Some(("QuotaExceeded".into(), "no more VMs".into())),
            vec![buy(0, 1, &[])],
            vec![],
            &["GroupHeld"],
            "a group that is held",
        ),
        (
            |cluster| cluster.snapshot.templates[0].backoff_until_ms = Some(1001),
            vec![buy(0, 1, &[])],
            vec![],
            &["TemplateBackoff"],
            "backing off",
        ),
        (
            |cluster| cluster.snapshot.templates[0].backoff_until_ms = Some(1000),
            vec![buy(0, 1, &[])],
            vec![(0, 1)],
            &[],
            "no longer backing off",
        ),
        (
            |cluster| cluster.snapshot.templates[0].backoff_until_ms = Some(9000),
            vec![buy(0, 2, &[1])],
            vec![(1, 2)],
            &["TemplateBackoff"],
            "the fall-back steps in",
        ),
        (
            |_| {},
            vec![buy(0, 2, &[2])],
            vec![(0, 2)],
            &[],
            "a foreign fall-back is left out",
        ),
        (
            |cluster| cluster.snapshot.groups[1].name = "foreign".into(),
            vec![buy(2, 2, &[]), buy(0, 1, &[])],
            vec![(0, 1)],
            &["OtherPartition"],
            "another policy's group",
        ),
    ];
    for (arrange, actions, expected, notes, why) in cases {
        let mut cluster = growing();
        arrange(&mut cluster);
        let placement = place_pending(&cluster.shared());
        let partition = |group: u32| cluster.snapshot.groups[group as usize].name != "foreign";
        let plan = check_growth(&placement, Plan::<Proposed>::propose(actions), &partition).expect(why);
        let bought: Vec<(u32, u32)> = plan
            .actions()
            .iter()
            .map(|action| match action {
                Action::Buy { template, count, .. } => (*template, *count),
                Action::Remove { .. } | Action::Replace { .. } => panic!("{why}: a removal"),
            })
            .collect();
        assert_eq!(bought, expected, "{why}");
        assert_eq!(codes(&plan), notes, "{why}");
    }
}

#[test]
fn growth_of_one_partition_counts_for_the_next() {
    let mut cluster = growing();
    cluster.snapshot.max_cluster_nodes = Some(6);
    let class = cluster.class(pod(3000));
    cluster.waiting(class, 3);
    let mut placement = place_pending(&cluster.shared());
    assert_eq!(placement.unplaced_pods(), 3);
    let plan = check_growth(&placement, Plan::propose(vec![buy(1, 2, &[])]), &|group| {
        group == 0
    })
    .unwrap();
    let placed = placement.accept(&plan);
    assert_eq!(placed.len(), 2);
    assert!(
        placed
            .iter()
            .all(|(_, node)| placement.state().imagined(*node) == Some(1))
    );
    assert_eq!((placement.unplaced_pods(), placement.bought(0)), (1, 2));
    let plan = check_growth(&placement, Plan::propose(vec![buy(2, 9, &[])]), &|group| {
        group == 1
    })
    .unwrap();
    assert_eq!(
        plan.actions(),
        [buy(2, 2, &[])],
        "two of six are there, two were bought"
    );
}

#[test]
fn growth_refuses_nonsense() {
    let placement = place_pending(&growing().shared());
    let refusal = |action| {
        check_growth(&placement, Plan::propose(vec![action]), &|_| true)
            .unwrap_err()
            .reason()
    };
    assert_eq!(refusal(buy(3, 1, &[])), "OutOfRange");
    assert_eq!(refusal(buy(0, 1, &[7])), "OutOfRange");
    assert_eq!(refusal(remove(0, 0)), "WrongKind");
}
