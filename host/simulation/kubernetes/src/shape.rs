//! Which lists are merged by key, which are sets, and what is replaced as a whole.
//!
//! Server-side apply and strategic merge patch both need this. For custom resources it comes from the CRD's schema
//! (`x-kubernetes-list-type` and friends), for built-in ones from the small table below.

use serde_json::Value;

use crate::resources::ResourceType;

/// How a list behaves under merges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListShape {
    /// Replaced as a whole.
    Atomic,
    /// A set of scalars.
    Set,
    /// Items are identified by the values of these fields.
    Map(Vec<String>),
}

/// The shape of one place in an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape<'a> {
    /// A place in a custom resource; `None` where the schema says nothing.
    Custom(Option<&'a Value>),
    /// Metadata, wherever it is.
    Metadata,
    /// A field of a built-in object: its own name and its parent's.
    BuiltIn { field: &'a str, parent: &'a str },
}

impl<'a> Shape<'a> {
    /// The shape of a whole object.
    pub(crate) fn of(resource: &'a ResourceType) -> Self {
        match &resource.custom {
            Some(custom) => Self::Custom(Some(&custom.schema)),
            None => Self::BuiltIn {
                field: "",
                parent: "",
            },
        }
    }

    pub(crate) fn field(self, name: &'a str) -> Self {
        match self {
            Self::Custom(_) | Self::BuiltIn { field: "", .. } if name == "metadata" => Self::Metadata,
            Self::Custom(schema) => Self::Custom(schema.and_then(|schema| {
                schema["properties"]
                    .get(name)
                    .or_else(|| schema.get("additionalProperties").filter(|s| s.is_object()))
            })),
            Self::Metadata => Self::BuiltIn {
                field: name,
                parent: "metadata",
            },
            Self::BuiltIn {
                field: "template", ..
            } if name == "metadata" => Self::Metadata,
            Self::BuiltIn { field, .. } => Self::BuiltIn {
                field: name,
                parent: field,
            },
        }
    }

    /// The shape of the items of a list.
    pub(crate) fn item(self) -> Self {
        match self {
            Self::Custom(schema) => Self::Custom(schema.and_then(|schema| schema.get("items"))),
            other => other,
        }
    }

    pub(crate) fn list(self) -> ListShape {
        match self {
            Self::Custom(schema) => custom_list(schema),
            Self::Metadata => ListShape::Atomic,
            Self::BuiltIn { field, parent } => built_in_list(field, parent),
        }
    }

    /// A map or structure that belongs to one manager as a whole.
    pub(crate) fn is_atomic_map(self) -> bool {
        match self {
            Self::Custom(Some(schema)) => {
                schema["x-kubernetes-map-type"] == "atomic"
                    // Below a node without a schema nothing is known, so it stays in one piece per key.
                    && schema.is_object()
            }
            Self::Custom(None) | Self::Metadata => false,
            Self::BuiltIn { field, parent } => is_atomic(field, parent),
        }
    }
}

fn custom_list(schema: Option<&Value>) -> ListShape {
    let Some(schema) = schema else {
        return ListShape::Atomic;
    };
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => ListShape::Set,
        Some("map") => ListShape::Map(
            schema["x-kubernetes-list-map-keys"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|key| key.as_str().map(str::to_owned))
                .collect(),
        ),
        _ => ListShape::Atomic,
    }
}

fn built_in_list(field: &str, parent: &str) -> ListShape {
    let keys: &[&str] = match (parent, field) {
        ("metadata", "finalizers") | ("spec", "podCIDRs") => return ListShape::Set,
        ("metadata", "ownerReferences") => &["uid"],
        (
            _,
            "containers" | "initContainers" | "ephemeralContainers" | "volumes" | "env" | "schedulingGates",
        )
        | (_, "resourceClaims" | "claims" | "resourceClaimStatuses" | "volumesAttached" | "drivers")
        | ("spec", "imagePullSecrets")
        | ("", "secrets") => &["name"],
        ("containers" | "initContainers" | "ephemeralContainers", "ports") => &["containerPort", "protocol"],
        ("spec", "ports") => &["port", "protocol"],
        (_, "volumeMounts") => &["mountPath"],
        (_, "volumeDevices") => &["devicePath"],
        (_, "topologySpreadConstraints") => &["topologyKey", "whenUnsatisfiable"],
        (_, "conditions" | "addresses") => &["type"],
        (_, "hostAliases" | "podIPs") => &["ip"],
        _ => return ListShape::Atomic,
    };
    ListShape::Map(keys.iter().map(|&key| key.to_owned()).collect())
}

fn is_atomic(field: &str, parent: &str) -> bool {
    matches!(
        field,
        "nodeSelector"
            | "selector"
            | "labelSelector"
            | "namespaceSelector"
            | "involvedObject"
            | "regarding"
            | "related"
            | "fieldRef"
            | "resourceFieldRef"
            | "configMapKeyRef"
            | "secretKeyRef"
            | "secretRef"
            | "requiredDuringSchedulingIgnoredDuringExecution"
            | "ownerReferences"
            | "allowedTopologies"
    ) && !(field == "requiredDuringSchedulingIgnoredDuringExecution" && parent != "nodeAffinity")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ListShape, Shape};

    fn map(keys: &[&str]) -> ListShape {
        ListShape::Map(keys.iter().map(|&k| k.to_owned()).collect())
    }

    #[test]
    fn built_in_lists() {
        let pod = Shape::BuiltIn {
            field: "",
            parent: "",
        };
        let spec = pod.field("spec");
        for (shape, expected) in [
            (pod.field("metadata").field("finalizers"), ListShape::Set),
            (pod.field("metadata").field("ownerReferences"), map(&["uid"])),
            (spec.field("containers"), map(&["name"])),
            (spec.field("containers").item().field("env"), map(&["name"])),
            (spec.field("containers").item().field("args"), ListShape::Atomic),
            (
                spec.field("containers").item().field("ports"),
                map(&["containerPort", "protocol"]),
            ),
            (spec.field("taints"), ListShape::Atomic),
            (spec.field("tolerations"), ListShape::Atomic),
            (pod.field("status").field("conditions"), map(&["type"])),
        ] {
            assert_eq!(shape.list(), expected, "{shape:?}");
        }
        assert!(spec.field("nodeSelector").is_atomic_map());
        assert!(!pod.field("metadata").field("labels").is_atomic_map());
    }

    #[test]
    fn custom_lists_follow_the_schema() {
        let schema = json!({"properties": {"spec": {"properties": {
            "nodes": {"items": {}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
            "ids": {"items": {}, "x-kubernetes-list-type": "set"},
            "plain": {"items": {}},
        }}}});
        let spec = Shape::Custom(Some(&schema)).field("spec");
        assert_eq!(spec.field("nodes").list(), map(&["name"]));
        assert_eq!(spec.field("ids").list(), ListShape::Set);
        assert_eq!(spec.field("plain").list(), ListShape::Atomic);
        assert_eq!(spec.field("unknown").list(), ListShape::Atomic);
    }
}
