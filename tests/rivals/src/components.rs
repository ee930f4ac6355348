//! The built-in policies as production runs them.

use crate::Policies;
use anyhow::{Context as _, Result, bail};
use autoscaler_core::decision::{Answer, Question};
use autoscaler_core::packing::{Placement, WhatIf};
use autoscaler_policy::{Engine, PolicySet};

/// The embedded components with their default limits.
pub struct Components(PolicySet);

impl Components {
    /// # Errors
    /// Where this machine runs no WebAssembly.
    pub fn new() -> Result<Self> {
        let engine = Engine::new().context("starting the WebAssembly engine")?;
        let policies = PolicySet::built_in(&engine).context("loading the built-in policies")?;
        Ok(Self(policies))
    }
}

impl Policies for Components {
    fn answer(
        &self,
        placement: &Placement,
        question: &Question,
        accept: &dyn Fn(&Answer) -> Result<(), String>,
    ) -> Result<Answer> {
        let kind = question.kind();
        let binding = self.0.active(kind).pop().context("no policy is active")?;
        let oracle = WhatIf::new(placement, question);
        let decision = self.0.decide(&binding, question, &oracle, accept);
        if let Some(failure) = decision.failures.first() {
            bail!("the {kind} policy failed: {}", failure.error);
        }
        let taken = decision
            .taken
            .with_context(|| format!("the {kind} policy gave no answer"))?;
        Ok(taken.report.answer)
    }
}
