//! The whole system in memory and on virtual time: Kubernetes, VPSie, and the real controllers between them.
//!
//! ```text
//!   Scenario ─▶ World ─┬─ in-memory Kubernetes, its controllers, Scheduler
//!                      ├─ fake VPSie ─▶ Joiner ─▶ Nodes
//!                      └─ Autoscaler (the same one that runs in a user's cluster)
//! ```
//!
//! Everything runs in one thread on tokio's paused clock, which jumps to the next timer as soon as nobody has
//! anything left to do: hours pass in seconds, and equal seeds give equal bytes. [`Scheduler`] and [`Joiner`]
//! talk to Kubernetes through a client only; the end-to-end tests use the joiner with a real API server.

pub mod chaos;
pub mod chronicle;
pub mod clock;
pub mod demo;
mod error;
pub mod joiner;
pub mod narrator;
mod play;
mod process;
pub mod scenario;
pub mod scheduler;
pub mod simulate;
pub mod summary;
pub mod transport;
pub mod view;
pub mod world;

pub use error::Error;
pub use joiner::Joiner;
pub use play::in_world;
pub use process::engine;
pub use scenario::Scenario;
pub use scheduler::Scheduler;
pub use summary::Summary;
pub use transport::InProcess;
pub use world::World;
