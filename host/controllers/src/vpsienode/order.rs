//! Ordering a machine: intent first, then one request, then looking until it is listed.

use super::claim::{Order, identity};
use super::outcome::is_unknown;
use super::{ORDER_LOST, VpsieNodes, condition};
use crate::crash::{self, Step};
use crate::error::Error;
use crate::runtime::queue::Next;
use autoscaler_api::VPSieNode;
use autoscaler_api::conditions::{self, reasons, types};
use autoscaler_api::vpsie_node::{NodeResources, Phase, VPSieNodeStatus};
use autoscaler_cluster::{ObjectKey, Offering};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::BTreeSet;
use std::time::Duration;
use vpsie_client::{ClusterDetail, ClusterId, GroupNumber, OfferId, ProviderNode};

/// The provider's groups change only when we create one.
const GROUPS_MAX_AGE: Duration = Duration::from_secs(60);

impl VpsieNodes {
    /// Sends the order, once: the intent stands in the status before the request leaves.
    pub(super) async fn order(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(node) = self.ctx.index.vpsie_node(key) else {
            return Ok(Next::Done);
        };
        if let Some(left) = self.rests(key, &node) {
            return Ok(Next::After(left));
        }
        let cluster = Self::cluster(&node);
        let ledger = self.ledgers.of(&cluster);
        let mut ledger = ledger.lock().await;
        // The wait for the lock may have been long: look again.
        let Some(node) = self.ctx.index.vpsie_node(key) else {
            return Ok(Next::Done);
        };
        if node.phase() != Phase::Pending || node.metadata.deletion_timestamp.is_some() {
            return Ok(Next::After(Duration::ZERO));
        }
        // Another order of the same batch has met the limit meanwhile: this one would too.
        if let Some(pause) = self.ctx.catalogue.quota_pause(cluster.as_str()) {
            let message = format!("not sent, quota exceeded: {}", pause.last.message);
            return self
                .fail(&node, reasons::CAPACITY_LIMIT_REACHED, message, false)
                .await;
        }
        let nodes = self.of_cluster(&cluster);
        ledger.refresh(&nodes);
        let quiet = ledger.is_quiet();
        let max_age = if quiet {
            Duration::ZERO
        } else {
            self.pace.provider_poll
        };
        let listed = self.ctx.catalogue.cluster(&cluster, max_age).await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(source) => {
                return self
                    .not_sent(
                        &node,
                        Error::Vpsie {
                            action: "listing the cluster's nodes",
                            source,
                        },
                    )
                    .await;
            }
        };
        let Some(size) = node.spec.kube_size_id else {
            let message = format!(
                "offering {} has no size at VPSie: spec.kubeSizeID is missing",
                node.spec.instance_type
            );
            return self.fail(&node, reasons::VALIDATION_FAILED, message, false).await;
        };
        if !ledger.admits(size, rows_tell_sizes(&listed)) {
            return Ok(Next::After(self.pace.provider_poll));
        }
        if quiet {
            let owned = ledger.owned(&nodes);
            let foreign: BTreeSet<String> = listed
                .nodes
                .iter()
                .map(identity)
                .filter(|name| !owned.contains(name))
                .collect();
            ledger.set_foreign(foreign);
        }
        let number = match self.provider_group(&cluster, &node, size).await {
            Ok(number) => number,
            Err(error) => return self.not_sent(&node, error).await,
        };
        let now = (self.ctx.now)();
        let note = format!(
            "ordering offering {} (size {size}) in provider group {number}",
            node.spec.instance_type
        );
        let foreign = ledger.foreign();
        let intent = self
            .enter(
                &node,
                Phase::Provisioning,
                reasons::PROVISIONING,
                note,
                |status| {
                    status.creation_requested_at = Some(Time(now));
                    status.creation_accepted_at = None;
                    status.provider_nodes_before = Some(foreign);
                    status.provisioning_start_time = Some(Time(now));
                    status.created_at = Some(Time(now));
                    status.vpsie_group_id = Some(number.0);
                },
            )
            .await?;
        crash::at(Step::IntentWritten);
        let mut order = Order {
            key: key.clone(),
            size,
            requested_ms: now.as_millisecond(),
            accepted: false,
        };
        ledger.ordered(order.clone());
        self.note_reaction(&intent, now);
        let result = self.ctx.vpsie.add_node(&cluster, number).await;
        match &result {
            Ok(_) => {
                order.accepted = true;
                ledger.ordered(order);
            }
            // The machine may come: the order is looked for.
            Err(error) if is_unknown(error) => {}
            Err(_) => ledger.forget(key),
        }
        self.conclude(key, &intent, result.map(drop)).await
    }

    /// The provider's group of a size: there is one per size and cluster, shared by all NodeGroups.
    async fn provider_group(
        &self,
        cluster: &ClusterId,
        node: &VPSieNode,
        size: i64,
    ) -> Result<GroupNumber, Error> {
        let find = |groups: &[vpsie_client::ProviderGroup]| {
            groups
                .iter()
                .find(|group| group.size == OfferId(size))
                .map(|group| group.number)
        };
        let catalogue = &self.ctx.catalogue;
        let listing = Error::vpsie("listing the cluster's groups");
        let groups = catalogue.groups(cluster, GROUPS_MAX_AGE).await.map_err(listing)?;
        if let Some(number) = find(&groups) {
            return Ok(number);
        }
        let name = provider_group_name(&node.spec.node_group_name, size);
        match self.ctx.vpsie.create_group(cluster, &name, OfferId(size)).await {
            // Somebody else made one of this size meanwhile: the list shows it.
            Ok(_) | Err(vpsie_client::Error::Conflict { .. }) => {}
            Err(source) => {
                return Err(Error::Vpsie {
                    action: "creating a group",
                    source,
                });
            }
        }
        crash::at(Step::ProviderGroupCreated);
        let groups = catalogue
            .groups(cluster, Duration::ZERO)
            .await
            .map_err(Error::vpsie("listing the cluster's groups"))?;
        find(&groups).ok_or_else(|| Error::Invalid {
            object: format!("cluster {cluster}"),
            field: "size",
            problem: format!("no group of size {size} is listed after it was created"),
        })
    }

    /// Looks for the machine of an order.
    pub(super) async fn look(&self, key: &ObjectKey, node: &VPSieNode) -> Result<Next, Error> {
        let now = (self.ctx.now)();
        if let Some(row) = self.find_machine(key, node).await? {
            crash::at(Step::MachineFound);
            let resources = row.cpu.zip(row.memory_mib).map(|(cpu, memory)| NodeResources {
                cpu: i64::from(cpu),
                memory_mb: i64::try_from(memory).unwrap_or(i64::MAX),
                disk_gb: row
                    .disk_gib
                    .and_then(|disk| i64::try_from(disk).ok())
                    .unwrap_or(0),
                bandwidth_gb: None,
            });
            let note = format!("VPSie lists it as {}", row.hostname);
            self.enter(
                node,
                Phase::Provisioned,
                reasons::PROVISIONED,
                note.clone(),
                |status| {
                    remember_machine(status, &row);
                    status.ip_address = row.address.clone().or(row.private_address.clone());
                    status.vpsie_status = row.status.clone();
                    status.resources = resources;
                    status.provisioned_at = Some(Time(now));
                    conditions::remove(&mut status.conditions, types::PROVISION_ERROR);
                    condition(status, types::VPS_READY, true, reasons::PROVISIONED, note, now);
                },
            )
            .await?;
            crash::at(Step::MachineWritten);
            return Ok(Next::After(Duration::ZERO));
        }
        let status = node.status.clone().unwrap_or_default();
        let waited = status
            .creation_requested_at
            .as_ref()
            .map_or(Duration::ZERO, |at| since(&at.0, now));
        if self.is_surely_lost(node) {
            let note = "the order whose answer was lost did not go through; ordering again".to_owned();
            // Status first: if the process ends here, the record says that nothing is under way.
            self.enter(node, Phase::Pending, ORDER_LOST, note, |status| {
                status.creation_requested_at = None;
                status.provider_nodes_before = None;
            })
            .await?;
            self.ledgers.of(&Self::cluster(node)).lock().await.forget(key);
            return Ok(Next::After(Duration::ZERO));
        }
        let limit = self.settings().node_ready_timeout;
        if waited >= limit {
            let message = format!(
                "timeout: VPSie lists no machine for the order after {} s",
                limit.as_secs()
            );
            return self
                .fail(node, reasons::PROVISIONING_TIMEOUT, message, true)
                .await;
        }
        Ok(Next::After(self.pace.provider_poll))
    }

    /// Whether an order whose answer was lost did certainly not go through. Machines of one size are alike: while
    /// another order of the size may still bring one, that one may have got ours.
    pub(super) fn is_surely_lost(&self, node: &VPSieNode) -> bool {
        let open =
            |status: &VPSieNodeStatus| status.creation_accepted_at.is_some() && status.hostname.is_none();
        let alike = self.of_cluster(&Self::cluster(node));
        let alike = alike
            .iter()
            .filter(|other| other.spec.kube_size_id == node.spec.kube_size_id);
        let statuses: Vec<&VPSieNodeStatus> = alike.filter_map(|other| other.status.as_ref()).collect();
        let latest = statuses
            .iter()
            .filter_map(|status| status.creation_requested_at.as_ref())
            .map(|at| at.0)
            .max();
        let answered = node
            .status
            .as_ref()
            .is_none_or(|status| status.creation_accepted_at.is_some());
        let quiet = latest.is_some_and(|at| since(&at, (self.ctx.now)()) >= self.pace.lost_answer_grace);
        !answered && quiet && !statuses.iter().any(|status| open(status))
    }

    /// The machine that the ledger gives to this order, if one is listed by now.
    pub(super) async fn find_machine(
        &self,
        key: &ObjectKey,
        node: &VPSieNode,
    ) -> Result<Option<ProviderNode>, Error> {
        let cluster = Self::cluster(node);
        let listing = Error::vpsie("listing the cluster's nodes");
        let listed = self
            .ctx
            .catalogue
            .cluster(&cluster, self.pace.provider_poll)
            .await
            .map_err(listing)?;
        let ledger = self.ledgers.of(&cluster);
        let mut ledger = ledger.lock().await;
        let nodes = self.of_cluster(&cluster);
        ledger.refresh(&nodes);
        let offerings = self.ctx.catalogue.known_offerings();
        let offerings = offerings
            .get(&node.spec.datacenter_id)
            .cloned()
            .unwrap_or_default();
        Ok(ledger.settle(key, &listed.nodes, &nodes, &|row| size_of(row, &offerings)))
    }

    /// A record that knows its machine already.
    pub(super) async fn adopt(&self, node: &VPSieNode) -> Result<Next, Error> {
        let name = node.node_name().map(str::to_lowercase);
        let now = (self.ctx.now)();
        self.enter(
            node,
            Phase::Provisioned,
            "Adopted",
            "the record names its machine: nothing is ordered".to_owned(),
            |status| {
                status.node_name = name;
                status.vpsie_node_identifier = node.provider_identifier().map(str::to_owned);
                status.provisioning_start_time = Some(Time(now));
            },
        )
        .await?;
        Ok(Next::After(Duration::ZERO))
    }
}

