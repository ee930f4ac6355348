//! `AutoscalerConfig.spec.rebalancer`: how nodes are replaced, under the names of the runbook.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::accessors;
use crate::{DurationString, Error};

/// How nodes are replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rebalancer {
    /// Whether nodes are replaced at all. Removing empty and unneeded nodes is not meant here. Without effect in
    /// this version: it replaces nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "defaults::disabled")]
    pub enabled: Option<bool>,
    /// In what order replacements come and old nodes go. This version works as rolling only.
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
    /// When operations may start. Without windows: always. Without effect in this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub maintenance_windows: Option<Vec<MaintenanceWindow>>,
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

/// A time in which operations may start.
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
#[derive(Clone, Debug, PartialEq)]
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
    pub(super) fn rollback() -> Option<bool> {
        Some(true)
    }
    pub(super) fn utc() -> Option<String> {
        Some("UTC".to_owned())
    }
}
