//! What a controller's step works with: the state, the time, and writes that are logged when refused.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::Delays;
use super::timers::{Due, Timers};
use crate::create::{self, Writing};
use crate::delete::{self, Options};
use crate::managers::Tracking;
use crate::resources::ResourceType;
use crate::state::State;
use crate::store::{ObjectKey, Stored};
use crate::update;

/// A resource by group and plural.
pub(super) type Kind = (&'static str, &'static str);

pub(super) const PODS: Kind = ("", "pods");
pub(super) const NODES: Kind = ("", "nodes");
pub(super) const DEPLOYMENTS: Kind = ("apps", "deployments");
pub(super) const REPLICA_SETS: Kind = ("apps", "replicasets");
pub(super) const BUDGETS: Kind = ("policy", "poddisruptionbudgets");

/// One step's view of the world.
pub(super) struct Step<'a> {
    pub(super) state: &'a mut State,
    pub(super) now: Timestamp,
    pub(super) timers: &'a mut Timers,
    pub(super) delays: &'a Delays,
}

impl Step<'_> {
    fn resource(&self, kind: Kind) -> Option<Arc<ResourceType>> {
        self.state.resource_named(kind.0, kind.1)
    }

    pub(super) fn get(&self, kind: Kind, key: &ObjectKey) -> Option<Arc<Stored>> {
        self.state.find(self.resource(kind)?.as_ref(), key).ok()
    }

    /// A cluster-scoped object.
    pub(super) fn named(&self, kind: Kind, name: &str) -> Option<Arc<Stored>> {
        self.get(kind, &(String::new(), name.to_owned()))
    }

    /// The objects of a namespace, or all when it is empty.
    pub(super) fn list(&self, kind: Kind, namespace: &str) -> Vec<Arc<Stored>> {
        self.resource(kind)
            .map(|resource| {
                self.state
                    .store
                    .list(&resource.key(), namespace)
                    .map(|(_, stored)| Arc::clone(stored))
                    .collect()
            })
            .unwrap_or_default()
    }

    /// The objects of a kind that name `uid` as an owner.
    pub(super) fn owned(&self, kind: Kind, uid: &str) -> Vec<Arc<Stored>> {
        self.state
            .owners
            .dependents(uid)
            .into_iter()
            .filter(|(resource, _)| resource.group == kind.0 && resource.plural == kind.1)
            .filter_map(|(_, key)| self.get(kind, &key))
            .collect()
    }

    /// Replaces an object or its status; nothing is written when nothing changes.
    pub(super) fn write(
        &mut self,
        kind: Kind,
        subresource: Option<&'static str>,
        old: &Arc<Stored>,
        new: Value,
        manager: &'static str,
    ) {
        let Some(resource) = self.resource(kind) else {
            return;
        };
        let writing = Writing {
            tracking: Tracking::internal(manager, &resource, subresource.unwrap_or_default()),
            now: self.now,
            dry_run: false,
        };
        if let Err(error) = update::update(self.state, &resource, subresource, old, new, &writing) {
            tracing::warn!(%error, manager, resource = kind.1, "a controller's update was refused");
        }
    }

    pub(super) fn create(&mut self, kind: Kind, namespace: &str, value: Value, manager: &'static str) {
        let Some(resource) = self.resource(kind) else {
            return;
        };
        let writing = Writing {
            tracking: Tracking::internal(manager, &resource, ""),
            now: self.now,
            dry_run: false,
        };
        let result = create::normalise(&resource, value, false)
            .and_then(|value| create::create(self.state, &resource, namespace, value, &writing));
        if let Err(error) = result {
            tracing::warn!(%error, manager, resource = kind.1, "a controller could not create an object");
        }
    }

    pub(super) fn delete(&mut self, kind: Kind, key: &ObjectKey, options: &Options) {
        let Some(resource) = self.resource(kind) else {
            return;
        };
        if let Err(error) = delete::delete(self.state, &resource, key, options, self.now) {
            tracing::debug!(%error, resource = kind.1, "an object that was to be deleted is gone");
        }
    }

    pub(super) fn after(&mut self, delay: std::time::Duration, due: Due) {
        self.timers.schedule(Instant::now() + delay, due);
    }
}

/// The status of a condition, if it is there.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)?["status"]
        .as_str()
}

pub(super) fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind) == Some("True")
}

/// The controller among an object's owners.
pub(super) fn controller(object: &Value) -> Option<&Value> {
    object["metadata"]["ownerReferences"]
        .as_array()?
        .iter()
        .find(|reference| reference["controller"] == true)
}
