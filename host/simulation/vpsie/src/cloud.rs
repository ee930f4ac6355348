//! The state machine behind the API: clusters, groups and machines, and what becomes of them with time.
//!
//! Synchronous and without a clock of its own: [`crate::server`] calls back when a delay is over.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::config::{ClusterConfig, Config, HostnameCase, OfferConfig, PlanConfig};
use crate::vm::{Inventory, PlainVm, VmEvent, VmInfo, VmSize, VmState};

const HOURS_PER_MONTH: f64 = 730.0;

/// A group of nodes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub(crate) number: i64,
    pub(crate) identifier: String,
    pub(crate) name: String,
    pub(crate) cluster: String,
    pub(crate) offer: OfferConfig,
    pub(crate) created_at: Timestamp,
}

/// Why the provider says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum No {
    NotFound,
    BadRequest(String),
    /// Business limits are reported as a fault of the server.
    Limit(String),
}

pub(crate) struct Cloud {
    pub(crate) config: Config,
    pub(crate) groups: BTreeMap<i64, Group>,
    vms: BTreeMap<i64, VmInfo>,
    rng: ChaCha8Rng,
    next_group: i64,
    next_vm: i64,
    created: u64,
    removed: u64,
    settled_cost: f64,
}

impl Cloud {
    pub(crate) fn new(config: Config, now: Timestamp) -> Self {
        let mut cloud = Self {
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            groups: BTreeMap::new(),
            vms: BTreeMap::new(),
            next_group: 301,
            next_vm: 5001,
            created: 0,
            removed: 0,
            settled_cost: 0.0,
            config,
        };
        for cluster in cloud.config.clusters.clone() {
            for node in &cluster.nodes {
                if let Some(offer) = cloud.offer(node.offer).cloned() {
                    let vm = cloud.build(&cluster, &offer, node.hostname.clone(), node.master, None, now);
                    cloud.vms.insert(
                        vm.id,
                        VmInfo {
                            state: VmState::Booted,
                            ..vm
                        },
                    );
                }
            }
            for group in &cluster.groups {
                if let Some(offer) = cloud.offer(group.offer).cloned() {
                    cloud.insert_group(&cluster.identifier, group.name.clone(), offer, now);
                }
            }
        }
        cloud
    }

    pub(crate) fn cluster(&self, identifier: &str) -> Option<&ClusterConfig> {
        self.config
            .clusters
            .iter()
            .find(|cluster| cluster.identifier == identifier)
    }

    pub(crate) fn offer(&self, id: i64) -> Option<&OfferConfig> {
        self.config.offers.iter().find(|offer| offer.id == id)
    }

    /// Every machine, by id.
    pub(crate) fn vms(&self) -> impl Iterator<Item = &VmInfo> {
        self.vms.values()
    }

    /// The nodes that the API shows of a cluster, by id.
    pub(crate) fn listed(&self, cluster: &str) -> impl Iterator<Item = &VmInfo> {
        self.vms
            .values()
            .filter(move |vm| vm.cluster == cluster && vm.state != VmState::Accepted)
    }

    pub(crate) fn nodes_count(&self, group: i64) -> usize {
        let counted = |vm: &VmInfo| self.config.shape.count_at_order || vm.state != VmState::Accepted;
        self.vms
            .values()
            .filter(|vm| vm.group == Some(group) && counted(vm))
            .count()
    }

    pub(crate) fn create_group(
        &mut self,
        cluster: &str,
        name: &str,
        offer: i64,
        now: Timestamp,
    ) -> Result<Group, No> {
        if self.cluster(cluster).is_none() {
            return Err(No::NotFound);
        }
        if name.is_empty() {
            return Err(No::BadRequest(
                "\"groupName\" is not allowed to be empty".to_owned(),
            ));
        }
        let Some(offer) = self.offer(offer).cloned() else {
            return Err(No::BadRequest(
                "\"KubeSizeID\" is not an available size".to_owned(),
            ));
        };
        let same = self
            .groups
            .values()
            .find(|group| group.cluster == cluster && group.offer.id == offer.id);
        if let (Some(same), true) = (same, self.config.one_group_per_size) {
            return Err(No::Limit(format!(
                "Node group {} of this cluster has the same selected Size",
                same.name
            )));
        }
        Ok(self.insert_group(cluster, name.to_owned(), offer, now))
    }

    fn insert_group(&mut self, cluster: &str, name: String, offer: OfferConfig, now: Timestamp) -> Group {
        let number = self.next_group;
        self.next_group += 1;
        let identifier = self.uuid();
        let group = Group {
            number,
            identifier,
            name,
            cluster: cluster.to_owned(),
            offer,
            created_at: now,
        };
        self.groups.insert(number, group.clone());
        group
    }

