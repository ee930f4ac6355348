//! The oracle: where would the snapshot's pods go if these nodes came and those went?
//!
//! It knows every rule of kube-scheduler, so a policy needs none of them. A call costs fuel in proportion to
//! the pods and nodes that it looks at, and their number per decision is bounded.

use crate::types::ClassCount;

pub use crate::bindings::shared::vpsie::autoscaler::what_if::{Addition, Cause, Leftover, Outcome, Question};

/// Asks the oracle.
#[must_use]
pub fn ask(question: &Question) -> Outcome {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::shared::vpsie::autoscaler::what_if::ask(question);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::answer(question)
}

impl Question {
    /// These nodes come, and only these pods look for a place.
    #[must_use]
    pub fn additions(additions: Vec<Addition>, pods: Vec<ClassCount>) -> Self {
        Self {
            additions,
            removals: Vec::new(),
            pods: Some(pods),
        }
    }

    /// These nodes come, those go, and only the pods of those that go look for a place.
    #[must_use]
    pub fn replacement(additions: Vec<Addition>, removals: Vec<u32>) -> Self {
        Self {
            additions,
            removals,
            pods: Some(Vec::new()),
        }
    }

    /// These nodes go, and only their own pods look for a place.
    #[must_use]
    pub fn removals(removals: Vec<u32>) -> Self {
        Self {
            additions: Vec::new(),
            removals,
            pods: Some(Vec::new()),
        }
    }
}

impl Outcome {
    /// Pods that found no place, of all classes.
    #[must_use]
    pub fn unplaced_pods(&self) -> u64 {
        self.unplaced
            .iter()
            .map(|leftover| u64::from(leftover.pods))
            .sum()
    }

    /// How many nodes of the addition at this position received a pod.
    #[must_use]
    pub fn used_of(&self, addition: usize) -> u32 {
        self.used.get(addition).copied().unwrap_or(0)
    }
}

impl Cause {
    /// A few words for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Resources => "too little room",
            Self::Taints => "an untolerated taint",
            Self::NodeAffinity => "node selector or affinity",
            Self::PodAffinity => "pod affinity or anti-affinity",
            Self::TopologySpread => "topology spread",
            Self::HostPorts => "a host port in use",
            Self::Volumes => "a volume that cannot be reached",
            Self::Unschedulable => "a cordoned node",
            Self::Limits => "a limit",
        }
    }
}
