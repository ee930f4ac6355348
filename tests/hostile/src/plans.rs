//! Plans that no policy should make, and what must hold of them once they are checked.

use crate::values::Dice;
use arbitrary::Result;
use autoscaler_core::decision::{
    Action, Addition, Checked, MAX_NODES_PER_PLAN, Plan, Reason, Replacement, ReplacementKind,
};
use autoscaler_core::model::{Health, Movability, Node, NodeId, NodeState, Resources, Snapshot};
use std::collections::BTreeSet;

const MOST_ACTIONS: usize = 8;

/// Small numbers, which lead somewhere, and some that cannot.
fn number(dice: &mut Dice<'_>) -> Result<u32> {
    Ok(match dice.count(11)? {
        9 => u32::MAX,
        10 => 1 << 31,
        11 => dice.0.arbitrary()?,
        small => u32::try_from(small).unwrap_or(0),
    })
}

fn reason() -> Reason {
    Reason::new("Test", "")
}

pub(crate) fn purchases(dice: &mut Dice<'_>) -> Result<Vec<Action>> {
    let count = dice.count(MOST_ACTIONS)?;
    let buy = |_| {
        let fallbacks = dice.count(2)?;
        Ok(Action::Buy {
            template: number(dice)?,
            count: number(dice)?,
            fallbacks: (0..fallbacks).map(|_| number(dice)).collect::<Result<_>>()?,
            reason: reason(),
        })
    };
    (0..count).map(buy).collect()
}

pub(crate) fn removals(dice: &mut Dice<'_>) -> Result<Vec<Action>> {
    let count = dice.count(MOST_ACTIONS)?;
    let remove = |_| {
        if dice.one_in(3)? {
            return Ok(Action::Replace {
                replacement: replacement(dice)?,
                batch: number(dice)?,
                reason: reason(),
            });
        }
        Ok(Action::Remove {
            node: number(dice)?,
            batch: number(dice)?,
            reason: reason(),
        })
    };
    (0..count).map(remove).collect()
}

fn replacement(dice: &mut Dice<'_>) -> Result<Replacement> {
    const KINDS: [ReplacementKind; 5] = [
        ReplacementKind::Cheaper,
        ReplacementKind::Consolidate,
        ReplacementKind::Drift,
        ReplacementKind::Expire,
        ReplacementKind::Repair,
    ];
    let (going, coming) = (dice.count(2)?, dice.count(2)?);
    Ok(Replacement {
        nodes: (0..going).map(|_| number(dice)).collect::<Result<_>>()?,
        additions: (0..coming)
            .map(|_| {
                Ok(Addition {
                    template: number(dice)?,
                    count: number(dice)?,
                })
            })
            .collect::<Result<_>>()?,
        kind: KINDS[dice.count(KINDS.len() - 1)?],
    })
}

