//! The CustomResourceDefinitions, from the types.
//!
//! Two things are straightened out after derivation. `nullable` is removed everywhere: the API
//! server then drops an explicit `null` before it applies defaults, and no CEL rule meets a null.
//! Formats that the API server does not know are removed, because it would ignore them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::{AutoscalerConfig, Error, NodeGroup, Rebalance, ScalingPolicy, VPSieNode};

/// Every definition, in the order of the kinds' names.
pub fn all_crds() -> Result<Vec<CustomResourceDefinition>, Error> {
    [
        AutoscalerConfig::crd(),
        NodeGroup::crd(),
        Rebalance::crd(),
        ScalingPolicy::crd(),
        VPSieNode::crd(),
    ]
    .into_iter()
    .map(normalise)
    .collect()
}

/// One definition as the YAML that stands in `crds/`, with the name of its file.
pub fn crd_yaml(crd: &CustomResourceDefinition) -> Result<(String, String), Error> {
    let kind = || crd.spec.names.kind.clone();
    let body = serde_saphyr::to_string(crd).map_err(|source| Error::WriteYaml {
        kind: kind(),
        source: Box::new(source),
    })?;
    let body = body.trim_end();
    let text = format!("# Generated from host/api by `cargo xtask crds`. Do not edit.\n{body}\n");
    Ok((format!("{}.yaml", crd.spec.names.plural), text))
}

fn normalise(crd: CustomResourceDefinition) -> Result<CustomResourceDefinition, Error> {
    let kind = crd.spec.names.kind.clone();
    let fail = |source| Error::Schema {
        kind: kind.clone(),
        source,
    };
    let mut value = serde_json::to_value(crd).map_err(fail)?;
    straighten(&mut value);
    serde_json::from_value(value).map_err(fail)
}

fn straighten(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // A property may itself be called "nullable" or "format"; its value is then an object.
            if map.get("nullable").is_some_and(Value::is_boolean) {
                map.remove("nullable");
            }
            let known = ["int32", "int64", "double", "float", "date-time"];
            if map
                .get("format")
                .and_then(Value::as_str)
                .is_some_and(|f| !known.contains(&f))
            {
                map.remove("format");
            }
            map.values_mut().for_each(straighten);
        }
        Value::Array(list) => list.iter_mut().for_each(straighten),
        _ => {}
    }
}
