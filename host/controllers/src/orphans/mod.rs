//! Orphans: machines of ours without a VPSieNode, and VPSieNodes without their machine. They are looked for every
//! [`Pace::resync`], believed when they have stayed for [`BELIEVED_AFTER`], and reported; they are removed only
//! where `globalSettings.removeOrphans` allows it, and machines only where a label of ours on their Node, the notes of a
//! VM, or the order that they came with (see [`surplus`]) prove whose they are.
//!
//! Removing a machine is writing its VPSieNode again, with the machine's identifier in it, and deleting that: the
//! node is drained and given back as any other. If the process ends in between, the machine has a record again.

mod ask;
mod find;
mod surplus;
mod vms;

pub use ask::ask;
pub use find::{Facts, Kind, Orphan, find};
pub use vms::{VmFacts, find_vms};

use crate::catalogue::Vms;
use crate::context::Context;
use crate::error::Error;
use crate::runtime::chain;
use crate::runtime::events::EventType;
use crate::settings::{Pace, Settings};
use crate::vpsienode::size_of;
use autoscaler_api::vpsie_node::VPSieNodeSpec;
use autoscaler_api::{VPSieNode, labels};
use autoscaler_cluster::ObjectKey;
use k8s_openapi::api::core::v1::{Node, ObjectReference};
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use kube::{Resource, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use surplus::{Evidence, Sightings, twins};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use vpsie_client::{ClusterDetail, ClusterId, ProviderNode};

/// A machine that was just bought or given back looks like an orphan for a moment, and lists may lag behind.
pub const BELIEVED_AFTER: Duration = Duration::from_secs(120);

/// The search.
pub(crate) struct Orphans {
    ctx: Arc<Context>,
    pace: Pace,
    /// Since when each was seen, look by look.
    since: BTreeMap<Orphan, Instant>,
    reported: BTreeSet<Orphan>,
    sightings: Sightings,
}

/// What one look at one of VPSie's lists brought.
struct Look {
    listed: Listed,
    orphans: Vec<Orphan>,
    /// By provider's group: records for the machines that are surely its surplus.
    twins: BTreeMap<String, Vec<VPSieNode>>,
}

/// The list that a look was at.
enum Listed {
    Cluster(ClusterId, Arc<ClusterDetail>),
    Vms(Arc<Vms>),
}

impl Orphans {
    pub(crate) fn new(ctx: Arc<Context>, pace: Pace) -> Self {
        Self {
            ctx,
            pace,
            since: BTreeMap::new(),
            reported: BTreeSet::new(),
            sightings: Sightings::default(),
        }
    }

    /// Looks until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = sleep(self.pace.resync) => {}
            }
            match self.looks().await {
                Ok(looks) => self.judge(&looks).await,
                // What was seen before is neither confirmed nor refuted.
                Err(error) => tracing::debug!("looking for orphans: {}", chain(&error)),
            }
        }
    }

    /// One look at every VPSie cluster that a NodeGroup or a VPSieNode names, and at the VMs where there are any.
    async fn looks(&mut self) -> Result<Vec<Look>, Error> {
        let (groups, records) = (self.ctx.index.node_groups(), self.ctx.index.vpsie_nodes());
        let ctx = self.ctx.clone();
        let node = |name: &str| ctx.index.node(name);
        let offerings = self.ctx.catalogue.known_offerings();
        let mut looks = Vec::new();
        for cluster in clusters(&groups, &records) {
            let listed = self
                .ctx
                .catalogue
                .cluster(&cluster, self.pace.provider_poll)
                .await;
            let listed = listed.map_err(Error::vpsie("listing the cluster's nodes"))?;
            let provider_groups = self.ctx.catalogue.groups(&cluster, Duration::ZERO).await;
            let provider_groups = provider_groups.map_err(Error::vpsie("listing the cluster's groups"))?;
            let facts = Facts {
                cluster: cluster.as_str(),
                listed: &listed,
                provider_groups: &provider_groups,
                records: &records,
                groups: &groups,
                node: &node,
            };
            let now = (self.ctx.now)();
            self.sightings.note(cluster.as_str(), &listed, now);
            let evidence = Evidence {
                sightings: &self.sightings,
                size_of: &|datacenter, row| size_of(row, offerings.get(datacenter)?),
                grace: self.pace.lost_answer_grace,
                now,
            };
            let orphans = find(&facts);
            let twins = provider_groups
                .iter()
                .map(|provider| (provider.name.clone(), twins(&facts, provider, &evidence)))
                .collect();
            looks.push(Look {
                listed: Listed::Cluster(cluster, listed),
                orphans,
                twins,
            });
        }
        if any_vms(&groups, &records) {
            let listed = self.ctx.catalogue.vms(self.pace.provider_poll).await;
            let listed = listed.map_err(Error::vpsie("listing the VMs"))?;
            let orphans = find_vms(&VmFacts {
                listed: &listed.listed,
                records: &records,
                groups: &groups,
            });
            looks.push(Look {
                listed: Listed::Vms(listed),
                orphans,
                twins: BTreeMap::new(),
            });
        }
        Ok(looks)
    }

    async fn judge(&mut self, looks: &[Look]) {
        let now = Instant::now();
        let seen = looks.iter().flat_map(|look| &look.orphans);
        self.since = seen
            .map(|orphan| (orphan.clone(), self.since.get(orphan).copied().unwrap_or(now)))
            .collect();
        let believed: BTreeSet<Orphan> = self
            .since
            .iter()
            .filter(|(_, since)| now.duration_since(**since) >= BELIEVED_AFTER)
            .map(|(orphan, _)| orphan.clone())
            .collect();
        for kind in Kind::ALL {
            let count = believed.iter().filter(|orphan| orphan.kind == kind).count();
            self.ctx.metrics.orphans(kind, count);
        }
        for orphan in believed.difference(&self.reported) {
            self.report(orphan);
        }
        self.reported = believed;
        if Settings::of(self.ctx.index.config().as_deref()).remove_orphans {
            for look in looks {
                for orphan in look
                    .orphans
                    .iter()
                    .filter(|orphan| self.reported.contains(orphan))
                {
                    if let Err(error) = self.remove(look, orphan).await {
                        tracing::warn!(
                            orphan = orphan.name,
                            reason = error.reason(),
                            "removing an orphan: {}",
                            chain(&error)
                        );
                    }
                }
            }
        }
    }

    fn report(&self, orphan: &Orphan) {
        let Orphan {
            kind,
            cluster,
            name,
            what,
        } = orphan;
        tracing::warn!(kind = kind.as_str(), cluster, name, "orphan: {what}");
        let (regarding, reason) = match kind {
            Kind::Machine => {
                let node = self.ctx.index.node(&name.to_lowercase());
                (node.map(|node| node.object_ref(&())), "OrphanedMachine")
            }
            Kind::Record => {
                let record = key_of(name).and_then(|key| self.ctx.index.vpsie_node(&key));
                (record.map(|record| record.object_ref(&())), "OrphanedRecord")
            }
            Kind::Surplus => {
                let groups = self.ctx.index.node_groups();
                let group = groups.iter().find(|group| {
                    let rest = name.strip_prefix(&group.name_any()).unwrap_or_default();
                    rest.strip_prefix('-')
                        .is_some_and(|size| size.parse::<i64>().is_ok())
                });
                (group.map(|group| group.object_ref(&())), "SurplusMachines")
            }
        };
        let regarding: ObjectReference = regarding.unwrap_or_default();
        self.ctx.events.publish(
            &regarding,
            EventType::Warning,
            reason,
            "FindOrphans",
            what.clone(),
        );
    }

    async fn remove(&self, look: &Look, orphan: &Orphan) -> Result<(), Error> {
        match orphan.kind {
            Kind::Machine => {
                let record = match &look.listed {
                    Listed::Cluster(cluster, listed) => {
                        let row = listed.nodes.iter().find(|row| row.hostname == orphan.name);
                        let node = self.ctx.index.node(&orphan.name.to_lowercase());
                        row.zip(node)
                            .and_then(|(row, node)| record_of(cluster, row, &node))
                    }
                    Listed::Vms(vms) => {
                        let vm = vms.listed.iter().find(|vm| vm.hostname == orphan.name);
                        vm.and_then(|vm| vms::record_of(vm, &self.ctx.index.node_groups()))
                    }
                };
                self.give_back(&orphan.name, record).await
            }
            Kind::Record => {
                let Some(record) = key_of(&orphan.name).and_then(|key| self.ctx.index.vpsie_node(&key))
                else {
                    return Ok(());
                };
                self.delete(&record).await
            }
            // Where it cannot be told which machines they are, none is touched.
            Kind::Surplus => {
                for record in look.twins.get(&orphan.name).into_iter().flatten() {
                    self.give_back(&record.name_any(), Some(record.clone())).await?;
                }
                Ok(())
            }
        }
    }

    /// Writes the record of a machine again, and deletes it.
    async fn give_back(&self, machine: &str, record: Option<VPSieNode>) -> Result<(), Error> {
        let Some(record) = record else {
            tracing::warn!(
                machine,
                "the orphan stays: VPSie or its Node do not tell enough of it"
            );
            return Ok(());
        };
        let namespace = record.namespace().unwrap_or_default();
        let api: Api<VPSieNode> = Api::namespaced(self.ctx.effects.clone(), &namespace);
        let created = api.create(&PostParams::default(), &record).await;
        let created = created.map_err(Error::kubernetes("writing the VPSieNode of an orphan"))?;
        tracing::info!(machine, vpsienode = %created.name_any(), "orphan: giving it back");
        self.delete(&created).await
    }

    async fn delete(&self, record: &VPSieNode) -> Result<(), Error> {
        let api: Api<VPSieNode> =
            Api::namespaced(self.ctx.effects.clone(), &record.namespace().unwrap_or_default());
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: record.uid(),
                resource_version: record.resource_version(),
            }),
            ..DeleteParams::default()
        };
        let deleted = api.delete(&record.name_any(), &params).await;
        match deleted.map_err(Error::kubernetes("deleting the VPSieNode of an orphan")) {
            Err(error) if !(error.is_not_found() || error.is_conflict()) => Err(error),
            _ => Ok(()),
        }
    }
}

