//! What stands beside pods and decides where they may run: namespaces, claims, volumes and their classes, what storage
//! drivers have room for, and what runtimes add to a pod.
//!
//! One change concerns few pods. Which ones is known by name here, so that its cost does not grow with the cluster.

use super::capacity::{Capacities, CapacityKey};
use autoscaler_core::model::{Labels, PodKey};
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::storage::v1::{CSIDriver, CSIStorageCapacity, StorageClass};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Namespace and name of a claim.
pub(crate) type ClaimKey = (String, String);

/// Objects beside pods.
#[derive(Default)]
pub(crate) struct Surroundings {
    /// Labels of namespaces, for namespace selectors.
    pub(crate) namespaces: BTreeMap<String, Labels>,
    /// For pods that are yet to be made; admission has written them into the others.
    pub(crate) runtimes: BTreeMap<String, Arc<RuntimeClass>>,
    pub(super) capacities: Capacities,
    claims: BTreeMap<ClaimKey, Arc<PersistentVolumeClaim>>,
    volumes: BTreeMap<String, Arc<PersistentVolume>>,
    classes: BTreeMap<String, Arc<StorageClass>>,
    /// Pods that name the claim, it may exist or not.
    users: BTreeMap<ClaimKey, BTreeSet<PodKey>>,
    /// Claims without a volume, by storage class.
    unbound: BTreeMap<String, BTreeSet<ClaimKey>>,
    /// Volumes that no claim has yet, by storage class.
    unclaimed: BTreeMap<String, BTreeSet<String>>,
}

impl Surroundings {
    pub(crate) fn claim(&self, namespace: &str, name: &str) -> Option<&PersistentVolumeClaim> {
        let key = (namespace.to_owned(), name.to_owned());
        self.claims.get(&key).map(|claim| &**claim)
    }

    pub(crate) fn volume(&self, name: &str) -> Option<&PersistentVolume> {
        self.volumes.get(name).map(|volume| &**volume)
    }

    pub(crate) fn class(&self, name: &str) -> Option<&StorageClass> {
        self.classes.get(name).map(|class| &**class)
    }

    /// Volumes of the class that no claim has yet, by name.
    pub(crate) fn unclaimed(&self, class: &str) -> impl Iterator<Item = &PersistentVolume> {
        let names = self.unclaimed.get(class).into_iter().flatten();
        names.filter_map(|name| self.volume(name))
    }

    /// How many pods use the claim.
    pub(crate) fn users(&self, namespace: &str, name: &str) -> usize {
        let key = (namespace.to_owned(), name.to_owned());
        self.users.get(&key).map_or(0, BTreeSet::len)
    }

    /// The pods that use the claim.
    pub(crate) fn pods_of(&self, namespace: &str, name: &str) -> impl Iterator<Item = &PodKey> {
        let key = (namespace.to_owned(), name.to_owned());
        self.users.get(&key).into_iter().flatten()
    }

    /// Whether the claim says that it has the volume.
    pub(crate) fn is_bound_to(&self, namespace: &str, name: &str, volume: &str) -> bool {
        let spec = self.claim(namespace, name).and_then(|claim| claim.spec.as_ref());
        spec.is_some_and(|spec| spec.volume_name.as_deref() == Some(volume))
    }

    /// Notes which claims a pod uses now. Returns the other pods for which a claim became, or is no longer, one
    /// that several pods use.
    pub(crate) fn use_claims(&mut self, pod: &PodKey, before: &[String], now: &[String]) -> BTreeSet<PodKey> {
        let mut concerned = BTreeSet::new();
        let key = |name: &String| (pod.namespace.to_string(), name.clone());
        for name in before.iter().filter(|name| !now.contains(name)) {
            if let Some(users) = self.users.get_mut(&key(name)) {
                users.remove(pod);
                match users.len() {
                    0 => drop(self.users.remove(&key(name))),
                    1 => concerned.extend(users.iter().cloned()),
                    _ => {}
                }
            }
        }
        for name in now.iter().filter(|name| !before.contains(name)) {
            let users = self.users.entry(key(name)).or_default();
            if users.len() == 1 {
                concerned.extend(users.iter().cloned());
            }
            users.insert(pod.clone());
        }
        concerned.remove(pod);
        concerned
    }

