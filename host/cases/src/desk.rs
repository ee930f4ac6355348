//! The policies on the desk: components of one's own, and the built-in ones for whatever they do not answer. They run
//! in the engine of production, under the limits of production.

use crate::pipeline::Ask;
use anyhow::{Context, Result, bail};
use autoscaler_core::decision::{Answer, Kind, Question, check_answer};
use autoscaler_core::packing::{Placement, WhatIf};
use autoscaler_policy::record::Choice;
use autoscaler_policy::{BUILT_IN, CallReport, CompiledPolicy, Engine, Limits, PolicySet};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Who answers which kind of question.
pub struct Desk {
    engine: Engine,
    policies: BTreeMap<Kind, (String, Arc<CompiledPolicy>)>,
    own: BTreeSet<Kind>,
    limits: Limits,
}

/// One answer, with what it took.
#[derive(Clone, Debug)]
pub struct Asked {
    pub kind: Kind,
    pub report: CallReport,
}

/// Asks a desk and keeps the reports.
pub struct Asking<'a> {
    desk: &'a Desk,
    /// Whether each question is put twice, to see that the answer and its fuel are the same.
    twice: bool,
    reports: RefCell<Vec<Asked>>,
}

impl Desk {
    /// A desk with the built-in policies on it.
    ///
    /// # Errors
    /// Where this machine cannot run them.
    pub fn new() -> Result<Self> {
        let engine = Engine::new().context("starting the policy engine")?;
        let set = PolicySet::built_in(&engine).context("loading the built-in policies")?;
        let mut policies = BTreeMap::new();
        for kind in Kind::ALL {
            let built_in = set.active(kind).pop().context("no built-in policy")?;
            policies.insert(kind, (BUILT_IN.to_owned(), built_in.policy.clone()));
        }
        Ok(Self {
            engine,
            policies,
            own: BTreeSet::new(),
            limits: Limits::default(),
        })
    }

    /// Other limits than the defaults of a ScalingPolicy.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Puts a component on the desk: it answers every kind of question that it exports.
    ///
    /// # Errors
    /// Where it is none that the controller would load.
    pub fn put(&mut self, name: &str, component: &[u8]) -> Result<Arc<CompiledPolicy>> {
        let policy = self.engine.compile(component)?;
        for kind in policy.kinds() {
            self.policies.insert(kind, (name.to_owned(), policy.clone()));
            self.own.insert(kind);
        }
        Ok(policy)
    }

    /// The kinds that components of one's own answer; all where there are none.
    pub fn kinds(&self) -> BTreeSet<Kind> {
        if self.own.is_empty() {
            Kind::ALL.into()
        } else {
            self.own.clone()
        }
    }

    /// Whether a component of one's own answers this kind of question.
    pub fn answers(&self, kind: Kind) -> bool {
        self.own.contains(&kind)
    }

    /// Who answers a kind of question, configured like this.
    pub fn choice(&self, kind: Kind, config: &str) -> Option<Choice> {
        let (name, policy) = self.policies.get(&kind)?;
        Some(Choice {
            name: name.clone(),
            policy: policy.clone(),
            config: config.to_owned(),
            limits: self.limits,
        })
    }

    /// Asks, once.
    ///
    /// # Errors
    /// Where the policy fails, or its answer makes no sense.
    pub fn ask(&self, question: &Question, placement: &Placement, config: &str) -> Result<Asked> {
        let kind = question.kind();
        let (name, policy) = self.policies.get(&kind).context("no policy for this question")?;
        let oracle = WhatIf::new(placement, question);
        let report = policy
            .decide(question, config, &self.limits, &oracle)
            .with_context(|| format!("asking {name} about {kind}"))?;
        check_answer(question, &report.answer)
            .with_context(|| format!("{name}, asked about {kind}, answers"))?;
        Ok(Asked { kind, report })
    }
}

impl<'a> Asking<'a> {
    pub fn new(desk: &'a Desk) -> Self {
        Self {
            desk,
            twice: false,
            reports: RefCell::default(),
        }
    }

    /// Puts each question twice.
    pub fn twice(desk: &'a Desk) -> Self {
        Self {
            twice: true,
            ..Self::new(desk)
        }
    }

    /// Judges with this asking.
    ///
    /// # Errors
    /// Those of the judgement.
    pub fn with<R>(&self, judge: impl FnOnce(Ask<'_>) -> Result<R>) -> Result<R> {
        judge(&|question, placement, config| self.ask(question, placement, config))
    }

    /// What was asked so far.
    pub fn reports(&self) -> Vec<Asked> {
        self.reports.borrow().clone()
    }

    fn ask(&self, question: &Question, placement: &Placement, config: &str) -> Result<Answer> {
        let asked = self.desk.ask(question, placement, config)?;
        if self.twice {
            let again = self.desk.ask(question, placement, config)?;
            let essence = |asked: &Asked| (asked.report.answer.clone(), asked.report.fuel_used);
            if essence(&asked) != essence(&again) {
                bail!(
                    "stable: the same question about {} gets another answer the second time",
                    asked.kind
                );
            }
        }
        let answer = asked.report.answer.clone();
        self.reports.borrow_mut().push(asked);
        Ok(answer)
    }
}
