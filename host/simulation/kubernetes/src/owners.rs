//! Who owns whom, kept up to date with every write, and the queue of objects that the garbage collector has to look at.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::resources::ResourceKey;
use crate::store::{ObjectKey, Stored};

/// One object anywhere.
pub(crate) type Place = (ResourceKey, ObjectKey);

/// The ownership graph.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    living: BTreeMap<String, Place>,
    dependents: BTreeMap<String, BTreeSet<Place>>,
    queue: BTreeSet<Place>,
}

/// The uids in an object's owner references.
pub(crate) fn owner_uids(object: &Value) -> impl Iterator<Item = &str> {
    object["metadata"]["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|reference| reference["uid"].as_str())
}

impl Owners {
    pub(crate) fn put(
        &mut self,
        resource: &ResourceKey,
        key: &ObjectKey,
        before: Option<&Stored>,
        after: &Stored,
    ) {
        let place = (resource.clone(), key.clone());
        if let Some(before) = before {
            self.unlink(&place, &before.value);
        }
        self.living.insert(after.uid().to_owned(), place.clone());
        let mut orphan = false;
        for uid in owner_uids(&after.value) {
            orphan |= !self.living.contains_key(uid);
            self.dependents
                .entry(uid.to_owned())
                .or_default()
                .insert(place.clone());
        }
        let terminating = !after.value["metadata"]["deletionTimestamp"].is_null();
        if orphan || terminating {
            self.queue.insert(place);
        }
    }

    pub(crate) fn remove(&mut self, resource: &ResourceKey, key: &ObjectKey, removed: &Stored) {
        let place = (resource.clone(), key.clone());
        self.living.remove(removed.uid());
        self.unlink(&place, &removed.value);
        for uid in owner_uids(&removed.value) {
            // An owner that is deleted in the foreground waits for its last dependent.
            self.queue.extend(self.living.get(uid).cloned());
        }
        self.queue.extend(self.dependents(removed.uid()));
        self.queue.remove(&place);
    }

    fn unlink(&mut self, place: &Place, object: &Value) {
        for uid in owner_uids(object) {
            if let Some(places) = self.dependents.get_mut(uid) {
                places.remove(place);
                if places.is_empty() {
                    self.dependents.remove(uid);
                }
            }
        }
    }

    pub(crate) fn lives(&self, uid: &str) -> bool {
        self.living.contains_key(uid)
    }

    pub(crate) fn dependents(&self, uid: &str) -> Vec<Place> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Takes the next object that may have to be collected.
    pub(crate) fn next(&mut self) -> Option<Place> {
        self.queue.pop_first()
    }
}
