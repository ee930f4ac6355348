//! Asking a policy, and telling of its answer: one record, rendered as log lines, metrics and the observer's story.

use super::deciders::Deciders;
use super::growth::reason_text;
use crate::context::Context;
use crate::observe::{ActionText, DecidedBy, DecisionRecord, Failed};
use crate::runtime::events::EventType;
use autoscaler_core::decision::{Answer, Checked, Kind, Note, Oracle, Plan, Question};
use autoscaler_core::model::GroupId;
use autoscaler_policy::record::{Call, Round};
use autoscaler_policy::{Binding, Decision, PolicyRef};
use k8s_openapi::api::core::v1::ObjectReference;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An answer that was accepted.
pub(super) struct Asked {
    pub(super) answer: Answer,
    pub(super) failed: Vec<Failed>,
    at: jiff::Timestamp,
    kind: Kind,
    policy: DecidedBy,
    duration_us: u64,
    fuel: u64,
}

/// Asks the policy; where it fails, its fall-backs in the same call. What was asked becomes part of the round.
///
/// # Errors
/// Those that failed, where nobody else may answer.
pub(super) fn ask(
    ctx: &Context,
    deciders: &Deciders,
    binding: &Arc<Binding>,
    question: &Question,
    oracle: &dyn Oracle,
    accept: &dyn Fn(&Answer) -> Result<(), String>,
    round: &mut Round,
) -> Result<Asked, Vec<Failed>> {
    let kind = question.kind();
    let decision = ctx.policies.decide(binding, question, oracle, accept);
    if deciders.aloud() {
        tell(ctx, &decision);
        if ctx.records.is_on() {
            round.calls.push(Call::from(&decision));
        }
    }
    let failed = decision
        .failures
        .iter()
        .map(|failure| Failed {
            policy: decided_by(&failure.policy),
            reason: failure.error.reason(),
            message: failure.error.to_string(),
        })
        .collect();
    let Some(taken) = decision.taken else {
        return Err(failed);
    };
    Ok(Asked {
        answer: taken.report.answer,
        failed,
        at: (ctx.now)(),
        kind,
        policy: decided_by(&taken.policy),
        duration_us: u64::try_from(taken.report.duration.as_micros()).unwrap_or(u64::MAX),
        fuel: taken.report.fuel_used,
    })
}

/// Logs and counts how it went.
fn tell(ctx: &Context, decision: &Decision) {
    let kind = decision.kind;
    for failure in &decision.failures {
        let name = &failure.policy.name;
        let reason = failure.error.reason();
        tracing::warn!(
            kind = kind.as_str(),
            policy = name,
            reason,
            "policy failed: {}",
            failure.error
        );
        ctx.metrics.policy_fell_back(kind.as_str(), name, reason);
        let note = format!(
            "{kind} policy {name} ({}) failed: {}; another policy decides",
            failure.policy.digest, failure.error
        );
        ctx.events.publish(
            &policy_reference(ctx, name),
            EventType::Warning,
            "PolicyFailed",
            "Decide",
            note,
        );
    }
    match &decision.taken {
        None => ctx.metrics.decided(kind.as_str(), "held"),
        Some(taken) => ctx.metrics.policy_answered(
            kind.as_str(),
            &taken.policy.name,
            taken.report.duration,
            taken.report.fuel_used,
        ),
    }
}

impl Asked {
    pub(super) fn record(
        self,
        actions: Vec<ActionText>,
        rejections: Vec<Note>,
        notes: Vec<Note>,
    ) -> DecisionRecord {
        DecisionRecord {
            at: self.at,
            kind: self.kind,
            policy: self.policy,
            actions,
            rejections,
            notes,
            failed: self.failed,
            duration_us: self.duration_us,
            fuel: self.fuel,
        }
    }
}

fn decided_by(policy: &PolicyRef) -> DecidedBy {
    DecidedBy {
        name: policy.name.clone(),
        digest: policy.digest.clone(),
        version: policy.version.clone(),
    }
}

/// The record of a partition's part in a decision, before anybody was asked.
pub(super) fn round(groups: &BTreeSet<GroupId>) -> Round {
    Round {
        groups: groups.iter().copied().collect(),
        ..Round::default()
    }
}

/// Puts into the record what the checker let pass.
pub(super) fn passed(round: &mut Round, plan: &Plan<Checked>) {
    round.plan = plan.actions().to_vec();
    round.notes = plan.notes().to_vec();
}

/// What was last said of what is not done, by kind of decision: a pod that waits for a person would fill the log.
#[derive(Default)]
pub(super) struct Told(BTreeMap<Kind, Vec<Note>>);

/// Logs, counts and passes on a decision.
pub(super) fn report(ctx: &Context, told: &mut Told, record: &DecisionRecord) {
    let kind = record.kind.as_str();
    let (policy, digest) = (record.policy.name.as_str(), record.policy.digest.as_str());
    for action in &record.actions {
        tracing::info!(kind, policy, digest, reason = %action.reason.code, "{}: {}", action.action, action.reason.text);
    }
    let before = told
        .0
        .insert(record.kind, record.rejections.clone())
        .unwrap_or_default();
    for rejection in record
        .rejections
        .iter()
        .filter(|rejection| !before.contains(rejection))
    {
        tracing::info!(kind, policy, subject = %rejection.subject, "not done: {}", reason_text(&rejection.reason));
    }
    for note in &record.notes {
        tracing::warn!(kind, policy, subject = %note.subject, "checker: {}", reason_text(&note.reason));
        ctx.metrics.checker_note(&note.reason.code);
    }
    ctx.metrics.decided(
        kind,
        if record.actions.is_empty() {
            "nothing"
        } else {
            "executed"
        },
    );
    ctx.observer.decided(record);
}

/// The ScalingPolicy that events are about; the built-in ones have none and speak for the configuration.
fn policy_reference(ctx: &Context, name: &str) -> ObjectReference {
    let uid = ctx
        .index
        .policy(name)
        .and_then(|policy| policy.metadata.uid.clone());
    ObjectReference {
        api_version: Some(autoscaler_api::API_VERSION.to_owned()),
        kind: Some("ScalingPolicy".to_owned()),
        name: Some(name.to_owned()),
        uid,
        ..ObjectReference::default()
    }
}
