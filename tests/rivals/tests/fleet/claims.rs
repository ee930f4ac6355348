//! Karpenter's way with its defaults, as its documentation describes it.
//!
//! One pod after the other, the largest first, goes to the open claim with the fewest pods that can still hold it, else
//! to a new claim of the first pool that can. A claim is all offerings of its pool that hold its pods; it becomes the
//! cheapest of them when all pods are in. No claim is looked at again, and pools of one weight are tried by name.
//! Written for the rules that the problems have: node selectors, taints, one pod per host, and zonal spread, where a
//! claim is in one zone.

use autoscaler_core::model::{ClassId, PodClass, Resources, Snapshot, Template, TemplateId};
use autoscaler_workloads::{Assignment, Home, Who};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

const ZONE: &str = "topology.kubernetes.io/zone";

struct Claim {
    group: u32,
    /// Offerings that still hold everything.
    templates: Vec<TemplateId>,
    used: Resources,
    classes: BTreeSet<ClassId>,
}

/// The plan for all pods that wait; those that no claim takes are left out.
pub(crate) fn plan(snapshot: &Snapshot) -> Assignment {
    let class = |id: ClassId| &*snapshot.classes[id as usize];
    let mut order: Vec<(u32, ClassId)> = (0..)
        .zip(&snapshot.pods)
        .map(|(id, pod)| (id, pod.class))
        .collect();
    order.sort_by_key(|(id, of)| {
        let requests = &class(*of).requests;
        (Reverse(requests.cpu_milli), Reverse(requests.memory), *id)
    });
    let mut pools: Vec<u32> = (0..).take(snapshot.groups.len()).collect();
    pools.sort_by_key(|group| snapshot.groups[*group as usize].name.clone());
    let mut claims: Vec<Claim> = Vec::new();
    // By number of pods, the older first.
    let mut open: BTreeSet<(u32, usize)> = BTreeSet::new();
    let mut zones: BTreeMap<ClassId, BTreeMap<&str, u32>> = BTreeMap::new();
    let mut homes = Vec::new();
    for (pod, of) in order {
        let room = |group: u32, claims: &[Claim]| {
            let bought = claims.iter().filter(|claim| claim.group == group).count();
            bought < snapshot.groups[group as usize].max as usize
        };
        let allowed = allowed_zones(snapshot, of, &zones);
        let taken = open.iter().find_map(|(pods, at)| {
            let left = joins(snapshot, of, &claims[*at], allowed.as_deref())?;
            Some((*pods, *at, left))
        });
        let taken = taken.or_else(|| {
            pools
                .iter()
                .filter(|group| room(**group, &claims))
                .find_map(|group| {
                    let all = (0..).zip(&snapshot.templates);
                    let of_group = all.filter(|(_, template)| template.group == *group);
                    let fresh = Claim {
                        group: *group,
                        templates: of_group.map(|(id, _)| id).collect(),
                        used: Resources::default(),
                        classes: BTreeSet::new(),
                    };
                    let left = joins(snapshot, of, &fresh, allowed.as_deref())?;
                    Some((fresh, left))
                })
                .map(|(fresh, left)| {
                    claims.push(fresh);
                    (0, claims.len() - 1, left)
                })
        });
        let Some((pods, at, left)) = taken else { continue };
        open.remove(&(pods, at));
        open.insert((pods + 1, at));
        let claim = &mut claims[at];
        claim.templates = left;
        claim.used.add(&class(of).requests);
        claim.classes.insert(of);
        if let Some(zone) = claim.templates.first().and_then(|id| zone(snapshot, *id)) {
            *zones.entry(of).or_default().entry(zone).or_insert(0) += 1;
        }
        homes.push((Who::Waiting(pod), Home::New(at)));
    }
    let price = |id: &TemplateId| (snapshot.templates[*id as usize].hourly_micros, *id);
    let bought = claims
        .iter()
        .filter_map(|claim| claim.templates.iter().copied().min_by_key(price));
    Assignment {
        bought: bought.collect(),
        homes,
        ..Assignment::default()
    }
}

fn zone(snapshot: &Snapshot, template: TemplateId) -> Option<&str> {
    snapshot.templates[template as usize]
        .labels
        .get(ZONE)
        .map(String::as_str)
}

/// Zones that a pod with a spread constraint may go to; none where it has none.
fn allowed_zones<'a>(
    snapshot: &'a Snapshot,
    of: ClassId,
    counts: &BTreeMap<ClassId, BTreeMap<&'a str, u32>>,
) -> Option<Vec<&'a str>> {
    let class = &snapshot.classes[of as usize];
    let constraint = class
        .topology_spread
        .iter()
        .find(|constraint| constraint.topology_key == ZONE)?;
    let all: BTreeSet<&str> = (0..)
        .take(snapshot.templates.len())
        .filter_map(|id| zone(snapshot, id))
        .collect();
    let count = |zone: &str| {
        counts
            .get(&of)
            .and_then(|counts| counts.get(zone))
            .copied()
            .unwrap_or(0)
    };
    let least = all.iter().map(|zone| count(zone)).min().unwrap_or(0);
    let skew = u32::try_from(constraint.max_skew).unwrap_or(0);
    Some(
        all.into_iter()
            .filter(|zone| count(zone) < least + skew)
            .collect(),
    )
}

/// The claim's offerings that hold the pod too; none where there is no such offering.
fn joins(snapshot: &Snapshot, of: ClassId, claim: &Claim, zones: Option<&[&str]>) -> Option<Vec<TemplateId>> {
    let class = &snapshot.classes[of as usize];
    if !class.pod_anti_affinity.is_empty() && claim.classes.contains(&of) {
        return None;
    }
    let mut wanted = claim.used.clone();
    wanted.add(&class.requests);
    let holds = |id: &TemplateId| {
        let template = &snapshot.templates[*id as usize];
        let in_zone = zones.is_none_or(|zones| zone(snapshot, *id).is_some_and(|zone| zones.contains(&zone)));
        in_zone && suits(class, template) && fits(&wanted, &template.allocatable)
    };
    let left: Vec<TemplateId> = claim.templates.iter().copied().filter(holds).collect();
    (!left.is_empty()).then_some(left)
}

fn suits(class: &PodClass, template: &Template) -> bool {
    let selected = |(key, value): (&String, &String)| template.labels.get(key) == Some(value);
    let tolerated = |taint: &autoscaler_core::model::Taint| {
        class
            .tolerations
            .iter()
            .any(|toleration| toleration.key == taint.key)
    };
    class.node_selector.iter().all(selected) && template.taints.iter().all(tolerated)
}

fn fits(wanted: &Resources, offered: &Resources) -> bool {
    wanted.cpu_milli <= offered.cpu_milli && wanted.memory <= offered.memory && wanted.pods <= offered.pods
}
