//! The oracle: what would happen if these nodes came and those went?
//!
//! It answers on the state of the placement itself, step by step, and takes every step back.

use super::fill::{Lot, Offer, fill_all};
use super::pending::dedicated_first;
use super::{Placement, State};
use crate::decision::{Cause, Leftover, Oracle, Question, WhatIfOutcome, WhatIfQuestion};
use crate::model::{ClassId, NodeId, Resources};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// How many lines of each kind a question may have: beyond that it is a mistake, and work without bound.
const MAX_LINES: usize = 10_000;

/// Answers [`WhatIfQuestion`]s for one decision.
pub struct WhatIf {
    /// Every answer leaves the state as it was.
    state: Mutex<State>,
    /// Class of each row of the question, with its pods without a place and the rule that left them there.
    classes: Vec<(ClassId, u32, Cause)>,
    /// Node of each row of the fleet.
    fleet: Vec<NodeId>,
}

impl WhatIf {
    /// An oracle that speaks in the rows of `question`, which was made of `placement`.
    pub fn new(placement: &Placement, question: &Question) -> Self {
        let (classes, fleet) = match question {
            Question::ScaleUp { pending, .. } | Question::NodeSelection { pending, .. } => {
                let cause = |class| {
                    let unplaced = placement.unplaced.iter().find(|unplaced| unplaced.class == class);
                    unplaced.map_or(Cause::Resources, |unplaced| unplaced.cause)
                };
                let rows = pending.class_ids.iter().zip(&pending.classes);
                (
                    rows.map(|(id, row)| (*id, row.unplaced, cause(*id))).collect(),
                    Vec::new(),
                )
            }
            Question::Rebalance { fleet, .. } => (Vec::new(), fleet.node_ids.clone()),
        };
        Self {
            state: Mutex::new(placement.state.clone()),
            classes,
            fleet,
        }
    }

    /// What is asked, in the numbers of the snapshot.
    fn read(&self, question: &WhatIfQuestion, templates: usize) -> Result<Asked, String> {
        let bounded = |what: &str, lines: usize| {
            if lines > MAX_LINES {
                Err(format!("{lines} {what}, at most {MAX_LINES} are answered"))
            } else {
                Ok(())
            }
        };
        bounded("additions", question.additions.len())?;
        bounded("removals", question.removals.len())?;
        bounded("classes of pods", question.pods.as_ref().map_or(0, Vec::len))?;
        if let Some(addition) = question
            .additions
            .iter()
            .find(|addition| addition.template as usize >= templates)
        {
            return Err(format!("template {} of {templates}", addition.template));
        }
        let mut removals = BTreeSet::new();
        for row in &question.removals {
            let node = self
                .fleet
                .get(*row as usize)
                .ok_or_else(|| format!("node {row} of {}", self.fleet.len()))?;
            removals.insert(*node);
        }
        let mut pods: BTreeMap<ClassId, u32> = BTreeMap::new();
        match &question.pods {
            None => pods.extend(
                self.classes
                    .iter()
                    .map(|(class, unplaced, _)| (*class, *unplaced)),
            ),
            Some(counts) => {
                for count in counts {
                    let (class, unplaced, _) = *self
                        .classes
                        .get(count.class as usize)
                        .ok_or_else(|| format!("class {} of {}", count.class, self.classes.len()))?;
                    let wanted = pods.entry(class).or_insert(0);
                    // Nobody waits beyond those who wait.
                    *wanted = wanted.saturating_add(count.pods).min(unplaced);
                }
            }
        }
        Ok(Asked { removals, pods })
    }

    /// Row of a class; pods of removed nodes may have none.
    fn row(&self, class: ClassId) -> u32 {
        let row = (0_u32..)
            .zip(&self.classes)
            .find(|(_, (known, ..))| *known == class);
        row.map_or(u32::MAX, |(row, _)| row)
    }

    /// Why the class waits.
    fn known_cause(&self, class: ClassId) -> Cause {
        let row = self.classes.iter().find(|(known, ..)| *known == class);
        row.map_or(Cause::Resources, |(_, _, cause)| *cause)
    }
}

struct Asked {
    removals: BTreeSet<NodeId>,
    pods: BTreeMap<ClassId, u32>,
}

impl Oracle for WhatIf {
    fn what_if(&self, question: &WhatIfQuestion) -> Result<(WhatIfOutcome, u64), String> {
        // Nothing below panics, so that the lock cannot be poisoned.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = self.read(question, state.snapshot().templates.len())?;
        let mark = state.mark();
        let answer = self.answer(&mut state, question, &asked);
        state.rollback(mark);
        Ok(answer)
    }
}

