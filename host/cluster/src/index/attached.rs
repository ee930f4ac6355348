//! Volumes that are attached to nodes (VolumeAttachment) and that no pod there uses: kube-scheduler counts them towards
//! the limits of the node until they are detached.

use super::State;
use autoscaler_core::model::AttachLimits;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A volume on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Attachment {
    driver: String,
    /// Name of the PersistentVolume.
    volume: String,
    node: String,
}

/// What is attached where.
#[derive(Default)]
pub(crate) struct Attached {
    /// By name of the VolumeAttachment.
    all: BTreeMap<Arc<str>, Attachment>,
    by_node: BTreeMap<String, BTreeSet<Arc<str>>>,
    by_volume: BTreeMap<String, BTreeSet<Arc<str>>>,
    /// By node and driver: how many volumes are there that no pod of the node uses. Nodes without any are left out.
    lingering: BTreeMap<String, BTreeMap<String, u32>>,
}

impl Attached {
    /// What is left of the limits of a node beside volumes that no pod there uses.
    pub(crate) fn left_of(&self, limits: Option<&Arc<AttachLimits>>, node: &str) -> Arc<AttachLimits> {
        let mut left = limits.cloned().unwrap_or_default();
        for (driver, volumes) in self.lingering.get(node).into_iter().flatten() {
            if let Some(limit) = Arc::make_mut(&mut left).get_mut(driver) {
                *limit = limit.saturating_sub(*volumes);
            }
        }
        left
    }

    /// Forgets an attachment. Returns its node.
    fn forget(&mut self, name: &str) -> Option<String> {
        let (name, gone) = self.all.remove_entry(name)?;
        for (index, key) in [
            (&mut self.by_node, &gone.node),
            (&mut self.by_volume, &gone.volume),
        ] {
            if let Some(names) = index.get_mut(key) {
                names.remove(&name);
                if names.is_empty() {
                    index.remove(key);
                }
            }
        }
        Some(gone.node)
    }

    fn note(&mut self, name: &str, attachment: Attachment) {
        let name: Arc<str> = name.into();
        let of_node = self.by_node.entry(attachment.node.clone()).or_default();
        of_node.insert(name.clone());
        let of_volume = self.by_volume.entry(attachment.volume.clone()).or_default();
        of_volume.insert(name.clone());
        self.all.insert(name, attachment);
    }
}

/// None where the scheduler looks past it: the volume has no PersistentVolume of its own.
fn read(object: &VolumeAttachment) -> Option<Attachment> {
    let spec = &object.spec;
    let volume = spec.source.persistent_volume_name.clone()?;
    (!spec.attacher.is_empty()).then(|| Attachment {
        driver: spec.attacher.clone(),
        volume,
        node: spec.node_name.clone(),
    })
}

impl State {
    /// Takes note of an attachment, or of its end.
    pub(super) fn set_attachment(&mut self, name: &str, object: Option<&VolumeAttachment>) {
        let new = object.and_then(read);
        if self.attached.all.get(name) == new.as_ref() {
            return;
        }
        let before = self.attached.forget(name);
        let now = new.as_ref().map(|new| new.node.clone());
        if let Some(new) = new {
            self.attached.note(name, new);
        }
        for node in before.iter().chain(&now) {
            self.count_lingering(node);
        }
    }

    /// A PersistentVolume came, changed or went.
    pub(super) fn volume_changed(&mut self, volume: &str) {
        let names = self.attached.by_volume.get(volume).into_iter().flatten();
        let nodes = names.filter_map(|name| self.attached.all.get(name));
        let nodes: BTreeSet<String> = nodes.map(|attachment| attachment.node.clone()).collect();
        for node in &nodes {
            self.count_lingering(node);
        }
    }

    /// Counts anew what lingers on a node: something there was attached or detached, or a pod with claims came or went.
    pub(super) fn count_lingering(&mut self, node: &str) {
        let names = self.attached.by_node.get(node).into_iter().flatten();
        let here = names.filter_map(|name| self.attached.all.get(name));
        let volumes: BTreeSet<(&str, &str)> =
            here.filter_map(|attachment| self.lingers(attachment)).collect();
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for (driver, _) in volumes {
            *counts.entry(driver.to_owned()).or_default() += 1;
        }
        if counts.is_empty() {
            self.attached.lingering.remove(node);
        } else {
            self.attached.lingering.insert(node.to_owned(), counts);
        }
    }

    /// Driver and name of the attached volume, where no pod of the node uses it.
    fn lingers<'a>(&'a self, attachment: &'a Attachment) -> Option<(&'a str, &'a str)> {
        let volume = self.around.volume(&attachment.volume)?;
        let spec = volume.spec.as_ref()?;
        let source = spec.csi.as_ref()?;
        let used = source.driver == attachment.driver
            && spec.claim_ref.as_ref().is_some_and(|claim| {
                let part = |part: &Option<String>| part.clone().unwrap_or_default();
                let (namespace, name) = (part(&claim.namespace), part(&claim.name));
                self.around.is_bound_to(&namespace, &name, &attachment.volume)
                    && self.around.pods_of(&namespace, &name).any(|pod| {
                        let pod = self.pods.get(pod);
                        pod.and_then(|pod| pod.place.node())
                            .is_some_and(|node| **node == *attachment.node)
                    })
            });
        (!used).then_some((&attachment.driver, &source.volume_handle))
    }
}