/// What must hold of every checked plan, whoever proposed it. It is counted here anew, by simpler rules than the
/// checker's own: limits of group, cluster and plan; what is held, rests or is protected; budgets of disruption and
/// removal; and that every pod that goes has a node that is at least large enough.
///
/// # Panics
/// Where one of these does not hold.
pub fn within_limits(snapshot: &Snapshot, plan: &Plan<Checked>) {
    let mut sizes: Vec<i128> = snapshot
        .groups
        .iter()
        .map(|group| i128::from(group.current))
        .collect();
    let before: i128 = sizes.iter().sum();
    let (mut removed, mut bought, mut operations) = (BTreeSet::new(), 0, 0_usize);
    // What may hold pods that move: nodes that come for those that go.
    let mut coming: Vec<&Resources> = Vec::new();
    for action in plan.actions() {
        match action {
            Action::Buy {
                template,
                count,
                fallbacks,
                ..
            } => {
                let at = snapshot.templates[*template as usize].group as usize;
                let group = &snapshot.groups[at];
                sizes[at] += i128::from(*count);
                bought += i128::from(*count);
                let max = group.max.max(group.current);
                assert!(sizes[at] <= i128::from(max), "a group beyond its maximum");
                assert!(
                    group.held.is_none() && group.may_grow,
                    "a group that may not grow"
                );
                for id in fallbacks.iter().chain([template]) {
                    let template = &snapshot.templates[*id as usize];
                    assert!(template.group as usize == at, "a fall-back of another group");
                    let rests = template
                        .backoff_until_ms
                        .is_some_and(|until| until > snapshot.now_ms);
                    assert!(!rests, "an offering that rests");
                }
            }
            Action::Replace { replacement, .. } => {
                operations += 1;
                assert!(snapshot.may_replace, "a replacement where none may be");
                let going = &replacement.nodes;
                let groups: BTreeSet<_> = going
                    .iter()
                    .map(|node| snapshot.nodes[*node as usize].group)
                    .collect();
                assert!(
                    !groups.is_empty() && !groups.contains(&None),
                    "nodes that are not ours"
                );
                for addition in &replacement.additions {
                    let template = &snapshot.templates[addition.template as usize];
                    let group = &snapshot.groups[template.group as usize];
                    assert!(
                        groups.contains(&Some(template.group)),
                        "a new node for another group"
                    );
                    assert!(group.held.is_none(), "a group that is held");
                    let rests = template
                        .backoff_until_ms
                        .is_some_and(|until| until > snapshot.now_ms);
                    assert!(!rests, "an offering that rests");
                    sizes[template.group as usize] += i128::from(addition.count);
                    bought += i128::from(addition.count);
                    coming.push(&template.allocatable);
                }
                // The new ones come first.
                for group in groups.iter().flatten() {
                    let (size, group) = (sizes[*group as usize], &snapshot.groups[*group as usize]);
                    assert!(
                        size <= i128::from(group.max.max(group.current)),
                        "a group beyond its maximum"
                    );
                }
                for node in going {
                    assert!(removed.insert(*node), "a node that goes twice");
                    let node = &snapshot.nodes[*node as usize];
                    let group = node.group.map_or(0, |group| group as usize);
                    sizes[group] -= 1;
                    if replacement.kind.is_for_saving() {
                        assert!(snapshot.groups[group].may_shrink, "a group that may not shrink");
                    }
                    may_leave(snapshot, node);
                }
                for group in groups.iter().flatten() {
                    let (size, min) = (sizes[*group as usize], snapshot.groups[*group as usize].min);
                    assert!(size >= i128::from(min), "a group below its minimum");
                }
            }
            Action::Remove { node, .. } => {
                operations += 1;
                assert!(removed.insert(*node), "a node that goes twice");
                let Some(group) = snapshot.nodes[*node as usize].group else {
                    panic!("a node that is not ours");
                };
                let group = group as usize;
                sizes[group] -= 1;
                let min = i128::from(snapshot.groups[group].min);
                assert!(sizes[group] >= min, "a group below its minimum");
                assert!(snapshot.groups[group].may_shrink, "a group that may not shrink");
                may_leave(snapshot, &snapshot.nodes[*node as usize]);
            }
        }
    }
    assert!(bought <= i128::from(MAX_NODES_PER_PLAN), "a plan beyond its size");
    if let Some(max) = snapshot.max_cluster_nodes {
        assert!(
            bought == 0 || before + bought <= i128::from(max),
            "a cluster beyond its maximum"
        );
    }
    assert!(
        operations <= snapshot.removal_budget as usize,
        "more removals than the loop has"
    );
    for node in &removed {
        have_a_place(snapshot, &snapshot.nodes[*node as usize], &removed, &coming);
    }
}

/// Nothing on the node forbids that it goes.
fn may_leave(snapshot: &Snapshot, node: &Node) {
    assert!(
        matches!(node.state, NodeState::Ready | NodeState::NotReady),
        "a node that comes or leaves anyway"
    );
    assert!(node.protected.is_none(), "a node that somebody protects");
    let rules = snapshot.drain_rules(node);
    for pod in node.residents.iter() {
        match &*pod.judgement.under(&rules, snapshot.now_ms) {
            Movability::Ignored => continue,
            Movability::Blocks(..) => panic!("a node with a pod that may not move"),
            Movability::Moves => {}
        }
        if pod.health != Health::Ready {
            continue;
        }
        let class = &snapshot.classes[snapshot.class_of(pod.class) as usize];
        let mut budgets = snapshot.budgets.iter().filter(|budget| {
            let selector = budget.selector.as_ref();
            budget.namespace == class.namespace
                && selector.is_some_and(|selector| selector.matches(&class.labels))
        });
        let budget = budgets.next();
        assert!(budgets.next().is_none(), "a pod that no eviction can take");
        assert!(
            budget.is_none_or(|budget| budget.disruptions_allowed > 0),
            "a budget without room"
        );
    }
}

/// Some node that stays or comes is large enough for each pod that has to move; what else runs there, the checker counts.
fn have_a_place(snapshot: &Snapshot, node: &Node, removed: &BTreeSet<NodeId>, coming: &[&Resources]) {
    let moving = node.residents.iter().filter(|pod| !pod.judgement.is_ignored());
    for pod in moving {
        let wants = &snapshot.classes[snapshot.class_of(pod.class) as usize].requests;
        let mut staying = (0..)
            .zip(&snapshot.nodes)
            .filter(|(id, node)| !removed.contains(id) && node.state == NodeState::Ready);
        let holds = |room: &Resources| room.cpu_milli >= wants.cpu_milli && room.memory >= wants.memory;
        let home = staying.any(|(_, node)| holds(&node.allocatable)) || coming.iter().any(|room| holds(room));
        assert!(home, "a pod without a place");
    }
}
