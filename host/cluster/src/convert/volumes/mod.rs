//! The volumes of a pod: where they can be reached or made, and what they take of a node.

mod attachments;
mod binding;
mod disks;
mod matching;
mod migrated;
mod zones;

use super::surroundings::Surroundings;
use autoscaler_core::model::{Attachments, Disk, NodeSelector};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodSpec, Volume};
use kube::ResourceExt;

/// What the volumes of a pod mean for its class.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    pub(super) topology: Vec<NodeSelector>,
    pub(super) attachments: Vec<Attachments>,
    pub(super) exclusive_claims: Vec<String>,
    pub(super) disks: Vec<Disk>,
}

/// Reads the volumes of a pod.
pub(super) fn read(pod: &Pod, spec: &PodSpec, namespace: &str, around: &Surroundings) -> Volumes {
    let volumes = || spec.volumes.iter().flatten();
    let mut found = Vec::new();
    let mut missing = false;
    let mut exclusive_claims = Vec::new();
    for volume in volumes() {
        let Some(name) = claim_name(pod, volume) else {
            continue;
        };
        let ephemeral = volume.persistent_volume_claim.is_none();
        match around.claim(namespace, &name) {
            Some(claim) if !ephemeral || belongs_to(claim, pod) => {
                // A lost claim is of no use to a pod that waits, and still counts where a pod runs.
                missing |= !usable(claim);
                if !ephemeral && has_mode(claim, "ReadWriteOncePod") {
                    exclusive_claims.push(name);
                }
                found.push(Claim { claim, ephemeral });
            }
            _ => missing = true,
        }
    }
    exclusive_claims.sort();
    exclusive_claims.dedup();
    let topology = if missing {
        None
    } else {
        binding::topology(&found, around)
    };
    Volumes {
        // A selector without terms holds nowhere.
        topology: topology.unwrap_or_else(|| vec![NodeSelector::default()]),
        attachments: attachments::read(&found, volumes(), namespace, around),
        exclusive_claims,
        disks: disks::read(volumes()),
    }
}

/// A claim that a pod uses.
#[derive(Clone, Copy)]
struct Claim<'a> {
    claim: &'a PersistentVolumeClaim,
    /// It was made for the pod and goes with it.
    ephemeral: bool,
}

/// The claims that a pod names, whether they exist or not, each once.
pub(crate) fn claim_names(pod: &Pod) -> Vec<String> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let mut names: Vec<String> = volumes.filter_map(|volume| claim_name(pod, volume)).collect();
    names.sort();
    names.dedup();
    names
}

/// The claim behind a volume. That of a generic ephemeral volume is named after pod and volume.
fn claim_name(pod: &Pod, volume: &Volume) -> Option<String> {
    match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(source), _) => Some(source.claim_name.clone()),
        (None, Some(_)) => Some(format!("{}-{}", pod.name_any(), volume.name)),
        (None, None) => None,
    }
}

/// Whether pods may still start with the claim.
fn usable(claim: &PersistentVolumeClaim) -> bool {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    phase != Some("Lost") && claim.metadata.deletion_timestamp.is_none()
}

/// Whether the claim was made for the pod: one that merely has its name is somebody else's.
fn belongs_to(claim: &PersistentVolumeClaim, pod: &Pod) -> bool {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let mut owners = claim.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

fn has_mode(claim: &PersistentVolumeClaim, mode: &str) -> bool {
    let modes = claim.spec.as_ref().and_then(|spec| spec.access_modes.as_ref());
    modes.into_iter().flatten().any(|known| known == mode)
}

#[cfg(test)]
mod tests;
