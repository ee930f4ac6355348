//! `AutoscalerConfig.spec.rebalancer`: how nodes are replaced, under the names of the runbook.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::accessors;
use super::calendar::Opening;
use crate::node_group::DrainPolicy;
use crate::rebalance::RebalanceKind;
use crate::{DurationString, Error};

/// How nodes are replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rebalancer {
    /// Whether nodes are replaced: by cheaper ones, because of drift, age or ill health. Removing empty and unneeded
    /// nodes is not meant here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "defaults::disabled")]
    pub enabled: Option<bool>,
    /// In what order replacements come and old nodes go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "defaults::rolling")]
    pub strategy: Option<Strategy>,
    /// Most nodes that one decision removes, that are drained at once, and most operations that run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100), default = "defaults::one")]
    pub max_concurrent: Option<i32>,
    /// Time for one drain. An operation whose drain takes longer is rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "defaults::drain_timeout")]
    pub drain_timeout: Option<DurationString>,
    /// Time between two looks at the moved workloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "defaults::health_check_interval")]
    pub health_check_interval: Option<DurationString>,
    /// Whether a failed operation is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "defaults::rollback")]
    pub rollback_on_failure: Option<bool>,
    /// Whether no further node is touched: no operation starts, and one that runs finishes the nodes that it has
    /// cordoned and waits. A rollback goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "defaults::disabled")]
    pub paused: Option<bool>,
    /// Time after a group of the namespace grew in which no operation starts there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "defaults::no_time")]
    pub quiet_period_after_scale_up: Option<DurationString>,
    /// Time that moved workloads have to be as ready as before. An operation whose workloads take longer is rolled
    /// back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "defaults::health_timeout")]
    pub health_timeout: Option<DurationString>,
    /// Share of the cluster's other nodes that must be Ready for an operation to start and to go on, in percent; 0
    /// asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100), default = "defaults::ready_nodes_percent")]
    pub ready_nodes_percent: Option<i32>,
    /// How many nodes may be out of service at once, asked before an operation starts and again before each of its
    /// nodes: one that finds no room waits. Of several budgets that apply the strictest holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub budgets: Option<Vec<DisruptionBudget>>,
    /// When operations may start. Without windows: always. One that runs when its window closes finishes the nodes that
    /// it has cordoned, leaves the others as they are, and ends; new nodes that would have replaced them are given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub maintenance_windows: Option<Vec<MaintenanceWindow>>,
    /// Finished operations that are kept in the whole installation; of more, the oldest are deleted. One that gave an
    /// offering up for a cheaper one is kept for a day at least, and one that is Failed for as long as its marks stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000), default = "defaults::history_limit")]
    pub history_limit: Option<i32>,
    /// What a drain does with some pods. A NodeGroup may say otherwise (spec.scaleDownPolicy.drain).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainPolicy>,
}

/// How many nodes may be out of service by operations.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.schedule) == has(self.duration)")
    .message("schedule and duration go together: set both or none"))]
#[serde(rename_all = "camelCase")]
pub struct DisruptionBudget {
    /// A number of nodes, or a percentage of all nodes of groups, rounded up. 0 stops operations.
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new(r"self.matches('^([0-9]{1,6}|[0-9]{1,2}%|100%)$')")
        .message("nodes must be a number such as 2, or a percentage from 0% to 100%"))]
    pub nodes: String,
    /// Kinds of operations that it applies to. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub reasons: Option<Vec<RebalanceKind>>,
    /// When it begins to apply: five cron fields. Absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub schedule: Option<String>,
    /// How long it applies from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<DurationString>,
    /// IANA name of the time zone of the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), default = "defaults::utc")]
    pub time_zone: Option<String>,
}

/// In what order replacements come and old nodes go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// One replacement, one drain, and so on.
    #[default]
    Rolling,
    /// All replacements first, then the drains.
    Surge,
    /// All replacements first, all old nodes cordoned at once, then the drains.
    BlueGreen,
}

impl Strategy {
    /// The word that stands in the object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rolling => "rolling",
            Self::Surge => "surge",
            Self::BlueGreen => "blue-green",
        }
    }
}

/// A time in which operations may start and go on to further nodes.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MaintenanceWindow {
    /// When the window opens: five cron fields (minute, hour, day of month, month, day of week).
    #[schemars(length(max = 128))]
    #[x_kube(validation = Rule::new(r"self.matches('^\\s*([-0-9A-Za-z*,/]+\\s+){4}[-0-9A-Za-z*,/]+\\s*$')")
        .message("schedule must have the five cron fields minute, hour, day of month, month and day of week, such as '0 2 * * 6'"))]
    pub schedule: String,
    /// How long it stays open.
    pub duration: DurationString,
    /// IANA name of the time zone of the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), default = "defaults::utc")]
    pub time_zone: Option<String>,
}

/// The rebalancer's settings with every default in place.
#[derive(Clone, Debug)]
pub struct RebalancerSettings {
    /// Whether nodes are replaced at all.
    pub enabled: bool,
    /// In what order.
    pub strategy: Strategy,
    /// Most nodes that are drained at once.
    pub max_concurrent: i32,
    /// Time for one drain.
    pub drain_timeout: Duration,
    /// Time between two looks at the moved workloads.
    pub health_check_interval: Duration,
    /// Whether a failed operation is undone.
    pub rollback_on_failure: bool,
    /// Whether no further node is touched.
    pub paused: bool,
    /// Time after growth in which none starts.
    pub quiet_period: Duration,
    /// Time that moved workloads have to be ready.
    pub health_timeout: Duration,
    /// Share of the other nodes that must be Ready, in percent.
    pub ready_nodes_percent: u32,
    /// How many nodes may be out of service.
    pub budgets: Vec<Budget>,
    /// When operations may start; none for always.
    pub windows: Vec<Opening>,
    /// Finished operations that are kept.
    pub history_limit: usize,
}

