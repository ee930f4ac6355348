//! The policies with the real oracle and the real checker: from pods that wait to a checked plan.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod support;

use autoscaler_core::decision::{
    Action, Answer, GroupDemand, Plan, Question, Reason, check_answer, check_growth, check_removals,
    propose_growth, propose_removals, questions,
};
use autoscaler_core::model::{
    AttachLimits, DrainRules, Group, Health, LabelSelector, Labels, Movability, Node, NodeState, Pod,
    PodAffinityTerm, PodClass, PodKey, Resident, Residents, Resources, Snapshot, SpreadConstraint, Taint,
    TaintEffect, Template, Toleration, TolerationOperator, WhenUnsatisfiable,
};
use autoscaler_core::packing::{Placement, WhatIf, place_pending};
use autoscaler_policy::{Binding, Decision};
use std::sync::Arc;
use support::{binding, policies};

const GIB: i64 = 1 << 30;
const MINUTE: i64 = 60_000;
const NOW: i64 = 1_700_000_000_000;

fn group(name: &str, max: u32) -> Group {
    Group {
        namespace: "prod".to_owned(),
        name: name.to_owned(),
        min: 0,
        max,
        current: 0,
        upcoming: 0,
        may_grow: true,
        may_shrink: true,
        held: None,
        last_scale_up_ms: None,
        last_scale_down_ms: None,
        annotations: Labels::new(),
        drain: DrainRules::default(),
    }
}

fn template(group: u32, offering: &str, cores: i64, hourly_micros: u64, taints: Vec<Taint>) -> Template {
    Template {
        group,
        offering: offering.to_owned(),
        datacenter: "ams".to_owned(),
        size: cores,
        labels: Labels::new(),
        taints,
        allocatable: size(cores),
        daemons: Vec::new(),
        attach_limits: AttachLimits::new(),
        hourly_micros,
        failures: 0,
        backoff_until_ms: None,
    }
}

fn size(cores: i64) -> Resources {
    Resources {
        pods: 110,
        ..Resources::cpu_memory(cores * 1000, cores * 4 * GIB)
    }
}

fn class(cpu_milli: i64, tolerations: Vec<Toleration>) -> PodClass {
    let requests = Resources {
        pods: 1,
        ..Resources::cpu_memory(cpu_milli, GIB)
    };
    PodClass {
        namespace: "default".to_owned(),
        requests,
        tolerations,
        ..PodClass::default()
    }
}

fn key(number: usize) -> PodKey {
    PodKey {
        namespace: "default".into(),
        name: format!("pod-{number:03}").into(),
    }
}

/// Pods that wait.
fn pods(snapshot: &mut Snapshot, class: u32, count: u32) {
    for _ in 0..count {
        let number = snapshot.pods.len();
        snapshot.pods.push(Pod {
            key: key(number),
            uid: format!("uid-{number}"),
            class,
            nominated: None,
            owner: Some("ReplicaSet/web".to_owned()),
            unschedulable_since_ms: Some(NOW - 1000),
        });
    }
}

/// Pods of the first class that run on a node.
fn running(count: usize) -> Arc<Residents> {
    let pod = |number| Resident {
        key: key(number),
        class: 0,
        judgement: Movability::Moves.into(),
        health: Health::Ready,
    };
    Arc::new((0..count).map(|number| Arc::new(pod(number))).collect())
}

/// A plain group with two sizes and a tainted one; 21 plain pods, 4 that tolerate the taint (and request what
/// the plain group does not have), one that is too big for all.
fn waiting() -> Arc<Snapshot> {
    let dedicated = Taint {
        key: "dedicated".into(),
        value: "gpu".into(),
        effect: TaintEffect::NoSchedule,
    };
    let toleration = Toleration {
        key: "dedicated".into(),
        operator: TolerationOperator::Exists,
        value: String::new(),
        effect: None,
    };
    let mut snapshot = Snapshot {
        now_ms: NOW,
        seed: 7,
        classes: vec![
            class(900, vec![]).into(),
            class(10_000, vec![toleration]).into(),
            class(64_000, vec![]).into(),
        ],
        groups: vec![group("plain", 10), group("special", 3)],
        templates: vec![
            template(0, "small", 2, 20_000, vec![]),
            template(0, "large", 8, 70_000, vec![]),
            template(1, "special", 16, 400_000, vec![dedicated]),
        ],
        removal_budget: 5,
        ..Snapshot::default()
    };
    pods(&mut snapshot, 0, 21);
    pods(&mut snapshot, 1, 4);
    pods(&mut snapshot, 2, 1);
    Arc::new(snapshot)
}

