//! What the policies and the checker make of the pods that wait.

use super::{ByName, Judge, same};
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
        let growth = pipeline::grow(&self.scene.snapshot, self.config)?;
        if let Some(expected) = &expect.demand {
            same("demand", expected, &self.demand(&growth))?;
        }
        if let Some(expected) = &expect.rejected {
            let found = self.rejections(&growth.first, &growth.demand.rejections);
            same("rejected", expected, &found)?;
        }
        if let Some(expected) = &expect.unserved {
            let found = self.rejections(&growth.second, &growth.mix.rejections);
            same("unserved", expected, &found)?;
        }
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
        if let Some(expected) = &expect.purchases {
            same("purchases", expected, &purchases)?;
        }
        if let Some(expected) = &expect.fallbacks {
            same("fallbacks", expected, &fallbacks)?;
        }
        if let Some(expected) = &expect.cost {
            same("cost", expected, &cost)?;
        }
        if let Some(expected) = &expect.trimmed {
            same("trimmed", expected, &words(growth.plan.notes()))?;
        }
        if let Some(expected) = &expect.left {
            same("left", expected, &self.unplaced(&growth.after))?;
        }
        for (pod, keys) in expect.domains.iter().flatten() {
            for (key, expected) in keys {
                let found = self.domains(&growth, pod, key);
                same(&format!("domains of {pod} by {key}"), expected, &found)?;
            }
        }
        Ok(())
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