/// A budget that was read.
#[derive(Clone, Debug)]
pub struct Budget {
    nodes: Amount,
    reasons: Vec<RebalanceKind>,
    opening: Option<Opening>,
}

#[derive(Clone, Copy, Debug)]
enum Amount {
    Nodes(u32),
    Percent(u32),
}

impl Budget {
    /// How many of `fleet` nodes may be out of service by operations of this kind; none where it does not apply now.
    pub fn limit(&self, kind: RebalanceKind, fleet: usize, now: jiff::Timestamp) -> Option<usize> {
        let concerns = self.reasons.is_empty() || self.reasons.contains(&kind);
        let applies = self.opening.as_ref().is_none_or(|opening| opening.is_open(now));
        (concerns && applies).then(|| match self.nodes {
            Amount::Nodes(nodes) => nodes as usize,
            Amount::Percent(percent) => (fleet * percent as usize).div_ceil(100),
        })
    }
}

impl DisruptionBudget {
    fn read(&self) -> Result<Budget, Error> {
        let bad = || Error::Amount {
            text: self.nodes.clone(),
        };
        let nodes = match self.nodes.strip_suffix('%') {
            Some(percent) => Amount::Percent(percent.parse().ok().filter(|p| *p <= 100).ok_or_else(bad)?),
            None => Amount::Nodes(self.nodes.parse().map_err(|_| bad())?),
        };
        let opening = match (&self.schedule, &self.duration) {
            (Some(schedule), Some(duration)) => {
                Some(Opening::parse(schedule, duration, &self.time_zone_or_default())?)
            }
            _ => None,
        };
        Ok(Budget {
            nodes,
            reasons: self.reasons.clone().unwrap_or_default(),
            opening,
        })
    }
}

impl Rebalancer {
    /// Every setting, with defaults where the object says nothing.
    pub fn settings(&self) -> Result<RebalancerSettings, Error> {
        Ok(RebalancerSettings {
            enabled: self.enabled_or_default(),
            strategy: self.strategy_or_default(),
            max_concurrent: self.max_concurrent_or_default(),
            drain_timeout: self.drain_timeout_or_default().value()?,
            health_check_interval: self.health_check_interval_or_default().value()?,
            rollback_on_failure: self.rollback_on_failure_or_default(),
            paused: self.paused_or_default(),
            quiet_period: self.quiet_period_after_scale_up_or_default().value()?,
            health_timeout: self.health_timeout_or_default().value()?,
            ready_nodes_percent: u32::try_from(self.ready_nodes_percent_or_default()).unwrap_or(0),
            budgets: self
                .budgets
                .iter()
                .flatten()
                .map(DisruptionBudget::read)
                .collect::<Result<_, _>>()?,
            windows: self
                .maintenance_windows
                .iter()
                .flatten()
                .map(|window| {
                    Opening::parse(&window.schedule, &window.duration, &window.time_zone_or_default())
                })
                .collect::<Result<_, _>>()?,
            history_limit: usize::try_from(self.history_limit_or_default()).unwrap_or(0),
        })
    }
}

accessors!(Rebalancer {
    enabled, enabled_or_default: bool = defaults::disabled;
    strategy, strategy_or_default: Strategy = defaults::rolling;
    max_concurrent, max_concurrent_or_default: i32 = defaults::one;
    drain_timeout, drain_timeout_or_default: DurationString = defaults::drain_timeout;
    health_check_interval, health_check_interval_or_default: DurationString = defaults::health_check_interval;
    rollback_on_failure, rollback_on_failure_or_default: bool = defaults::rollback;
    paused, paused_or_default: bool = defaults::disabled;
    quiet_period_after_scale_up, quiet_period_after_scale_up_or_default: DurationString = defaults::no_time;
    health_timeout, health_timeout_or_default: DurationString = defaults::health_timeout;
    ready_nodes_percent, ready_nodes_percent_or_default: i32 = defaults::ready_nodes_percent;
    history_limit, history_limit_or_default: i32 = defaults::history_limit;
});

accessors!(DisruptionBudget {
    time_zone, time_zone_or_default: String = defaults::utc;
});

accessors!(MaintenanceWindow {
    time_zone, time_zone_or_default: String = defaults::utc;
});

mod defaults {
    use super::{DurationString, Strategy};

    pub(super) fn disabled() -> Option<bool> {
        Some(false)
    }
    pub(super) fn rolling() -> Option<Strategy> {
        Some(Strategy::Rolling)
    }
    pub(super) fn one() -> Option<i32> {
        Some(1)
    }
    pub(super) fn drain_timeout() -> Option<DurationString> {
        Some("300s".into())
    }
    pub(super) fn health_check_interval() -> Option<DurationString> {
        Some("10s".into())
    }
    pub(super) fn no_time() -> Option<DurationString> {
        Some("0s".into())
    }
    pub(super) fn health_timeout() -> Option<DurationString> {
        Some("300s".into())
    }
    pub(super) fn ready_nodes_percent() -> Option<i32> {
        Some(75)
    }
    pub(super) fn history_limit() -> Option<i32> {
        Some(200)
    }
    pub(super) fn rollback() -> Option<bool> {
        Some(true)
    }
    pub(super) fn utc() -> Option<String> {
        Some("UTC".to_owned())
    }
}
