//! The record of an operation: the Rebalance object, read fresh and written before every side effect.

use super::gate::HELD;
use super::{Tools, lanes};
use crate::error::Error;
use autoscaler_api::ConditionUpdate;
use autoscaler_api::conditions::{self, types};
use autoscaler_api::labels::REBALANCE_FINALIZER;
use autoscaler_api::rebalance::{
    Before, PlannedStep, Rebalance, RebalancePhase, RebalanceStatus, StepAction, StepState, StepStatus,
};
use autoscaler_cluster::ObjectKey;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource};
use serde_json::json;

/// One operation during a pass.
pub(super) struct Record<'a> {
    tools: &'a Tools,
    api: Api<Rebalance>,
    id: String,
    object: Rebalance,
    /// What the next [`Record::save`] writes.
    pub(super) status: RebalanceStatus,
}

impl<'a> Record<'a> {
    /// Reads the object from the API server: what the index has may be older than our last write.
    pub(super) async fn load(tools: &'a Tools, key: &ObjectKey) -> Result<Option<Self>, Error> {
        let api = Api::<Rebalance>::namespaced(tools.effects.clone(), &key.namespace);
        let read = api
            .get_opt(&key.name)
            .await
            .map_err(Error::kubernetes("reading the Rebalance"))?;
        Ok(read.map(|object| {
            let status = object.status.clone().unwrap_or_default();
            Self {
                tools,
                api,
                id: key.to_string(),
                object,
                status,
            }
        }))
    }

    pub(super) fn object(&self) -> &Rebalance {
        &self.object
    }

    /// Namespace and name: what stands in the annotation of nodes that the operation cordoned.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn namespace(&self) -> &str {
        self.object.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub(super) fn reference(&self) -> ObjectReference {
        self.object.object_ref(&())
    }

    pub(super) fn now(&self) -> jiff::Timestamp {
        (self.tools.now)()
    }

    /// The operation is about to put its marks on nodes.
    pub(super) fn prepare(&mut self, before: Before) {
        self.status.before = Some(before);
        self.status.started_at = Some(Time(self.now()));
        self.status.message = Some("marking the nodes".to_owned());
    }

    /// Every mark stands: steps may begin.
    pub(super) fn begin(&mut self) {
        self.status.phase = RebalancePhase::Running;
        self.status.message = Some("running".to_owned());
        self.condition(false, "Running", "the operation runs");
    }

    /// What was done is to be undone from now on.
    pub(super) fn roll_back(&mut self, reason: &'static str, message: &str) {
        self.status.phase = RebalancePhase::RollingBack;
        self.status.rollback_started_at = Some(Time(self.now()));
        self.status.message = Some(format!("rollback: {message}"));
        self.condition(false, reason, message);
    }

    /// Says what keeps the operation from its next node, or that nothing does.
    pub(super) fn hold(&mut self, why: Option<&str>) {
        let held = self
            .status
            .message
            .as_deref()
            .is_some_and(|text| text.starts_with(HELD));
        match why {
            Some(why) => self.status.message = Some(format!("{HELD}{why}")),
            None if held => self.status.message = Some("running".to_owned()),
            None => {}
        }
    }

    /// Adds to the message what is waited for; an empty text takes it away again.
    pub(super) fn note(&mut self, text: &str) {
        const MARK: &str = " (now: ";
        let message = self.status.message.take().unwrap_or_default();
        let cause = message.split(MARK).next().unwrap_or_default();
        self.status.message = Some(if text.is_empty() {
            cause.to_owned()
        } else {
            format!("{cause}{MARK}{text})")
        });
    }

    /// Nodes whose removal was asked for, or may have been. A failed step did not get that far.
    pub(super) fn removed_nodes(&self) -> Vec<String> {
        let begun = |step: &&PlannedStep| {
            let state = self.status.state_of(&step.id);
            step.action == StepAction::Remove && matches!(state, StepState::Running | StepState::Done)
        };
        let steps = self.object.spec.plan.steps.iter().filter(begun);
        steps
            .filter_map(|step| step.node.clone().or_else(|| step.vpsie_node.clone()))
            .collect()
    }

    /// What was last said of a step.
    pub(super) fn said_of(&self, id: &str) -> Option<&str> {
        let step = self.status.steps.iter().find(|step| step.id == id)?;
        step.message.as_deref()
    }

