//! Who is asked in the scheduling cases: the built-in policies, as components and as native code, which must say the
//! same.

use anyhow::{Result, bail};
use autoscaler_cases::Desk;
use autoscaler_core::decision::{Answer, Question};
use autoscaler_core::packing::{Placement, WhatIf};
use std::sync::OnceLock;

/// The answer of both builds of the built-in policy.
///
/// # Errors
/// Where one of them fails, or they differ.
pub fn ask(question: &Question, placement: &Placement, config: &str) -> Result<Answer> {
    let component = desk()?.ask(question, placement, config)?.report.answer;
    let native = native_policies::answer(question, config, WhatIf::new(placement, question))?;
    if component != native {
        let kind = question.kind();
        bail!(
            "the two builds of the {kind} policy differ:\n  component: {component:?}\n  native:    {native:?}"
        );
    }
    Ok(component)
}

fn desk() -> Result<&'static Desk> {
    static DESK: OnceLock<Result<Desk, String>> = OnceLock::new();
    let made = DESK.get_or_init(|| Desk::new().map_err(|error| format!("{error:#}")));
    made.as_ref()
        .map_err(|text| anyhow::anyhow!("the built-in policies do not load: {text}"))
}