/// The record that the machine's Node is labelled with. It names its machine, so that nothing is ever ordered for it.
fn record_of(cluster: &ClusterId, row: &ProviderNode, node: &Node) -> Option<VPSieNode> {
    let label = |name: &str| node.labels().get(name).cloned();
    let spec = VPSieNodeSpec {
        node_group_name: label(labels::NODE_GROUP)?,
        instance_type: label(labels::OFFERING)?,
        datacenter_id: label(labels::DATACENTER)?,
        resource_identifier: cluster.as_str().to_owned(),
        vpsie_node_identifier: Some(row.identifier.as_ref()?.as_str().to_owned()),
        node_name: Some(row.name_key()),
        ..VPSieNodeSpec::default()
    };
    let mut record = VPSieNode::new(&label(labels::VPSIE_NODE)?, spec);
    record.metadata.namespace = label(labels::NODE_GROUP_NAMESPACE);
    record.metadata.finalizers = Some(vec![labels::VPSIE_NODE_FINALIZER.to_owned()]);
    Some(record)
}

/// Every VPSie cluster that a NodeGroup or a VPSieNode names.
pub fn clusters(
    groups: &[Arc<autoscaler_api::NodeGroup>],
    records: &[Arc<VPSieNode>],
) -> BTreeSet<ClusterId> {
    let of_groups = groups
        .iter()
        .filter(|group| !group.spec.is_vm())
        .map(|group| group.spec.resource_identifier.as_str());
    let of_records = records
        .iter()
        .filter(|record| !record.spec.is_vm())
        .map(|record| record.spec.resource_identifier.as_str());
    of_groups.chain(of_records).map(ClusterId::new).collect()
}

/// Whether there are groups or records of plain VMs.
pub fn any_vms(groups: &[Arc<autoscaler_api::NodeGroup>], records: &[Arc<VPSieNode>]) -> bool {
    groups.iter().any(|group| group.spec.is_vm()) || records.iter().any(|record| record.spec.is_vm())
}

fn key_of(name: &str) -> Option<ObjectKey> {
    let (namespace, name) = name.split_once('/')?;
    Some(ObjectKey::new(namespace, name))
}
