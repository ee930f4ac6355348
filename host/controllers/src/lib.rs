//! The controllers: what watches the cluster, asks the policies, checks their answers and acts.
//!
//! ```text
//!   Feed ─▶ Index ─▶ scaling ─▶ VPSieNode objects ─▶ vpsienode ─▶ VPSie
//!                       └─────▶ Rebalance objects ─▶ rebalance ─▶ evictions, VPSieNode deletions
//! ```
//!
//! *Architecture invariant:* an intent is an object in Kubernetes before its side effect begins. Controllers
//! hand work to each other through objects only, so that any replica can take over at any line.

mod autoscaler;
mod awaken;
pub mod catalogue;
pub mod config;
pub mod context;
pub mod crash;
mod credentials;
mod error;
pub mod explain;
pub mod futile;
pub mod health;
pub mod http;
pub mod nodegroup;
pub mod observe;
pub mod orphans;
pub mod policies;
pub mod rebalance;
pub mod runtime;
pub mod scaling;
pub mod settings;
#[cfg(test)]
mod testing;
mod user_data;
pub mod vpsienode;

pub use autoscaler::{Autoscaler, Ended, Options};
pub use context::{Context, Ids, Now};
pub use credentials::of_secret;
pub use error::Error;
