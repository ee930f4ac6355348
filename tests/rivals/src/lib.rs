//! Whole decisions on the shared workloads, as in production: snapshot in hand → checked plan.
//!
//! Who is asked can be chosen: the built-in policies as the WebAssembly components that production runs, or the
//! same policies compiled natively, which shows what the sandbox costs. The plan is judged afterwards by a
//! validator that knows nothing of the packing.

mod components;
mod decide;
mod native;

pub use components::Components;
pub use decide::{Decided, Judged, Round, decide, growth, rebalance};
pub use native::Native;

use anyhow::Result;
use autoscaler_core::decision::{Answer, Question};
use autoscaler_core::packing::Placement;

/// Whoever answers the three questions.
pub trait Policies {
    /// # Errors
    /// Where there is no answer: no fall-back is asked, because then something else would be measured.
    fn answer(
        &self,
        placement: &Placement,
        question: &Question,
        accept: &dyn Fn(&Answer) -> Result<(), String>,
    ) -> Result<Answer>;
}