    pub(crate) fn delete_group(&mut self, identifier: &str) -> Result<(), No> {
        let group = self
            .groups
            .values()
            .find(|group| group.identifier == identifier)
            .ok_or(No::NotFound)?;
        let number = group.number;
        if self.vms.values().any(|vm| vm.group == Some(number)) {
            return Err(No::BadRequest("The node group still has nodes".to_owned()));
        }
        self.groups.remove(&number);
        Ok(())
    }

    /// Takes an order. The machine is not shown yet.
    pub(crate) fn order(&mut self, cluster: &str, group: i64, now: Timestamp) -> Result<VmInfo, No> {
        let cluster = self.cluster(cluster).cloned().ok_or(No::NotFound)?;
        let group = self
            .groups
            .get(&group)
            .filter(|group| group.cluster == cluster.identifier)
            .cloned();
        let group = group.ok_or(No::NotFound)?;
        let workers = self
            .vms
            .values()
            .filter(|vm| vm.cluster == cluster.identifier && !vm.master)
            .count();
        if let Some(limit) = self.config.worker_limit
            && workers >= limit as usize
        {
            return Err(No::Limit(format!(
                "Worker nodes count exceeds the allowed limit {limit}"
            )));
        }
        let hostname = self.worker_name(&cluster.name);
        let vm = self.build(&cluster, &group.offer, hostname, false, Some(&group), now);
        self.vms.insert(vm.id, vm.clone());
        self.created += 1;
        Ok(vm)
    }

    /// Takes an order for a plain VM.
    pub(crate) fn order_plain(
        &mut self,
        hostname: String,
        datacenter: String,
        plan: &PlanConfig,
        plain: PlainVm,
        now: Timestamp,
    ) -> VmInfo {
        let offer = OfferConfig {
            id: 0,
            name: plan.name.clone(),
            cpu: plan.cpu,
            ram_mb: plan.ram_mb,
            disk_gb: plan.disk_gb,
            price_monthly: plan.price_monthly,
        };
        let nowhere = ClusterConfig {
            identifier: String::new(),
            name: String::new(),
            datacenter,
            kubernetes_version: None,
            nodes: Vec::new(),
            groups: Vec::new(),
        };
        let hostname = match self.config.shape.hostname_case {
            HostnameCase::Upper => hostname.to_uppercase(),
            HostnameCase::Mixed | HostnameCase::Lower => hostname,
        };
        let vm = VmInfo {
            plain: Some(plain),
            ..self.build(&nowhere, &offer, hostname, false, None, now)
        };
        self.vms.insert(vm.id, vm.clone());
        self.created += 1;
        vm
    }

    /// A plain VM that lists show.
    pub(crate) fn plain(&self, identifier: &str) -> Option<&VmInfo> {
        self.vms
            .values()
            .find(|vm| vm.plain.is_some() && vm.identifier == identifier && vm.state != VmState::Accepted)
    }

    /// Takes an order to remove a plain VM. `Ok(None)` if it is being removed already.
    pub(crate) fn remove_plain(&mut self, identifier: &str) -> Result<Option<VmInfo>, No> {
        let id = self.plain(identifier).ok_or(No::NotFound)?.id;
        let vm = self.vms.get_mut(&id).ok_or(No::NotFound)?;
        if vm.state == VmState::Deleting {
            return Ok(None);
        }
        vm.state = VmState::Deleting;
        Ok(Some(vm.clone()))
    }

    /// A plain VM leaves the list of pending ones.
    pub(crate) fn not_pending(&mut self, id: i64) {
        if let Some(plain) = self.vms.get_mut(&id).and_then(|vm| vm.plain.as_mut()) {
            plain.pending = false;
        }
    }

    /// Whether a machine that runs can join its cluster.
    pub(crate) fn may_join(&self, id: i64) -> bool {
        let Some(token) = &self.config.plain.join_token else {
            return true;
        };
        let plain = self.vms.get(&id).and_then(|vm| vm.plain.as_ref());
        plain.is_none_or(|plain| plain.user_data.contains(token))
    }

    /// The time has come for an ordered machine to be shown. `None` if it is not there any more.
    pub(crate) fn list(&mut self, id: i64) -> Option<VmEvent> {
        self.advance(id, VmState::Accepted, VmState::Listed)
            .map(VmEvent::Listed)
    }

