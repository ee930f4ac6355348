//! What must hold once the storm is over: nothing is lost, nothing is doubled, nothing is left half done.

use super::plan::{Plan, STRANGER, WEB};
use crate::{Error, World};
use autoscaler_api::Rebalance;
use autoscaler_api::vpsie_node::Phase;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use std::collections::BTreeSet;

/// Everything that does not hold, in words.
pub(super) async fn broken(world: &World, plan: &Plan) -> Result<Vec<String>, Error> {
    let mut broken = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            broken.push(what);
        }
    };
    let vms = world.cloud.vms();
    let machines: BTreeSet<String> = vms
        .iter()
        .filter(|vm| vm.is_ordered())
        .map(|vm| vm.node_name.clone())
        .collect();
    let records = world.view.vpsie_nodes();
    let named: BTreeSet<String> = records
        .values()
        .filter_map(|record| record.node_name().map(str::to_owned))
        .collect();
    must(
        machines == named && records.len() == machines.len(),
        format!(
            "machines {machines:?} are not those of the {} records {named:?}",
            records.len()
        ),
    );
    for (key, record) in &records {
        must(
            record.phase() == Phase::Ready && record.metadata.deletion_timestamp.is_none(),
            format!("{} is {}", key.name, record.phase().as_str()),
        );
    }

    let nodes = Api::<Node>::all(world.client.clone())
        .list(&ListParams::default())
        .await;
    let nodes = nodes.map_err(Error::kubernetes("listing nodes"))?.items;
    let workers: BTreeSet<String> = nodes
        .iter()
        .filter(|node| {
            !node
                .labels()
                .contains_key("node-role.kubernetes.io/control-plane")
        })
        .map(ResourceExt::name_any)
        .filter(|name| *name != STRANGER.to_lowercase())
        .collect();
    must(
        machines == workers,
        format!("machines {machines:?} are not the Nodes {workers:?}"),
    );
    for node in &nodes {
        let spec = node.spec.clone().unwrap_or_default();
        let name = node.name_any();
        must(
            spec.unschedulable != Some(true),
            format!("{name} is left cordoned"),
        );
        let ours = spec
            .taints
            .unwrap_or_default()
            .into_iter()
            .find(|taint| taint.key.starts_with(autoscaler_api::GROUP));
        must(ours.is_none(), format!("{name} is left with the taint {ours:?}"));
    }

    let strangers = plan
        .cloud
        .clusters
        .iter()
        .map(|cluster| cluster.nodes.len())
        .sum::<usize>();
    let left = vms.iter().filter(|vm| !vm.is_ordered()).count();
    must(
        left == strangers,
        format!("{left} of {strangers} machines that are not ours are left"),
    );
    let (ordered, ever) = (world.cloud.inventory().created, world.view.records_ever());
    must(
        ordered <= ever as u64,
        format!("{ordered} machines were bought for {ever} records"),
    );

    let operations = Api::<Rebalance>::all(world.client.clone())
        .list(&ListParams::default())
        .await;
    let operations = operations.map_err(Error::kubernetes("listing rebalances"))?.items;
    let unfinished = operations
        .iter()
        .filter(|operation| {
            let phase = operation.status.as_ref().map(|status| status.phase);
            !phase.is_some_and(autoscaler_api::rebalance::RebalancePhase::is_final)
        })
        .count();
    must(
        unfinished == 0,
        format!("{unfinished} rebalance operations are not over"),
    );

    if plan.groups_go {
        must(
            machines.is_empty(),
            format!("machines {machines:?} outlive their groups"),
        );
        let groups = super::groups(world).await?;
        must(
            groups.is_empty(),
            format!("{} node groups are still there", groups.len()),
        );
        let provider = world.cloud.groups();
        must(
            provider.is_empty(),
            format!("provider groups {provider:?} outlive their node groups"),
        );
    } else {
        let pods = world.view.pod_counts(Some(WEB.name));
        let room = usize::try_from(plan.in_the_end).unwrap_or(0);
        must(
            pods.total == room && pods.running == room,
            format!("{} of {room} pods run", pods.running),
        );
    }
    Ok(broken)
}