impl WhatIf {
    fn answer(&self, state: &mut State, question: &WhatIfQuestion, asked: &Asked) -> (WhatIfOutcome, u64) {
        let mut work = asked.removals.len() as u64;
        let mut moving: BTreeMap<ClassId, u32> = BTreeMap::new();
        for node in &asked.removals {
            for (class, pods) in state.remove_node(*node) {
                work += u64::from(pods);
                *moving.entry(class).or_insert(0) += pods;
            }
        }
        // Pods that lose their node go to nodes that run or are imagined here: what is merely on its way may not come.
        let existing = dedicated_first(state, &asked.pods);
        let running: Vec<NodeId> = existing
            .iter()
            .copied()
            .filter(|node| state.is_ready(*node))
            .collect();
        let mut offers = open_offers(state, question);
        work += offers.len() as u64;

        let mut classes: BTreeSet<ClassId> = asked.pods.keys().copied().collect();
        classes.extend(moving.keys());
        let mut classes: Vec<ClassId> = classes.into_iter().collect();
        classes.sort_by_key(|class| state.rank(*class));
        let mut lots: Vec<Lot<'_>> = Vec::new();
        for class in classes {
            // Nodes that refused a waiting class for good need not be asked again unless something leaves.
            let settled = asked.removals.is_empty() && !state.tables().links.of(class).may_reconsider();
            let existing: &[NodeId] = if settled { &[] } else { &existing };
            let pods = |counts: &BTreeMap<ClassId, u32>| counts.get(&class).copied().unwrap_or(0);
            lots.push(Lot {
                class,
                pods: pods(&moving),
                nodes: &running,
                promised: None,
            });
            lots.push(Lot {
                class,
                pods: pods(&asked.pods),
                nodes: existing,
                promised: None,
            });
        }
        lots.retain(|lot| lot.pods > 0);

        let mut unplaced: BTreeMap<u32, (u32, Cause)> = BTreeMap::new();
        let results = fill_all(state, &lots, &mut offers);
        for (lot, filled) in lots.iter().zip(results.lots) {
            work += filled.work;
            if filled.left > 0 {
                let cause = if filled.work == 0 {
                    self.known_cause(lot.class)
                } else {
                    filled.cause
                };
                let entry = unplaced.entry(self.row(lot.class)).or_insert((0, cause));
                entry.0 = entry.0.saturating_add(filled.left);
            }
        }

        let unplaced = unplaced
            .into_iter()
            .map(|(class, (pods, cause))| Leftover { class, pods, cause })
            .collect();
        let outcome = WhatIfOutcome {
            unplaced,
            ..self.bill(state, &offers, &asked.removals)
        };
        (outcome, work)
    }

    /// Nodes that got a pod, their price and their load.
    fn bill(&self, state: &State, offers: &[Offer], removals: &BTreeSet<NodeId>) -> WhatIfOutcome {
        let snapshot = state.snapshot();
        let (mut used, mut hourly) = (Vec::with_capacity(offers.len()), 0_i128);
        let (mut asked, mut offered) = (Resources::default(), Resources::default());
        for offer in offers {
            let template = &snapshot.templates[offer.template as usize];
            let mut nodes = 0;
            for node in &offer.opened {
                if state.arrivals(*node).is_empty() {
                    continue;
                }
                nodes += 1;
                hourly += i128::from(template.hourly_micros);
                offered.add(&template.allocatable);
                for (class, pods) in state.arrivals(*node) {
                    asked.add_scaled(&snapshot.classes[*class as usize].requests, i64::from(*pods));
                }
            }
            used.push(nodes);
        }
        for node in removals {
            let price = snapshot
                .nodes
                .get(*node as usize)
                .map_or(0, |node| node.hourly_micros);
            hourly -= i128::from(price);
        }
        let bound = |value: i128| i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX });
        WhatIfOutcome {
            used,
            unplaced: Vec::new(),
            hourly_delta_micros: bound(hourly),
            cpu_permille: permille(asked.cpu_milli, offered.cpu_milli),
            memory_permille: permille(asked.memory, offered.memory),
        }
    }
}

/// The additions, each with its first node open: its zone is there then, for spread constraints to count.
fn open_offers(state: &mut State, question: &WhatIfQuestion) -> Vec<Offer> {
    let open = |state: &mut State, template, count: u32| Offer {
        template,
        left: count.saturating_sub(1),
        opened: if count == 0 {
            Vec::new()
        } else {
            vec![state.add_node(template)]
        },
    };
    question
        .additions
        .iter()
        .map(|addition| open(state, addition.template, addition.count))
        .collect()
}

/// `part` of `whole` in thousandths, 0 of nothing.
pub(crate) fn permille(part: i64, whole: i64) -> u32 {
    if whole <= 0 {
        return 0;
    }
    u32::try_from(i128::from(part.max(0)) * 1000 / i128::from(whole)).unwrap_or(u32::MAX)
}
