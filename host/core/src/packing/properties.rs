//! The fast state against a slow, plain reading of the rules, on random clusters.

use super::plain::Plain;
use super::random::some_cluster;
use super::{State, WhatIf, per_new_node, place_pending};
use crate::decision::{
    Action, Addition, Oracle, Plan, Reason, WhatIfQuestion, check_growth, check_removals, questions,
};
use crate::model::{ClassId, Movability, NodeState};
use crate::testing::labels;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Every class on every node: do both say the same?
fn agree(state: &State, plain: &Plain<'_>) -> Result<(), TestCaseError> {
    for class in 0..u32::try_from(plain.snapshot.classes.len()).unwrap() {
        for node in 0..u32::try_from(plain.nodes.len()).unwrap() {
            let found = state.fits(class, node);
            prop_assert_eq!(
                found.is_ok(),
                plain.fits(class, node),
                "class {} on node {}: {:?}",
                class,
                node,
                found
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 384, failure_persistence: None, ..ProptestConfig::default() })]

    /// The state says what a plain reading of the rules says, whatever happened, and forgets what is taken back.
    #[test]
    fn the_state_agrees_with_the_rules(
        snapshot in some_cluster(),
        steps in prop::collection::vec((0..8_u8, any::<u32>(), any::<u32>()), 0..14),
    ) {
        let snapshot = std::sync::Arc::new(snapshot);
        let mut state = State::new(&snapshot);
        let mut plain = Plain::new(&snapshot);
        agree(&state, &plain)?;
        let begin = state.mark();
        let untouched = state.clone();
        for (kind, one, other) in steps {
            let node = other % u32::try_from(state.nodes()).unwrap();
            match kind {
                0 => {
                    let template = one % u32::try_from(snapshot.templates.len()).unwrap();
                    state.add_node(template);
                    plain.add(template);
                }
                1 => {
                    state.remove_node(node);
                    plain.remove(node);
                }
                2 => {
                    state.delete_node(node);
                    plain.delete(node);
                }
                _ => {
                    let class = one % u32::try_from(snapshot.classes.len()).unwrap();
                    let (mark, before) = (state.mark(), state.clone());
                    if state.try_place(class, node).is_ok() {
                        state.rollback(mark);
                        prop_assert!(state == before, "one step back");
                        prop_assert_eq!(state.try_place(class, node), Ok(()));
                        plain.pods.push((class, node));
                    }
                }
            }
            agree(&state, &plain)?;
        }
        state.rollback(begin);
        prop_assert!(state == untouched, "all steps back");
    }

    /// Waiting pods go where the rules let them, and none is left that would still fit.
    #[test]
    fn placements_break_no_rule(snapshot in some_cluster()) {
        let snapshot = std::sync::Arc::new(snapshot);
        let placement = place_pending(&snapshot);
        let mut plain = Plain::new(&snapshot);
        plain.promised.clear();
        let bound = plain.pods.len();
        for (pod, node) in &placement.placed {
            let (class, nominated) = (snapshot.pods[*pod as usize].class, snapshot.pods[*pod as usize].nominated);
            // Who was promised the node gets the room of pods that leave it.
            let priority = |class: ClassId| snapshot.classes[class as usize].priority;
            let leaves = |other: ClassId| {
                snapshot.classes[other as usize].terminating && priority(other) < priority(class)
            };
            let kept = plain.pods.clone();
            let mut at = 0;
            plain.pods.retain(|(class, on)| {
                at += 1;
                nominated != Some(*node) || at > bound || on != node || !leaves(*class)
            });
            prop_assert!(plain.fits(class, *node), "class {} on node {}", class, node);
            plain.pods = kept;
            plain.pods.push((class, *node));
        }
        agree(&placement.state(), &plain)?;
        for unplaced in &placement.unplaced {
            let open = placement.state().open_nodes();
            for node in open {
                prop_assert!(!plain.fits(unplaced.class, node), "class {} still fits", unplaced.class);
            }
        }
        prop_assert_eq!(placement.placed.len() + placement.unplaced_pods() as usize, snapshot.pods.len());
    }

    /// The table of new nodes against filling one; spread may promise more, other domains catching up.
    #[test]
    fn new_nodes_hold_what_the_table_says(snapshot in some_cluster()) {
        let snapshot = std::sync::Arc::new(snapshot);
        let placement = place_pending(&snapshot);
        let mut state = placement.state();
        let classes: Vec<ClassId> = (0..u32::try_from(snapshot.classes.len()).unwrap()).collect();
        let templates = snapshot.templates.len();
        let table = per_new_node(&mut state, &classes, &vec![true; templates]);
        for class in classes {
            for template in 0..templates {
                let mark = state.mark();
                let node = state.add_node(u32::try_from(template).unwrap());
                let mut filled = 0;
                while state.try_place(class, node).is_ok() {
                    filled += 1;
                }
                state.rollback(mark);
                let told = table.pods(class as usize, template);
                let spreads = !snapshot.classes[class as usize].topology_spread.is_empty();
                prop_assert!(told == filled || (spreads && told > filled), "told {}, filled {}", told, filled);
            }
        }
    }

    /// Whatever is proposed, limits hold.
    #[test]
    fn growth_exceeds_no_limit(
        snapshot in some_cluster(),
        purchases in prop::collection::vec((any::<u32>(), prop_oneof![0..6_u32, any::<u32>()], any::<u32>()), 0..8),
        foreign in any::<u32>(),
    ) {
        let snapshot = std::sync::Arc::new(snapshot);
        let placement = place_pending(&snapshot);
        let templates = u32::try_from(snapshot.templates.len()).unwrap();
        let groups = u32::try_from(snapshot.groups.len()).unwrap();
        let actions = purchases.into_iter().map(|(template, count, fallback)| Action::Buy {
            template: template % templates,
            count,
            fallbacks: vec![fallback % templates],
            reason: Reason::new("Test", ""),
        });
        let plan = check_growth(&placement, Plan::propose(actions.collect()), &|group| group != foreign % groups).unwrap();
        let mut after: Vec<u64> = snapshot.groups.iter().map(|group| u64::from(group.current)).collect();
        for action in plan.actions() {
            let Action::Buy { template, count, fallbacks, .. } = action else { panic!("a removal") };
            let group = snapshot.templates[*template as usize].group;
            prop_assert!(*count > 0);
            prop_assert!(group != foreign % groups && snapshot.groups[group as usize].may_grow);
            prop_assert!(fallbacks.iter().all(|fallback| snapshot.templates[*fallback as usize].group == group));
            after[group as usize] += u64::from(*count);
        }
        for (group, after) in snapshot.groups.iter().zip(&after) {
            prop_assert!(*after <= u64::from(group.max.max(group.current)));
        }
        let before: u64 = snapshot.groups.iter().map(|group| u64::from(group.current)).sum();
        if let Some(max) = snapshot.max_cluster_nodes {
            prop_assert!(after.iter().sum::<u64>() <= before.max(u64::from(max)));
        }
    }

    /// What the oracle promises for nodes comes true when they are bought. Spread and the company of DaemonSets
    /// aside: there, nodes that are asked about and then not bought make a difference.
    #[test]
    fn the_oracle_keeps_its_word(
        snapshot in some_cluster(),
        additions in prop::collection::vec((any::<u32>(), 0..4_u32), 0..4),
    ) {
        let mut snapshot = snapshot;
        snapshot.classes.iter_mut().for_each(|class| std::sync::Arc::make_mut(class).topology_spread.clear());
        snapshot.templates.iter_mut().for_each(|template| template.daemons.clear());
        snapshot.groups.iter_mut().for_each(|group| (group.may_grow, group.max) = (true, 1000));
        snapshot.max_cluster_nodes = None;
        let snapshot = std::sync::Arc::new(snapshot);
        let mut placement = place_pending(&snapshot);
        let oracle = WhatIf::new(&placement, &questions::scale_up(&placement, &|_| true));
        let templates = u32::try_from(snapshot.templates.len()).unwrap();
        let additions: Vec<Addition> = additions
            .into_iter()
            .map(|(template, count)| Addition { template: template % templates, count })
            .collect();
        let question = WhatIfQuestion { additions, ..WhatIfQuestion::default() };
        let answer = oracle.what_if(&question);
        prop_assert_eq!(&oracle.what_if(&question), &answer, "asked again");
        let (outcome, _) = answer.unwrap();
        let price: u64 = question
            .additions
            .iter()
            .zip(&outcome.used)
            .map(|(addition, used)| u64::from(*used) * snapshot.templates[addition.template as usize].hourly_micros)
            .sum();
        prop_assert_eq!(outcome.hourly_delta_micros, i64::try_from(price).unwrap());
        let bought = question.additions.iter().zip(&outcome.used).map(|(addition, used)| {
            let (template, fallbacks) = (addition.template, Vec::new());
            Action::Buy { template, count: *used, fallbacks, reason: Reason::new("Test", "") }
        });
        let plan = check_growth(&placement, Plan::propose(bought.collect()), &|_| true).unwrap();
        let before = placement.unplaced_pods();
        let placed = placement.accept(&plan);
        let promised: u32 = outcome.unplaced.iter().map(|left| left.pods).sum();
        prop_assert_eq!(placement.unplaced_pods(), promised);
        prop_assert_eq!(u32::try_from(placed.len()).unwrap(), before - promised);
    }

    /// Whatever is proposed, nobody is evicted who may not be, and no limit is undercut.
    #[test]
    fn removals_undercut_no_limit(
        snapshot in some_cluster(),
        picks in prop::collection::vec((any::<u32>(), 0..3_u32), 0..8),
    ) {
        let snapshot = std::sync::Arc::new(snapshot);
        let mut placement = place_pending(&snapshot);
        let nodes = u32::try_from(snapshot.nodes.len()).unwrap();
        let mut seen = BTreeSet::new();
        let picks = picks.into_iter().map(|(node, batch)| (node % nodes, batch)).filter(|(node, _)| seen.insert(*node));
        let actions = picks.map(|(node, batch)| Action::Remove { node, batch, reason: Reason::new("Test", "") });
        let plan = check_removals(&placement, Plan::propose(actions.collect())).unwrap();
        let (mut left, mut room) = (snapshot.groups[0].current, snapshot.budgets[0].disruptions_allowed);
        for action in plan.actions() {
            let Action::Remove { node, .. } = action else { panic!("a purchase") };
            left -= 1;
            let state = snapshot.nodes[*node as usize].state;
            prop_assert!(matches!(state, NodeState::Ready | NodeState::NotReady));
            let mut evicted = 0;
            for pod in snapshot.nodes[*node as usize].residents.iter() {
                let class = &snapshot.classes[pod.class as usize];
                prop_assert!(!matches!(pod.judgement.lasting, Movability::Blocks(..)));
                let budgeted = class.namespace == "default" && class.labels == labels(&[("app", "web")]);
                evicted += u32::from(budgeted && pod.judgement.lasting == Movability::Moves);
            }
            // A drain begins only while the budget has room; pod by pod, it may take longer than the room is.
            prop_assert!(evicted == 0 || room > 0);
            room = room.saturating_sub(evicted);
        }
        prop_assert!(plan.actions().len() <= snapshot.removal_budget as usize);
        prop_assert!(plan.is_empty() || left >= snapshot.groups[0].min);
        let waiting = placement.unplaced_pods();
        placement.accept(&plan);
        prop_assert!(placement.unplaced_pods() <= waiting, "nobody loses a place");
    }
}
