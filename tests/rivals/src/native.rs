//! The built-in policies compiled into this program: the same code without the border of the sandbox.

use crate::Policies;
use anyhow::{Result, anyhow};
use autoscaler_core::decision::{Answer, Question};
use autoscaler_core::packing::{Placement, WhatIf};

/// No sandbox, no limits.
#[derive(Clone, Copy, Debug)]
pub struct Native;

impl Policies for Native {
    fn answer(
        &self,
        placement: &Placement,
        question: &Question,
        accept: &dyn Fn(&Answer) -> Result<(), String>,
    ) -> Result<Answer> {
        let answer = native_policies::answer(question, "{}", WhatIf::new(placement, question))?;
        accept(&answer).map_err(|refusal| anyhow!("the answer is refused: {refusal}"))?;
        Ok(answer)
    }
}
