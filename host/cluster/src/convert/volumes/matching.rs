//! Free volumes for claims that bind late: where there are enough that suit.
//!
//! Volumes are tried in groups of equal reach, together with those that are reachable everywhere: a node that
//! reaches several groups at once is only found by one of them.

use super::super::selectors::label_selector;
use super::super::surroundings::{Surroundings, class_of_claim, class_of_volume};
use super::binding::required;
use autoscaler_core::model::NodeSelector;
use autoscaler_core::quantity::parse_units;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};

/// Where all of the claims find a volume, each its own. None where nowhere; an empty list where anywhere.
pub(super) fn places(
    claims: &[&PersistentVolumeClaim],
    class: &str,
    around: &Surroundings,
) -> Option<Vec<NodeSelector>> {
    let all: Vec<&PersistentVolume> = around.unclaimed(class).collect();
    let mut seekers: Vec<Seeker<'_>> = claims.iter().map(|claim| Seeker::new(claim, &all)).collect();
    seekers.sort_by_key(|seeker| seeker.asked);
    let mut groups: BTreeMap<Option<NodeSelector>, BTreeSet<&str>> = BTreeMap::new();
    for volume in &all {
        groups.entry(required(volume)).or_default().insert(name(volume));
    }
    let everywhere = groups.remove(&None).unwrap_or_default();
    if enough(&seekers, &everywhere) {
        return Some(Vec::new());
    }
    let mut terms = Vec::new();
    for (selector, mut volumes) in groups {
        volumes.extend(&everywhere);
        if enough(&seekers, &volumes) {
            terms.extend(selector.into_iter().flat_map(|selector| selector.terms));
        }
    }
    (!terms.is_empty()).then(|| vec![NodeSelector { terms }])
}

/// A claim, and the volumes that it may have, the best first.
struct Seeker<'a> {
    asked: i64,
    volumes: Vec<&'a str>,
}

impl<'a> Seeker<'a> {
    fn new(claim: &PersistentVolumeClaim, all: &[&'a PersistentVolume]) -> Self {
        let fitting = || all.iter().filter(|volume| is_large_enough(volume, claim));
        // One that is meant for the claim is the only one.
        let meant = fitting().find(|volume| is_for(volume, claim));
        let mut volumes: Vec<_> = match meant {
            Some(volume) => vec![*volume],
            None => fitting().filter(|volume| suits(volume, claim)).copied().collect(),
        };
        volumes.sort_by_key(|volume| (capacity(volume), name(volume)));
        Self {
            asked: asked(claim),
            volumes: volumes.into_iter().map(name).collect(),
        }
    }
}

/// Whether each claim, the smallest first, finds a volume among these.
fn enough(seekers: &[Seeker<'_>], volumes: &BTreeSet<&str>) -> bool {
    let mut taken = BTreeSet::new();
    seekers.iter().all(|seeker| {
        let free = |volume: &&&str| volumes.contains(**volume) && !taken.contains(**volume);
        let found = seeker.volumes.iter().find(free).copied();
        found.is_some_and(|volume| taken.insert(volume))
    })
}

fn name(volume: &PersistentVolume) -> &str {
    volume.metadata.name.as_deref().unwrap_or_default()
}

/// Conditions that hold for a volume that is meant for the claim as well.
fn is_large_enough(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let mode = |mode: Option<&String>| mode.map_or("Filesystem", String::as_str).to_owned();
    let (offered, wanted) = (volume.spec.as_ref(), claim.spec.as_ref());
    let attributes = |name: Option<&String>| name.cloned().unwrap_or_default();
    capacity(volume) >= asked(claim)
        && volume.metadata.deletion_timestamp.is_none()
        && mode(offered.and_then(|spec| spec.volume_mode.as_ref()))
            == mode(wanted.and_then(|spec| spec.volume_mode.as_ref()))
        && attributes(offered.and_then(|spec| spec.volume_attributes_class_name.as_ref()))
            == attributes(wanted.and_then(|spec| spec.volume_attributes_class_name.as_ref()))
}

/// Whether somebody bound the volume to the claim beforehand.
fn is_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let Some(meant) = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) else {
        return false;
    };
    let uid = meant.uid.as_deref().unwrap_or_default();
    meant.name == claim.metadata.name
        && meant.namespace == claim.metadata.namespace
        && (uid.is_empty() || Some(uid) == claim.metadata.uid.as_deref())
}

/// Whether a volume that is nobody's will do.
fn suits(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let (Some(offered), Some(wanted)) = (volume.spec.as_ref(), claim.spec.as_ref()) else {
        return false;
    };
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let modes = offered.access_modes.iter().flatten();
    let modes: BTreeSet<&String> = modes.collect();
    offered.claim_ref.is_none()
        && phase == Some("Available")
        && wanted
            .access_modes
            .iter()
            .flatten()
            .all(|mode| modes.contains(mode))
        && class_of_volume(volume) == class_of_claim(claim)
        && wanted
            .selector
            .as_ref()
            .is_none_or(|selector| label_selector(selector).matches(volume.labels()))
}

fn capacity(volume: &PersistentVolume) -> i64 {
    let capacity = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref());
    storage(capacity)
}

fn asked(claim: &PersistentVolumeClaim) -> i64 {
    size(claim).unwrap_or(0)
}

/// How large a volume the claim asks for; none where it does not say.
pub(super) fn size(claim: &PersistentVolumeClaim) -> Option<i64> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    requests.contains_key("storage").then(|| storage(Some(requests)))
}

type Quantities = BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>;

fn storage(list: Option<&Quantities>) -> i64 {
    let amount = list.and_then(|list| list.get("storage"));
    amount.map_or(0, |amount| parse_units(&amount.0).unwrap_or(0))
}
