//! What a ScalingPolicy's status says after a look at it. Pure; a look that finds nothing new changes nothing.

use super::source::Refusal;
use super::{Facts, trip};
use autoscaler_api::conditions::{self, types};
use autoscaler_api::labels::ACKNOWLEDGE_TRIP;
use autoscaler_api::scaling_policy::{Pair, PolicyMode, PolicyUsage, ShadowComparison};
use autoscaler_api::{ConditionUpdate, ScalingPolicy, ScalingPolicyStatus};
use autoscaler_policy::Tally;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

/// How a look at a policy ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome<'a> {
    /// It is in use.
    InUse(&'a Facts),
    /// Its mode is Off.
    Off,
    /// It is not, and what is in use in its place.
    Refused(&'a Refusal, Option<&'a Facts>),
}

/// A look at a policy.
pub(super) struct Look<'a> {
    pub(super) object: &'a ScalingPolicy,
    pub(super) outcome: Outcome<'a>,
    /// Of what is in use.
    pub(super) tally: Option<&'a Tally>,
    /// Whether the usage is to be written again.
    pub(super) usage_due: bool,
}

/// The status after a look.
pub(super) fn after(before: &ScalingPolicyStatus, look: &Look<'_>, now: Timestamp) -> ScalingPolicyStatus {
    let mut status = before.clone();
    let (object, outcome) = (look.object, look.outcome);
    let generation = object.metadata.generation;
    status.observed_generation = generation;
    let (used, mut reason, mut message) = match outcome {
        Outcome::InUse(facts) => {
            status.last_error = None;
            let does = match object.spec.mode_or_default() {
                PolicyMode::Shadow => "is compared with what decides",
                PolicyMode::Canary => "decides for its share of the node groups",
                PolicyMode::Active | PolicyMode::Off => "decides",
            };
            (
                Some(facts),
                "Loaded",
                format!("{} {} {does}", facts.name, facts.version),
            )
        }
        Outcome::Off => {
            status.last_error = None;
            (None, "Off", "mode is Off: it is not called".to_owned())
        }
        Outcome::Refused(refusal, used) => {
            status.last_error = Some(refusal.message.clone());
            let instead = match used {
                Some(facts) => format!(
                    "{} {} ({}) still decides",
                    facts.name, facts.version, facts.digest
                ),
                None => "the built-in policy decides".to_owned(),
            };
            (used, refusal.reason, format!("{}; {instead}", refusal.message))
        }
    };
    let other = status.digest.as_deref() != used.map(|facts| facts.digest.as_str());
    match used {
        // Replicas compile at different times and speeds: the first one's times stay.
        Some(_) if !other => {}
        Some(facts) => {
            status.loaded_at = Some(Time(now));
            status.load_milliseconds = i64::try_from(facts.load.as_millis()).ok();
            status.compile_milliseconds = i64::try_from(facts.compile.as_millis()).ok();
        }
        None => {
            status.loaded_at = None;
            status.load_milliseconds = None;
            status.compile_milliseconds = None;
        }
    }
    status.digest = used.map(|facts| facts.digest.clone());
    status.name = used.map(|facts| facts.name.clone());
    status.version = used.map(|facts| facts.version.clone());
    status.interface_version = used.map(|facts| facts.interface_version.clone());
    status.size_bytes = used.and_then(|facts| i64::try_from(facts.size).ok());
    status.signed_by = used.and_then(|facts| facts.signed_by.clone());
    if other {
        status.usage = None;
        status.shadow = None;
    }
    count(&mut status, look);

    let mut ready = !matches!(outcome, Outcome::Refused(..));
    let trip = look.tally.and_then(Tally::trip);
    status.trip = used
        .zip(trip.as_ref())
        .and_then(|(facts, trip)| trip::written(object, &facts.digest, trip));
    if let Some(trip) = status.trip.clone() {
        let text = format!(
            "{} calls within the time of spec.tripAfter failed, the last with {}: {}; it is not asked until the \
             annotation {}={} or another spec or component",
            trip.failures, trip.reason, trip.message, ACKNOWLEDGE_TRIP, trip.at.0
        );
        status.last_error = Some(trip.message);
        set(
            &mut status,
            types::TRIPPED,
            true,
            &trip.reason,
            &text,
            generation,
            now,
        );
        if ready {
            (ready, reason, message) = (false, "Tripped", text);
        }
    } else if conditions::get(&status.conditions, types::TRIPPED).is_some() {
        let text = "acknowledged, or the policy changed";
        set(
            &mut status,
            types::TRIPPED,
            false,
            "NotTripped",
            text,
            generation,
            now,
        );
    }
    for (type_, holds) in [(types::READY, ready), (types::LOADED, used.is_some())] {
        set(&mut status, type_, holds, reason, &message, generation, now);
    }
    status
}

fn set(
    status: &mut ScalingPolicyStatus,
    type_: &'static str,
    holds: bool,
    reason: &str,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) {
    let update = ConditionUpdate {
        type_,
        status: holds.into(),
        reason,
        message: message.to_owned(),
        observed_generation: generation,
    };
    conditions::set(&mut status.conditions, update, now);
}

/// Only the process that decides has counted anything: the others leave what it wrote.
fn count(status: &mut ScalingPolicyStatus, look: &Look<'_>) {
    let Some(tally) = look.tally.filter(|_| look.usage_due) else {
        return;
    };
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let usage = tally.usage();
    if usage.calls > 0 {
        status.usage = Some(PolicyUsage {
            calls: number(usage.calls),
            refusals: number(usage.refusals),
            traps: number(usage.traps),
            limit_overruns: number(usage.limit_overruns),
            mean_fuel: number(usage.fuel.mean()),
            max_fuel: number(usage.fuel.max),
            mean_microseconds: number(usage.duration_us.mean()),
            max_microseconds: number(usage.duration_us.max),
        });
    }
    let compared = tally.comparison();
    if compared.decisions > 0 {
        let pair = |of: fn(&autoscaler_policy::Outcome) -> u64| Pair {
            active: number(of(&compared.active)),
            shadow: number(of(&compared.shadow)),
        };
        status.shadow = Some(ShadowComparison {
            decisions: number(compared.decisions),
            different: number(compared.different),
            failed: number(compared.failed),
            nodes: pair(|outcome| outcome.nodes),
            hourly_micros: pair(|outcome| outcome.hourly_micros),
            waiting_pods: pair(|outcome| outcome.waiting_pods),
            last_difference: compared.last_difference.clone(),
        });
    }
}

/// The merge patch that makes one status of another: what went is named, so that it goes.
pub(super) fn patch(
    before: &ScalingPolicyStatus,
    after: &ScalingPolicyStatus,
    version: Option<&str>,
) -> Value {
    let fields = |status| serde_json::to_value(status).unwrap_or_default();
    let (before, mut after) = (fields(before), fields(after));
    if let (Some(before), Some(after)) = (before.as_object(), after.as_object_mut()) {
        for name in before
            .keys()
            .filter(|name| !after.contains_key(*name))
            .cloned()
            .collect::<Vec<_>>()
        {
            after.insert(name, Value::Null);
        }
    }
    json!({"metadata": {"resourceVersion": version}, "status": after})
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
