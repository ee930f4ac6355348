//! What is made of the settings: which of them nothing acts on, and the status that says so. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{AutoscalerConfig, AutoscalerConfigSpec, AutoscalerConfigStatus};
use crate::ConditionUpdate;
use crate::conditions::{self, reasons, set, types};

impl AutoscalerConfigSpec {
    /// Fields that are set to a value that nothing in this version acts on, as paths, in a fixed order. A field
    /// that says what happens anyway is not among them: the API server may have filled it in.
    pub fn unsupported_fields(&self) -> Vec<String> {
        let mut fields = Vec::new();
        let mut check = |set: bool, path: &str| {
            if set {
                fields.push(path.to_owned());
            }
        };
        check(self.node_group_defaults.is_some(), "spec.nodeGroupDefaults");
        let global = self.global_settings.clone().unwrap_or_default();
        for (set, field) in [
            (
                global.scale_up_cooldown_seconds_or_default() != 0,
                "scaleUpCooldownSeconds",
            ),
            (
                global.scale_down_cooldown_seconds_or_default() != 0,
                "scaleDownCooldownSeconds",
            ),
            (global.max_concurrent_scale_ups.is_some(), "maxConcurrentScaleUps"),
            (
                global.max_concurrent_scale_downs.is_some(),
                "maxConcurrentScaleDowns",
            ),
            (
                global.enable_dynamic_node_group_creation_or_default(),
                "enableDynamicNodeGroupCreation",
            ),
            (
                global.pod_eviction_timeout_seconds.is_some(),
                "podEvictionTimeoutSeconds",
            ),
        ] {
            check(set, &format!("spec.globalSettings.{field}"));
        }
        fields
    }
}

/// The status that the object should have. A look that finds nothing new gives back the status that is there.
pub fn config_status(config: &AutoscalerConfig, now: Timestamp) -> AutoscalerConfigStatus {
    let before = config.status.clone().unwrap_or_default();
    let generation = config.metadata.generation;
    let unsupported = config.spec.unsupported_fields();
    let invalid = config
        .spec
        .rebalancer
        .clone()
        .unwrap_or_default()
        .settings()
        .err();
    let message = match (&invalid, unsupported.is_empty()) {
        (Some(error), _) => format!("spec.rebalancer: {error}"),
        (None, true) => "the settings are in effect".to_owned(),
        (None, false) => format!(
            "the settings are in effect, except that this version does not act on {}",
            unsupported.join(", ")
        ),
    };
    let mut status = before.clone();
    status.observed_generation = generation;
    status.active = invalid.is_none();
    status.message = Some(message.clone());
    let mut update = |type_: &str, holds: bool, reason: &str, message: String| {
        let update = ConditionUpdate {
            type_,
            status: holds.into(),
            reason,
            message,
            observed_generation: generation,
        };
        set(&mut status.conditions, update, now);
    };
    let reason = if invalid.is_none() {
        reasons::READY
    } else {
        reasons::VALIDATION_FAILED
    };
    update(types::READY, invalid.is_none(), reason, message);
    if unsupported.is_empty() {
        conditions::remove(&mut status.conditions, types::UNSUPPORTED_FIELDS);
    } else {
        let message = format!("this version does not act on {}", unsupported.join(", "));
        update(types::UNSUPPORTED_FIELDS, true, reasons::NO_EFFECT, message);
    }
    if status != before {
        status.last_updated = Some(Time(now));
    }
    status
}
