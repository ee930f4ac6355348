//! Carries out Rebalance objects: one short pass per reconcile, any replica can go on from any line.
//!
//! ```text
//!   Pending ─▶ Running ─▶ Completed          every step: its state is written, then it is done
//!                 │
//!                 └─▶ RollingBack ─▶ RolledBack     (or Failed, where nothing is to be undone)
//! ```
//!
//! [`preflight`] says whether it may begin, [`gate`] whether it may go on to another node, [`before`] remembers the cluster, [`marks`] say on every object that it is
//! involved. [`world`] reads what a step needs, [`judge`] decides purely, [`effects`] acts, [`rollback`] undoes. The
//! steps of one node are a lane, and lanes go in batches ([`lanes`]). The only pod of a Deployment may have its
//! [`successor`] first. [`abandoned`] marks are found and removed, and of
//! operations that are over a [`history`] is kept.

mod abandoned;
mod advance;
mod before;
mod capacity;
mod effects;
mod gate;
mod history;
mod judge;
mod lanes;
mod marks;
mod plan;
mod preflight;
mod record;
mod rollback;
mod successor;
#[cfg(test)]
mod tests;
mod trigger;
mod world;

use crate::context::{Context, Now};
use crate::error::Error;
use crate::runtime::chain;
use crate::runtime::events::{EventType, Events};
use crate::runtime::metrics::{Metrics, RebalanceResult, RebalanceStage, RebalancesUnderWay};
use crate::runtime::queue::{Next, Queue};
use crate::settings::Settings;
use autoscaler_api::autoscaler_config::RebalancerSettings;
use autoscaler_api::labels;
use autoscaler_api::rebalance::{Rebalance, RebalancePhase, RebalanceStatus, StepState};
use autoscaler_cluster::{Index, ObjectKey};
pub(crate) use effects::{Eviction, evict_pod};
use judge::Trigger;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
pub use plan::{Arrival, Removal, Unit, given_up, plan, removal_plan};
use preflight::Start;
use record::Record;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Time between two looks at something that is under way and tells nobody when it is done.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What the executor may touch.
struct Tools {
    /// Never retries by itself, so that a refused eviction answers at once.
    effects: kube::Client,
    index: Arc<Index>,
    metrics: Arc<Metrics>,
    events: Events,
    now: Now,
    /// Held from the question whether another node may be touched until the record says that it is: operations ask one
    /// after the other.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Tools {
    /// The executor's part of the context.
    fn of(context: &Context) -> Self {
        Self {
            effects: context.effects.clone(),
            index: context.index.clone(),
            metrics: context.metrics.clone(),
            events: context.events.clone(),
            now: context.now.clone(),
            turn: Arc::default(),
        }
    }
}

/// The controller of Rebalance objects.
pub struct Rebalances {
    /// Operations to look at.
    pub queue: Arc<Queue<ObjectKey>>,
    tools: Tools,
}

impl Rebalances {
    /// Nothing is done before the queue is worked off.
    pub fn new(context: &Context) -> Self {
        Self {
            queue: Arc::new(Queue::new()),
            tools: Tools::of(context),
        }
    }

    /// One pass over one operation.
    pub async fn reconcile(&self, key: ObjectKey) -> Result<Next, Error> {
        reconcile(&self.tools, &key).await
    }

    /// Looks from time to time for operations that objects of the cluster speak of, and for those that run: whatever
    /// wake was lost, none of them is forgotten. Those that were over long ago are deleted. Runs until `shutdown`.
    pub async fn watch_over(&self, every: Duration, shutdown: CancellationToken) {
        loop {
            for key in abandoned::spoken_of(&self.tools) {
                self.queue.add(key);
            }
            if let Err(error) = history::prune(&self.tools).await {
                tracing::warn!(
                    "old Rebalances were not deleted, the next look tries again: {}",
                    chain(&error)
                );
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
        }
    }
}

/// What an operation goes by.
struct Rules {
    rebalancer: RebalancerSettings,
    /// Time for a new node to be Ready.
    provision_timeout: Duration,
}

impl Rules {
    /// The settings in force.
    fn of(tools: &Tools) -> Result<Self, Error> {
        let config = tools.index.config();
        let rebalancer = config
            .as_ref()
            .and_then(|config| config.spec.rebalancer.clone())
            .unwrap_or_default();
        let rebalancer = rebalancer.settings().map_err(|error| Error::Invalid {
            object: "AutoscalerConfig default".to_owned(),
            field: "spec.rebalancer",
            problem: error.to_string(),
        })?;
        Ok(Self {
            rebalancer,
            // The VPSieNode's own controller gives up after its time; ours is for one that it never came to.
            provision_timeout: Settings::of(config.as_deref()).node_ready_timeout + LOOK_AGAIN * 15,
        })
    }

