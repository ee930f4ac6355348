//! What purchases taught: which offering rests after failures, and whether VPSie's quota lets anything be bought.
//!
//! Pure: time comes in, and the spread of the pauses is a function of what they are for. The working copy lives in
//! memory; NodeGroups carry it in their status, from where the next leader restores it.

use crate::settings::Pace;
use autoscaler_api::node_group::{CreationPause, OfferingHealth};
use autoscaler_api::{NodeGroup, VPSieNode};
use autoscaler_cluster::{ObjectKey, TemplateHealth};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::time::Duration;

/// Pauses of one length would bring everything back in the same second: each is shortened by up to this share.
const SPREAD: f64 = 0.2;

/// Where an offering is bought.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub group: ObjectKey,
    pub offering: String,
    pub datacenter: String,
}

impl Place {
    /// Where the machine of a record was bought.
    pub fn of(node: &VPSieNode) -> Self {
        Self {
            group: ObjectKey::new(node.namespace().unwrap_or_default(), &node.spec.node_group_name),
            offering: node.spec.instance_type.clone(),
            datacenter: node.spec.datacenter_id.clone(),
        }
    }

    /// Where a group buys an offering.
    pub fn in_group(group: &NodeGroup, offering: &str) -> Self {
        Self {
            group: ObjectKey::of(group),
            offering: offering.to_owned(),
            datacenter: group.spec.datacenter_id.clone(),
        }
    }
}

/// A purchase that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub at: Timestamp,
    /// One stable word.
    pub reason: String,
    /// The provider's words, where it said any.
    pub message: String,
}

/// A rest after failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    pub failures: u32,
    pub last: Failure,
    pub until: Timestamp,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Health {
    offerings: BTreeMap<Place, Rest>,
    /// By VPSie cluster, whose number of workers VPSie limits, or for all VMs of the account.
    quota: BTreeMap<String, Rest>,
}

impl Health {
    /// A purchase was refused, or its node never came.
    pub fn failed(&mut self, pace: &Pace, place: &Place, failure: Failure) {
        let seed = format!("{}/{}/{}", place.group, place.offering, place.datacenter);
        if let Some(rest) = rest(pace, &seed, self.offerings.get(place), failure) {
            self.offerings.insert(place.clone(), rest);
        }
    }

    /// A node of the offering came.
    pub fn succeeded(&mut self, place: &Place) {
        self.offerings.remove(place);
    }

    /// VPSie's quota refused every choice that there was.
    pub fn quota_refused(&mut self, pace: &Pace, cluster: &str, failure: Failure) {
        if let Some(rest) = rest(pace, cluster, self.quota.get(cluster), failure) {
            self.quota.insert(cluster.to_owned(), rest);
        }
    }

    /// VPSie took an order: its quota is not used up.
    pub fn order_accepted(&mut self, cluster: &str) {
        self.quota.remove(cluster);
    }

    /// An operator asks for another try now.
    pub fn forget(&mut self, group: &ObjectKey, cluster: &str) {
        self.offerings.retain(|place, _| place.group != *group);
        self.quota.remove(cluster);
    }

    /// Until when an offering rests.
    pub fn rests_until(&self, place: &Place, now: Timestamp) -> Option<Timestamp> {
        let rest = self.offerings.get(place)?;
        (rest.until > now).then_some(rest.until)
    }

    /// The pause that the quota forces on a cluster.
    pub fn pause(&self, cluster: &str, now: Timestamp) -> Option<&Rest> {
        self.quota.get(cluster).filter(|rest| rest.until > now)
    }

    /// What decisions are told, by group and offering.
    pub fn of_templates(&self) -> BTreeMap<(ObjectKey, String), TemplateHealth> {
        let told = self.offerings.iter().map(|(place, rest)| {
            let health = TemplateHealth {
                failures: rest.failures,
                backoff_until_ms: Some(rest.until.as_millisecond()),
            };
            ((place.group.clone(), place.offering.clone()), health)
        });
        told.collect()
    }

