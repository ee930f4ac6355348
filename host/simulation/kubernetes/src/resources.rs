//! The resource types that the server knows: the built-in ones and those that a CRD brought.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::custom::CustomType;

/// Identifies a collection: all versions of a resource share one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ResourceKey {
    pub(crate) group: String,
    pub(crate) plural: String,
}

impl ResourceKey {
    pub(crate) fn new(group: &str, plural: &str) -> Self {
        Self {
            group: group.to_owned(),
            plural: plural.to_owned(),
        }
    }
}

/// Where a custom resource keeps its replica counts (dotted paths without the leading dot).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScalePaths {
    pub(crate) spec: String,
    pub(crate) status: String,
    pub(crate) selector: Option<String>,
}

/// Reads an object into its type and back: unknown fields vanish, wrong types are refused.
pub(crate) type Decode = fn(Value) -> Result<Value, String>;

/// One served version of one resource.
#[derive(Clone, Debug)]
pub(crate) struct ResourceType {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) namespaced: bool,
    /// Status is a subresource: writes to the main resource leave it alone.
    pub(crate) status: bool,
    pub(crate) scale: Option<ScalePaths>,
    /// `metadata.generation` counts changes of the specification.
    pub(crate) generation: bool,
    /// An update without a resourceVersion overwrites.
    pub(crate) unconditional_update: bool,
    /// A PUT of an unknown name creates.
    pub(crate) create_on_update: bool,
    /// A DELETE answers with the object, not with a Status.
    pub(crate) returns_deleted: bool,
    pub(crate) decode: Option<Decode>,
    pub(crate) custom: Option<Arc<CustomType>>,
}

impl ResourceType {
    /// The collection that holds the objects. Both groups of events are views of one.
    pub(crate) fn key(&self) -> ResourceKey {
        if self.is_new_event() {
            ResourceKey::new("", "events")
        } else {
            ResourceKey::new(&self.group, &self.plural)
        }
    }

    /// Events as `events.k8s.io` shows them.
    pub(crate) fn is_new_event(&self) -> bool {
        self.is("events.k8s.io", "events")
    }

    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `pods`, `deployments.apps`: the form used in messages.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    /// The subresources that answer beside the object itself.
    pub(crate) fn subresources(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.status {
            names.push("status");
        }
        if self.scale.is_some() {
            names.push("scale");
        }
        match (self.group.as_str(), self.plural.as_str()) {
            ("", "pods") => names.extend(["binding", "eviction"]),
            ("", "namespaces") => names.push("finalize"),
            _ => {}
        }
        names
    }

    /// The fields that a field selector may name.
    pub(crate) fn selectable_fields(&self) -> Vec<String> {
        let extra: &[&str] = match (self.group.as_str(), self.plural.as_str()) {
            ("", "pods") => &[
                "spec.nodeName",
                "spec.restartPolicy",
                "spec.schedulerName",
                "spec.serviceAccountName",
                "status.phase",
                "status.podIP",
                "status.nominatedNodeName",
            ],
            ("", "nodes") => &["spec.unschedulable"],
            ("", "namespaces") => &["status.phase"],
            ("", "secrets") => &["type"],
            ("", "events") => &[
                "involvedObject.kind",
                "involvedObject.namespace",
                "involvedObject.name",
                "involvedObject.uid",
                "involvedObject.apiVersion",
                "involvedObject.resourceVersion",
                "involvedObject.fieldPath",
                "reason",
                "reportingComponent",
                "type",
            ],
            ("", "services") => &["spec.clusterIP", "spec.type"],
            _ => &[],
        };
        let mut fields = vec!["metadata.name".to_owned()];
        if self.namespaced || (self.group.is_empty() && self.plural == "pods") {
            fields.push("metadata.namespace".to_owned());
        }
        fields.extend(extra.iter().map(|&field| field.to_owned()));
        if let Some(custom) = &self.custom {
            fields.extend(custom.selectable_fields.iter().cloned());
        }
        fields
    }
}

fn typed<T: DeserializeOwned + Serialize>(value: Value) -> Result<Value, String> {
    let object: T = serde_json::from_value(value).map_err(|error| error.to_string())?;
    serde_json::to_value(&object).map_err(|error| error.to_string())
}

/// Builds one row of the table of built-in types.
struct Row(ResourceType);

impl Row {
    fn new<T: DeserializeOwned + Serialize>(
        group: &str,
        version: &str,
        kind: &str,
        plural: &str,
        namespaced: bool,
    ) -> Self {
        Self(ResourceType {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            singular: kind.to_lowercase(),
            kind: kind.to_owned(),
            list_kind: format!("{kind}List"),
            short_names: Vec::new(),
            namespaced,
            status: false,
            scale: None,
            generation: false,
            unconditional_update: true,
            create_on_update: false,
            returns_deleted: false,
            decode: Some(typed::<T>),
            custom: None,
        })
    }

    fn short(mut self, name: &str) -> Self {
        self.0.short_names.push(name.to_owned());
        self
    }

    fn status(mut self) -> Self {
        self.0.status = true;
        self
    }

    fn generation(mut self) -> Self {
        self.0.generation = true;
        self
    }

    fn scale(mut self) -> Self {
        self.0.scale = Some(ScalePaths {
            spec: "spec.replicas".to_owned(),
            status: "status.replicas".to_owned(),
            selector: None,
        });
        self
    }

    fn conditional(mut self) -> Self {
        self.0.unconditional_update = false;
        self
    }

    fn create_on_update(mut self) -> Self {
        self.0.create_on_update = true;
        self
    }

