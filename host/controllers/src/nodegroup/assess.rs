//! How a NodeGroup stands: a pure function of its spec, its nodes and what VPSie says.

use super::provider::ProviderView;
use crate::futile::{Blocked, LIMIT};
use crate::runtime::metrics::{GroupSizes, PhaseSize};
use autoscaler_api::conditions::{self, ConditionStatus, ConditionUpdate, reasons, set, types};
use autoscaler_api::node_group::{
    CreationPause, FutilePurchase, GroupNode, NodeGroupStatus, OfferingHealth, ProviderGroup,
};
use autoscaler_api::vpsie_node::Phase;
use autoscaler_api::{NodeGroup, VPSieNode, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use vpsie_client::{CredentialsStatus, Family};

/// Something that keeps the group from working.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Trouble {
    pub(super) fn new(reason: &'static str, message: String) -> Self {
        Self { reason, message }
    }
}

/// What the assessment depends on.
pub(super) struct Facts<'a> {
    pub(super) group: &'a NodeGroup,
    pub(super) nodes: &'a [Arc<VPSieNode>],
    pub(super) trouble: Option<&'a Trouble>,
    /// Parts of the API whose circuit breaker is not closed.
    pub(super) broken: &'a [Family],
    pub(super) credentials: &'a CredentialsStatus,
    pub(super) offering_health: Vec<OfferingHealth>,
    pub(super) creation_pause: Option<CreationPause>,
    pub(super) futile_purchases: Vec<FutilePurchase>,
    /// Pods for which nothing more is bought now.
    pub(super) futile: Option<Blocked>,
    pub(super) now: jiff::Timestamp,
}

/// The result.
pub(super) struct Assessment {
    pub(super) status: NodeGroupStatus,
    pub(super) sizes: GroupSizes,
    pub(super) phases: Vec<(Phase, PhaseSize)>,
    /// Whether VPSie's quota lets nothing be ordered now.
    pub(super) paused: bool,
    /// Troubles that were not there before: reason and message for an event.
    pub(super) news: Vec<(String, String)>,
}

