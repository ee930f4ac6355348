//! The oracle: what would happen if these nodes came and those went?
//!
//! It answers on the state of the placement itself, step by step, and takes every step back.

use super::field::Field;
use super::fill::{Lot, Offer, fill_all};
use super::pending::dedicated_first;
use super::work::{QUESTION_STEPS, Work};
use super::{Placement, State};
use crate::decision::{Addition, Cause, Leftover, Oracle, Question, WhatIfOutcome, WhatIfQuestion};
use crate::model::{ClassId, NodeId, Resources};
use std::collections::{BTreeMap, BTreeSet};

/// How many lines of each kind a question may have: beyond that it is a mistake, and work without bound.
const MAX_LINES: usize = 10_000;

/// Answers [`WhatIfQuestion`]s for one decision.
pub struct WhatIf<'a> {
    /// Every answer leaves it as it was.
    placement: &'a Placement,
    /// Class of each row of the question, with its pods without a place and the rule that left them there.
    classes: Vec<(ClassId, u32, Cause)>,
    /// Row of each class.
    rows: BTreeMap<ClassId, u32>,
    /// Node of each row of the fleet.
    fleet: Vec<NodeId>,
}

impl<'a> WhatIf<'a> {
    /// An oracle that speaks in the rows of `question`, which was made of `placement`.
    pub fn new(placement: &'a Placement, question: &Question) -> Self {
        let (classes, fleet): (Vec<(ClassId, u32, Cause)>, _) = match question {
            Question::ScaleUp { pending, .. } | Question::NodeSelection { pending, .. } => {
                // They stand by class.
                let unplaced = &placement.unplaced;
                let cause = |class| {
                    let at = unplaced.binary_search_by_key(&class, |unplaced| unplaced.class);
                    at.map_or(Cause::Resources, |at| unplaced[at].cause)
                };
                let rows = pending.class_ids.iter().zip(&pending.classes);
                (
                    rows.map(|(id, row)| (*id, row.unplaced, cause(*id))).collect(),
                    Vec::new(),
                )
            }
            Question::Rebalance { fleet, .. } => (Vec::new(), fleet.node_ids.clone()),
        };
        let mut rows = BTreeMap::new();
        for (row, (class, ..)) in (0..).zip(&classes) {
            rows.entry(*class).or_insert(row);
        }
        Self {
            placement,
            classes,
            rows,
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
        self.rows.get(&class).copied().unwrap_or(u32::MAX)
    }

    /// Why the class waits.
    fn known_cause(&self, class: ClassId) -> Cause {
        let row = self.rows.get(&class).map(|row| self.classes[*row as usize]);
        row.map_or(Cause::Resources, |(_, _, cause)| cause)
    }
}

struct Asked {
    removals: BTreeSet<NodeId>,
    pods: BTreeMap<ClassId, u32>,
}

impl Oracle for WhatIf<'_> {
    fn what_if(&self, question: &WhatIfQuestion) -> Result<(WhatIfOutcome, u64), String> {
        let asked = self.read(question, self.placement.snapshot().templates.len())?;
        Ok(self
            .placement
            .try_out(|state| self.answer(state, question, &asked)))
    }
}

/// Fields of an answer: nodes that run, and those that are expected too.
const RUNNING: usize = 0;
const EXISTING: usize = 1;

impl WhatIf<'_> {
    fn answer(&self, state: &mut State, question: &WhatIfQuestion, asked: &Asked) -> (WhatIfOutcome, u64) {
        let mut work = Work::new(QUESTION_STEPS);
        work.steps(asked.removals.len() as u64);
        let mut moving: BTreeMap<ClassId, u32> = BTreeMap::new();
        for node in &asked.removals {
            for (class, pods) in state.remove_node(*node) {
                work.steps(u64::from(pods));
                *moving.entry(class).or_insert(0) += pods;
            }
        }
        let lots = lots(state, asked, &moving);
        // Pods that lose their node go to nodes that run or are imagined here: what is merely on its way may not come.
        let mut there = [Field::default(), Field::default()];
        if lots.iter().any(|lot| lot.field.is_some()) {
            let existing = dedicated_first(state, &asked.pods);
            if !moving.is_empty() {
                let running = existing.iter().copied().filter(|node| state.is_ready(*node));
                there[RUNNING] = Field::new(state, &running.collect::<Vec<NodeId>>());
            }
            there[EXISTING] = Field::new(state, &existing);
        }
        // Unused nodes are not bought, and what is there decides how pods are packed: so the answer is that of a
        // question in which every node is used.
        let mut additions = question.additions.clone();
        let (offers, results) = loop {
            let mark = state.mark();
            let mut fields = there.clone();
            let mut offers = open_offers(state, &additions);
            work.steps(offers.len() as u64);
            let results = fill_all(state, &lots, &mut fields, &mut offers, &mut work);
            let mut unused = false;
            for (addition, offer) in additions.iter_mut().zip(&offers) {
                let used = used(state, offer);
                unused |= used < addition.count;
                addition.count = used;
            }
            if !unused || work.is_spent() {
                break (offers, results);
            }
            state.rollback(mark);
        };

        let mut unplaced: BTreeMap<u32, (u32, Cause)> = BTreeMap::new();
        for (lot, filled) in lots.iter().zip(results.lots) {
            if filled.left > 0 {
                let cause = if filled.refusals.is_empty() && !filled.cut {
                    self.known_cause(lot.class)
                } else {
                    filled.cause()
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
        (outcome, work.done())
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

/// The classes that look for a place, by rank; pods that lost theirs before those that have none yet.
fn lots(state: &State, asked: &Asked, moving: &BTreeMap<ClassId, u32>) -> Vec<Lot> {
    let mut classes: BTreeSet<ClassId> = asked.pods.keys().copied().collect();
    classes.extend(moving.keys());
    let mut classes: Vec<ClassId> = classes.into_iter().collect();
    classes.sort_by_key(|class| state.rank(*class));
    let mut lots: Vec<Lot> = Vec::new();
    for class in classes {
        // Nodes that refused a waiting class for good need not be asked again unless something leaves.
        let settled = asked.removals.is_empty() && !state.tables().may_reconsider(class);
        let pods = |counts: &BTreeMap<ClassId, u32>| counts.get(&class).copied().unwrap_or(0);
        lots.push(Lot {
            class,
            pods: pods(moving),
            field: Some(RUNNING),
            promised: None,
        });
        lots.push(Lot {
            class,
            pods: pods(&asked.pods),
            field: (!settled).then_some(EXISTING),
            promised: None,
        });
    }
    lots.retain(|lot| lot.pods > 0);
    lots
}

/// How many nodes of the offer received a pod.
fn used(state: &State, offer: &Offer) -> u32 {
    let used = offer
        .opened
        .iter()
        .filter(|node| !state.arrivals(**node).is_empty());
    u32::try_from(used.count()).unwrap_or(u32::MAX)
}

/// The additions, each with its first node open: its zone is there then, for spread constraints to count.
fn open_offers(state: &mut State, additions: &[Addition]) -> Vec<Offer> {
    let open = |state: &mut State, template, count: u32| {
        let mut offer = Offer::new(template, count.saturating_sub(1));
        if count > 0 {
            offer.opened.push(state.add_node(template));
        }
        offer
    };
    additions
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
