//! A dump: what `kubectl get … -o json` or `-o yaml` printed, folded through the same index as watch events.
//!
//! A file holds a `List`, one object, or several YAML documents. What is missing is taken to be empty, except
//! that a namespace in which a pod lives exists, if only with the label that every namespace has. Objects that
//! say something which the API server would never have let in are refused with their place.

mod check;

use crate::error::Error;
use crate::feed::Change;
use crate::index::Index;
use crate::inputs::{Inputs, View};
use autoscaler_core::model::{Labels, Snapshot};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::ResourceExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The label that the API server gives to every namespace.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Makes a change of an object; none where no rule asks for its kind.
type Fold = fn(Object) -> Result<Option<Change>, Error>;

/// The kinds that a dump may hold, by API version and name.
const KINDS: [(&str, &str, Fold); 15] = [
    ("v1", "Namespace", |o| o.parse(Change::Namespace)),
    ("v1", "PersistentVolume", |o| o.parse(Change::Volume)),
    ("v1", "PersistentVolumeClaim", |o| o.parse(Change::Claim)),
    ("storage.k8s.io/v1", "StorageClass", |o| {
        o.parse(Change::StorageClass)
    }),
    ("storage.k8s.io/v1", "CSINode", |o| o.parse(Change::CsiNode)),
    ("storage.k8s.io/v1", "CSIDriver", |o| o.parse(Change::CsiDriver)),
    ("storage.k8s.io/v1", "CSIStorageCapacity", |o| {
        o.parse(Change::StorageCapacity)
    }),
    ("storage.k8s.io/v1", "VolumeAttachment", |o| {
        o.parse(Change::VolumeAttachment)
    }),
    // Admission has written into the pod all that a runtime class means to the scheduler.
    ("node.k8s.io/v1", "RuntimeClass", |_| Ok(None)),
    ("policy/v1", "PodDisruptionBudget", |o| o.parse(Change::Budget)),
    ("apps/v1", "DaemonSet", |o| o.parse(Change::DaemonSet)),
    (autoscaler_api::API_VERSION, "NodeGroup", |o| {
        o.parse(Change::NodeGroup)
    }),
    (autoscaler_api::API_VERSION, "VPSieNode", |o| {
        o.parse(Change::VPSieNode)
    }),
    ("v1", "Node", |o| o.parse(Change::Node)),
    ("v1", "Pod", |o| o.parse(Change::Pod)),
];

/// The objects of one or several files.
#[derive(Default)]
pub struct Dump {
    changes: Vec<Change>,
    /// Of kinds that were left out: how many objects.
    ignored: BTreeMap<String, usize>,
    /// Kind, namespace and name.
    seen: BTreeSet<(&'static str, String, String)>,
}

/// One object on its way in.
struct Object {
    place: String,
    kind: &'static str,
    value: Value,
}

impl Dump {
    /// Adds what a file holds. `file` is its name, for messages.
    ///
    /// # Errors
    /// The first thing that cannot be understood, with its place.
    pub fn read(&mut self, file: &str, text: &str) -> Result<(), Error> {
        let documents = documents(file, text)?;
        let several = documents.len() > 1;
        for (number, document) in (1..).zip(documents) {
            let place = if several {
                format!("{file}, document {number}")
            } else {
                file.to_owned()
            };
            self.add(&place, document, None)?;
        }
        Ok(())
    }