    /// Takes note of a claim, or of its end. Returns the pods that it concerns, as do the others below.
    pub(crate) fn set_claim(
        &mut self,
        key: &ClaimKey,
        claim: Option<Arc<PersistentVolumeClaim>>,
    ) -> BTreeSet<PodKey> {
        let waits = |claim: &PersistentVolumeClaim| {
            let bound = claim
                .spec
                .as_ref()
                .is_some_and(|spec| spec.volume_name.as_ref().is_some_and(|name| !name.is_empty()));
            (!bound).then(|| class_of_claim(claim).to_owned())
        };
        if let Some(class) = self.claims.get(key).and_then(|before| waits(before)) {
            forget(&mut self.unbound, &class, key);
        }
        match claim {
            Some(claim) => {
                if let Some(class) = waits(&claim) {
                    self.unbound.entry(class).or_default().insert(key.clone());
                }
                self.claims.insert(key.clone(), claim);
            }
            None => drop(self.claims.remove(key)),
        }
        self.users.get(key).cloned().unwrap_or_default()
    }

    pub(crate) fn set_volume(
        &mut self,
        name: &str,
        volume: Option<Arc<PersistentVolume>>,
    ) -> BTreeSet<PodKey> {
        let mut concerned = BTreeSet::new();
        let before = self.volumes.remove(name);
        let free = |volume: &PersistentVolume| {
            let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
            (phase != Some("Bound")).then(|| class_of_volume(volume).to_owned())
        };
        for version in before.iter().chain(&volume) {
            if let Some(claim) = version.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) {
                concerned.extend(self.users.get(&claim_of(claim)).into_iter().flatten().cloned());
            }
            if let Some(class) = free(version) {
                concerned.extend(self.users_of_unbound(&class));
            }
        }
        if let Some(class) = before.as_deref().and_then(free) {
            forget(&mut self.unclaimed, &class, &name.to_owned());
        }
        if let Some(volume) = volume {
            if let Some(class) = free(&volume) {
                self.unclaimed.entry(class).or_default().insert(name.to_owned());
            }
            self.volumes.insert(name.to_owned(), volume);
        }
        concerned
    }

    pub(crate) fn set_class(&mut self, name: &str, class: Option<Arc<StorageClass>>) -> BTreeSet<PodKey> {
        match class {
            Some(class) => drop(self.classes.insert(name.to_owned(), class)),
            None => drop(self.classes.remove(name)),
        }
        self.users_of_unbound(name).collect()
    }

    pub(crate) fn set_driver(&mut self, name: &str, driver: Option<&CSIDriver>) -> BTreeSet<PodKey> {
        if !self.capacities.set_driver(name, driver) {
            return BTreeSet::new();
        }
        let classes = self.classes.iter().filter(|(_, class)| class.provisioner == name);
        classes
            .flat_map(|(class, _)| self.users_of_unbound(class))
            .collect()
    }

    pub(crate) fn set_capacity(
        &mut self,
        key: &CapacityKey,
        capacity: Option<&CSIStorageCapacity>,
    ) -> BTreeSet<PodKey> {
        let classes = self.capacities.set_capacity(key, capacity);
        classes
            .iter()
            .flat_map(|class| self.users_of_unbound(class))
            .collect()
    }

    fn users_of_unbound(&self, class: &str) -> impl Iterator<Item = PodKey> {
        let claims = self.unbound.get(class).into_iter().flatten();
        let users = claims.filter_map(|claim| self.users.get(claim)).flatten();
        users.cloned()
    }
}

fn forget<T: Ord>(index: &mut BTreeMap<String, BTreeSet<T>>, class: &str, key: &T) {
    if let Some(keys) = index.get_mut(class) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(class);
        }
    }
}

fn claim_of(reference: &ObjectReference) -> ClaimKey {
    (
        reference.namespace.clone().unwrap_or_default(),
        reference.name.clone().unwrap_or_default(),
    )
}

/// The annotation by which claims and volumes named their class before the field existed.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// The class that a claim asks for; empty for none.
pub(crate) fn class_of_claim(claim: &PersistentVolumeClaim) -> &str {
    let field = || claim.spec.as_ref()?.storage_class_name.as_ref();
    class(claim.annotations().get(CLASS_ANNOTATION).or_else(field))
}

/// The class of a volume; empty for none.
pub(crate) fn class_of_volume(volume: &PersistentVolume) -> &str {
    let field = || volume.spec.as_ref()?.storage_class_name.as_ref();
    class(volume.annotations().get(CLASS_ANNOTATION).or_else(field))
}

fn class(name: Option<&String>) -> &str {
    name.map_or("", String::as_str)
}