fn decide(binding: &Binding, placement: &Placement, question: &Question) -> Decision {
    let oracle = WhatIf::new(placement, question);
    let accept = |answer: &Answer| check_answer(question, answer).map_err(|refusal| refusal.to_string());
    policies().decide(binding, question, &oracle, &accept)
}

fn built_in(question: &Question) -> Arc<Binding> {
    policies().active(question.kind()).pop().unwrap()
}

fn answer(decision: Decision) -> Answer {
    assert!(decision.failures.is_empty(), "{:?}", decision.failures);
    decision.taken.unwrap().report.answer
}

/// (template, count) of the purchases.
fn purchases<Stage>(plan: &Plan<Stage>) -> Vec<(u32, u32)> {
    let buys = plan.actions().iter().filter_map(|action| match action {
        Action::Buy { template, count, .. } => Some((*template, *count)),
        Action::Remove { .. } | Action::Replace { .. } => None,
    });
    buys.collect()
}

#[test]
fn waiting_pods_become_a_checked_plan_that_places_them() {
    let snapshot = waiting();
    let mut placement = place_pending(&snapshot);
    let everywhere = |_| true;

    let questions = questions::growth(&placement, &everywhere);
    let question = questions.scale_up();
    let Answer::ScaleUp(demand) = answer(decide(&built_in(&question), &placement, &question)) else {
        panic!("another kind")
    };
    let rejections: Vec<_> = demand
        .rejections
        .iter()
        .map(|rejection| (rejection.class, rejection.reason.code.as_str()))
        .collect();
    assert_eq!(
        rejections,
        [(1, "GroupsFull"), (2, "NoGroupFits")],
        "one special pod too many, and the big one"
    );

    let question = questions.node_selection(demand.groups);
    let Answer::NodeSelection(mix) = answer(decide(&built_in(&question), &placement, &question)) else {
        panic!("another kind")
    };
    // 8 cores hold 8 plain pods, 2 cores hold 2; 21 = 2 × 8 + 3 × 2 at 200 000 beats 3 × 8 at 210 000. Of the
    // pods of 10 cores a special node holds one.
    let plan = propose_growth(&question, &mix).unwrap();
    let plan = check_growth(&placement, plan, &everywhere).unwrap();
    assert_eq!(purchases(&plan), [(1, 2), (0, 3), (2, 3)]);
    let placed = placement.accept(&plan);
    assert_eq!(placed.len(), 21 + 3);
}

/// The checked plan of the built-in policies, and how many pods then have no place.
fn plan_of(snapshot: Snapshot) -> (Vec<(u32, u32)>, u32) {
    let mut placement = place_pending(&Arc::new(snapshot));
    let everywhere = |_| true;
    let questions = questions::growth(&placement, &everywhere);
    let question = questions.scale_up();
    let Answer::ScaleUp(demand) = answer(decide(&built_in(&question), &placement, &question)) else {
        panic!("another kind")
    };
    let question = questions.node_selection(demand.groups);
    let Answer::NodeSelection(mix) = answer(decide(&built_in(&question), &placement, &question)) else {
        panic!("another kind")
    };
    let plan = propose_growth(&question, &mix).unwrap();
    let plan = check_growth(&placement, plan, &everywhere).unwrap();
    placement.accept(&plan);
    (purchases(&plan), placement.unplaced_pods())
}

fn web() -> (Labels, Option<LabelSelector>) {
    let labels = Labels::from([("app".to_owned(), "web".to_owned())]);
    let selector = LabelSelector {
        match_labels: labels.clone(),
        match_expressions: Vec::new(),
    };
    (labels, Some(selector))
}

/// Three groups, one to a zone, whose nodes have 10 cores; `full` nodes in each zone that have no room.
fn three_zones(full: u32) -> Snapshot {
    let mut snapshot = Snapshot {
        now_ms: NOW,
        ..Snapshot::default()
    };
    for (id, zone) in (0..).zip(["a", "b", "c"]) {
        snapshot.groups.push(group(zone, 100));
        let mut offered = template(id, "ten", 10, 100_000, vec![]);
        offered.labels.insert("zone".to_owned(), zone.to_owned());
        for number in 0..full {
            let mut labels = offered.labels.clone();
            let name = format!("{zone}{number}");
            labels.insert("kubernetes.io/hostname".to_owned(), name.clone());
            snapshot.nodes.push(Node {
                name: name.clone(),
                labels: labels.into(),
                taints: Vec::new(),
                allocatable: size(0),
                attach_limits: Arc::default(),
                unschedulable: false,
                state: NodeState::Ready,
                group: Some(id),
                template: Some(id),
                vpsie_node: Some(format!("prod/{name}")),
                created_ms: NOW - 60 * MINUTE,
                idle_since_ms: None,
                not_ready_since_ms: None,
                drifted: None,
                protected: None,
                hourly_micros: 100_000,
                residents: Arc::default(),
            });
        }
        snapshot.templates.push(offered);
    }
    snapshot
}

