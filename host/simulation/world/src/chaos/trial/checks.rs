//! What must hold after a trial: nobody lost a place, nothing is lost or left behind, and the record tells the truth.

use super::{AT_LEAST, Failure, Interference, NEW, Names, Trial, Verdict, WEB, operation};
use crate::{Error, World};
use autoscaler_api::labels;
use autoscaler_api::rebalance::{RebalancePhase, RebalanceStatus};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};

/// What does not hold now.
pub(super) async fn look(world: &World, trial: &Trial, names: &Names) -> Result<Verdict, Error> {
    let mut verdict = Verdict::default();
    let mut must = |holds: bool, what: String| {
        if !holds {
            verdict.broken.push(what);
        }
    };
    let pods = world.view.pod_counts(Some(WEB.name));
    let all = WEB.replicas as usize;
    must(
        pods.total == all && pods.running == all,
        format!("{} of {all} pods run", pods.running),
    );
    // Whoever deletes a Node takes its pods with it, and asks no budget.
    if trial.failure != Failure::Operator(Interference::DeletesNode) {
        let fewest = world.view.fewest(WEB.name).unwrap_or(0);
        must(
            fewest >= AT_LEAST,
            format!("only {fewest} pods ran at a time, the budget wants {AT_LEAST}"),
        );
    }
    let vms = world.cloud.vms();
    let machines: BTreeSet<String> = vms
        .iter()
        .filter(|vm| vm.group.is_some())
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
    let nodes = Api::<Node>::all(world.client.clone())
        .list(&ListParams::default())
        .await;
    let nodes = nodes.map_err(Error::kubernetes("listing nodes"))?.items;
    let workers = nodes.iter().filter(|node| {
        !node
            .labels()
            .contains_key("node-role.kubernetes.io/control-plane")
    });
    let workers: BTreeSet<String> = workers.map(ResourceExt::name_any).collect();
    // A machine whose Node somebody deleted has its record still: it is not lost.
    let node_deleted = trial.failure == Failure::Operator(Interference::DeletesNode);
    must(
        machines == workers || (node_deleted && workers.is_subset(&machines)),
        format!("machines {machines:?} are not the Nodes {workers:?}"),
    );
    let by_hand = trial.failure == Failure::Operator(Interference::DrainsByHand);
    for node in &nodes {
        let name = node.name_any();
        let spec = node.spec.clone().unwrap_or_default();
        let cordoned = spec.unschedulable == Some(true);
        // The operator's own cordon is theirs.
        must(!cordoned || by_hand, format!("{name} is left cordoned"));
        let taints = spec.taints.unwrap_or_default();
        let ours = taints
            .iter()
            .any(|taint| taint.key.starts_with(autoscaler_api::GROUP));
        must(!ours, format!("{name} is left with a taint of ours"));
        must(is_unmarked(node.meta()), format!("{name} is left with marks"));
    }
    for (key, record) in &records {
        must(
            is_unmarked(record.meta()),
            format!("{} is left with marks", key.name),
        );
    }
    let object = operation(world).await?;
    let status = object.and_then(|object| object.status);
    let there = |name: &str| machines.contains(name) && nodes.iter().any(|node| node.name_any() == name);
    let new = records.iter().any(|(key, _)| key.name == NEW);
    if let Some(status) = &status {
        for untruth in untruths(status, there(&names.node), new) {
            must(false, untruth);
        }
        verdict.phase = Some(status.phase);
        verdict.message = status.message.clone().unwrap_or_default();
    }
    Ok(verdict)
}

fn is_unmarked(meta: &ObjectMeta) -> bool {
    let none = BTreeMap::new();
    let labelled = meta
        .labels
        .as_ref()
        .unwrap_or(&none)
        .contains_key(labels::REBALANCE_OPERATION);
    let annotated = meta.annotations.as_ref().unwrap_or(&none);
    !labelled
        && ![labels::REBALANCE, labels::CORDONED_BY]
            .iter()
            .any(|key| annotated.contains_key(*key))
}

/// What the record says of the old and the new node must be so.
fn untruths(status: &RebalanceStatus, old_is_there: bool, new_is_there: bool) -> Vec<String> {
    let message = status.message.as_deref().unwrap_or_default();
    let gone = message.contains("removed already");
    let said = |what: &str| {
        let mut steps = status.steps.iter();
        steps.any(|step| step.message.as_deref().is_some_and(|text| text.contains(what)))
    };
    let mut wrong = Vec::new();
    match status.phase {
        RebalancePhase::Completed => {
            if old_is_there {
                wrong.push("Completed, and the old node is there".to_owned());
            }
        }
        RebalancePhase::RolledBack => {
            if new_is_there && !said("kept") {
                wrong.push(format!("RolledBack, and the new node is there: {message}"));
            }
            if gone && old_is_there {
                wrong.push(format!(
                    "RolledBack with a removal, and the old node is there: {message}"
                ));
            }
            let told = status.conditions.iter().any(|condition| {
                condition.type_ == "Verified"
                    && condition
                        .message
                        .as_deref()
                        .is_some_and(|text| text.contains("gone") || text.contains("removed"))
            });
            if !gone && !old_is_there && !told {
                wrong.push(format!("RolledBack, and the old node is gone: {message}"));
            }
        }
        // Nothing was begun.
        RebalancePhase::Failed if message.starts_with("not begun") => {}
        other => wrong.push(format!("the operation is {}: {message}", other.as_str())),
    }
    wrong
}
