//! Tripping back: what the object says of it, what this process knows, and how a person ends it.
//!
//! The trip stands in the status, so that it outlives the process that saw it. It is about one component under one
//! spec: another of either is another try, and so is the annotation with the time of the trip.

use super::source::Refusal;
use super::{Controller, Entry, Host};
use crate::runtime::events::EventType;
use autoscaler_api::labels::ACKNOWLEDGE_TRIP;
use autoscaler_api::scaling_policy::{Fallback, PolicyMode, ScalingPolicy, Trip as Written};
use autoscaler_policy::{Tally, Trip, TripAfter};
use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use std::sync::Arc;

/// How a policy is counted from now on: tripped, where the object says so of this component.
pub(super) fn tally(object: &ScalingPolicy, digest: &str) -> Result<Tally, Refusal> {
    if let Some(trip) = standing(object, digest) {
        return Ok(Tally::tripped(of_written(trip)));
    }
    let spec = &object.spec;
    let after = spec.trip_after_or_default();
    let within = after.within_or_default().value().map_err(|error| {
        Refusal::new(
            "InvalidTripAfter",
            format!("spec.tripAfter.within: {error}; write for example 10m"),
        )
    })?;
    // Who would rather have nothing than something else has nothing to trip to. A shadow decides nothing anyway.
    let holds = spec.fallback_or_default() == Fallback::Hold && spec.mode_or_default() != PolicyMode::Shadow;
    let failures = u32::try_from(after.failures_or_default()).unwrap_or(1);
    Ok(Tally::new((!holds).then_some(TripAfter { failures, within })))
}

/// What stands in the status.
pub(super) fn written(object: &ScalingPolicy, digest: &str, trip: &Trip) -> Option<Written> {
    Some(Written {
        at: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time(trip)?),
        digest: digest.to_owned(),
        generation: object.metadata.generation.unwrap_or_default(),
        failures: trip.failures.into(),
        reason: trip.reason.clone(),
        message: trip.message.clone(),
    })
}

fn of_written(trip: &Written) -> Trip {
    Trip {
        at_ms: u64::try_from(trip.at.0.as_millisecond()).unwrap_or_default(),
        failures: u32::try_from(trip.failures).unwrap_or_default(),
        reason: trip.reason.clone(),
        message: trip.message.clone(),
    }
}

/// To the second, as the API keeps it.
fn time(trip: &Trip) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(trip.at_ms / 1000).ok()?).ok()
}

/// Whether a person has seen to a trip of that time.
fn acknowledged(object: &ScalingPolicy, at: Timestamp) -> bool {
    let value = object.annotations().get(ACKNOWLEDGE_TRIP);
    value.and_then(|value| value.parse::<Timestamp>().ok()) == Some(at)
}

/// The trip in the status, as far as it is about this component and nobody has seen to it.
fn standing<'a>(object: &'a ScalingPolicy, digest: &str) -> Option<&'a Written> {
    let trip = object.status.as_ref()?.trip.as_ref()?;
    let about_this = trip.digest == digest && Some(trip.generation) == object.metadata.generation;
    (about_this && !acknowledged(object, trip.at.0)).then_some(trip)
}

impl<H: Host> Controller<H> {
    /// Takes over what another replica has seen, and lets a policy decide again whose trip was acknowledged.
    pub(super) fn follow_trip(&self, name: &str, object: &ScalingPolicy) {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get(name) else { return };
        let tally = match entry.tally.trip() {
            None => standing(object, &entry.facts.digest).map(|trip| Ok(Tally::tripped(of_written(trip)))),
            Some(trip) => {
                let over = time(&trip).is_none_or(|at| acknowledged(object, at));
                over.then(|| tally(object, &entry.facts.digest))
            }
        };
        let Some(Ok(tally)) = tally else { return };
        let entry = Entry {
            tally: Arc::new(tally),
            ..entry.clone()
        };
        entries.insert(name.to_owned(), entry);
        if let Err(refusal) = self.install(&entries) {
            tracing::error!(policy = name, reason = refusal.reason, "{}", refusal.message);
        }
    }

    /// One event when it trips and one when it decides again.
    pub(super) fn tell_of_trip(&self, object: &ScalingPolicy, tally: Option<&Tally>) {
        let name = object.name_any();
        let trip = tally.and_then(Tally::trip);
        self.metrics.policy_tripped(&name, trip.is_some());
        let told = object.status.as_ref().and_then(|status| status.trip.as_ref());
        let (type_, reason, note) = match (&trip, told) {
            (Some(trip), None) => {
                tracing::error!(
                    policy = name,
                    reason = trip.reason,
                    "ScalingPolicy tripped: {}",
                    trip.message
                );
                let note = format!(
                    "{} calls failed, the last with {}: {}; it is not asked any more",
                    trip.failures, trip.reason, trip.message
                );
                (EventType::Warning, "PolicyTripped", note)
            }
            (None, Some(_)) if tally.is_some() => {
                let note = "the trip was acknowledged, or the policy changed: it is asked again".to_owned();
                (EventType::Normal, "PolicyTripAcknowledged", note)
            }
            _ => return,
        };
        self.events
            .publish(&object.object_ref(&()), type_, reason, "Decide", note);
    }
}
