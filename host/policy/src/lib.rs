//! The policy host: loads WebAssembly components, asks them under limits, and never loses a decision.
//!
//! A component is compiled once per digest ([`Engine::compile`]) and asked in a fresh instance each time
//! ([`CompiledPolicy::decide`]): nothing survives from one decision to the next, and the same question gets
//! the same answer at the same fuel. Fuel is the contract; the deadline is the back-stop for a guest that the
//! fuel does not stop soon enough. [`PolicySet`] holds what is active, can be swapped at any time, and falls
//! back to the last good or the built-in policy within the same call.
//!
//! *Architecture invariant:* a component gets `log` and `what-if` and nothing else: no clock, no network, no
//! files, no randomness. Calls are synchronous and may take as long as the deadline: callers choose the thread.

mod binding;
mod bindings;
mod builtin;
mod call;
mod compile;
pub mod course;
mod engine;
mod error;
mod exchange;
mod lift;
mod limits;
mod lower;
pub mod record;
mod schema;
mod set;
mod shape;
mod state;
mod tally;

pub use binding::{BUILT_IN, Binding, Fallback, GroupFilter, LastGood};
pub use call::CallReport;
pub use compile::{CompiledPolicy, Description, Diagnostic};
pub use engine::Engine;
pub use error::{CallError, LoadError};
pub use limits::Limits;
pub use set::{Decision, Failure, PolicyRef, PolicySet, Taken, Terms};
pub use state::{LogLevel, LogLine};
pub use tally::{Comparison, Outcome, Spread, Tally, Trip, TripAfter, Usage};