    fn add(&mut self, place: &str, value: Value, of_list: Option<(&str, &str)>) -> Result<(), Error> {
        let Value::Object(mut fields) = value else {
            return Err(refused(
                place,
                "this is no Kubernetes object; give what `kubectl get … -o json` or `-o yaml` prints",
            ));
        };
        let word = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
        let (list_version, list_kind) = of_list.unzip();
        let Some(kind) = word("kind").or(list_kind.map(str::to_owned)) else {
            return Err(refused(
                place,
                "`kind` is missing; give what `kubectl get … -o json` or `-o yaml` prints",
            ));
        };
        let version = word("apiVersion").or(list_version.map(str::to_owned));
        if let Some(of) = kind.strip_suffix("List") {
            let Some(Value::Array(items)) = fields.remove("items") else {
                return Err(refused(
                    place,
                    format!("`items` is missing, or no list, in this {kind}"),
                ));
            };
            let version = version.unwrap_or_default();
            for (number, item) in (1..).zip(items) {
                let of_list = (!of.is_empty()).then_some((version.as_str(), of));
                self.add(&format!("{place}, item {number}"), item, of_list)?;
            }
            return Ok(());
        }
        let version = version.filter(|version| !version.is_empty());
        let known = KINDS.iter().find(|(its_version, name, _)| {
            *name == kind && version.as_deref().is_none_or(|version| version == *its_version)
        });
        let Some((_, kind, fold)) = known else {
            let name = version.map_or_else(|| kind.clone(), |version| format!("{kind} ({version})"));
            *self.ignored.entry(name).or_default() += 1;
            return Ok(());
        };
        let object = Object {
            place: place.to_owned(),
            kind,
            value: Value::Object(fields),
        };
        let (object, key) = object.named()?;
        if !self.seen.insert(key) {
            return Err(refused(
                &object.place,
                "it was there before; leave one of the two out, so that it is clear which holds",
            ));
        }
        self.changes.extend(fold(object)?);
        Ok(())
    }

    /// The latest time that an object tells of its making or of a change of its state: the dump is not older.
    pub fn latest(&self) -> Option<jiff::Timestamp> {
        let metadata = |change: &Change| match change {
            Change::Pod(pod) => {
                let conditions = pod
                    .status
                    .iter()
                    .flat_map(|status| status.conditions.iter().flatten());
                let changed =
                    conditions.filter_map(|condition| Some(condition.last_transition_time.as_ref()?.0));
                changed.chain(made(&**pod)).max()
            }
            Change::Node(node) => made(&**node),
            Change::VPSieNode(node) => made(&**node),
            Change::NodeGroup(group) => made(&**group),
            _ => None,
        };
        self.changes.iter().filter_map(metadata).max()
    }

    /// What was left out, for people.
    pub fn notes(&self) -> Vec<String> {
        self.ignored
            .iter()
            .map(|(kind, count)| format!("ignored {count} of kind {kind}: no rule asks for it"))
            .collect()
    }

    /// The cluster as kube-scheduler's filters see it.
    pub fn snapshot(self) -> Snapshot {
        self.index().snapshot(&Inputs {
            view: View::Scheduler,
            ..Inputs::default()
        })
    }

    /// All of it folded, as if it had been watched.
    pub fn index(self) -> Arc<Index> {
        self.index_at(jiff::Timestamp::UNIX_EPOCH)
    }

    /// The same, watched at this time: nodes are idle since then.
    pub fn index_at(self, now: jiff::Timestamp) -> Arc<Index> {
        let index = Index::new(Arc::new(move || now));
        let namespaces: BTreeSet<&String> = self
            .seen
            .iter()
            .filter(|(kind, ..)| *kind == "Pod")
            .map(|(_, namespace, _)| namespace)
            .collect();
        for name in namespaces {
            index.apply(&Change::Namespace(Arc::new(bare_namespace(name))));
        }
        // Pods last: a class is then made once, with all that it depends on.
        let (pods, rest): (Vec<Change>, Vec<Change>) = self
            .changes
            .into_iter()
            .partition(|change| matches!(change, Change::Pod(_)));
        for change in rest.iter().chain(&pods) {
            index.apply(change);
        }
        index
    }
}

impl Object {
    /// Its key; the place says who it is from now on.
    fn named(mut self) -> Result<(Self, (&'static str, String, String)), Error> {
        let metadata = &self.value["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(refused(
                &self.place,
                format!("`metadata.name` is missing in this {}", self.kind),
            ));
        }
        let namespaced = matches!(
            self.kind,
            "Pod"
                | "PersistentVolumeClaim"
                | "CSIStorageCapacity"
                | "PodDisruptionBudget"
                | "DaemonSet"
                | "NodeGroup"
                | "VPSieNode"
        );
        let mut namespace = String::new();
        let mut who = name.clone();
        if namespaced {
            // As kubectl reads a manifest without one.
            namespace = metadata["namespace"].as_str().unwrap_or("default").to_owned();
            self.value["metadata"]["namespace"] = namespace.clone().into();
            who = format!("{namespace}/{name}");
        }
        self.place = format!("{} ({} {who})", self.place, self.kind);
        let key = (self.kind, namespace, name);
        Ok((self, key))
    }

