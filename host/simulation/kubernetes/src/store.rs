//! The data: every collection with its objects and the log of its changes, under one revision counter.
//!
//! The log serves watches, exact reads and later pages of a list. It is bounded: a reader that comes too late is told
//! so (410), as by the real server after compaction.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

use crate::resources::ResourceKey;

/// Namespace (empty when cluster-scoped) and name.
pub(crate) type ObjectKey = (String, String);

/// One version of one object. Never changed once stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) value: Value,
    pub(crate) revision: u64,
    encoded: OnceLock<Bytes>,
}

impl Stored {
    /// The object as JSON text: encoded once, shared by all who read it.
    pub(crate) fn json(&self) -> Bytes {
        self.encoded
            .get_or_init(|| Bytes::from(self.value.to_string()))
            .clone()
    }

    /// An object that is shown but not kept (a dry run).
    pub(crate) fn unsaved(value: Value) -> Arc<Self> {
        Arc::new(Self {
            value,
            revision: 0,
            encoded: OnceLock::new(),
        })
    }

    /// The same state under another revision.
    pub(crate) fn at(&self, revision: u64) -> Arc<Self> {
        at_revision(self.value.clone(), revision)
    }

    pub(crate) fn uid(&self) -> &str {
        self.value["metadata"]["uid"].as_str().unwrap_or_default()
    }
}

/// One step in the history of a collection.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: ObjectKey,
    pub(crate) before: Option<Arc<Stored>>,
    /// `None` when the object was removed.
    pub(crate) after: Option<Arc<Stored>>,
    /// The state that a watcher of a removal is shown: the last one, at the revision of the removal.
    pub(crate) removed: Option<Arc<Stored>>,
}

/// All objects of one resource.
#[derive(Debug, Default)]
pub(crate) struct Collection {
    pub(crate) objects: BTreeMap<ObjectKey, Arc<Stored>>,
    log: VecDeque<Change>,
    /// The newest revision whose change is no longer in the log.
    compacted: u64,
}

/// The log of a collection holds this many changes by default.
const LOG_LENGTH: usize = 20_000;

/// Everything the server holds.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) revision: u64,
    collections: BTreeMap<ResourceKey, Collection>,
    log_length: usize,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            // Revision 0 means "any" in requests, so the first real one is above it.
            revision: 1,
            collections: BTreeMap::new(),
            log_length: LOG_LENGTH,
        }
    }

    pub(crate) fn get(&self, resource: &ResourceKey, key: &ObjectKey) -> Option<&Arc<Stored>> {
        self.collections.get(resource)?.objects.get(key)
    }

    /// The objects of one namespace, or of all when the namespace is empty.
    pub(crate) fn list<'a>(
        &'a self,
        resource: &ResourceKey,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a ObjectKey, &'a Arc<Stored>)> + use<'a> {
        let start = (namespace.to_owned(), String::new());
        self.collections
            .get(resource)
            .into_iter()
            .flat_map(move |collection| collection.objects.range(start.clone()..))
            .take_while(move |(key, _)| namespace.is_empty() || key.0 == namespace)
    }

    /// The objects as they were at `revision`, or `None` when that state is gone.
    pub(crate) fn list_at(
        &self,
        resource: &ResourceKey,
        namespace: &str,
        revision: u64,
    ) -> Option<BTreeMap<ObjectKey, Arc<Stored>>> {
        let mut objects: BTreeMap<ObjectKey, Arc<Stored>> = self
            .list(resource, namespace)
            .map(|(key, stored)| (key.clone(), Arc::clone(stored)))
            .collect();
        let Some(collection) = self.collections.get(resource) else {
            return Some(objects);
        };
        if revision < collection.compacted {
            return None;
        }
        for change in collection.log.iter().rev() {
            if change.revision <= revision {
                break;
            }
            if !namespace.is_empty() && change.key.0 != namespace {
                continue;
            }
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), Arc::clone(before)),
                None => objects.remove(&change.key),
            };
        }
        Some(objects)
    }

    /// The changes after `revision`, or `None` when some of them are no longer held.
    pub(crate) fn changes_after(&self, resource: &ResourceKey, revision: u64) -> Option<Vec<Change>> {
        let Some(collection) = self.collections.get(resource) else {
            return Some(Vec::new());
        };
        if revision < collection.compacted {
            return None;
        }
        let start = collection
            .log
            .partition_point(|change| change.revision <= revision);
        Some(collection.log.range(start..).cloned().collect())
    }

    /// Stores `value` under a new revision, which is written into its metadata.
    pub(crate) fn put(&mut self, resource: &ResourceKey, key: ObjectKey, value: Value) -> Arc<Stored> {
        self.revision += 1;
        let stored = at_revision(value, self.revision);
        let collection = self.collections.entry(resource.clone()).or_default();
        let before = collection.objects.insert(key.clone(), Arc::clone(&stored));
        collection.append(
            Change {
                revision: self.revision,
                key,
                before,
                after: Some(Arc::clone(&stored)),
                removed: None,
            },
            self.log_length,
        );
        stored
    }

    /// Removes an object; answers with its last state, as watchers see it.
    pub(crate) fn remove(&mut self, resource: &ResourceKey, key: &ObjectKey) -> Option<Arc<Stored>> {
        let collection = self.collections.get_mut(resource)?;
        let before = collection.objects.remove(key)?;
        self.revision += 1;
        let removed = before.at(self.revision);
        collection.append(
            Change {
                revision: self.revision,
                key: key.clone(),
                before: Some(before),
                after: None,
                removed: Some(Arc::clone(&removed)),
            },
            self.log_length,
        );
        Some(removed)
    }

    /// Forgets the history, as a compaction does: watches and pages from before now are refused.
    pub(crate) fn compact(&mut self) {
        for collection in self.collections.values_mut() {
            collection.log.clear();
            collection.compacted = self.revision;
        }
    }
}

