//! What the policies and the checker make of the pods that wait.

use super::{ByName, Judge, same, wanted};
use crate::expectation::Expectation;
use crate::pipeline::{self, Growth, words};
use anyhow::Result;
use autoscaler_core::decision::{Action, Question, Rejection};
use autoscaler_core::model::NodeId;

impl Judge<'_> {
    pub(super) fn growth(&self) -> Result<()> {
        let expect = self.expect;
        if !expect.asks_for_growth() {
            return Ok(());
        }
        let growth = pipeline::grow(&self.scene.snapshot, self.config, self.ask)?;
        let found = self.grown(&growth);
        wanted("demand", expect.demand.as_ref(), found.demand.as_ref())?;
        wanted("rejected", expect.rejected.as_ref(), found.rejected.as_ref())?;
        wanted("unserved", expect.unserved.as_ref(), found.unserved.as_ref())?;
        wanted("purchases", expect.purchases.as_ref(), found.purchases.as_ref())?;
        wanted("fallbacks", expect.fallbacks.as_ref(), found.fallbacks.as_ref())?;
        wanted("cost", expect.cost.as_ref(), found.cost.as_ref())?;
        wanted("trimmed", expect.trimmed.as_ref(), found.trimmed.as_ref())?;
        wanted("left", expect.left.as_ref(), found.left.as_ref())?;
        for (pod, keys) in expect.domains.iter().flatten() {
            for (key, expected) in keys {
                let found = self.domains(&growth, pod, key);
                same(&format!("domains of {pod} by {key}"), expected, &found)?;
            }
        }
        Ok(())
    }

    /// Everything about growth that a case can expect, but for domains.
    pub(crate) fn grown(&self, growth: &Growth) -> Expectation {
        let (mut purchases, mut fallbacks, mut cost) = (ByName::new(), ByName::new(), 0);
        for action in growth.plan.actions() {
            let Action::Buy {
                template,
                count,
                fallbacks: named,
                ..
            } = action
            else {
                continue;
            };
            let name = self.scene.template_name(*template);
            *purchases.entry(name.clone()).or_insert(0) += count;
            let named = named
                .iter()
                .map(|id| &self.scene.snapshot.templates[*id as usize]);
            let named: Vec<String> = named.map(|template| template.offering.clone()).collect();
            fallbacks.insert(name, named);
            let price = self.scene.snapshot.templates[*template as usize].hourly_micros;
            cost += price * u64::from(*count) / 1000;
        }
        Expectation {
            demand: Some(self.demand(growth)),
            rejected: Some(self.rejections(&growth.first, &growth.demand.rejections)),
            purchases: Some(purchases),
            fallbacks: Some(fallbacks),
            unserved: Some(self.rejections(&growth.second, &growth.mix.rejections)),
            trimmed: Some(words(growth.plan.notes())),
            cost: Some(cost),
            left: Some(self.unplaced(&growth.after)),
            ..Expectation::default()
        }
    }

    fn demand(&self, growth: &Growth) -> ByName<ByName<u32>> {
        let snapshot = &self.scene.snapshot;
        let mut all = ByName::new();
        for wish in &growth.demand.groups {
            let group = snapshot.groups[wish.group as usize].name.clone();
            let pods: &mut ByName<u32> = all.entry(group).or_default();
            for count in &wish.pods {
                *pods.entry(self.row_name(&growth.first, count.class)).or_insert(0) += count.pods;
            }
        }
        all
    }

    /// The name of the pods in a row of a question: of the first of them.
    fn row_name(&self, question: &Question, row: u32) -> String {
        let (Question::ScaleUp { pending, .. } | Question::NodeSelection { pending, .. }) = question else {
            return "?".to_owned();
        };
        let class = pending.class_ids.get(row as usize);
        let mut pods = self.scene.snapshot.pods.iter();
        let pod = pods.find(|pod| Some(&pod.class) == class);
        pod.map_or("?", |pod| self.scene.name_of(&pod.key)).to_owned()
    }

    fn rejections(&self, question: &Question, rejections: &[Rejection]) -> ByName<String> {
        rejections
            .iter()
            .map(|rejection| {
                (
                    self.row_name(question, rejection.class),
                    rejection.reason.code.clone(),
                )
            })
            .collect()
    }

    /// How many pods of this name are in each domain of the key. A new node without a name is `new-<number>`.
    fn domains(&self, growth: &Growth, name: &str, key: &str) -> ByName<u32> {
        let snapshot = &self.scene.snapshot;
        let domain = |node: NodeId| match growth.after.state().imagined(node) {
            Some(_) if key == autoscaler_core::packing::HOSTNAME_LABEL => {
                Some(format!("new-{}", { node as usize - snapshot.nodes.len() }))
            }
            Some(template) => snapshot.templates[template as usize].labels.get(key).cloned(),
            None => snapshot.nodes[node as usize].labels.get(key).cloned(),
        };
        let bound = self.scene.residents().map(|(node, pod)| (&pod.key, node));
        let placed = growth.placed.iter();
        let placed = placed.map(|(pod, node)| (&snapshot.pods[*pod as usize].key, *node));
        let mut counts = ByName::new();
        for (pod, node) in bound.chain(placed) {
            if self.scene.name_of(pod) == name {
                let domain = domain(node).unwrap_or_else(|| "none".to_owned());
                *counts.entry(domain).or_insert(0) += 1;
            }
        }
        counts
    }
}
