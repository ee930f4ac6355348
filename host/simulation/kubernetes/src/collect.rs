//! Garbage collection: dependents follow their owners, owners in the foreground wait for them, namespaces empty out.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::create::Writing;
use crate::delete::{self, FOREGROUND, ORPHAN, Options};
use crate::managers::Tracking;
use crate::metadata;
use crate::owners::{Place, owner_uids};
use crate::resources::ResourceType;
use crate::state::State;
use crate::update;

const MANAGER: &str = "kube-controller-manager";

/// Works off everything that is due.
pub(crate) fn run(state: &mut State, now: Timestamp) {
    loop {
        while let Some(place) = state.owners.next() {
            examine(state, &place, now);
        }
        if !empty_namespaces(state, now) {
            return;
        }
    }
}

fn examine(state: &mut State, place: &Place, now: Timestamp) {
    let (resource, key) = place;
    let Some(kind) = state.resource_named(&resource.group, &resource.plural) else {
        return;
    };
    let Ok(stored) = state.find(&kind, key) else {
        return;
    };
    let object = &stored.value;
    let has_owners = owner_uids(object).next().is_some();
    let orphaned = has_owners && !owner_uids(object).any(|uid| state.owners.lives(uid));
    if orphaned && !metadata::is_terminating(object) {
        let options = Options {
            uid: Some(stored.uid().to_owned()),
            propagation: Some("Background".to_owned()),
            ..Options::default()
        };
        // The object may be gone already: that is what was wanted.
        let _ = delete::delete(state, &kind, key, &options, now);
        return;
    }
    if !metadata::is_terminating(object) {
        return;
    }
    let uid = stored.uid().to_owned();
    if metadata::finalizers(object).contains(&ORPHAN) {
        for (resource, key) in state.owners.dependents(&uid) {
            release(state, &(resource, key), &uid, now);
        }
        drop_finalizer(state, &kind, place, ORPHAN, now);
    } else if metadata::finalizers(object).contains(&FOREGROUND) {
        let dependents = state.owners.dependents(&uid);
        let mut waiting = false;
        for (resource, key) in dependents {
            let Some(kind) = state.resource_named(&resource.group, &resource.plural) else {
                continue;
            };
            let Ok(dependent) = state.find(&kind, &key) else {
                continue;
            };
            let blocks = dependent.value["metadata"]["ownerReferences"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|reference| reference["uid"] == uid.as_str() && reference["blockOwnerDeletion"] == true);
            if !metadata::is_terminating(&dependent.value) {
                let options = Options {
                    propagation: Some("Foreground".to_owned()),
                    ..Options::default()
                };
                let _ = delete::delete(state, &kind, &key, &options, now);
            }
            waiting |= blocks && state.find(&kind, &key).is_ok();
        }
        if !waiting {
            drop_finalizer(state, &kind, place, FOREGROUND, now);
        }
    }
}

/// Removes the references of one dependent to an owner that lets go.
fn release(state: &mut State, place: &Place, owner: &str, now: Timestamp) {
    let Some(kind) = state.resource_named(&place.0.group, &place.0.plural) else {
        return;
    };
    let Ok(stored) = state.find(&kind, &place.1) else {
        return;
    };
    let kept: Vec<Value> = stored.value["metadata"]["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|reference| reference["uid"] != owner)
        .cloned()
        .collect();
    let mut new = stored.value.clone();
    metadata::set(
        &mut new["metadata"],
        "ownerReferences",
        (!kept.is_empty()).then(|| json!(kept)),
    );
    write(state, &kind, &stored, new, now);
}

fn drop_finalizer(state: &mut State, kind: &ResourceType, place: &Place, finalizer: &str, now: Timestamp) {
    let Ok(stored) = state.find(kind, &place.1) else {
        return;
    };
    let kept: Vec<&str> = metadata::finalizers(&stored.value)
        .into_iter()
        .filter(|name| *name != finalizer)
        .collect();
    let mut new = stored.value.clone();
    metadata::set(
        &mut new["metadata"],
        "finalizers",
        (!kept.is_empty()).then(|| json!(kept)),
    );
    write(state, kind, &stored, new, now);
}

fn write(
    state: &mut State,
    kind: &ResourceType,
    old: &std::sync::Arc<crate::store::Stored>,
    new: Value,
    now: Timestamp,
) {
    let writing = Writing {
        tracking: Tracking::internal(MANAGER, kind, ""),
        now,
        dry_run: false,
    };
    if let Err(error) = update::update(state, kind, None, old, new, &writing) {
        tracing::warn!(%error, resource = kind.plural, "the garbage collector could not update an object");
    }
}

/// Deletes the content of terminating namespaces, and the namespaces once empty; returns whether anything went.
fn empty_namespaces(state: &mut State, now: Timestamp) -> bool {
    let Some(namespaces) = state.resource_named("", "namespaces") else {
        return false;
    };
    let terminating: Vec<String> = state
        .store
        .list(&namespaces.key(), "")
        .filter(|(_, stored)| metadata::is_terminating(&stored.value))
        .map(|(key, _)| key.1.clone())
        .collect();
    let before = state.store.revision;
    for namespace in terminating {
        let kinds: Vec<_> = state
            .resources()
            .filter(|kind| kind.namespaced)
            .cloned()
            .collect();
        let mut left = false;
        for kind in kinds {
            let keys: Vec<_> = state
                .store
                .list(&kind.key(), &namespace)
                .map(|(key, _)| key.clone())
                .collect();
            for key in keys {
                let _ = delete::delete(state, &kind, &key, &Options::default(), now);
                left |= state.find(&kind, &key).is_ok();
            }
        }
        let key = (String::new(), namespace);
        if left {
            continue;
        }
        if let Ok(stored) = state.find(&namespaces, &key) {
            let mut new = stored.value.clone();
            metadata::set(&mut new["spec"], "finalizers", None);
            let writing = Writing {
                tracking: Tracking::internal(MANAGER, &namespaces, "finalize"),
                now,
                dry_run: false,
            };
            if let Err(error) = update::update(state, &namespaces, Some("finalize"), &stored, new, &writing) {
                tracing::warn!(%error, "a namespace could not be finalised");
            }
        }
    }
    state.store.revision != before
}
