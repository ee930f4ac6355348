//! What a snapshot needs beside the index: the provider's catalogue, the time, and settings.

use crate::index::ObjectKey;
use autoscaler_api::NodeGroup;
use autoscaler_core::model::Resources;
use std::collections::BTreeMap;

/// A size of node that VPSie offers in a datacenter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offering {
    /// Number of the size (`KubeSizeID`); 0 for a plan of VMs.
    pub size: i64,
    /// What a NodeGroup may call it: number, name, UUID.
    pub names: Vec<String>,
    pub cpu: u32,
    pub memory_mib: u64,
    pub disk_gib: u64,
    /// Millionths of the currency unit per hour.
    pub hourly_micros: u64,
}

/// What recent purchases of one offering for one group taught.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateHealth {
    pub failures: u32,
    pub backoff_until_ms: Option<i64>,
}

/// Whose view of pods and nodes a snapshot takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Ours: what passes by itself is looked past, a node that is not ready is closed, and a pod waits once the
    /// scheduler has said so.
    #[default]
    Autoscaler,
    /// The filters of kube-scheduler: nodes are what is written on them, and every pod without a node waits.
    Scheduler,
}

/// What a snapshot needs beside the index.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    pub view: View,
    pub now_ms: i64,
    pub seed: u64,
    /// Offerings by what a group's catalogue is of ([`autoscaler_api::NodeGroupSpec::market`]).
    pub offerings: BTreeMap<String, Vec<Offering>>,
    /// What a new node keeps for itself, as long as no node of the offering has shown it.
    pub reserved: Resources,
    /// Taints, beside those that every installation knows, that nodes carry at their start only: keys, and beginnings
    /// of keys with a slash at their end.
    pub startup_taints: Vec<String>,
    /// Health by group and offering.
    pub health: BTreeMap<(ObjectKey, String), TemplateHealth>,
    /// Groups for which nothing is ordered now: one word and a sentence.
    pub holds: BTreeMap<ObjectKey, (String, String)>,
    /// Pods that wait for less than this are not looked at.
    pub grace_ms: i64,
    pub max_cluster_nodes: Option<u32>,
    pub removal_budget: u32,
    /// Whether nodes may be replaced by others.
    pub may_replace: bool,
    /// Offerings whose nodes were replaced by cheaper ones, by group, and when.
    pub given_up: Vec<(ObjectKey, String, i64)>,
}

impl Inputs {
    /// The offering that a group means by a name. `kubeSizeID` decides for the group's first name.
    pub fn offering(&self, group: &NodeGroup, name: &str) -> Option<&Offering> {
        let offered = self.offerings.get(&group.spec.market())?;
        let pinned = group
            .spec
            .kube_size_id
            .filter(|_| group.spec.offering_ids.first().is_some_and(|first| first == name));
        match pinned {
            Some(size) => offered.iter().find(|offering| offering.size == size),
            None => offered
                .iter()
                .find(|offering| offering.names.iter().any(|known| known == name)),
        }
    }
}
