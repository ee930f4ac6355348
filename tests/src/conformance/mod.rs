//! One list of conversations with an API server, held with the real one and with the one in memory.
//!
//! Each case talks to the server in a namespace of its own and writes down what it was told, without what differs from
//! run to run (uids, times, revisions). The transcripts of the real server are kept under `cases/conformance`; both
//! servers have to give exactly these.

mod access;
mod apply;
mod collections;
mod custom;
mod deletion;
mod eviction;
mod objects;
mod patches;
mod session;
mod workloads;

use std::future::Future;
use std::pin::Pin;

use anyhow::Result;
use serde_json::Value;

pub use session::Session;

/// The future of one case.
type Running<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// One conversation.
#[derive(Clone, Copy)]
pub struct Case {
    /// The name of the case, of its transcript and of its namespace.
    pub name: &'static str,
    run: for<'a> fn(&'a mut Session) -> Running<'a>,
}

impl Case {
    /// Holds the conversation; returns its transcript.
    pub async fn run(&self, client: &kube::Client) -> Result<Value> {
        let mut session = Session::begin(client.clone(), self.name).await?;
        (self.run)(&mut session).await?;
        Ok(session.transcript())
    }
}

/// Builds the table: each case is an `async fn(&mut Session) -> Result<()>`.
macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        vec![$(Case {
            name: stringify!($name),
            run: |session| Box::pin($module::$name(session)),
        }),*]
    };
}

/// All cases.
pub fn cases() -> Vec<Case> {
    cases![
        objects::create,
        objects::create_refused,
        objects::update,
        objects::update_leases,
        objects::validation,
        objects::nodes,
        patches::merge_patch,
        patches::json_patch,
        patches::strategic_patch,
        apply::apply_lifecycle,
        apply::apply_conflicts,
        apply::apply_lists,
        apply::apply_status,
        collections::selectors,
        collections::pages,
        collections::watch_events,
        collections::watch_streaming,
        collections::delete_collection,
        deletion::delete,
        deletion::finalizers,
        deletion::grace,
        deletion::owners,
        deletion::namespaces,
        eviction::evictions,
        eviction::refused_evictions,
        workloads::bindings,
        workloads::pods,
        workloads::scale,
        workloads::events,
        custom::defaults_and_pruning,
        custom::schema_violations,
        custom::rules,
        custom::status_and_generation,
        custom::custom_scale,
        custom::custom_apply,
        access::metadata_only,
        access::dry_run,
        access::unknown_paths,
    ]
}