    fn parse<K: DeserializeOwned + Relevant>(
        mut self,
        change: fn(Arc<K>) -> Change,
    ) -> Result<Option<Change>, Error> {
        check::check(&mut self.value).map_err(|problem| refused(&self.place, problem))?;
        let object: K = serde_path_to_error::deserialize(self.value).map_err(|error| {
            let path = error.path().to_string();
            let field = path.split('[').next().unwrap_or_default();
            let kind = self.kind.to_lowercase();
            let problem = format!(
                "`{path}`: {}; see `kubectl explain {kind}.{field}`",
                error.inner()
            );
            refused(&self.place, problem)
        })?;
        Ok(object.is_relevant().then(|| change(Arc::new(object))))
    }
}

fn made(object: &impl ResourceExt) -> Option<jiff::Timestamp> {
    Some(object.creation_timestamp()?.0)
}

/// Whether an object concerns the scheduler at all.
trait Relevant {
    fn is_relevant(&self) -> bool {
        true
    }
}

impl Relevant for autoscaler_api::NodeGroup {}
impl Relevant for autoscaler_api::VPSieNode {}
impl Relevant for k8s_openapi::api::apps::v1::DaemonSet {}
impl Relevant for k8s_openapi::api::policy::v1::PodDisruptionBudget {}
impl Relevant for Namespace {}
impl Relevant for Node {}
impl Relevant for k8s_openapi::api::core::v1::PersistentVolume {}
impl Relevant for k8s_openapi::api::core::v1::PersistentVolumeClaim {}
impl Relevant for k8s_openapi::api::storage::v1::StorageClass {}
impl Relevant for k8s_openapi::api::storage::v1::CSINode {}
impl Relevant for k8s_openapi::api::storage::v1::CSIDriver {}
impl Relevant for k8s_openapi::api::storage::v1::CSIStorageCapacity {}
impl Relevant for k8s_openapi::api::storage::v1::VolumeAttachment {}
impl Relevant for Pod {
    /// A finished pod takes nothing and wants nothing.
    fn is_relevant(&self) -> bool {
        let phase = self.status.as_ref().and_then(|status| status.phase.as_deref());
        !matches!(phase, Some("Succeeded" | "Failed"))
    }
}

fn bare_namespace(name: &str) -> Namespace {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.to_owned());
    namespace
        .labels_mut()
        .extend(Labels::from([(NAMESPACE_NAME.to_owned(), name.to_owned())]));
    namespace
}

fn documents(file: &str, text: &str) -> Result<Vec<Value>, Error> {
    let start = text.trim_start();
    if start.is_empty() {
        return Err(refused(
            file,
            "it is empty; give what `kubectl get … -o json` or `-o yaml` prints",
        ));
    }
    if start.starts_with('{') {
        return serde_json::Deserializer::from_str(text)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|error| refused(file, format!("this is no JSON: {error}")));
    }
    // The limits are against strangers' files; this one is the user's, and a cluster may be large. Aliases stay
    // limited: they make much of little.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_documents: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
            max_total_comment_bytes: usize::MAX,
        },
    };
    serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| refused(file, format!("this is no YAML: {}", flat(&error.to_string()))))
}

/// One line of a message that may come with a picture of the source.
fn flat(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_owned()
}

fn refused(place: &str, problem: impl Into<String>) -> Error {
    Error::Dump {
        place: place.to_owned(),
        problem: problem.into(),
    }
}
