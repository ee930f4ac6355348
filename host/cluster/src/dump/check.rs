//! What the API server would not have let in, found before it can be misunderstood.
//!
//! The conversions leave out what they do not know, which is right for watch events: the API server has
//! looked at them. Nobody has looked at a file.

use autoscaler_core::quantity::parse_milli;
use serde_json::{Map, Value};

const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
const OPERATORS: &[&str] = &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];
const POLICIES: &[&str] = &["Honor", "Ignore"];

/// A field, the field that it lies under, and the words that it may be.
const WORDS: [(&str, &str, &[&str]); 9] = [
    ("effect", "taints", EFFECTS),
    (
        "effect",
        "tolerations",
        &["", "NoSchedule", "PreferNoSchedule", "NoExecute"],
    ),
    ("operator", "tolerations", &["", "Equal", "Exists"]),
    ("operator", "matchExpressions", OPERATORS),
    ("operator", "matchFields", OPERATORS),
    (
        "whenUnsatisfiable",
        "topologySpreadConstraints",
        &["DoNotSchedule", "ScheduleAnyway"],
    ),
    ("nodeAffinityPolicy", "topologySpreadConstraints", POLICIES),
    ("nodeTaintsPolicy", "topologySpreadConstraints", POLICIES),
    ("protocol", "ports", &["", "TCP", "UDP", "SCTP"]),
];

/// Fields whose values are quantities, each. What a CSI driver calls allocatable is a number.
const QUANTITIES: [&str; 5] = ["requests", "limits", "overhead", "allocatable", "capacity"];
const DRIVERS: &str = "spec.drivers";

/// Fields of an object itself that are quantities: what a CSIStorageCapacity says.
const AMOUNTS: [&str; 2] = ["capacity", "maximumVolumeSize"];

/// Checks the parts of an object that rules look at, and writes quantities that came as numbers as texts.
pub(super) fn check(object: &mut Value) -> Result<(), String> {
    for part in ["spec", "status"] {
        if let Some(value) = object.get_mut(part) {
            walk(value, part, part)?;
        }
    }
    for field in AMOUNTS {
        if let Some(value) = object.get_mut(field) {
            quantity(value, field)?;
        }
    }
    Ok(())
}

/// `under` is the name of the nearest field above, lists aside.
fn walk(value: &mut Value, path: &str, under: &str) -> Result<(), String> {
    match value {
        Value::Array(items) => items
            .iter_mut()
            .enumerate()
            .try_for_each(|(at, item)| walk(item, &format!("{path}[{at}]"), under)),
        Value::Object(fields) if QUANTITIES.contains(&under) && !path.starts_with(DRIVERS) => {
            quantities(fields, path)
        }
        Value::Object(fields) => fields.iter_mut().try_for_each(|(name, value)| {
            let path = format!("{path}.{name}");
            word(name, under, value, &path)?;
            walk(value, &path, name)
        }),
        _ => Ok(()),
    }
}

fn word(name: &str, under: &str, value: &Value, path: &str) -> Result<(), String> {
    let Some(text) = value.as_str() else {
        return Ok(());
    };
    for (field, above, words) in WORDS {
        if field == name && above == under && !words.contains(&text) {
            let choice: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
            return Err(format!("`{path}` is {text:?}; use {}", choice.join(", ")));
        }
    }
    Ok(())
}

fn quantities(fields: &mut Map<String, Value>, path: &str) -> Result<(), String> {
    fields
        .iter_mut()
        .try_for_each(|(name, value)| quantity(value, &format!("{path}.{name}")))
}

fn quantity(value: &mut Value, path: &str) -> Result<(), String> {
    if value.is_number() {
        *value = Value::String(value.to_string());
    }
    let Some(text) = value.as_str() else {
        return Ok(());
    };
    let read = parse_milli(text);
    read.map(drop).map_err(|error| {
        format!(
            "`{path}` is {text:?}, no quantity: {}; write it like 500m, 2 or 1Gi",
            error.problem
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cases() {
        for (object, problem) in [
            (json!({}), None),
            (
                json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}),
                None,
            ),
            (
                json!({"spec": {"taints": [{"key": "a", "effect": "Never"}]}}),
                Some("`spec.taints[0].effect` is \"Never\"; use NoSchedule, PreferNoSchedule, NoExecute"),
            ),
            (
                json!({"spec": {"tolerations": [{}, {"effect": "", "operator": "Like"}]}}),
                Some("`spec.tolerations[1].operator` is \"Like\"; use Equal, Exists"),
            ),
            (
                json!({"spec": {"effect": "anything", "containers": [{"env": [{"operator": "+"}]}]}}),
                None,
            ),
            (
                json!({"status": {"allocatable": {"cpu": "4", "memory": "1Xi"}}}),
                Some(
                    "`status.allocatable.memory` is \"1Xi\", no quantity: its suffix is not one of Kubernetes; \
                     write it like 500m, 2 or 1Gi",
                ),
            ),
            (
                json!({"metadata": {"annotations": {"requests": {"cpu": "many"}}}}),
                None,
            ),
            (
                json!({"kind": "CSIStorageCapacity", "capacity": "1Gi", "maximumVolumeSize": "1Xi"}),
                Some(
                    "`maximumVolumeSize` is \"1Xi\", no quantity: its suffix is not one of Kubernetes; write it like 500m, 2 or 1Gi",
                ),
            ),
        ] {
            let mut copy = object.clone();
            assert_eq!(
                check(&mut copy),
                problem.map_or(Ok(()), |text| Err(text.to_owned())),
                "{object}"
            );
        }
    }

    #[test]
    fn numbers_become_quantities() {
        let mut object =
            json!({"spec": {"containers": [{"resources": {"requests": {"cpu": 2, "memory": 1.5}}}]}});
        check(&mut object).unwrap();
        let requests = &object["spec"]["containers"][0]["resources"]["requests"];
        assert_eq!(*requests, json!({"cpu": "2", "memory": "1.5"}));

        let mut limits = json!({"spec": {"drivers": [{"name": "csi", "allocatable": {"count": 3}}]}});
        let before = limits.clone();
        check(&mut limits).unwrap();
        assert_eq!(limits, before, "what a CSI driver counts is a number");
    }
}
