//! The scaling loop: observe, decide, check, execute, report.
//!
//! Driven by events: waiting pods are gathered over a short window and decided together. No poll decides the
//! reaction time. One decision is under way at a time, and the next one sees what the last one ordered.

mod ask;
mod deciders;
mod execute;
mod growth;
mod inputs;
mod notices;
mod partition;
mod shadow;
mod shrink;

use crate::context::Context;
use crate::error::Error;
use crate::settings::{Pace, Settings};
use autoscaler_cluster::ObjectKey;
use autoscaler_core::model::{PodId, Snapshot};
use autoscaler_policy::record::{Outcome as Done, Record, Round, Subject};
pub(crate) use inputs::inputs;
use notices::Notices;
pub(crate) use partition::{shadows, speaker};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Nothing changed, but time did (a back-off ended, a window closed): look again after this long.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// The index shows our own writes within milliseconds; longer means that the watch is broken, and it is
/// better to decide on an old view than never.
const ECHO: Duration = Duration::from_secs(5);

/// The scaling loop.
pub struct Scaling {
    ctx: Arc<Context>,
    pace: Pace,
    notices: Notices,
    told: ask::Told,
    /// What the last growth decision was a function of: an equal snapshot gives an equal decision.
    last: Option<(Instant, Arc<Snapshot>)>,
}

impl Scaling {
    pub fn new(ctx: Arc<Context>, pace: Pace) -> Self {
        Self {
            ctx,
            pace,
            notices: Notices::default(),
            told: ask::Told::default(),
            last: None,
        }
    }

    /// Runs until the token ends it.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut changes = self.ctx.index.changes();
        changes.mark_changed();
        let mut next_rebalance = Instant::now() + self.pace.rebalance_every;
        loop {
            let look_again = self
                .last
                .as_ref()
                .map_or(next_rebalance, |(at, _)| *at + LOOK_AGAIN);
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(next_rebalance.min(look_again)) => {}
            }
            self.gather(&mut changes).await;
            if let Err(error) = self.grow().await {
                tracing::warn!(
                    reason = error.reason(),
                    "scale-up failed: {}",
                    crate::runtime::chain(&error)
                );
            }
            if Instant::now() >= next_rebalance {
                next_rebalance = Instant::now() + self.pace.rebalance_every;
                if let Err(error) = self.shrink().await {
                    tracing::warn!(
                        reason = error.reason(),
                        "rebalance failed: {}",
                        crate::runtime::chain(&error)
                    );
                }
            }
        }
    }

    /// Waits until the cluster was quiet for a moment, or the window is full.
    async fn gather(&self, changes: &mut tokio::sync::watch::Receiver<u64>) {
        let end = Instant::now() + self.pace.batch_max;
        loop {
            let quiet = (Instant::now() + self.pace.batch_idle).min(end);
            match tokio::time::timeout_at(quiet, changes.changed()).await {
                Ok(Ok(())) if Instant::now() < end => {}
                _ => return,
            }
        }
    }

    /// Keeps the record of a decision in which somebody was asked.
    fn keep(
        &self,
        subject: Subject,
        snapshot: &Arc<Snapshot>,
        set_aside: Vec<PodId>,
        rounds: Vec<Round>,
        created: &[ObjectKey],
        error: Option<&Error>,
    ) {
        if !self.ctx.records.is_on() || rounds.is_empty() {
            return;
        }
        let record = Record {
            host: env!("CARGO_PKG_VERSION").to_owned(),
            subject,
            snapshot: snapshot.clone(),
            set_aside,
            rounds,
            outcome: Done {
                created: created.iter().map(ToString::to_string).collect(),
                error: error.map(|error| crate::runtime::chain(error)),
            },
        };
        self.ctx.metrics.decision_recorded(self.ctx.records.keep(record));
    }

    fn settings(&self) -> Settings {
        Settings::of(self.ctx.index.config().as_deref())
    }

    /// Waits until the index shows what was just created.
    async fn echo(&self, created: &[ObjectKey]) {
        let mut changes = self.ctx.index.changes();
        let seen = async {
            while !created.iter().all(|key| self.ctx.index.vpsie_node(key).is_some()) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(ECHO, seen).await.is_err() {
            tracing::warn!("the watch does not show {} new VPSieNodes yet", created.len());
        }
    }

    /// Policies compute: on a runtime with several threads the others go on meanwhile.
    fn compute<T>(work: impl FnOnce() -> T) -> T {
        match tokio::runtime::Handle::current().runtime_flavor() {
            tokio::runtime::RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
            _ => work(),
        }
    }
}

/// How an error of the loop is made.
type Outcome = Result<(), Error>;