impl VpsieNodes {
    /// An order that the Go controller sent: whether it went through is unknown, so it is looked for first.
    pub(super) async fn take_over(&self, node: &VPSieNode) -> Result<Next, Error> {
        let now = (self.ctx.now)();
        let note = "ordered by another controller before: looking for its machine".to_owned();
        self.enter(node, Phase::Provisioning, reasons::PROVISIONING, note, |status| {
            status.creation_requested_at = Some(Time(now));
            status.provisioning_start_time = Some(Time(now));
        })
        .await?;
        Ok(Next::After(Duration::ZERO))
    }
}

/// Name of the provider's group that a NodeGroup makes for a size.
pub(crate) fn provider_group_name(node_group: &str, size: i64) -> String {
    format!("{node_group}-{size}")
}

/// Writes down which machine it is.
pub(super) fn remember_machine(status: &mut VPSieNodeStatus, row: &ProviderNode) {
    status.vpsie_node_identifier = row.identifier.as_ref().map(|id| id.as_str().to_owned());
    status.vpsie_instance_id = row.id;
    status.hostname = Some(row.hostname.clone());
    status.node_name = Some(row.name_key());
}

pub(super) fn since(at: &jiff::Timestamp, now: jiff::Timestamp) -> Duration {
    now.duration_since(*at).try_into().unwrap_or_default()
}

fn rows_tell_sizes(listed: &ClusterDetail) -> bool {
    !listed.nodes.is_empty()
        && listed
            .nodes
            .iter()
            .all(|row| row.cpu.is_some() && row.memory_mib.is_some())
}

/// The size that a row's processors and memory mean, where they mean one only.
pub(crate) fn size_of(row: &ProviderNode, offerings: &[Offering]) -> Option<i64> {
    let (cpu, memory) = (row.cpu?, row.memory_mib?);
    let mut fitting = offerings
        .iter()
        .filter(|offering| offering.cpu == cpu && offering.memory_mib == memory);
    let first = fitting.next()?;
    fitting.next().is_none().then_some(first.size)
}
