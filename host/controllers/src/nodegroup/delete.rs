//! Deleting a NodeGroup: its nodes go one by one through their own controller, then the provider's groups that
//! nobody else uses, then the record.

use super::NodeGroups;
use crate::error::Error;
use crate::runtime::events::EventType;
use crate::runtime::queue::Next;
use crate::vpsienode::provider_group_name;
use autoscaler_api::conditions::reasons;
use autoscaler_api::{NodeGroup, labels};
use autoscaler_cluster::ObjectKey;
use kube::{Resource, ResourceExt};
use std::collections::BTreeSet;
use std::time::Duration;
use vpsie_client::ClusterId;

impl NodeGroups {
    pub(super) async fn delete(&self, key: &ObjectKey, group: &NodeGroup) -> Result<Next, Error> {
        let nodes = self.ctx.index.vpsie_nodes_of(key);
        if !nodes.is_empty() {
            for node in nodes
                .iter()
                .filter(|node| node.metadata.deletion_timestamp.is_none())
            {
                self.delete_node(node).await?;
            }
            self.write_status(key, group, &nodes, None).await?;
            // Each node that goes wakes the group.
            return Ok(Next::After(self.pace.resync));
        }
        self.delete_provider_groups(key, group).await?;
        let mut finalizers = group.finalizers().to_vec();
        finalizers.retain(|name| name != labels::NODE_GROUP_FINALIZER);
        self.patch_finalizers(group, finalizers).await?;
        self.ctx.metrics.group_gone(&key.namespace, &key.name);
        Ok(Next::Done)
    }

    /// VPSie allows one group per size and cluster, so another NodeGroup may live in the same one: only those
    /// that we made for this group, that are empty and that nobody else's offering means are removed.
    async fn delete_provider_groups(&self, key: &ObjectKey, group: &NodeGroup) -> Result<(), Error> {
        let ours: BTreeSet<i64> = group
            .status
            .iter()
            .flat_map(|status| &status.groups)
            .filter_map(|provider| provider.kube_size_id)
            .collect();
        // The process may have died between making a group and writing that down: its name tells. Only a NodeGroup
        // that never wanted a node needs no look, so that it goes even if VPSie cannot be asked.
        let wanted_nodes = group
            .status
            .as_ref()
            .is_some_and(|status| status.last_scale_up_time.is_some());
        if group.spec.is_vm() || (ours.is_empty() && !wanted_nodes) {
            return Ok(());
        }
        let cluster = ClusterId::new(&group.spec.resource_identifier);
        let others = self.ctx.index.node_groups();
        let used: BTreeSet<i64> = others
            .iter()
            .filter(|other| {
                // Of two that go together neither may wait for the other to remove what they share.
                ObjectKey::of(&***other) != *key
                    && other.metadata.deletion_timestamp.is_none()
                    && other.spec.resource_identifier == group.spec.resource_identifier
            })
            .flat_map(|other| {
                other
                    .status
                    .iter()
                    .flat_map(|status| &status.groups)
                    .filter_map(|provider| provider.kube_size_id)
            })
            .collect();
        let listed = match self.ctx.catalogue.groups(&cluster, Duration::ZERO).await {
            Ok(listed) => listed,
            Err(vpsie_client::Error::NotFound { .. }) => return Ok(()),
            Err(source) => {
                return Err(Error::Vpsie {
                    action: "listing the cluster's groups",
                    source,
                });
            }
        };
        for provider in listed
            .iter()
            .filter(|provider| made_for(key, provider, &ours) && !used.contains(&provider.size.0))
        {
            let Some(uuid) = provider
                .uuid
                .as_ref()
                .filter(|_| provider.nodes_count.unwrap_or(0) == 0)
            else {
                continue;
            };
            match self
                .ctx
                .vpsie
                .delete_group(uuid, "node group deleted", &key.to_string())
                .await
            {
                Ok(()) | Err(vpsie_client::Error::NotFound { .. }) => {}
                Err(source) => {
                    return Err(Error::Vpsie {
                        action: "deleting a group",
                        source,
                    });
                }
            }
            let note = format!("removed the provider's group {}", provider.name);
            self.ctx.events.publish(
                &group.object_ref(&()),
                EventType::Normal,
                reasons::DELETING,
                "Delete",
                note,
            );
        }
        Ok(())
    }
}

/// Whether one of our NodeGroups made the provider's group: this one, by name, or one that shared it and is gone.
/// A group of the same size that somebody else made has another name, and stays.
fn made_for(key: &ObjectKey, provider: &vpsie_client::ProviderGroup, used: &BTreeSet<i64>) -> bool {
    let size = provider.size.0;
    let shared = used.contains(&size) && provider.name.ends_with(&provider_group_name("", size));
    provider.name == provider_group_name(&key.name, size) || shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_that_we_made_are_ours() {
        let key = ObjectKey::new("kube-system", "web");
        let used = BTreeSet::from([12]);
        for (name, size, ours) in [
            ("web-12", 12, true),
            ("web-13", 13, true),
            ("other-12", 12, true),
            ("other-13", 13, false),
            ("by-hand", 12, false),
        ] {
            let provider = vpsie_client::ProviderGroup {
                number: vpsie_client::GroupNumber(1),
                uuid: None,
                name: name.to_owned(),
                size: vpsie_client::OfferId(size),
                nodes_count: Some(0),
                cpu: None,
                memory_mib: None,
                disk_gib: None,
                datacenter: None,
            };
            assert_eq!(made_for(&key, &provider, &used), ours, "{name}");
        }
    }
}
