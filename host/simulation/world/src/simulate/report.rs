//! What the plays came to, side by side.

use crate::{Error, Summary, World};
use autoscaler_core::decision::Kind;
use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;

/// All plays of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub title: String,
    pub seed: u64,
    /// Of simulated time.
    pub hours: f64,
    pub columns: Vec<Column>,
}

/// One play.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    pub name: String,
    pub evictions: u64,
    /// Pods without a node, summed over the looks times the step between two, in seconds.
    pub waited_pod_seconds: u64,
    /// The most pods without a node at one look.
    pub most_pending: usize,
    pub most_nodes: usize,
    /// Plans or parts of plans that the checker refused or trimmed.
    pub refusals: usize,
    /// Actions that failed.
    pub failures: usize,
    /// By kind, those that did something.
    pub scale_ups: usize,
    pub rebalances: usize,
    pub end: Summary,
    pub samples: Vec<Sample>,
}

/// One look at the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Since the beginning.
    pub seconds: u64,
    pub running: usize,
    pub pending: usize,
    /// Ready nodes of node groups.
    pub nodes: usize,
    /// Price of all machines per hour.
    pub hourly: f64,
}

impl Column {
    pub(super) async fn of(
        world: &World,
        name: String,
        step: Duration,
        samples: Vec<Sample>,
    ) -> Result<Self, Error> {
        let end = world.summary().await?;
        let acting = |kind| {
            let decisions = end.decisions.iter();
            decisions
                .filter(|decision| decision.kind == kind && !decision.actions.is_empty())
                .count()
        };
        let waiting: usize = samples.iter().map(|sample| sample.pending).sum();
        Ok(Self {
            name,
            evictions: world.metrics.evicted(),
            waited_pod_seconds: waiting as u64 * step.as_secs(),
            most_pending: samples.iter().map(|sample| sample.pending).max().unwrap_or(0),
            most_nodes: samples.iter().map(|sample| sample.nodes).max().unwrap_or(0),
            refusals: end
                .decisions
                .iter()
                .map(|decision| decision.rejections.len())
                .sum(),
            failures: end.decisions.iter().map(|decision| decision.failed.len()).sum(),
            scale_ups: acting(Kind::ScaleUp),
            rebalances: acting(Kind::Rebalance),
            end,
            samples,
        })
    }

    /// What is compared, a line each, with its value in this play.
    pub(super) fn lines(&self) -> [(&'static str, String); 11] {
        let end = &self.end;
        [
            ("cost in all", format!("{:.4}", end.cost.total)),
            (
                "cost per hour at the peak",
                format!("{:.4}", end.cost.peak_hourly),
            ),
            ("machines ordered", end.vms.created.to_string()),
            ("machines given back", end.vms.deleted.to_string()),
            ("machines leaked", end.vms.leaked.to_string()),
            ("most nodes", self.most_nodes.to_string()),
            ("pods evicted", self.evictions.to_string()),
            (
                "pod-minutes without a node",
                format!("{:.1}", self.waited_pod_seconds as f64 / 60.0),
            ),
            ("most pods without a node", self.most_pending.to_string()),
            (
                "pods at the end",
                format!("{} running, {} pending", end.pods.running, end.pods.pending),
            ),
            ("refused by the checker", self.refusals.to_string()),
        ]
    }
}

impl Report {
    /// A table for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if !self.title.is_empty() {
            let _ = writeln!(text, "{}", self.title);
        }
        let _ = writeln!(text, "{} h, seed {}\n", self.hours, self.seed);
        let columns: Vec<Vec<String>> = self
            .columns
            .iter()
            .map(|column| {
                let values = column.lines().map(|(_, value)| value);
                std::iter::once(column.name.clone()).chain(values).collect()
            })
            .collect();
        let widths: Vec<usize> = columns
            .iter()
            .map(|column| column.iter().map(|cell| cell.chars().count()).max().unwrap_or(0))
            .collect();
        let names = self
            .columns
            .first()
            .map(|column| column.lines().map(|(name, _)| name));
        let rows = std::iter::once("").chain(names.into_iter().flatten());
        for (at, name) in rows.enumerate() {
            let _ = write!(text, "{name:<28}");
            for (column, width) in columns.iter().zip(&widths) {
                let cell = column.get(at).map_or("", String::as_str);
                let _ = write!(text, "  {cell:>width$}");
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text
    }
}