    fn returns_deleted(mut self) -> Self {
        self.0.returns_deleted = true;
        self
    }
}

/// Every built-in type, in the order that discovery lists them.
pub(crate) fn built_in() -> Vec<ResourceType> {
    use k8s_openapi::api::{apps, coordination, core, events, node, policy, scheduling, storage};
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions;

    const APPS: &str = "apps";
    const STORAGE: &str = "storage.k8s.io";
    let rows = vec![
        Row::new::<core::v1::ConfigMap>("", "v1", "ConfigMap", "configmaps", true).short("cm"),
        Row::new::<core::v1::Event>("", "v1", "Event", "events", true)
            .short("ev")
            .create_on_update(),
        Row::new::<core::v1::Namespace>("", "v1", "Namespace", "namespaces", false)
            .short("ns")
            .status()
            .returns_deleted(),
        Row::new::<core::v1::Node>("", "v1", "Node", "nodes", false)
            .short("no")
            .status(),
        Row::new::<core::v1::PersistentVolumeClaim>(
            "",
            "v1",
            "PersistentVolumeClaim",
            "persistentvolumeclaims",
            true,
        )
        .short("pvc")
        .status()
        .returns_deleted(),
        Row::new::<core::v1::PersistentVolume>("", "v1", "PersistentVolume", "persistentvolumes", false)
            .short("pv")
            .status()
            .returns_deleted(),
        Row::new::<core::v1::Pod>("", "v1", "Pod", "pods", true)
            .short("po")
            .status()
            .generation()
            .returns_deleted(),
        Row::new::<core::v1::Secret>("", "v1", "Secret", "secrets", true),
        Row::new::<core::v1::ServiceAccount>("", "v1", "ServiceAccount", "serviceaccounts", true)
            .short("sa")
            .returns_deleted(),
        Row::new::<core::v1::Service>("", "v1", "Service", "services", true)
            .short("svc")
            .status()
            .create_on_update()
            .returns_deleted(),
        Row::new::<apiextensions::v1::CustomResourceDefinition>(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            false,
        )
        .short("crd")
        .status()
        .generation()
        .conditional(),
        Row::new::<apps::v1::DaemonSet>(APPS, "v1", "DaemonSet", "daemonsets", true)
            .short("ds")
            .status()
            .generation(),
        Row::new::<apps::v1::Deployment>(APPS, "v1", "Deployment", "deployments", true)
            .short("deploy")
            .status()
            .generation()
            .scale(),
        Row::new::<apps::v1::ReplicaSet>(APPS, "v1", "ReplicaSet", "replicasets", true)
            .short("rs")
            .status()
            .generation()
            .scale(),
        Row::new::<apps::v1::StatefulSet>(APPS, "v1", "StatefulSet", "statefulsets", true)
            .short("sts")
            .status()
            .generation()
            .scale(),
        Row::new::<coordination::v1::Lease>("coordination.k8s.io", "v1", "Lease", "leases", true)
            .conditional()
            .create_on_update(),
        Row::new::<events::v1::Event>("events.k8s.io", "v1", "Event", "events", true)
            .short("ev")
            .create_on_update(),
        Row::new::<node::v1::RuntimeClass>("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", false)
            .conditional()
            .create_on_update(),
        Row::new::<policy::v1::PodDisruptionBudget>(
            "policy",
            "v1",
            "PodDisruptionBudget",
            "poddisruptionbudgets",
            true,
        )
        .short("pdb")
        .status()
        .generation()
        .conditional(),
        Row::new::<scheduling::v1::PriorityClass>(
            "scheduling.k8s.io",
            "v1",
            "PriorityClass",
            "priorityclasses",
            false,
        )
        .short("pc")
        .generation(),
        Row::new::<storage::v1::CSIDriver>(STORAGE, "v1", "CSIDriver", "csidrivers", false)
            .conditional()
            .returns_deleted(),
        Row::new::<storage::v1::CSINode>(STORAGE, "v1", "CSINode", "csinodes", false)
            .conditional()
            .returns_deleted(),
        Row::new::<storage::v1::CSIStorageCapacity>(
            STORAGE,
            "v1",
            "CSIStorageCapacity",
            "csistoragecapacities",
            true,
        )
        .conditional(),
        Row::new::<storage::v1::StorageClass>(STORAGE, "v1", "StorageClass", "storageclasses", false)
            .short("sc")
            .returns_deleted(),
        Row::new::<storage::v1::VolumeAttachment>(
            STORAGE,
            "v1",
            "VolumeAttachment",
            "volumeattachments",
            false,
        )
        .status()
        .conditional()
        .returns_deleted(),
    ];
    rows.into_iter().map(|row| row.0).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{built_in, typed};

    #[test]
    fn decoding_drops_unknown_fields_and_refuses_wrong_types() {
        type Pod = k8s_openapi::api::core::v1::Pod;
        let kept = typed::<Pod>(json!({"metadata": {"name": "a"}, "extra": 1})).unwrap();
        assert_eq!(kept.get("extra"), None);
        assert!(typed::<Pod>(json!({"spec": {"containers": "none"}})).is_err());
    }

    #[test]
    fn only_events_exist_in_two_groups() {
        let mut plurals: Vec<String> = built_in().into_iter().map(|t| t.plural).collect();
        plurals.sort();
        let mut twice: Vec<&str> = plurals
            .windows(2)
            .filter(|w| w[0] == w[1])
            .map(|w| w[0].as_str())
            .collect();
        twice.dedup();
        assert_eq!(twice, ["events"]);
    }
}
