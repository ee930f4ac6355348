//! Plans that no policy should make, and what must hold of them once they are checked.

use crate::values::Dice;
use arbitrary::Result;
use autoscaler_core::decision::{Action, Checked, Plan, Reason};
use autoscaler_core::model::Snapshot;
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
        Ok(Action::Remove {
            node: number(dice)?,
            batch: number(dice)?,
            reason: reason(),
        })
    };
    (0..count).map(remove).collect()
}

/// A checked plan names what exists, and keeps to the sizes of groups and to the budget of removals.
pub(crate) fn within_limits(snapshot: &Snapshot, plan: &Plan<Checked>) {
    let mut sizes: Vec<i128> = snapshot
        .groups
        .iter()
        .map(|group| i128::from(group.current))
        .collect();
    let mut removed = BTreeSet::new();
    for action in plan.actions() {
        match action {
            Action::Buy { template, count, .. } => {
                let group = snapshot.templates[*template as usize].group as usize;
                sizes[group] += i128::from(*count);
                let max = snapshot.groups[group].max.max(snapshot.groups[group].current);
                assert!(sizes[group] <= i128::from(max), "a group beyond its maximum");
            }
            Action::Replace { .. } => panic!("a replacement that nobody proposed"),
            Action::Remove { node, .. } => {
                assert!(removed.insert(*node), "a node that goes twice");
                let Some(group) = snapshot.nodes[*node as usize].group else {
                    panic!("a node that is not ours");
                };
                let group = group as usize;
                sizes[group] -= 1;
                let min = i128::from(snapshot.groups[group].min);
                assert!(sizes[group] >= min, "a group below its minimum");
            }
        }
    }
    assert!(
        removed.len() <= snapshot.removal_budget as usize,
        "more removals than the loop has"
    );
}
