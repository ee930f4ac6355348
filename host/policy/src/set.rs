//! The active policies, and a decision that is never lost.
//!
//! Bindings are swapped as a whole while decisions run; those keep what they began with. A policy that fails is
//! followed by its last good version and by the built-in one, within the same call. Only who asks for `Hold`
//! gets nothing instead.

use crate::builtin;
use crate::call::CallReport;
use crate::compile::CompiledPolicy;
use crate::engine::Engine;
use crate::error::{CallError, LoadError};
use crate::limits::Limits;
use crate::state::LogLine;
use arc_swap::ArcSwap;
use autoscaler_core::decision::{Answer, Kind, Oracle, Question};
use autoscaler_core::model::{LabelSelector, Labels};
use std::collections::BTreeMap;
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
        }
    }
}

/// Which policy it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRef {
    /// Name of the ScalingPolicy, or [`BUILT_IN`].
    pub name: String,
    /// `sha256:` and the digest of the component.
    pub digest: String,
    /// As the component says.
    pub version: String,
}

/// On what terms it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// JSON.
    pub config: String,
    pub limits: Limits,
}

/// An answer that was accepted, and whose it is.
#[derive(Clone, Debug)]
pub struct Taken {
    pub policy: PolicyRef,
    pub terms: Terms,
    pub report: CallReport,
}

/// A policy that gave no usable answer.
#[derive(Clone, Debug)]
pub struct Failure {
    pub policy: PolicyRef,
    pub terms: Terms,
    pub error: CallError,
    pub log: Vec<LogLine>,
}

/// What became of a question.
#[derive(Clone, Debug)]
pub struct Decision {
    pub kind: Kind,
    /// None where all failed that may answer: the binding alone for [`Fallback::Hold`], else the built-in
    /// policy, too.
    pub taken: Option<Taken>,
    /// Those that failed before, in the order in which they were asked.
    pub failures: Vec<Failure>,
}

type Bindings = BTreeMap<Kind, Vec<Arc<Binding>>>;

/// The active policies of the process.
#[derive(Debug)]
pub struct PolicySet {
    built_in: BTreeMap<Kind, Arc<Binding>>,
    active: ArcSwap<Bindings>,
}

impl PolicySet {
    /// The built-in policies and no other.
    ///
    /// # Errors
    /// Where this machine cannot compile them.
    pub fn built_in(engine: &Engine) -> Result<Self, LoadError> {
        let mut built_in = BTreeMap::new();
        for kind in Kind::ALL {
            built_in.insert(
                kind,
                Arc::new(Binding::new(BUILT_IN, builtin::load(engine, kind)?)),
            );
        }
        Ok(Self {
            built_in,
            active: ArcSwap::default(),
        })
    }

    /// Puts these bindings in place of the present ones. Decisions that run are not disturbed.
    pub fn swap(&self, kind: Kind, bindings: Vec<Binding>) {
        let bindings: Vec<Arc<Binding>> = bindings.into_iter().map(Arc::new).collect();
        self.active.rcu(|active| {
            let mut active = Bindings::clone(active);
            active.insert(kind, bindings.clone());
            active
        });
    }

    /// The bindings for a kind of question, in the order in which they have their say; a group belongs to the
    /// first that matches it. The built-in policy matches every group and comes last.
    pub fn active(&self, kind: Kind) -> Vec<Arc<Binding>> {
        let active = self.active.load();
        active
            .get(&kind)
            .into_iter()
            .flatten()
            .chain(self.built_in.get(&kind))
            .cloned()
            .collect()
    }

    /// Asks the binding and, where it fails, its fall-backs. `accept` says what is wrong with an answer, if
    /// anything; a refused answer is a failure like any other.
    pub fn decide(
        &self,
        binding: &Binding,
        question: &Question,
        oracle: &dyn Oracle,
        accept: &dyn Fn(&Answer) -> Result<(), String>,
    ) -> Decision {
        let kind = question.kind();
        let mut failures = Vec::new();
        for attempt in self.attempts(binding, kind) {
            let (result, log) =
                attempt
                    .policy
                    .decide_with_log(question, attempt.config, attempt.limits, oracle);
            let result = result.and_then(|report| match accept(&report.answer) {
                Ok(()) => Ok(report),
                Err(text) => Err(CallError::Garbage(text)),
            });
            let (policy, terms) = (attempt.reference(kind), attempt.terms());
            match result {
                Ok(report) => {
                    return Decision {
                        kind,
                        taken: Some(Taken {
                            policy,
                            terms,
                            report,
                        }),
                        failures,
                    };
                }
                Err(error) => failures.push(Failure {
                    policy,
                    terms,
                    error,
                    log,
                }),
            }
        }
        Decision {
            kind,
            taken: None,
            failures,
        }
    }

    /// Whom to ask, in order.
    fn attempts<'a>(&'a self, binding: &'a Binding, kind: Kind) -> Vec<Attempt<'a>> {
        let mut attempts = vec![Attempt {
            name: &binding.name,
            policy: &binding.policy,
            config: &binding.config,
            limits: &binding.limits,
        }];
        let last_good = binding
            .last_good
            .as_ref()
            .filter(|_| binding.fallback == Fallback::LastGood);
        attempts.extend(last_good.map(|good| Attempt {
            name: &binding.name,
            policy: &good.policy,
            config: &good.config,
            limits: &good.limits,
        }));
        let built_in = self
            .built_in
            .get(&kind)
            .filter(|_| binding.fallback != Fallback::Hold);
        attempts.extend(built_in.map(|built_in| Attempt {
            name: &built_in.name,
            policy: &built_in.policy,
            config: &built_in.config,
            limits: &built_in.limits,
        }));
        // The same once more would fail the same way.
        attempts.dedup_by(|second, first| second.is_same_call(first));
        attempts
    }
}

/// One policy to ask.
struct Attempt<'a> {
    name: &'a str,
    policy: &'a Arc<CompiledPolicy>,
    config: &'a str,
    limits: &'a Limits,
}

impl Attempt<'_> {
    fn is_same_call(&self, other: &Self) -> bool {
        self.policy.digest() == other.policy.digest()
            && self.config == other.config
            && self.limits == other.limits
    }

    fn terms(&self) -> Terms {
        Terms {
            config: self.config.to_owned(),
            limits: *self.limits,
        }
    }

    fn reference(&self, kind: Kind) -> PolicyRef {
        let description = self.policy.description(kind);
        PolicyRef {
            name: self.name.to_owned(),
            digest: self.policy.digest().to_owned(),
            version: description
                .map(|description| description.version.clone())
                .unwrap_or_default(),
        }
    }
}
