//! Who decides: the active policies, or what they would be with a shadow among them.

use autoscaler_core::decision::Kind;
use autoscaler_policy::{Binding, GroupFilter, PolicySet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The bindings of every kind at one moment: a policy that is swapped meanwhile does not change a decision.
pub(super) struct Deciders {
    bindings: BTreeMap<Kind, Vec<Arc<Binding>>>,
    /// Whether anybody is told of what they do.
    aloud: bool,
}

impl Deciders {
    pub(super) fn present(policies: &PolicySet) -> Self {
        Self {
            bindings: Kind::ALL
                .into_iter()
                .map(|kind| (kind, policies.active(kind)))
                .collect(),
            aloud: true,
        }
    }

    /// With the shadow where it would stand if it were active. Nothing is counted on the others.
    pub(super) fn imagined(&self, shadow: &BTreeMap<Kind, Arc<Binding>>) -> Self {
        let mut bindings = BTreeMap::new();
        for (kind, present) in &self.bindings {
            let mut of_kind: Vec<Arc<Binding>> = present
                .iter()
                .map(|binding| Arc::new(binding.detached()))
                .collect();
            if let Some(shadow) = shadow.get(kind) {
                let general = shadow.groups == GroupFilter::All;
                let place = of_kind
                    .iter()
                    .position(|binding| !general || binding.groups == GroupFilter::All);
                of_kind.insert(place.unwrap_or(0), shadow.clone());
            }
            bindings.insert(*kind, of_kind);
        }
        Self {
            bindings,
            aloud: false,
        }
    }

    pub(super) fn of(&self, kind: Kind) -> &[Arc<Binding>] {
        self.bindings.get(&kind).map_or(&[], Vec::as_slice)
    }

    pub(super) fn aloud(&self) -> bool {
        self.aloud
    }
}
