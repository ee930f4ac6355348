//! What may go: pod by pod, node by node, and what the rebalance policy makes of it.

use super::{ByName, Judge, same};
use crate::expectation::{Removals, Together, Utilisation};
use crate::pipeline::Shrinkage;
use crate::pipeline::{self, words};
use anyhow::{Context, Result, bail};
use autoscaler_core::decision::{Action, Plan, Question, Reason, check_removals, questions};
use autoscaler_core::model::Movability;
use autoscaler_core::packing::place_pending;
use std::collections::BTreeMap;

impl Judge<'_> {
    pub(super) fn removal(&self) -> Result<()> {
        let snapshot = &self.scene.snapshot;
        for (name, expected) in self.expect.drain.iter().flatten() {
            let mut pods = self.scene.residents();
            let pod = pods.find(|(_, pod)| self.scene.name_of(&pod.key) == name);
            let judged = pod.map(|(node, pod)| {
                let rules = snapshot.drain_rules(&snapshot.nodes[node as usize]);
                pod.judgement.under(&rules, snapshot.now_ms).into_owned()
            });
            let found = match judged {
                Some(Movability::Moves) => "Moves".to_owned(),
                Some(Movability::Blocks(code, _)) => code,
                Some(Movability::Ignored) => "Ignored".to_owned(),
                // What has ended is in no snapshot.
                None if self.scene.knows(name) => "Ignored".to_owned(),
                None => bail!("there is no pod {name:?}"),
            };
            same(&format!("drain of {name}"), expected, &found)?;
        }
        for (name, expected) in self.expect.utilisation.iter().flatten() {
            self.utilisation(name, expected)?;
        }
        for (name, expected) in self.expect.removable.iter().flatten() {
            let (removed, kept) = self.check(std::slice::from_ref(name))?;
            let found = kept.get(name).cloned().unwrap_or_else(|| {
                let word = if removed.is_empty() { "?" } else { "Removable" };
                word.to_owned()
            });
            same(&format!("removable {name}"), expected, &found)?;
        }
        if let Some(expected) = &self.expect.together {
            let (removed, kept) = self.check(&expected.order)?;
            let order = expected.order.clone();
            let found = Together { order, removed, kept };
            same("together", expected, &found)?;
        }
        match &self.expect.removals {
            Some(expected) => self.removals(expected),
            None => Ok(()),
        }
    }

    fn utilisation(&self, name: &str, expected: &Utilisation) -> Result<()> {
        let placement = place_pending(&self.scene.snapshot);
        let Question::Rebalance { fleet, .. } = questions::rebalance(&placement, &|_| true) else {
            bail!("another question");
        };
        let row = fleet.names.iter().position(|known| known == name);
        let row = row.with_context(|| format!("no node {name:?} of a group"))?;
        let asked = |asked: Option<u32>, found: &[u32]| asked.and_then(|_| found.get(row).copied());
        let found = Utilisation {
            cpu: asked(expected.cpu, &fleet.cpu_permille),
            memory: asked(expected.memory, &fleet.memory_permille),
            to_move: asked(expected.to_move, &fleet.pods_to_move),
        };
        same(&format!("utilisation of {name}"), expected, &found)
    }

    /// What the checker says of the removal of these nodes in this order.
    fn check(&self, names: &[String]) -> Result<(Vec<String>, ByName<String>)> {
        let mut actions = Vec::new();
        for (batch, name) in (0..).zip(names) {
            let node = self.scene.node(name)?;
            let reason = Reason::new("Case", "");
            actions.push(Action::Remove { node, batch, reason });
        }
        let plan = check_removals(&place_pending(&self.scene.snapshot), Plan::propose(actions))?;
        Ok((
            self.removed(&plan).into_iter().flatten().collect(),
            words(plan.notes()),
        ))
    }

    /// The nodes that a plan removes, by batch.
    fn removed<Stage>(&self, plan: &Plan<Stage>) -> Vec<Vec<String>> {
        let mut batches: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for action in plan.actions() {
            if let Action::Remove { node, batch, .. } = action {
                let name = self.scene.snapshot.nodes[*node as usize].name.clone();
                batches.entry(*batch).or_default().push(name);
            }
        }
        batches.into_values().collect()
    }

    fn removals(&self, expected: &Removals) -> Result<()> {
        let shrinkage = pipeline::shrink(&self.scene.snapshot, self.config, self.ask)?;
        let mut found = self.shrunk(&shrinkage);
        if expected.kept.is_none() {
            found.kept = None;
        }
        same("removals", expected, &found)
    }

    /// What a case can expect of the fleet's policy and its checker.
    pub(crate) fn shrunk(&self, shrinkage: &Shrinkage) -> Removals {
        let Question::Rebalance { fleet, .. } = &shrinkage.question else {
            return Removals::default();
        };
        let name = |row: u32| fleet.names.get(row as usize).cloned().unwrap_or_default();
        let kept = shrinkage.proposal.kept.iter();
        let kept = kept.map(|kept| (name(kept.node), kept.reason.code.clone()));
        Removals {
            batches: self.removed(&shrinkage.plan),
            kept: Some(kept.collect()),
            struck: words(shrinkage.plan.notes()),
        }
    }
}