pub(super) fn assess(facts: &Facts<'_>) -> Assessment {
    let Facts {
        group, nodes, now, ..
    } = facts;
    let mut status = group.status.clone().unwrap_or_default();
    let generation = group.metadata.generation;
    let alive = || {
        nodes
            .iter()
            .filter(|node| node.metadata.deletion_timestamp.is_none())
    };
    let in_phase = |phase: Phase| alive().filter(|node| node.phase() == phase).count();
    let ready = in_phase(Phase::Ready);
    let current = ready + in_phase(Phase::Provisioned) + in_phase(Phase::Joining);
    let desired = alive()
        .count()
        .max(usize::try_from(group.spec.floor()).unwrap_or(0));
    let leaving = nodes.len() - alive().count();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    status.current_nodes = number(current);
    status.desired_nodes = number(desired);
    status.ready_nodes = number(ready);
    status.observed_generation = generation;
    status.last_reconcile_trigger = labels::reconcile_trigger(group.annotations())
        .map(str::to_owned)
        .or(status.last_reconcile_trigger);
    status.nodes = nodes.iter().map(|node| group_node(node)).collect();
    status.offering_health = facts.offering_health.clone();
    status.creation_pause = facts.creation_pause.clone();
    status.futile_purchases = facts.futile_purchases.clone();
    note_times(&mut status, nodes);
    note_provider_groups(&mut status, nodes);

    let trouble = facts.trouble.cloned().or_else(|| failure(nodes));
    let mut update = |type_: &str, holds: ConditionStatus, reason: &str, message: String| {
        let update = ConditionUpdate {
            type_,
            status: holds,
            reason,
            message,
            observed_generation: generation,
        };
        set(&mut status.conditions, update, *now);
    };
    match &trouble {
        Some(trouble) => update(
            types::READY,
            false.into(),
            trouble.reason,
            trouble.message.clone(),
        ),
        None => update(
            types::READY,
            true.into(),
            reasons::READY,
            format!("{ready} of {desired} nodes are ready"),
        ),
    }
    let (scaling, why) = match (desired > ready, leaving > 0) {
        (true, _) => (true, reasons::SCALING_UP),
        (false, true) => (true, reasons::SCALING_DOWN),
        (false, false) => (false, reasons::SCALING_COMPLETE),
    };
    let message = match why {
        reasons::SCALING_UP => format!("{} nodes are on their way", desired - ready),
        reasons::SCALING_DOWN => format!("{leaving} nodes are leaving"),
        _ => "the group has the nodes that it should have".to_owned(),
    };
    update(types::SCALING, scaling.into(), why, message);
    let bound = |at: bool, reason: &'static str| if at { reason } else { reasons::WITHIN_LIMITS };
    let (min, max) = (group.spec.min_nodes, group.spec.max_nodes);
    let (at_min, at_max) = (number(desired) <= min, number(desired) >= max);
    update(
        types::AT_MIN_CAPACITY,
        at_min.into(),
        bound(at_min, reasons::AT_MINIMUM_CAPACITY),
        format!("minNodes is {min}"),
    );
    update(
        types::AT_MAX_CAPACITY,
        at_max.into(),
        bound(at_max, reasons::AT_MAXIMUM_CAPACITY),
        format!("maxNodes is {max}"),
    );
    let provider = ProviderView {
        broken: facts.broken,
        credentials: facts.credentials,
        pause: facts.creation_pause.as_ref().filter(|pause| pause.until.0 > *now),
    };
    for seen in provider.conditions() {
        update(seen.type_, seen.status, seen.reason, seen.message);
    }
    let futile_text = facts.futile.as_ref().map(futile_text);
    update(
        types::PURCHASES_FUTILE,
        futile_text.is_some().into(),
        if futile_text.is_some() {
            reasons::FUTILE_PURCHASES
        } else {
            reasons::PURCHASES_HELP
        },
        futile_text
            .clone()
            .unwrap_or_else(|| "no pod waits for which nodes were bought in vain".to_owned()),
    );
    let unsupported = group.spec.unsupported_fields();
    if unsupported.is_empty() {
        conditions::remove(&mut status.conditions, types::UNSUPPORTED_FIELDS);
    } else {
        let message = format!("this version does not act on {}", unsupported.join(", "));
        update(
            types::UNSUPPORTED_FIELDS,
            true.into(),
            reasons::NO_EFFECT,
            message,
        );
    }

    let before = |type_| {
        let status = group.status.as_ref();
        status.and_then(|status| conditions::get(&status.conditions, type_))
    };
    let new_trouble = trouble.filter(|trouble| {
        before(types::READY).and_then(|condition| condition.reason.as_deref()) != Some(trouble.reason)
    });
    let mut news: Vec<_> = new_trouble
        .map(|trouble| (trouble.reason.to_owned(), trouble.message))
        .into_iter()
        .collect();
    let pause_text = provider.pause_text();
    if let Some(text) = pause_text.clone().filter(|text| {
        before(types::CREATION_PAUSED).and_then(|condition| condition.message.as_ref()) != Some(text)
    }) {
        news.push((reasons::QUOTA_EXCEEDED.to_owned(), text));
    }
    if let Some(text) = futile_text.filter(|text| {
        before(types::PURCHASES_FUTILE).and_then(|condition| condition.message.as_ref()) != Some(text)
    }) {
        news.push((reasons::FUTILE_PURCHASES.to_owned(), text));
    }
    let size = |count: i32| i64::from(count);
    Assessment {
        sizes: GroupSizes {
            desired: size(status.desired_nodes),
            current: size(status.current_nodes),
            ready: size(status.ready_nodes),
            min: size(min),
            max: size(max),
        },
        phases: phases(nodes, *now),
        status,
        paused: pause_text.is_some(),
        news,
    }
}

fn futile_text(blocked: &Blocked) -> String {
    let until = jiff::Timestamp::from_millisecond(blocked.until_ms).unwrap_or_default();
    format!(
        "{} pods wait although nodes came for them {LIMIT} times and stood idle; nothing is bought for them until {until}, \
         or until reconcile-trigger asks for another try",
        blocked.pods
    )
}

