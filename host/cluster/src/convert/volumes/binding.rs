//! Where claims can be satisfied: by the volume that they are bound to, by one that is free, or by one that is made.
//!
//! A claim that is to be bound at once, and is not, keeps its pod waiting everywhere: no node helps.

use super::super::selectors::{node_selector, requirement};
use super::super::surroundings::{Surroundings, class_of_claim};
use super::{Claim, matching, zones};
use autoscaler_core::model::{LabelOperator, LabelRequirement, NodeSelector, NodeSelectorTerm};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, TopologySelectorTerm};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// Set by the binder once both sides know of each other.
const BOUND: &str = "pv.kubernetes.io/bind-completed";
/// The node that the scheduler chose for a volume that is being made.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// The provisioner of classes whose volumes are made by hand.
const BY_HAND: &str = "kubernetes.io/no-provisioner";

/// The selectors that a node must match, all of them. None where no node will do.
pub(super) fn topology(claims: &[Claim<'_>], around: &Surroundings) -> Option<Vec<NodeSelector>> {
    let mut all = Vec::new();
    // Claims for which one volume after another is sought, by class.
    let mut seeking: BTreeMap<&str, Vec<&PersistentVolumeClaim>> = BTreeMap::new();
    for Claim { claim, ephemeral } in claims {
        let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
        match volume.filter(|name| !name.is_empty()) {
            Some(name) if claim.annotations().contains_key(BOUND) => {
                let volume = around.volume(name)?;
                all.extend(required(volume));
                if !ephemeral {
                    all.extend(zones::of_volume(volume));
                }
            }
            // Bound by name only: the binder has yet to agree.
            Some(_) => return None,
            None => {
                let name = class_of_claim(claim);
                let class = around.class(name)?;
                if class.volume_binding_mode.as_deref() != Some("WaitForFirstConsumer") {
                    return None;
                }
                match claim.annotations().get(SELECTED_NODE) {
                    Some(node) => {
                        all.push(named(node));
                        all.extend(makeable(claim, class, around)?);
                    }
                    None => seeking.entry(name).or_default().push(claim),
                }
            }
        }
    }
    for (name, claims) in seeking {
        all.extend(found_or_made(&claims, around.class(name)?, name, around)?);
    }
    all.sort();
    all.dedup();
    Some(all)
}

/// The node affinity of a volume; none where it is reachable everywhere.
pub(super) fn required(volume: &PersistentVolume) -> Option<NodeSelector> {
    let affinity = volume.spec.as_ref()?.node_affinity.as_ref()?;
    affinity.required.as_ref().map(node_selector)
}

/// Where claims of a class that bind late can be satisfied. None where nowhere; an empty list where anywhere.
fn found_or_made(
    claims: &[&PersistentVolumeClaim],
    class: &StorageClass,
    name: &str,
    around: &Surroundings,
) -> Option<Vec<NodeSelector>> {
    if by_hand(class) {
        // Each claim needs a volume of its own.
        return matching::places(claims, name, around);
    }
    let mut all = Vec::new();
    for claim in claims {
        let made = makeable(claim, class, around);
        if made == Some(None) {
            continue;
        }
        let found = matching::places(&[claim], name, around);
        if found.as_ref().is_some_and(Vec::is_empty) {
            continue;
        }
        let found = found.into_iter().flatten().flat_map(|selector| selector.terms);
        let made = made.flatten().into_iter().flat_map(|selector| selector.terms);
        let terms: Vec<NodeSelectorTerm> = found.chain(made).collect();
        if terms.is_empty() {
            return None;
        }
        all.push(NodeSelector { terms });
    }
    Some(all)
}

fn by_hand(class: &StorageClass) -> bool {
    class.provisioner.is_empty() || class.provisioner == BY_HAND
}

/// Where a volume is made for the claim: none where nowhere, and in that none where anywhere.
#[expect(clippy::option_option, reason = "nowhere, anywhere, and somewhere")]
fn makeable(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    around: &Surroundings,
) -> Option<Option<NodeSelector>> {
    if by_hand(class) {
        return None;
    }
    let topologies = class.allowed_topologies.iter().flatten();
    let allowed: Vec<NodeSelectorTerm> = topologies.map(allowed).collect();
    let room = around.capacities.room(class, matching::size(claim))?;
    let terms = match room {
        None => allowed,
        Some(room) if allowed.is_empty() => room.terms,
        // One of each.
        Some(room) => allowed
            .iter()
            .flat_map(|one| room.terms.iter().map(|other| both(one, other)))
            .collect(),
    };
    Some((!terms.is_empty()).then_some(NodeSelector { terms }))
}

/// The term that holds where both do.
fn both(one: &NodeSelectorTerm, other: &NodeSelectorTerm) -> NodeSelectorTerm {
    let expressions = one.match_expressions.iter().chain(&other.match_expressions);
    NodeSelectorTerm {
        match_expressions: expressions.cloned().collect(),
        match_fields: Vec::new(),
    }
}

fn allowed(term: &TopologySelectorTerm) -> NodeSelectorTerm {
    let expressions = term.match_label_expressions.iter().flatten();
    NodeSelectorTerm {
        match_expressions: expressions
            .map(|expression| requirement(&expression.key, "In", Some(&expression.values)))
            .collect(),
        match_fields: Vec::new(),
    }
}

fn named(node: &str) -> NodeSelector {
    NodeSelector {
        terms: vec![NodeSelectorTerm {
            match_expressions: Vec::new(),
            match_fields: vec![LabelRequirement {
                key: NodeSelectorTerm::NAME_FIELD.to_owned(),
                operator: LabelOperator::In,
                values: vec![node.to_owned()],
            }],
        }],
    }
}
