//! From bytes through everything that reads them.

use crate::values::Dice;
use crate::{objects, plans};
use arbitrary::Unstructured;
use autoscaler_cluster::{Change, Index, Inputs, Kind, ObjectKey, Offering};
use autoscaler_core::decision::{
    Addition, Cause, Oracle, Plan, Question, WhatIfQuestion, check_growth, check_removals, questions,
};
use autoscaler_core::model::{ClassId, NodeId, Resources, Snapshot, TemplateId};
use autoscaler_core::packing::{Placement, State, WhatIf, place_pending};
use autoscaler_core::quantity::{parse_milli, parse_units};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

/// Objects of one cluster: enough for all rules to meet, few enough to try every pair.
const MOST_OBJECTS: usize = 40;
/// 2026-01-01T00:10:00Z.
const NOW_MS: i64 = 1_767_226_200_000;

/// Reads a text as a quantity.
///
/// # Panics
/// Where thousandths and units contradict each other.
pub fn quantity(text: &str) {
    let (milli, units) = match (parse_milli(text), parse_units(text)) {
        (Ok(milli), Ok(units)) => (milli, units),
        (Err(one), Err(other)) => {
            assert_eq!(one, other);
            assert!(one.text.chars().count() <= 64, "an error cuts long texts");
            return;
        }
        (one, other) => panic!("{text:?} is a quantity only sometimes: {one:?}, {other:?}"),
    };
    assert!(milli.signum() == units.signum(), "{text:?}: {milli}m and {units}");
    assert!(
        milli > i64::MIN && units > i64::MIN,
        "every amount has an opposite"
    );
    if milli.abs() < i64::MAX {
        let up = milli.unsigned_abs().div_ceil(1000);
        assert_eq!(units.unsigned_abs(), up, "{text:?}: {milli}m in units");
    }
}

/// Makes objects of the bytes, folds them, takes a snapshot, and asks everything that the host asks. Returns how
/// many pairs of a class and a node that exists were tried.
///
/// # Panics
/// Where an answer contradicts another, or a step that was taken back left something behind.
pub fn snapshot(bytes: &[u8]) -> usize {
    let mut dice = Dice(Unstructured::new(bytes));
    let placement = place_pending(&Arc::new(observed(&mut dice)));
    ask(&placement);
    steps_can_be_taken_back(&placement, &mut dice)
}

/// Makes objects of the bytes, and lets the checkers judge a plan that is made of them too.
///
/// # Panics
/// Where a checked plan exceeds a limit, or names what does not exist.
pub fn plan(bytes: &[u8]) {
    let mut dice = Dice(Unstructured::new(bytes));
    let purchases = Plan::propose(plans::purchases(&mut dice).unwrap_or_default());
    let removals = Plan::propose(plans::removals(&mut dice).unwrap_or_default());
    let snapshot = Arc::new(observed(&mut dice));
    let mut placement = place_pending(&snapshot);
    if let Ok(plan) = check_growth(&placement, purchases, &|_| true) {
        plans::within_limits(&snapshot, &plan);
        placement.accept(&plan);
    }
    let placement = place_pending(&snapshot);
    if let Ok(plan) = check_removals(&placement, removals) {
        plans::within_limits(&snapshot, &plan);
    }
}

/// A snapshot of objects that the bytes make.
pub fn cluster(bytes: &[u8]) -> Snapshot {
    observed(&mut Dice(Unstructured::new(bytes)))
}

/// The snapshot of objects that the bytes make.
fn observed(dice: &mut Dice<'_>) -> Snapshot {
    let index = Index::new(Arc::new(|| jiff::Timestamp::UNIX_EPOCH));
    for _ in 0..MOST_OBJECTS {
        if dice.0.is_empty() {
            break;
        }
        // What the bytes do not suffice for, and what kube could not decode either, does not arrive.
        let Ok((kind, object)) = objects::object(dice) else {
            break;
        };
        if let Some(change) = change(kind, object) {
            index.apply(&change);
            if dice.one_in(16).unwrap_or(false)
                && let Some(gone) = gone(kind, &change)
            {
                index.apply(&gone);
            }
        }
    }
    let snapshot = index.snapshot(&inputs());
    consistent(&snapshot);
    snapshot
}

fn change(kind: &str, object: Value) -> Option<Change> {
    fn typed<K: DeserializeOwned>(object: Value) -> Option<Arc<K>> {
        serde_json::from_value(object).ok().map(Arc::new)
    }
    Some(match kind {
        "Pod" => Change::Pod(typed(object)?),
        "Node" => Change::Node(typed(object)?),
        "NodeGroup" => Change::NodeGroup(typed(object)?),
        "VPSieNode" => Change::VPSieNode(typed(object)?),
        "Claim" => Change::Claim(typed(object)?),
        "Volume" => Change::Volume(typed(object)?),
        "StorageClass" => Change::StorageClass(typed(object)?),
        "Budget" => Change::Budget(typed(object)?),
        "DaemonSet" => Change::DaemonSet(typed(object)?),
        _ => Change::Namespace(typed(object)?),
    })
}