/// The group's own trouble: what its newest failed node says.
fn failure(nodes: &[Arc<VPSieNode>]) -> Option<Trouble> {
    let reason = |node: &VPSieNode| node.status.as_ref().and_then(|status| status.reason.clone());
    // One that waits for its user data is no better than one that failed: an operator must do something.
    let stuck = |node: &VPSieNode| {
        node.phase() == Phase::Failed || reason(node).as_deref() == Some(reasons::USER_DATA_INVALID)
    };
    let failed = nodes
        .iter()
        .filter(|node| stuck(node) && node.metadata.deletion_timestamp.is_none());
    let newest = failed.max_by_key(|node| node.metadata.creation_timestamp.as_ref().map(|time| time.0))?;
    let status = newest.status.as_ref()?;
    let message = status
        .last_error
        .clone()
        .unwrap_or_else(|| "a node could not be provisioned".to_owned());
    let reason = match status.reason.as_deref() {
        Some(reasons::CAPACITY_LIMIT_REACHED) => reasons::CLUSTER_CAPACITY_LIMIT_REACHED,
        Some(reasons::USER_DATA_INVALID) => reasons::USER_DATA_INVALID,
        _ => reasons::NODE_PROVISIONING_FAILED,
    };
    Some(Trouble::new(reason, format!("{}: {message}", newest.name_any())))
}

fn group_node(node: &VPSieNode) -> GroupNode {
    let status = node.status.clone().unwrap_or_default();
    GroupNode {
        node_name: node.node_name().map_or_else(|| node.name_any(), str::to_owned),
        vps_id: node.instance_id().unwrap_or(0),
        instance_type: Some(node.spec.instance_type.clone()),
        status: Some(node.phase().as_str().to_owned()),
        created_at: status.created_at,
        ready_at: status.ready_at,
        ip_address: node.ip_address().map(str::to_owned),
    }
}

/// Times of the last growth and shrinkage are read off the objects: they survive a restart.
fn note_times(status: &mut NodeGroupStatus, nodes: &[Arc<VPSieNode>]) {
    let created = nodes
        .iter()
        .filter_map(|node| node.metadata.creation_timestamp.clone());
    status.last_scale_up_time = newest(created.chain(status.last_scale_up_time.take()));
    let deleted = nodes
        .iter()
        .filter_map(|node| node.metadata.deletion_timestamp.clone());
    status.last_scale_down_time = newest(deleted.chain(status.last_scale_down_time.take()));
    status.last_scale_time = newest(
        [&status.last_scale_up_time, &status.last_scale_down_time]
            .into_iter()
            .flatten()
            .cloned(),
    );
}

fn newest(times: impl Iterator<Item = Time>) -> Option<Time> {
    times.max_by_key(|time| time.0)
}

/// The provider's groups that nodes of this group were added to.
fn note_provider_groups(status: &mut NodeGroupStatus, nodes: &[Arc<VPSieNode>]) {
    let mut known: BTreeMap<String, ProviderGroup> = status
        .groups
        .drain(..)
        .map(|group| (group.offering_id.clone(), group))
        .collect();
    for node in nodes {
        let number = node.status.as_ref().and_then(|status| status.vpsie_group_id);
        if let Some(number) = number {
            known.insert(
                node.spec.instance_type.clone(),
                ProviderGroup {
                    offering_id: node.spec.instance_type.clone(),
                    kube_size_id: node.spec.kube_size_id,
                    vpsie_group_id: Some(number),
                },
            );
        }
    }
    status.vpsie_group_id = known
        .values()
        .find_map(|group| group.vpsie_group_id)
        .or(status.vpsie_group_id);
    status.groups = known.into_values().collect();
}

fn phases(nodes: &[Arc<VPSieNode>], now: jiff::Timestamp) -> Vec<(Phase, PhaseSize)> {
    let mut sizes: BTreeMap<Phase, PhaseSize> = BTreeMap::new();
    for node in nodes {
        let since = node
            .status
            .as_ref()
            .and_then(|status| status.phase_since.as_ref());
        let since = since.or(node.metadata.creation_timestamp.as_ref());
        let age = since.map_or(0, |since| now.duration_since(since.0).as_secs().max(0));
        let size = sizes.entry(node.phase()).or_default();
        size.nodes += 1;
        size.oldest_seconds = size.oldest_seconds.max(age);
    }
    sizes.into_iter().collect()
}
