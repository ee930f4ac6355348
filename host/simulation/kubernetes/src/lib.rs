//! A Kubernetes API server in memory, and the controllers of the world around it.
//!
//! The controllers of this project run against it unchanged: it answers, status codes and wording included, as the
//! real kube-apiserver does for everything that they use. One conformance suite runs against both. It keeps time only
//! through the function that it is given and tokio's timers, so that it runs on a paused clock, and it draws uids and
//! name suffixes from a seed: the same requests give the same bytes.
//!
//! [`ApiServer::client`] is the way in. [`Controllers`] adds what a bare API server lacks: replica sets that make pods,
//! a kubelet that runs them, disruption budgets that count, garbage that is collected. There is no scheduler here.

mod admission;
mod call;
mod collect;
mod controllers;
mod create;
mod custom;
mod defaults;
mod delete;
mod discovery;
mod dispatch;
mod error;
mod eviction;
mod faults;
mod fields;
mod identity;
mod managers;
mod metadata;
mod owners;
mod patch;
mod pulse;
mod reads;
mod resources;
mod schema;
mod selector;
mod server;
mod shape;
mod state;
mod store;
mod structure;
mod subresources;
mod update;
mod validation;
mod view;
mod watch;

pub use call::Verb;
pub use controllers::{Controllers, Delays};
pub use faults::{Effect, Fault};
pub use server::{ApiServer, ApiService, Now};
