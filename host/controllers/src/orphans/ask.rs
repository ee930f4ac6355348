//! One look from outside the controller, for `vpsie-autoscaler orphans`.

use super::{Facts, Orphan, VmFacts, any_vms, clusters, find, find_vms};
use crate::error::Error;
use autoscaler_api::{NodeGroup, VPSieNode};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

/// Everything without its counterpart right now. What was just bought or given back may be among it.
///
/// # Errors
/// When Kubernetes or VPSie cannot be asked.
pub async fn ask(kubernetes: &Client, vpsie: &vpsie_client::Client) -> Result<Vec<Orphan>, Error> {
    let groups: Vec<Arc<NodeGroup>> = list(kubernetes, "listing NodeGroups").await?;
    let records: Vec<Arc<VPSieNode>> = list(kubernetes, "listing VPSieNodes").await?;
    let nodes: Vec<Arc<Node>> = list(kubernetes, "listing Nodes").await?;
    let nodes: BTreeMap<String, Arc<Node>> = nodes.into_iter().map(|node| (node.name_any(), node)).collect();
    let mut orphans = Vec::new();
    for cluster in clusters(&groups, &records) {
        let listed = vpsie.get_cluster(&cluster).await;
        let listed = listed.map_err(Error::vpsie("listing the cluster's nodes"))?;
        let provider_groups = vpsie.list_groups(&cluster).await;
        let provider_groups = provider_groups.map_err(Error::vpsie("listing the cluster's groups"))?;
        orphans.extend(find(&Facts {
            cluster: cluster.as_str(),
            listed: &listed,
            provider_groups: &provider_groups,
            records: &records,
            groups: &groups,
            node: &|name| nodes.get(name).cloned(),
        }));
    }
    if any_vms(&groups, &records) {
        let listed = vpsie.list_vms(None).await;
        orphans.extend(find_vms(&VmFacts {
            listed: &listed.map_err(Error::vpsie("listing the VMs"))?,
            records: &records,
            groups: &groups,
        }));
    }
    Ok(orphans)
}

async fn list<K>(client: &Client, action: &'static str) -> Result<Vec<Arc<K>>, Error>
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let listed = Api::<K>::all(client.clone()).list(&ListParams::default()).await;
    let listed = listed.map_err(Error::kubernetes(action))?;
    Ok(listed.items.into_iter().map(Arc::new).collect())
}