    /// `maxConcurrent`, at least 1.
    fn at_once(&self) -> usize {
        usize::try_from(self.rebalancer.max_concurrent)
            .unwrap_or(1)
            .max(1)
    }

    /// How long a pod may wait for a place.
    fn grace(&self) -> Duration {
        self.rebalancer.health_check_interval * 3
    }
}

/// One pass over one operation.
async fn reconcile(tools: &Tools, key: &ObjectKey) -> Result<Next, Error> {
    let Some(mut record) = Record::load(tools, key).await? else {
        show(tools, key, None);
        abandoned::clear(tools, key).await?;
        return Ok(Next::Done);
    };
    show(tools, key, Some(&record));
    let next = pass(tools, &mut record).await;
    show(tools, key, Some(&record));
    // Where nothing was to be undone, the marks tell an operator what there is to do.
    if matches!(
        record.status.phase,
        RebalancePhase::Completed | RebalancePhase::RolledBack
    ) {
        abandoned::clear(tools, key).await?;
    }
    next
}

/// Sets the metrics of operations under way: the index knows the others, the record itself is fresher.
fn show(tools: &Tools, key: &ObjectKey, record: Option<&Record<'_>>) {
    let now = (tools.now)();
    let rebalances = tools.index.rebalances();
    let others = rebalances.iter().filter(|other| ObjectKey::of(&***other) != *key);
    let statuses = others.filter_map(|other| other.status.as_ref());
    let statuses: Vec<_> = statuses.chain(record.map(|record| &record.status)).collect();
    let age = |phase, since: fn(&RebalanceStatus) -> Option<&Time>| {
        let ages = statuses.iter().filter(|status| status.phase == phase);
        let ages = ages.filter_map(|status| since(status).map(|since| now.duration_since(since.0).as_secs()));
        ages.max().unwrap_or(0).max(0)
    };
    let is_blocked = |status: &&&RebalanceStatus| {
        let mut steps = status.steps.iter();
        steps.any(|step| {
            matches!(step.state, StepState::Running | StepState::Undoing)
                && step
                    .message
                    .as_deref()
                    .is_some_and(|text| text.starts_with(effects::BLOCKED))
        })
    };
    let under_way = statuses.iter().filter(|status| is_under_way(status.phase));
    tools.metrics.rebalances(&RebalancesUnderWay {
        count: under_way.clone().count(),
        blocked: under_way.filter(is_blocked).count(),
        oldest_running: age(RebalancePhase::Running, |status| {
            status.started_at.as_ref().filter(|_| !is_held(status))
        }),
        oldest_rollback: age(RebalancePhase::RollingBack, |status| {
            status.rollback_started_at.as_ref()
        }),
    });
}

fn is_under_way(phase: RebalancePhase) -> bool {
    matches!(phase, RebalancePhase::Running | RebalancePhase::RollingBack)
}

/// Whether an operation does nothing because an operator's settings keep it from its next node.
fn is_held(status: &RebalanceStatus) -> bool {
    let at_gate = status
        .message
        .as_deref()
        .is_some_and(|text| text.starts_with(gate::HELD));
    at_gate && !status.steps.iter().any(|step| step.state == StepState::Running)
}

/// Whether an operation has begun, its marks included, and is not over.
fn is_active(rebalance: &Rebalance) -> bool {
    rebalance.status.as_ref().is_some_and(|status| {
        is_under_way(status.phase) || (!status.phase.is_final() && status.started_at.is_some())
    })
}

async fn pass(tools: &Tools, record: &mut Record<'_>) -> Result<Next, Error> {
    if record.status.phase.is_final() {
        if record.status.phase == RebalancePhase::RolledBack {
            rollback::confirm(tools, record).await?;
        }
        record.drop_finalizer().await?;
        return Ok(Next::Done);
    }
    let rules = Rules::of(tools);
    if record.status.phase == RebalancePhase::RollingBack {
        // Settings that cannot be read must not keep a node cordoned.
        let grace = rules.map_or(Duration::from_secs(30), |rules| rules.grace());
        return rollback::carry_on(tools, record, grace).await;
    }
    let rules = rules?;
    let prepared = record.status.started_at.is_some();
    if let Some(trigger) = requested_end(record.object()) {
        if record.status.phase == RebalancePhase::Pending && !prepared {
            return skip(tools, record, &trigger.to_string()).await;
        }
        return advance::stop(tools, record, &rules, trigger).await;
    }
    if record.status.phase == RebalancePhase::Pending {
        if !prepared {
            match preflight::look(tools, record, &rules).await? {
                Start::Now => {}
                Start::Never(reason) => return skip(tools, record, &reason).await,
                Start::Later(text, after) => {
                    record.status.message = Some(text);
                    record.save().await?;
                    return Ok(Next::After(after));
                }
            }
        }
        start(tools, record).await?;
    }
    if let Some(text) = world::degraded(tools, record, &rules.rebalancer) {
        return advance::stop(tools, record, &rules, Trigger::ClusterDegraded(text)).await;
    }
    if let Some(name) = world::deleted_replacement(tools, record).await? {
        return advance::stop(tools, record, &rules, Trigger::ReplacementDeleted(name)).await;
    }
    advance::advance(tools, record, &rules).await
}

/// Whether an operator wants the operation to end.
fn requested_end(rebalance: &Rebalance) -> Option<Trigger> {
    if rebalance.metadata.deletion_timestamp.is_some() {
        return Some(Trigger::Deleted);
    }
    let annotations = rebalance.metadata.annotations.as_ref()?;
    let mut asked = [labels::ROLLBACK, labels::ROLLBACK_SHORT].iter();
    asked
        .any(|key| annotations.get(*key).is_some_and(|value| value == "requested"))
        .then_some(Trigger::Requested)
}

/// The record first, then the marks, then the first step: whoever dies in between leaves a record that tells.
async fn start(tools: &Tools, record: &mut Record<'_>) -> Result<(), Error> {
    if record.status.started_at.is_none() {
        record.add_finalizer().await?;
        let before = before::take(tools, &record.object().spec.plan).await?;
        record.prepare(before);
        record.save().await?;
    }
    marks::mark_all(tools, record).await?;
    record.begin();
    record.save().await?;
    let plan = &record.object().spec.plan;
    let nodes = plan.nodes.join(", ");
    tracing::info!(
        operation = record.id(),
        kind = plan.kind.as_str(),
        nodes,
        "rebalance: workload migration starts"
    );
    let note = format!("{} of {nodes} starts", plan.kind.as_str());
    tools.events.publish(
        &record.reference(),
        EventType::Normal,
        "RebalanceStarted",
        "Rebalance",
        note,
    );
    Ok(())
}

/// Ends an operation that never began.
async fn skip(tools: &Tools, record: &mut Record<'_>, reason: &str) -> Result<Next, Error> {
    record.end(RebalancePhase::Failed, format!("not begun: {reason}"));
    record.save().await?;
    record.drop_finalizer().await?;
    tools
        .metrics
        .rebalanced(RebalanceStage::Execute, RebalanceResult::Skipped);
    tracing::warn!(operation = record.id(), "rebalance not begun: {reason}");
    tools.events.publish(
        &record.reference(),
        EventType::Warning,
        "RebalanceSkipped",
        "Rebalance",
        reason,
    );
    Ok(Next::Done)
}
