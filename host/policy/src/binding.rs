//! What an operator has set for one policy: its configuration, its limits, who stands in for it, and for which
//! node groups it speaks.

use crate::compile::CompiledPolicy;
use crate::limits::Limits;
use crate::tally::Tally;
use autoscaler_core::model::{LabelSelector, Labels};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The name that the embedded policies go by.
pub const BUILT_IN: &str = "built-in";

/// What decides where a policy fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// The last version that worked, then the built-in policy.
    #[default]
    LastGood,
    /// The built-in policy.
    BuiltIn,
    /// Nobody: rather nothing than something else.
    Hold,
}

/// The node groups that a binding speaks for, by their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GroupFilter {
    #[default]
    All,
    Labels(LabelSelector),
}

impl GroupFilter {
    /// Whether the binding speaks for a group with these labels.
    pub fn matches(&self, labels: &Labels) -> bool {
        match self {
            Self::All => true,
            Self::Labels(selector) => selector.matches(labels),
        }
    }
}

/// A version of a policy that has decided before.
#[derive(Clone, Debug)]
pub struct LastGood {
    pub policy: Arc<CompiledPolicy>,
    pub config: String,
    pub limits: Limits,
}

/// A policy with what the user set for it.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Name of the ScalingPolicy, or [`BUILT_IN`].
    pub name: String,
    pub policy: Arc<CompiledPolicy>,
    /// JSON.
    pub config: String,
    pub limits: Limits,
    pub fallback: Fallback,
    pub last_good: Option<LastGood>,
    pub groups: GroupFilter,
    /// The share in percent of the groups that it would speak for; none for all of them.
    pub share: Option<u32>,
    pub tally: Arc<Tally>,
}

impl Binding {
    /// A policy for all groups with defaults for everything else.
    pub fn new(name: impl Into<String>, policy: Arc<CompiledPolicy>) -> Self {
        Self {
            name: name.into(),
            policy,
            config: "{}".to_owned(),
            limits: Limits::default(),
            fallback: Fallback::default(),
            last_good: None,
            groups: GroupFilter::default(),
            share: None,
            tally: Arc::default(),
        }
    }

    /// The same policy, with nothing counted on it: for decisions that are only imagined.
    pub fn detached(&self) -> Self {
        Self {
            tally: Arc::new(self.tally.detached()),
            ..self.clone()
        }
    }

    /// Which of these groups it speaks for, by position. A share takes the same groups each time, and one at
    /// least: which, the names of policy and group decide.
    pub fn chosen(&self, groups: &[(&str, &Labels)]) -> BTreeSet<usize> {
        let matching = groups.iter().enumerate();
        let matching = matching.filter(|(_, (_, labels))| self.groups.matches(labels));
        let Some(percent) = self.share else {
            return matching.map(|(at, _)| at).collect();
        };
        let drawn = |name: &str| Sha256::digest(format!("{}\n{name}", self.name));
        let mut matching: Vec<_> = matching.map(|(at, (name, _))| (drawn(name), at)).collect();
        matching.sort();
        let share = (matching.len() * percent as usize).div_ceil(100);
        matching.into_iter().take(share).map(|(_, at)| at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use autoscaler_core::decision::Kind;

    #[test]
    fn a_share_is_exact_and_stays() {
        let engine = Engine::new().unwrap();
        let policy = crate::builtin::load(&engine, Kind::ScaleUp).unwrap();
        let none = Labels::default();
        let names: Vec<String> = (0..40).map(|number| format!("ns/g{number}")).collect();
        let groups: Vec<(&str, &Labels)> = names.iter().map(|name| (name.as_str(), &none)).collect();
        let chosen = |name: &str, percent, groups: &[(&str, &Labels)]| {
            let binding = Binding {
                share: percent,
                ..Binding::new(name, policy.clone())
            };
            binding.chosen(groups)
        };
        for (percent, of, expected) in [
            (None, 40, 40),
            (Some(100), 40, 40),
            (Some(25), 40, 10),
            (Some(1), 40, 1),
            (Some(10), 3, 1),
            (Some(50), 3, 2),
            (Some(50), 0, 0),
        ] {
            assert_eq!(
                chosen("p", percent, &groups[..of]).len(),
                expected,
                "{percent:?} of {of}"
            );
        }
        let small = chosen("p", Some(10), &groups);
        assert!(
            small.is_subset(&chosen("p", Some(20), &groups)),
            "a larger share keeps its groups"
        );
        assert_ne!(
            small,
            chosen("q", Some(10), &groups),
            "another policy draws others"
        );
    }
}