    /// The operation ends.
    pub(super) fn end(&mut self, phase: RebalancePhase, message: String) {
        self.status.phase = phase;
        self.status.finished_at = Some(Time(self.now()));
        self.condition(phase == RebalancePhase::Completed, phase.as_str(), &message);
        self.status.message = Some(message);
    }

    /// Says whether the operation did what its spec asks.
    pub(super) fn condition(&mut self, ready: bool, reason: &str, message: &str) {
        self.say(types::READY, ready, reason, message);
    }

    /// Sets a condition.
    pub(super) fn say(&mut self, type_: &str, holds: bool, reason: &str, message: &str) {
        let update = ConditionUpdate {
            type_,
            status: holds.into(),
            reason,
            message: message.to_owned(),
            observed_generation: self.object.metadata.generation,
        };
        conditions::set(&mut self.status.conditions, update, (self.tools.now)());
    }

    /// Notes where a step stands; its times follow.
    pub(super) fn set_step(&mut self, id: &str, state: StepState, message: Option<String>) {
        let now = self.now();
        let at = match self.status.steps.iter().position(|step| step.id == id) {
            Some(at) => at,
            None => {
                self.status.steps.push(StepStatus {
                    id: id.to_owned(),
                    started_at: Some(Time(now)),
                    ..StepStatus::default()
                });
                self.status.steps.len() - 1
            }
        };
        let step = &mut self.status.steps[at];
        step.state = state;
        if message.is_some() {
            step.message = message;
        }
        let over = lanes::is_over(state) || state == StepState::Failed;
        step.finished_at = if over { Some(Time(now)) } else { None };
    }

    /// When a step began.
    pub(super) fn step_began(&self, id: &str) -> Option<jiff::Timestamp> {
        let step = self.status.steps.iter().find(|step| step.id == id)?;
        step.started_at.as_ref().map(|time| time.0)
    }

    /// Writes the status, if it changed. Fails if anybody else wrote since it was read.
    pub(super) async fn save(&mut self) -> Result<(), Error> {
        self.status.progress = Some(lanes::progress(&self.object.spec.plan, &self.status));
        self.status.observed_generation = self.object.metadata.generation;
        if self.object.status.as_ref() == Some(&self.status) {
            return Ok(());
        }
        let version = &self.object.metadata.resource_version;
        // A status written as a whole: fields that are not sent stay, and `finishedAt` of a step stands in a list.
        let patch = json!({"metadata": {"resourceVersion": version}, "status": self.status});
        let name = self.object.metadata.name.clone().unwrap_or_default();
        self.object = self
            .api
            .patch_status(&name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .map_err(Error::kubernetes("writing the Rebalance's status"))?;
        // Times have whole seconds in the object.
        self.status = self.object.status.clone().unwrap_or_default();
        Ok(())
    }

    pub(super) async fn add_finalizer(&mut self) -> Result<(), Error> {
        let mut finalizers = self.object.metadata.finalizers.clone().unwrap_or_default();
        if finalizers.iter().any(|name| name == REBALANCE_FINALIZER) {
            return Ok(());
        }
        finalizers.push(REBALANCE_FINALIZER.to_owned());
        self.set_finalizers(&finalizers).await
    }

    /// Whether somebody still has to look at the operation.
    pub(super) fn has_finalizer(&self) -> bool {
        let finalizers = self.object.metadata.finalizers.as_ref();
        finalizers.is_some_and(|all| all.iter().any(|name| name == REBALANCE_FINALIZER))
    }

    /// Lets a deleted object go.
    pub(super) async fn drop_finalizer(&mut self) -> Result<(), Error> {
        let mut finalizers = self.object.metadata.finalizers.clone().unwrap_or_default();
        let before = finalizers.len();
        finalizers.retain(|name| name != REBALANCE_FINALIZER);
        if finalizers.len() == before {
            return Ok(());
        }
        self.set_finalizers(&finalizers).await
    }

    async fn set_finalizers(&mut self, finalizers: &[String]) -> Result<(), Error> {
        let version = &self.object.metadata.resource_version;
        let patch = json!({"metadata": {"resourceVersion": version, "finalizers": finalizers}});
        let name = self.object.metadata.name.clone().unwrap_or_default();
        let patched = self
            .api
            .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
            .await;
        self.object = patched.map_err(Error::kubernetes("writing the Rebalance's finalizers"))?;
        Ok(())
    }
}
