//! Classes, and the pods that wait. Those that run came with their nodes.

use super::Builder;
use crate::index::Place;
use crate::inputs::View;
use autoscaler_core::model::{ClassId, Pod, PodClass};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Builder<'_> {
    /// The classes of all pods, of the DaemonSet pods that new nodes start with, and of those that room is kept for, in
    /// the order of their content.
    pub(super) fn classes(&mut self) {
        let ours: BTreeSet<&PodClass> = self
            .starters
            .iter()
            .flatten()
            .map(|at| &self.daemons[*at])
            .chain(self.spares.iter().map(|spare| &spare.class))
            .collect();
        let mut ours = ours.into_iter().peekable();
        let classes = &mut self.snapshot.classes;
        self.snapshot.class_ids = vec![ClassId::MAX; self.state.classes.bound()];
        for (class, key) in self.state.classes.iter() {
            while let Some(own) = ours.next_if(|own| *own <= &**class) {
                if *own != **class {
                    classes.push(Arc::new(own.clone()));
                }
            }
            self.snapshot.class_ids[key as usize] = ClassId::try_from(classes.len()).unwrap_or(ClassId::MAX);
            classes.push(class.clone());
        }
        // Numbers that nobody has any more tell nothing.
        let used = self.snapshot.class_ids.iter().rposition(|id| *id != ClassId::MAX);
        self.snapshot.class_ids.truncate(used.map_or(0, |last| last + 1));
        classes.extend(ours.map(|own| Arc::new(own.clone())));
        for (template, starters) in self.snapshot.templates.iter_mut().zip(&self.starters) {
            let numbers = starters.iter().filter_map(|at| {
                let found = classes.binary_search_by(|class| (**class).cmp(&self.daemons[*at]));
                found.ok().and_then(|at| ClassId::try_from(at).ok())
            });
            template.daemons = numbers.collect();
        }
    }

    pub(super) fn pods(&mut self) {
        for key in &self.state.waiting {
            let Some(entry) = self.state.pods.get(key) else {
                continue;
            };
            let Place::Nowhere(waiting) = &entry.place else {
                continue;
            };
            // A pod that has been promised a node takes its room, however short it waits.
            let nominated = waiting.nominated.as_ref().and_then(|name| self.node_id(name));
            let waits = self.inputs.view == View::Scheduler
                || waiting
                    .unschedulable_since_ms
                    .is_some_and(|since| self.inputs.now_ms - since >= self.inputs.grace_ms);
            if !waits && nominated.is_none() {
                continue;
            }
            self.snapshot.pods.push(Pod {
                key: key.clone(),
                uid: waiting.uid.clone(),
                class: self.snapshot.class_of(entry.class),
                nominated,
                owner: waiting.owner.clone(),
                unschedulable_since_ms: waiting.unschedulable_since_ms,
            });
        }
    }
}