    /// What a group's status carries; what its spec does not name any more is forgotten.
    pub fn status(&mut self, group: &NodeGroup) -> (Vec<OfferingHealth>, Option<CreationPause>) {
        let key = ObjectKey::of(group);
        let spec = &group.spec;
        self.offerings.retain(|place, _| {
            let named = spec.offering_ids.contains(&place.offering) && spec.datacenter_id == place.datacenter;
            place.group != key || named
        });
        let own = self.offerings.iter().filter(|(place, _)| place.group == key);
        let offerings = own.map(|(place, rest)| OfferingHealth {
            offering_id: place.offering.clone(),
            datacenter_id: place.datacenter.clone(),
            failures: signed(rest.failures),
            last_failure_time: Time(rest.last.at),
            rests_until: Time(rest.until),
            reason: rest.last.reason.clone(),
            message: rest.last.message.clone(),
        });
        let pause = self.quota.get(spec.quota_scope());
        let pause = pause.map(|rest| CreationPause {
            refusals: signed(rest.failures),
            last_refusal_time: Time(rest.last.at),
            until: Time(rest.until),
            message: rest.last.message.clone(),
        });
        (offerings.collect(), pause)
    }

    /// Takes over what a leader before wrote down.
    pub fn restore(&mut self, group: &NodeGroup) {
        let Some(status) = &group.status else { return };
        for known in &status.offering_health {
            let place = Place {
                group: ObjectKey::of(group),
                offering: known.offering_id.clone(),
                datacenter: known.datacenter_id.clone(),
            };
            let last = Failure {
                at: known.last_failure_time.0,
                reason: known.reason.clone(),
                message: known.message.clone(),
            };
            let rest = Rest {
                failures: unsigned(known.failures),
                last,
                until: known.rests_until.0,
            };
            self.offerings.insert(place, rest);
        }
        if let Some(pause) = &status.creation_pause {
            let last = Failure {
                at: pause.last_refusal_time.0,
                reason: autoscaler_api::conditions::reasons::QUOTA_EXCEEDED.to_owned(),
                message: pause.message.clone(),
            };
            let rest = Rest {
                failures: unsigned(pause.refusals),
                last,
                until: pause.until.0,
            };
            // Each group of the cluster carries it; the longest is the newest.
            let known = self
                .quota
                .entry(group.spec.quota_scope().to_owned())
                .or_insert_with(|| rest.clone());
            if known.until < rest.until {
                *known = rest;
            }
        }
    }
}

/// The next rest; none where the failure belongs to the one that runs: many orders of one batch are refused for one
/// and the same cause, and count once.
fn rest(pace: &Pace, seed: &str, before: Option<&Rest>, failure: Failure) -> Option<Rest> {
    if before.is_some_and(|before| failure.at < before.until) {
        return None;
    }
    // Trouble of long ago says nothing about today's.
    let recent = before.filter(|before| {
        let quiet = failure.at.duration_since(before.until);
        Duration::try_from(quiet).unwrap_or_default() <= pace.backoff_max
    });
    let failures = recent.map_or(0, |before| before.failures).saturating_add(1);
    let pause = pause(pace, failures, seed);
    // Statuses have whole seconds: what is restored must be what was kept.
    let whole = |time: Timestamp, mode: RoundMode| {
        let round = TimestampRound::new().smallest(Unit::Second).mode(mode);
        time.round(round).unwrap_or(time)
    };
    let until = failure.at.saturating_add(pause).unwrap_or(Timestamp::MAX);
    Some(Rest {
        failures,
        until: whole(until, RoundMode::Ceil),
        last: Failure {
            at: whole(failure.at, RoundMode::Floor),
            ..failure
        },
    })
}

/// The pause after so many failures: doubling up to the longest, shortened by a share that follows from the seed.
fn pause(pace: &Pace, failures: u32, seed: &str) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let full = pace.backoff_first.saturating_mul(1 << doublings);
    full.min(pace.backoff_max)
        .mul_f64(1.0 - SPREAD * share(seed, failures))
}

/// A number below 1 that differs from seed to seed and from failure to failure, and is always the same for both.
fn share(seed: &str, failures: u32) -> f64 {
    // FNV-1a, then a mixer, because the last bytes alone would decide the high bits.
    let bytes = seed.bytes().chain(failures.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed >> 40) as f64 / (1_u64 << 24) as f64
}

fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn unsigned(count: i32) -> u32 {
    u32::try_from(count).unwrap_or(0)
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