fn gone(kind: &str, change: &Change) -> Option<Change> {
    Some(match (kind, change) {
        (_, Change::Pod(pod)) => Change::Gone(Kind::Pod, ObjectKey::of(&**pod)),
        (_, Change::Node(node)) => Change::Gone(Kind::Node, ObjectKey::of(&**node)),
        (_, Change::NodeGroup(group)) => Change::Gone(Kind::NodeGroup, ObjectKey::of(&**group)),
        (_, Change::Claim(claim)) => Change::Gone(Kind::Claim, ObjectKey::of(&**claim)),
        (_, Change::Volume(volume)) => Change::Gone(Kind::Volume, ObjectKey::of(&**volume)),
        _ => return None,
    })
}

fn inputs() -> Inputs {
    let offering = |size, name: &str, cpu, memory_mib, disk_gib| Offering {
        size,
        names: vec![name.to_owned()],
        cpu,
        memory_mib,
        disk_gib,
        hourly_micros: u64::MAX / 2,
    };
    Inputs {
        now_ms: NOW_MS,
        offerings: [(
            "dc".to_owned(),
            vec![
                offering(1, "small", 4, 16_384, 100),
                offering(i64::MIN, "odd", u32::MAX, u64::MAX, u64::MAX),
            ],
        )]
        .into(),
        reserved: Resources::cpu_memory(i64::MAX, -1),
        removal_budget: u32::MAX,
        may_replace: true,
        ..Inputs::default()
    }
}

/// Numbers of a snapshot lead to something.
fn consistent(snapshot: &Snapshot) {
    for pod in &snapshot.pods {
        assert!((pod.class as usize) < snapshot.classes.len());
        assert!(
            pod.nominated
                .is_none_or(|node| (node as usize) < snapshot.nodes.len())
        );
    }
    for pod in snapshot.nodes.iter().flat_map(|node| node.residents.iter()) {
        assert!((snapshot.class_of(pod.class) as usize) < snapshot.classes.len());
    }
    let sorted = snapshot.classes.is_sorted_by(|one, other| one < other);
    assert!(sorted, "classes are in order, each once");
    for template in &snapshot.templates {
        assert!((template.group as usize) < snapshot.groups.len());
    }
}

fn ask(placement: &Placement) {
    let everything = |_| true;
    let templates = u32::try_from(placement.snapshot().templates.len()).unwrap_or(u32::MAX);
    for question in [
        questions::scale_up(placement, &everything),
        questions::growth(placement, &everything).node_selection(Vec::new()),
        questions::rebalance(placement, &everything),
    ] {
        let oracle = WhatIf::new(placement, &question);
        let removals = match &question {
            Question::Rebalance { fleet, .. } => (0..).take(fleet.node_ids.len()).collect(),
            _ => Vec::new(),
        };
        let additions = (0..templates)
            .map(|template| Addition { template, count: 2 })
            .collect();
        let asked = WhatIfQuestion {
            additions,
            removals,
            pods: None,
        };
        let first = oracle.what_if(&asked);
        assert!(first.is_ok(), "{first:?}");
        assert_eq!(oracle.what_if(&asked), first, "the oracle keeps nothing");
    }
}

/// What a state answers to every class on every node.
fn verdicts(state: &State) -> Vec<Result<(), Cause>> {
    let classes = ClassId::try_from(state.snapshot().classes.len()).unwrap_or(ClassId::MAX);
    let nodes = NodeId::try_from(state.nodes()).unwrap_or(NodeId::MAX);
    (0..classes)
        .flat_map(|class| (0..nodes).map(move |node| (class, node)))
        .map(|(class, node)| state.fits(class, node))
        .collect()
}

fn steps_can_be_taken_back(placement: &Placement, dice: &mut Dice<'_>) -> usize {
    let mut state = placement.state().clone();
    let (before, mark, nodes) = (verdicts(&state), state.mark(), state.nodes());
    let templates = TemplateId::try_from(state.snapshot().templates.len()).unwrap_or(TemplateId::MAX);
    for template in 0..templates {
        state.add_node(template);
    }
    let classes = ClassId::try_from(state.snapshot().classes.len()).unwrap_or(ClassId::MAX);
    let all = NodeId::try_from(state.nodes()).unwrap_or(NodeId::MAX);
    for class in 0..classes {
        for node in 0..all {
            let says = state.fits(class, node);
            assert_eq!(state.try_place(class, node), says);
            if dice.one_in(8).unwrap_or(false) {
                state.remove_node(node);
            }
        }
    }
    for node in 0..all {
        state.remove_node(node);
    }
    state.rollback(mark);
    assert_eq!(state.nodes(), nodes);
    assert_eq!(
        verdicts(&state),
        before,
        "taking steps back restores every answer"
    );
    before.len()
}
