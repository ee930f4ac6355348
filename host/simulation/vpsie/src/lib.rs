//! A fake VPSie: speaks the cloud's HTTP API with its delays and its lies, over a socket or in process.
//!
//! [`config`] says what exists and how the server behaves, `cloud` is the state machine behind it,
//! `api` the routes, [`fault`] what goes wrong on purpose, `control` the routes under `/_fake` for people
//! who try things by hand. Delays run on tokio's clock and names come from a seeded generator, so that under
//! a paused clock two runs are the same.

mod api;
mod cloud;
pub mod config;
mod control;
pub mod fault;
pub mod journal;
mod plain;
mod reply;
pub mod server;
mod token;
pub mod vm;

use std::sync::Arc;

pub use config::Config;
pub use fault::{Effect, Fault};
pub use journal::JournalEntry;
pub use server::{Dropped, FakeVpsie};
pub use vm::{Inventory, PlainVm, VmEvent, VmInfo, VmSize, VmState};

/// The current time as the server sees it.
pub type Now = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;