#[test]
fn zonal_spread_gets_all_its_nodes_in_one_plan() {
    for full in [0, 2] {
        let mut snapshot = three_zones(full);
        let (labels, selector) = web();
        let mut class = class(1000, vec![]);
        class.labels = labels;
        class.topology_spread = vec![SpreadConstraint {
            max_skew: 1,
            topology_key: "zone".to_owned(),
            when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
            selector,
            min_domains: 0,
            honor_affinity: true,
            honor_taints: false,
        }];
        snapshot.classes.push(class.into());
        pods(&mut snapshot, 0, 30);
        let plan = plan_of(snapshot);
        assert_eq!(
            plan,
            (vec![(0, 1), (1, 1), (2, 1)], 0),
            "{full} full nodes to a zone"
        );
    }
}

#[test]
fn a_thousand_pods_that_keep_apart_get_a_thousand_nodes_in_one_plan() {
    let mut snapshot = Snapshot {
        now_ms: NOW,
        groups: vec![group("plain", 2000)],
        templates: vec![
            template(0, "large", 8, 80_000, vec![]),
            template(0, "small", 2, 20_000, vec![]),
        ],
        ..Snapshot::default()
    };
    let (labels, selector) = web();
    let mut class = class(500, vec![]);
    class.labels = labels;
    class.pod_anti_affinity = vec![PodAffinityTerm {
        selector,
        topology_key: "kubernetes.io/hostname".to_owned(),
        namespaces: vec!["default".to_owned()],
        sought_everywhere: false,
    }];
    snapshot.classes.push(class.into());
    pods(&mut snapshot, 0, 1000);
    assert_eq!(plan_of(snapshot), (vec![(1, 1000)], 0));
}

#[test]
fn a_greedy_policy_stops_at_the_groups_maximum() {
    let snapshot = waiting();
    let placement = place_pending(&snapshot);
    let everywhere = |_| true;
    let demand = GroupDemand {
        group: 0,
        pods: Vec::new(),
        reason: Reason::new("Test", ""),
    };
    let question = questions::growth(&placement, &everywhere).node_selection(vec![demand]);
    let Answer::NodeSelection(mix) = answer(decide(&binding("thousand"), &placement, &question)) else {
        panic!("another kind")
    };
    assert_eq!(mix.purchases[0].count, 1000, "the policy says what it wants");
    let plan = propose_growth(&question, &mix).unwrap();
    let plan = check_growth(&placement, plan, &everywhere).unwrap();
    assert_eq!(purchases(&plan), [(0, 10)], "and gets what the group may have");
    assert!(!plan.notes().is_empty(), "which is written down");
}

#[test]
fn surplus_nodes_go_as_long_as_their_pods_find_a_place() {
    let mut snapshot = Snapshot::clone(&waiting());
    snapshot.pods.clear();
    snapshot.groups[0].current = 4;
    // Full, half full, little used, idle.
    for (name, idle) in [("n0", false), ("n1", false), ("n2", false), ("n3", true)] {
        snapshot.nodes.push(Node {
            name: name.to_owned(),
            labels: Arc::default(),
            taints: Vec::new(),
            allocatable: size(8),
            attach_limits: Arc::default(),
            unschedulable: false,
            state: NodeState::Ready,
            group: Some(0),
            template: Some(1),
            vpsie_node: Some(format!("prod/{name}")),
            created_ms: NOW - 60 * MINUTE,
            idle_since_ms: idle.then_some(NOW - 30 * MINUTE),
            not_ready_since_ms: None,
            drifted: None,
            protected: None,
            hourly_micros: 70_000,
            residents: Arc::default(),
        });
    }
    for (node, count) in [(0, 8), (1, 5), (2, 2)] {
        snapshot.nodes[node].residents = running(count);
    }
    let snapshot = Arc::new(snapshot);
    let placement = place_pending(&snapshot);
    let question = questions::rebalance(&placement, &|_| true);
    let Answer::Rebalance(proposal) = answer(decide(&built_in(&question), &placement, &question)) else {
        panic!("another kind")
    };
    let plan = propose_removals(&question, &proposal).unwrap();
    let plan = check_removals(&placement, plan).unwrap();
    let removed: Vec<_> = plan
        .actions()
        .iter()
        .map(|action| match action {
            Action::Remove { node, reason, .. } => (*node, reason.code.as_str()),
            Action::Buy { .. } | Action::Replace { .. } => panic!("nothing is bought"),
        })
        .collect();
    assert_eq!(removed, [(3, "Idle"), (2, "Underused")]);
}
