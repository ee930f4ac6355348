//! New nodes: what we say fits on a node that does not exist yet really fits once it does.
//!
//! The node is imagined from a NodeGroup and an offering as in production, judged, then created as it was
//! imagined, and the scheduler is asked about it.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use autoscaler_cluster::{Change, Inputs, Offering, View};
use autoscaler_core::{
    model::{Snapshot, TaintEffect, Template},
    packing::State,
};
use serde_json::{Value, json};

use super::generate::{Dice, group};
use super::oracle::{Answer, Oracle};
use super::{
    Cluster,
    compare::{Comparison, Disagreement},
};

/// The name of the node once it exists. `hostname` of a template is unlike any other.
const NEW: &str = "a-new-node";

/// Judges every pending pod of a cluster on a new node of a random group, then lets the scheduler judge.
///
/// # Errors
/// Where the server refuses an object, or the scheduler gives no answer.
pub async fn ask(oracle: &Oracle, seed: u64, cluster: &Cluster) -> Result<Comparison> {
    // Asked twice: the first answer brings the objects as the server has them, defaults and all.
    let before = oracle.ask(cluster).await?;
    let (group, offering) = group(&mut Dice::new(seed ^ 0x6e65_7720_6e6f_6465));
    let snapshot = Arc::new(imagined(&before, &group, offering)?);
    let template = snapshot.templates.first().context("a group has a template")?;
    let mut grown = cluster.clone();
    grown.objects.insert(0, node(template, &snapshot));
    let after = oracle.ask(&grown).await?;
    let mut outcome = Comparison::default();
    let mut state = State::new(&snapshot);
    let new = state.add_node(0);
    for (pod, feasible) in &after.feasible {
        let waiting = snapshot
            .pods
            .iter()
            .find(|known| known.key.to_string() == *pod)
            .with_context(|| format!("{pod} waits"))?;
        let ours = state.fits(waiting.class, new);
        let scheduler = feasible.contains(NEW);
        outcome.pairs += 1;
        outcome.feasible += usize::from(scheduler);
        if let Err(cause) = ours {
            *outcome.refusals.entry(cause).or_default() += 1;
        }
        if ours.is_ok() != scheduler {
            outcome.disagreements.push(Disagreement {
                pod: pod.clone(),
                node: NEW.to_owned(),
                scheduler,
                ours: ours.map_or_else(|cause| format!("{cause:?}"), |()| "fits".to_owned()),
            });
        }
    }
    ensure!(outcome.pairs == cluster.pending(), "every pending pod is judged");
    Ok(outcome)
}

/// The cluster with a template, as the controllers would see it.
fn imagined(answer: &Answer, group: &Value, offering: Offering) -> Result<Snapshot> {
    let index = answer.dump()?.index();
    let group = serde_json::from_value(group.clone()).context("making a NodeGroup")?;
    index.apply(&Change::NodeGroup(Arc::new(group)));
    Ok(index.snapshot(&Inputs {
        view: View::Scheduler,
        offerings: [("dc".to_owned(), vec![offering])].into(),
        ..Inputs::default()
    }))
}

/// The node that the template promises.
fn node(template: &Template, snapshot: &Snapshot) -> Value {
    let mut labels = template.labels.clone();
    labels.insert("kubernetes.io/hostname".to_owned(), NEW.to_owned());
    let taints: Vec<Value> = template
        .taints
        .iter()
        .map(|taint| {
            let effect = match taint.effect {
                TaintEffect::NoSchedule => "NoSchedule",
                TaintEffect::PreferNoSchedule => "PreferNoSchedule",
                TaintEffect::NoExecute => "NoExecute",
            };
            json!({ "key": taint.key, "value": taint.value, "effect": effect })
        })
        .collect();
    let offered = &template.allocatable;
    let mut allocatable = json!({
        "cpu": format!("{}m", offered.cpu_milli),
        "memory": offered.memory.to_string(),
        "ephemeral-storage": offered.ephemeral.to_string(),
        "pods": offered.pods.to_string(),
    });
    for (resource, amount) in &offered.extended {
        allocatable[snapshot.resources.name(*resource)] = amount.to_string().into();
    }
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": NEW, "labels": labels },
        "spec": { "taints": taints },
        "status": { "allocatable": allocatable, "capacity": allocatable },
    })
}
