//! What the status of an AutoscalerConfig says, and which settings it calls without effect.

use autoscaler_api::autoscaler_config::config_status;
use autoscaler_api::conditions::{self, types};
use autoscaler_api::{AutoscalerConfig, AutoscalerConfigSpec, NodeGroup, NodeGroupSpec, labels};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

#[test]
fn settings_without_effect_are_told() {
    let table = [
        (json!({}), &[][..]),
        // What the API server fills in, and what is acted on.
        (
            json!({
                "globalSettings": {
                    "scaleUpCooldownSeconds": 0, "scaleDownCooldownSeconds": 0, "maxClusterWorkers": 9,
                    "unschedulablePodGracePeriodSeconds": 9, "enableDynamicNodeGroupCreation": false,
                    "enableRebalancing": true, "nodeReadyTimeoutSeconds": 900,
                },
                "rebalancer": {
                    "enabled": true, "strategy": "surge", "maxConcurrent": 3, "drainTimeout": "9s",
                    "healthCheckInterval": "9s", "rollbackOnFailure": false, "paused": true,
                    "maintenanceWindows": [{"schedule": "0 2 * * 6", "duration": "1h"}],
                    "budgets": [{"nodes": "10%", "reasons": ["drift"], "schedule": "0 2 * * 6", "duration": "1h"}],
                },
                "systemReserved": {"cpu": "1", "memory": "1Gi"},
            }),
            &[],
        ),
        (
            json!({
                "nodeGroupDefaults": {},
                "globalSettings": {
                    "scaleUpCooldownSeconds": 1, "scaleDownCooldownSeconds": 1, "maxConcurrentScaleUps": 1,
                    "maxConcurrentScaleDowns": 1, "enableDynamicNodeGroupCreation": true,
                    "podEvictionTimeoutSeconds": 0,
                },
            }),
            &[
                "spec.nodeGroupDefaults",
                "spec.globalSettings.scaleUpCooldownSeconds",
                "spec.globalSettings.scaleDownCooldownSeconds",
                "spec.globalSettings.maxConcurrentScaleUps",
                "spec.globalSettings.maxConcurrentScaleDowns",
                "spec.globalSettings.enableDynamicNodeGroupCreation",
                "spec.globalSettings.podEvictionTimeoutSeconds",
            ],
        ),
    ];
    for (spec, paths) in table {
        let typed: AutoscalerConfigSpec = serde_json::from_value(spec.clone()).unwrap();
        assert_eq!(typed.unsupported_fields(), paths, "{spec}");
    }
}

#[test]
fn the_status_follows_the_spec_and_is_quiet_otherwise() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let spec = json!({"globalSettings": {"maxConcurrentScaleUps": 2}});
    let mut config = AutoscalerConfig::new("default", serde_json::from_value(spec).unwrap());
    config.metadata.generation = Some(1);
    let first = config_status(&config, at(10));
    assert!(first.active && conditions::is_true(&first.conditions, types::READY));
    assert!(conditions::is_true(&first.conditions, types::UNSUPPORTED_FIELDS));
    assert_eq!(
        first.message.as_deref().unwrap(),
        "the settings are in effect, except that this version does not act on \
         spec.globalSettings.maxConcurrentScaleUps"
    );
    assert_eq!(first.last_updated, Some(Time(at(10))));

    config.status = Some(first.clone());
    assert_eq!(
        config_status(&config, at(20)),
        first,
        "nothing new, nothing to write"
    );

    config.spec.global_settings = None;
    config.metadata.generation = Some(2);
    let second = config_status(&config, at(30));
    assert_eq!(second.message.as_deref(), Some("the settings are in effect"));
    assert!(conditions::get(&second.conditions, types::UNSUPPORTED_FIELDS).is_none());
    assert_eq!(
        (second.observed_generation, second.last_updated),
        (Some(2), Some(Time(at(30))))
    );

    // The schema refuses this; an object may be older than the schema.
    let spec = json!({"rebalancer": {"drainTimeout": "soon"}});
    config.spec = serde_json::from_value(spec).unwrap();
    let third = config_status(&config, at(40));
    assert!(!third.active && !conditions::is_true(&third.conditions, types::READY));
    assert!(third.message.as_deref().unwrap().contains("soon"), "{third:?}");
}

#[test]
fn groups_are_managed_unless_they_say_otherwise() {
    for (value, managed) in [
        (None, true),
        (Some("true"), true),
        (Some(""), true),
        (Some("false"), false),
    ] {
        let mut group = NodeGroup::new("g", NodeGroupSpec::default());
        if let Some(value) = value {
            group.metadata.labels = Some([(labels::MANAGED.to_owned(), value.to_owned())].into());
        }
        assert_eq!(group.is_managed(), managed, "{value:?}");
    }
}
