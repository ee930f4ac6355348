//! What a run came to, as one value that is the same for the same seed, durations aside.

use autoscaler_controllers::observe::{ActionText, DecisionRecord, Failed};
use autoscaler_core::decision::{Kind, Note};
use serde::Serialize;
use std::collections::BTreeMap;

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub seed: u64,
    /// How long it took in the simulated world.
    pub virtual_seconds: u64,
    pub pods: Pods,
    pub nodes: Nodes,
    pub vms: Vms,
    pub cost: Cost,
    /// In order; those that found nothing to do are left out.
    pub decisions: Vec<Decision>,
    /// Kubernetes events by reason.
    pub events: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pods {
    pub total: usize,
    pub running: usize,
    pub pending: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Nodes {
    /// Ready nodes of node groups.
    pub ready: usize,
    /// The most VPSieNodes that each group had at once.
    pub most_per_group: BTreeMap<String, usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Vms {
    pub created: u64,
    pub deleted: u64,
    /// Machines without a VPSieNode, and VPSieNodes whose machine is not there.
    pub leaked: u64,
}

/// In the currency of the price list.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    pub hourly: f64,
    pub peak_hourly: f64,
    pub total: f64,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    pub at: jiff::Timestamp,
    pub kind: Kind,
    pub policy: Policy,
    pub actions: Vec<ActionText>,
    pub rejections: Vec<Note>,
    pub notes: Vec<Note>,
    pub failed: Vec<Failed>,
    pub duration_us: u64,
}

/// Who decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    pub name: String,
    pub version: String,
    pub digest: String,
}

impl Summary {
    /// The same without what a clock on the wall measured: equal for equal seeds.
    pub fn without_durations(mut self) -> Self {
        self.decisions
            .iter_mut()
            .for_each(|decision| decision.duration_us = 0);
        self
    }

    /// For people: a few lines.
    pub fn text(&self) -> String {
        let Self {
            pods,
            nodes,
            vms,
            cost,
            ..
        } = self;
        let actions = self
            .decisions
            .iter()
            .map(|decision| decision.actions.len())
            .sum::<usize>();
        format!(
            "pods       {} in all, {} running, {} pending\n\
             nodes      {} ready\n\
             machines   {} ordered, {} given back, {} leaked\n\
             cost       {:.4} per hour now, {:.4} at the peak, {:.4} in all\n\
             decisions  {} with {actions} actions\n\
             time       {} s in the simulated world\n",
            pods.total,
            pods.running,
            pods.pending,
            nodes.ready,
            vms.created,
            vms.deleted,
            vms.leaked,
            cost.hourly,
            cost.peak_hourly,
            cost.total,
            self.decisions.len(),
            self.virtual_seconds,
        )
    }
}

impl From<DecisionRecord> for Decision {
    fn from(record: DecisionRecord) -> Self {
        Self {
            at: record.at,
            kind: record.kind,
            policy: Policy {
                name: record.policy.name,
                version: record.policy.version,
                digest: record.policy.digest,
            },
            actions: record.actions,
            rejections: record.rejections,
            notes: record.notes,
            failed: record.failed,
            duration_us: record.duration_us,
        }
    }
}

/// Prices to a ten-thousandth: sums of floats in another order must not change the bytes.
pub(crate) fn rounded(amount: f64) -> f64 {
    (amount * 1e4).round() / 1e4
}