impl Collection {
    fn append(&mut self, change: Change, limit: usize) {
        self.log.push_back(change);
        while self.log.len() > limit {
            if let Some(oldest) = self.log.pop_front() {
                self.compacted = oldest.revision;
            }
        }
    }
}

fn at_revision(mut value: Value, revision: u64) -> Arc<Stored> {
    value["metadata"]["resourceVersion"] = Value::String(revision.to_string());
    Arc::new(Stored {
        value,
        revision,
        encoded: OnceLock::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ObjectKey, Store};
    use crate::resources::ResourceKey;

    fn key(name: &str) -> ObjectKey {
        ("ns".to_owned(), name.to_owned())
    }

    #[test]
    fn earlier_states_are_rebuilt_from_the_log() {
        let pods = ResourceKey::new("", "pods");
        let mut store = Store::new();
        store.put(&pods, key("a"), json!({"metadata": {}, "n": 1}));
        let then = store
            .put(&pods, key("b"), json!({"metadata": {}, "n": 1}))
            .revision;
        store.put(&pods, key("a"), json!({"metadata": {}, "n": 2}));
        store.remove(&pods, &key("b"));
        store.put(&pods, key("c"), json!({"metadata": {}, "n": 1}));

        let old = store.list_at(&pods, "ns", then).unwrap();
        let names: Vec<&str> = old.keys().map(|k| k.1.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(old[&key("a")].value["n"], 1);
        assert_eq!(store.changes_after(&pods, then).unwrap().len(), 3);
    }

    #[test]
    fn a_bounded_log_refuses_what_it_forgot() {
        let pods = ResourceKey::new("", "pods");
        let mut store = Store::new();
        store.log_length = 2;
        let first = store.put(&pods, key("a"), json!({"metadata": {}})).revision;
        for name in ["b", "c", "d"] {
            store.put(&pods, key(name), json!({"metadata": {}}));
        }
        assert!(store.changes_after(&pods, first).is_none());
        assert!(store.list_at(&pods, "", first).is_none());
        assert_eq!(store.changes_after(&pods, first + 1).unwrap().len(), 2);
    }
}