    /// The time has come for a shown machine to run. `None` if it is not there any more, or on its way out.
    pub(crate) fn boot(&mut self, id: i64) -> Option<VmEvent> {
        self.advance(id, VmState::Listed, VmState::Booted)
            .map(VmEvent::Booted)
    }

    fn advance(&mut self, id: i64, from: VmState, to: VmState) -> Option<VmInfo> {
        let vm = self.vms.get_mut(&id).filter(|vm| vm.state == from)?;
        vm.state = to;
        Some(vm.clone())
    }

    /// Takes an order to remove a shown worker. `Ok(None)` if it is being removed already.
    pub(crate) fn remove(&mut self, cluster: &str, identifier: &str) -> Result<Option<VmInfo>, No> {
        let shown = |vm: &&mut VmInfo| {
            vm.cluster == cluster && vm.identifier == identifier && vm.state != VmState::Accepted
        };
        let vm = self.vms.values_mut().find(shown).ok_or(No::NotFound)?;
        if vm.master {
            return Err(No::BadRequest("The node is not a worker".to_owned()));
        }
        if vm.state == VmState::Deleting {
            return Ok(None);
        }
        vm.state = VmState::Deleting;
        Ok(Some(vm.clone()))
    }

    /// The worker that the provider picks when it may choose: the newest.
    pub(crate) fn victim(&self, cluster: &str, group: i64) -> Option<String> {
        let of_group = |vm: &&VmInfo| vm.group == Some(group) && vm.state != VmState::Deleting;
        self.listed(cluster)
            .filter(of_group)
            .last()
            .map(|vm| vm.identifier.clone())
    }

    /// The time has come for a machine to be gone.
    pub(crate) fn vanish(&mut self, id: i64, now: Timestamp) -> Option<VmEvent> {
        let vm = self.vms.remove(&id)?;
        if vm.is_ordered() {
            self.removed += 1;
            self.settled_cost += cost(&vm, now);
        }
        Some(VmEvent::Removed(vm))
    }

    pub(crate) fn inventory(&self, now: Timestamp) -> Inventory {
        let ordered = || self.vms.values().filter(|vm| vm.is_ordered());
        Inventory {
            vms: self.vms.values().cloned().collect(),
            created: self.created,
            removed: self.removed,
            price_hourly: ordered().map(|vm| vm.price_hourly).sum(),
            cost: self.settled_cost + ordered().map(|vm| cost(vm, now)).sum::<f64>(),
        }
    }

    /// A random number below 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / (f64::from(u32::MAX) + 1.0)
    }

    pub(crate) fn uuid(&mut self) -> String {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = |range: std::ops::Range<usize>| {
            bytes[range]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        format!(
            "{}-{}-{}-{}-{}",
            hex(0..4),
            hex(4..6),
            hex(6..8),
            hex(8..10),
            hex(10..16)
        )
    }

    fn worker_name(&mut self, cluster: &str) -> String {
        loop {
            let name = format!("{cluster}-slave-{:04x}", self.rng.next_u32() & 0xffff);
            let name = match self.config.shape.hostname_case {
                HostnameCase::Mixed => name,
                HostnameCase::Lower => name.to_lowercase(),
                HostnameCase::Upper => name.to_uppercase(),
            };
            if !self.vms.values().any(|vm| vm.hostname == name) {
                return name;
            }
        }
    }

    fn build(
        &mut self,
        cluster: &ClusterConfig,
        offer: &OfferConfig,
        hostname: String,
        master: bool,
        group: Option<&Group>,
        now: Timestamp,
    ) -> VmInfo {
        let id = self.next_vm;
        self.next_vm += 1;
        let (high, low) = ((id / 250) % 250, id % 250 + 1);
        VmInfo {
            id,
            identifier: self.uuid(),
            node_name: hostname.to_lowercase(),
            hostname,
            address: format!("100.64.{high}.{low}"),
            private_address: format!("10.0.{high}.{low}"),
            cluster: cluster.identifier.clone(),
            datacenter: cluster.datacenter.clone(),
            group: group.map(|group| group.number),
            group_name: group.map(|group| group.name.clone()),
            plain: None,
            master,
            size: VmSize {
                offer: offer.id,
                cpu: offer.cpu,
                memory_mib: offer.ram_mb,
                disk_gib: offer.disk_gb,
            },
            price_hourly: offer.price_monthly / HOURS_PER_MONTH,
            created_at: now,
            state: VmState::Accepted,
        }
    }
}

fn cost(vm: &VmInfo, now: Timestamp) -> f64 {
    vm.price_hourly * now.duration_since(vm.created_at).as_secs_f64().max(0.0) / 3600.0
}
