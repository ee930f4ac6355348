//! Small types that several kinds share.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// No new pods.
    NoSchedule,
    /// No new pods while there is another place.
    PreferNoSchedule,
    /// No new pods, and present ones must leave.
    NoExecute,
}

impl TaintEffect {
    /// The word that stands on a Node.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

/// A taint of a node group; it stands on each of its Nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Taint {
    /// Key of the taint.
    #[schemars(length(min = 1, max = 316))]
    pub key: String,
    /// Value, empty when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// Effect on pods.
    pub effect: TaintEffect,
    /// Kept for manifests that carry it; the Node gets its own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_added: Option<Time>,
}

impl From<&Taint> for v1::Taint {
    fn from(taint: &Taint) -> Self {
        Self {
            key: taint.key.clone(),
            value: taint.value.clone().filter(|value| !value.is_empty()),
            effect: taint.effect.as_str().to_owned(),
            time_added: None,
        }
    }
}

/// Labels that a group puts on its Nodes.
pub type Labels = BTreeMap<String, String>;

/// Schema of [`Labels`]: values have the syntax that Nodes demand.
///
/// A group must not set labels of the bare domains `kubernetes.io/` and `k8s.io/`: they belong to
/// Kubernetes itself, and a Node with invented ones misleads every scheduler. Their subdomains
/// (`topology.kubernetes.io/`, `node-role.kubernetes.io/`, `node-restriction.kubernetes.io/`) are
/// for administrators, and stay allowed.
pub fn labels_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": {
            "type": "string",
            "maxLength": 63,
            "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
        },
        "x-kubernetes-validations": [{
            "rule": "self.all(key, !key.startsWith('kubernetes.io/') && !key.startsWith('k8s.io/'))",
            "message": "labels must not use the reserved prefixes kubernetes.io/ and k8s.io/",
        }],
    })
}

/// Schema of a list of offering ids.
pub fn offering_ids_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 50,
        "items": {
            "type": "string",
            "maxLength": 64,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*$')",
                "message": "an offering id consists of letters, digits, '.', '_' and '-', and begins with a letter or digit",
            }],
        },
        "x-kubernetes-validations": [{
            "rule": "self.all(id, self.exists_one(other, other == id))",
            "message": "offeringIDs must not name an offering twice",
        }],
    })
}

/// Schema of a list of taints by key.
pub fn startup_taints_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": 316,
            "x-kubernetes-validations": [{
                "rule": r"self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",
                "message": "a startup taint is the key of a taint, such as node.cilium.io/agent-not-ready, or how its keys begin up to the slash, such as node.cilium.io/; value and effect are not named",
            }],
        },
        "x-kubernetes-list-type": "set",
    })
}

/// Schema of a Kubernetes version such as `v1.33.2`.
pub fn kubernetes_version_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 64,
        "x-kubernetes-validations": [{
            "rule": r"self.matches('^v(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\\+[0-9A-Za-z.-]+)?$')",
            "message": "kubernetesVersion must be a full version with a leading v, such as v1.33.2",
        }],
    })
}

/// Schema of a quantity of cpu or memory.
pub fn quantity_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$",
    })
}
