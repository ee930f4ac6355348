//! What a ScalingPolicy's status says after a look at it. Pure; a look that finds nothing new changes nothing.

use super::Facts;
use super::source::Refusal;
use autoscaler_api::conditions::{self, types};
use autoscaler_api::{ConditionUpdate, ScalingPolicyStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

/// How a look at a policy ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome<'a> {
    /// It is in use.
    InUse(&'a Facts),
    /// Its mode is Off.
    Off,
    /// It is not, and what is in use in its place.
    Refused(&'a Refusal, Option<&'a Facts>),
}

/// The status after a look.
pub(super) fn after(
    before: &ScalingPolicyStatus,
    outcome: Outcome<'_>,
    generation: Option<i64>,
    now: Timestamp,
) -> ScalingPolicyStatus {
    let mut status = before.clone();
    status.observed_generation = generation;
    let (used, reason, message) = match outcome {
        Outcome::InUse(facts) => {
            status.last_error = None;
            (
                Some(facts),
                "Loaded",
                format!("{} {} decides", facts.name, facts.version),
            )
        }
        Outcome::Off => {
            status.last_error = None;
            (None, "Off", "mode is Off: it is not called".to_owned())
        }
        Outcome::Refused(refusal, used) => {
            status.last_error = Some(refusal.message.clone());
            let instead = match used {
                Some(facts) => format!(
                    "{} {} ({}) still decides",
                    facts.name, facts.version, facts.digest
                ),
                None => "the built-in policy decides".to_owned(),
            };
            (used, refusal.reason, format!("{}; {instead}", refusal.message))
        }
    };
    match used {
        // Replicas compile at different times and speeds: the first one's times stay.
        Some(facts) if status.digest.as_ref() == Some(&facts.digest) => {}
        Some(facts) => {
            status.loaded_at = Some(Time(now));
            status.compile_milliseconds = i64::try_from(facts.compile.as_millis()).ok();
        }
        None => {
            status.loaded_at = None;
            status.compile_milliseconds = None;
        }
    }
    status.digest = used.map(|facts| facts.digest.clone());
    status.name = used.map(|facts| facts.name.clone());
    status.version = used.map(|facts| facts.version.clone());
    status.interface_version = used.map(|facts| facts.interface_version.clone());
    status.size_bytes = used.and_then(|facts| i64::try_from(facts.size).ok());
    let ready = !matches!(outcome, Outcome::Refused(..));
    for (type_, holds) in [(types::READY, ready), (types::LOADED, used.is_some())] {
        let update = ConditionUpdate {
            type_,
            status: holds.into(),
            reason,
            message: message.clone(),
            observed_generation: generation,
        };
        conditions::set(&mut status.conditions, update, now);
    }
    status
}

/// The merge patch that makes one status of another: what went is named, so that it goes.
pub(super) fn patch(
    before: &ScalingPolicyStatus,
    after: &ScalingPolicyStatus,
    version: Option<&str>,
) -> Value {
    let fields = |status| serde_json::to_value(status).unwrap_or_default();
    let (before, mut after) = (fields(before), fields(after));
    if let (Some(before), Some(after)) = (before.as_object(), after.as_object_mut()) {
        for name in before
            .keys()
            .filter(|name| !after.contains_key(*name))
            .cloned()
            .collect::<Vec<_>>()
        {
            after.insert(name, Value::Null);
        }
    }
    json!({"metadata": {"resourceVersion": version}, "status": after})
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoscaler_api::ConditionStatus;
    use std::time::Duration;

    fn facts(digest: &str) -> Facts {
        Facts {
            name: "thrifty".to_owned(),
            version: "1.2.3".to_owned(),
            interface_version: "0.1.0".to_owned(),
            digest: digest.to_owned(),
            size: 1234,
            kinds: Vec::new(),
            compile: Duration::from_millis(70),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_failure_keeps_the_facts_of_what_still_decides() {
        let good = facts("sha256:aa");
        let loaded = after(
            &ScalingPolicyStatus::default(),
            Outcome::InUse(&good),
            Some(1),
            at(10),
        );
        assert_eq!(loaded.digest.as_deref(), Some("sha256:aa"));
        assert_eq!(
            (loaded.size_bytes, loaded.compile_milliseconds),
            (Some(1234), Some(70))
        );
        assert!(conditions::is_true(&loaded.conditions, types::READY));
        let slower = Facts {
            compile: Duration::from_secs(9),
            ..good.clone()
        };
        let again = after(&loaded, Outcome::InUse(&slower), Some(1), at(99));
        assert_eq!(again, loaded, "a second replica changes nothing");

        let refusal = Refusal::new("InvalidComponent", "it imports a clock");
        let failed = after(&loaded, Outcome::Refused(&refusal, Some(&good)), Some(2), at(20));
        assert_eq!(failed.digest.as_deref(), Some("sha256:aa"));
        assert_eq!(failed.last_error.as_deref(), Some("it imports a clock"));
        let ready = conditions::get(&failed.conditions, types::READY).unwrap();
        assert_eq!(
            (ready.status, ready.reason.as_deref()),
            (ConditionStatus::False, Some("InvalidComponent"))
        );
        assert!(
            ready
                .message
                .as_deref()
                .unwrap()
                .contains("thrifty 1.2.3 (sha256:aa) still decides")
        );
        assert!(conditions::is_true(&failed.conditions, types::LOADED));

        let alone = after(&failed, Outcome::Refused(&refusal, None), Some(2), at(30));
        assert!(alone.digest.is_none() && !conditions::is_true(&alone.conditions, types::LOADED));
        let sent = patch(&failed, &alone, Some("7"));
        assert!(
            sent["status"].as_object().unwrap().contains_key("digest"),
            "{sent}"
        );
        assert!(sent["status"]["digest"].is_null() && sent["metadata"]["resourceVersion"] == "7");

        let off = after(&failed, Outcome::Off, Some(3), at(40));
        assert!(conditions::is_true(&off.conditions, types::READY) && off.last_error.is_none());
    }
}
