//! What the server's lock protects, and the only two ways to change it: put and remove.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::custom;
use crate::error::ApiError;
use crate::faults::Faults;
use crate::identity::Identities;
use crate::owners::Owners;
use crate::resources::{ResourceType, built_in};
use crate::store::{ObjectKey, Store, Stored};

/// Group, version and plural.
type TypeKey = (String, String, String);

/// Everything that one request may read or change.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    types: BTreeMap<TypeKey, Arc<ResourceType>>,
    pub(crate) ids: Identities,
    pub(crate) faults: Faults,
    pub(crate) owners: Owners,
}

impl State {
    pub(crate) fn new(seed: u64) -> Self {
        let types = built_in()
            .into_iter()
            .map(|t| {
                (
                    (t.group.clone(), t.version.clone(), t.plural.clone()),
                    Arc::new(t),
                )
            })
            .collect();
        Self {
            store: Store::new(),
            types,
            ids: Identities::new(seed),
            faults: Faults::default(),
            owners: Owners::default(),
        }
    }

    /// The type served at this group, version and plural.
    pub(crate) fn resource(&self, group: &str, version: &str, plural: &str) -> Option<Arc<ResourceType>> {
        let key = (group.to_owned(), version.to_owned(), plural.to_owned());
        self.types.get(&key).cloned()
    }

    /// A built-in type by group and plural, in whatever version is served.
    pub(crate) fn resource_named(&self, group: &str, plural: &str) -> Option<Arc<ResourceType>> {
        self.types
            .values()
            .find(|resource| resource.is(group, plural))
            .cloned()
    }

    /// All served types, by group, version and plural.
    pub(crate) fn resources(&self) -> impl Iterator<Item = &Arc<ResourceType>> {
        self.types.values()
    }

    pub(crate) fn find(&self, resource: &ResourceType, key: &ObjectKey) -> Result<Arc<Stored>, ApiError> {
        self.store
            .get(&resource.key(), key)
            .cloned()
            .ok_or_else(|| ApiError::not_found(resource, &key.1))
    }

    /// Stores an object; a CRD's types are served from then on.
    pub(crate) fn put(&mut self, resource: &ResourceType, key: &ObjectKey, value: Value) -> Arc<Stored> {
        let before = self.store.get(&resource.key(), key).cloned();
        let stored = self.store.put(&resource.key(), key.clone(), value);
        self.owners.put(&resource.key(), key, before.as_deref(), &stored);
        if resource.is("apiextensions.k8s.io", "customresourcedefinitions") {
            self.serve_custom(&stored.value);
        }
        stored
    }

    /// Removes an object; a CRD takes its types and their objects along.
    pub(crate) fn remove(&mut self, resource: &ResourceType, key: &ObjectKey) -> Option<Arc<Stored>> {
        let removed = self.store.remove(&resource.key(), key)?;
        self.owners.remove(&resource.key(), key, &removed);
        if resource.is("apiextensions.k8s.io", "customresourcedefinitions") {
            self.forget_custom(&removed.value);
        }
        Some(removed)
    }

    fn serve_custom(&mut self, crd: &Value) {
        self.types.retain(|_, resource| {
            resource
                .custom
                .as_ref()
                .is_none_or(|custom| custom.definition != crd["metadata"]["name"])
        });
        for resource in custom::resource_types(crd) {
            let key = (
                resource.group.clone(),
                resource.version.clone(),
                resource.plural.clone(),
            );
            self.types.insert(key, Arc::new(resource));
        }
    }

    fn forget_custom(&mut self, crd: &Value) {
        let name = &crd["metadata"]["name"];
        let gone: Vec<Arc<ResourceType>> = self
            .resources()
            .filter(|r| r.custom.as_ref().is_some_and(|custom| custom.definition == *name))
            .cloned()
            .collect();
        for resource in gone {
            let keys: Vec<ObjectKey> = self
                .store
                .list(&resource.key(), "")
                .map(|(key, _)| key.clone())
                .collect();
            for key in keys {
                if let Some(removed) = self.store.remove(&resource.key(), &key) {
                    self.owners.remove(&resource.key(), &key, &removed);
                }
            }
            self.types.remove(&(
                resource.group.clone(),
                resource.version.clone(),
                resource.plural.clone(),
            ));
        }
    }

    /// Whether objects may be created in this namespace.
    pub(crate) fn check_namespace(
        &self,
        resource: &ResourceType,
        namespace: &str,
        name: &str,
    ) -> Result<(), ApiError> {
        let Some(namespaces) = self.resource_named("", "namespaces") else {
            return Ok(());
        };
        let found = self.find(&namespaces, &(String::new(), namespace.to_owned()))?;
        if found.value["metadata"]["deletionTimestamp"].is_null() {
            return Ok(());
        }
        Err(ApiError::forbidden(
            resource,
            name,
            format!("unable to create new content in namespace {namespace} because it is being terminated"),
        )
        .with_cause(
            "NamespaceTerminating",
            format!("namespace {namespace} is being terminated"),
            Some("metadata.namespace".to_owned()),
        ))
    }

    /// The namespaces of every new cluster.
    pub(crate) fn bootstrap(&mut self, now: &str) {
        let Some(namespaces) = self.resource_named("", "namespaces") else {
            return;
        };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let uid = self.ids.uid();
            let namespace = json!({
                "kind": "Namespace",
                "apiVersion": "v1",
                "metadata": {
                    "name": name,
                    "uid": uid,
                    "creationTimestamp": now,
                    "labels": {"kubernetes.io/metadata.name": name},
                },
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"phase": "Active"},
            });
            self.put(&namespaces, &(String::new(), name.to_owned()), namespace);
        }
    }
}
