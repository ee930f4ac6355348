//! Volumes that are attached to the node, by CSI driver: what counts towards the limits of nodes.

use super::super::surroundings::{Surroundings, class_of_claim};
use super::Claim;
use autoscaler_core::model::Attachments;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// What a pod attaches by its claims.
pub(super) fn read(claims: &[Claim<'_>], namespace: &str, around: &Surroundings) -> Vec<Attachments> {
    let mut drivers: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    for Claim { claim, .. } in claims {
        if let Some((driver, volume)) = volume_of(claim, around) {
            let shared = around.users(namespace, &claim.name_any()) > 1;
            *drivers.entry(driver).or_default().entry(volume).or_default() |= shared;
        }
    }
    let attachments = |(driver, volumes): (String, BTreeMap<String, bool>)| Attachments {
        driver,
        own: u32::try_from(volumes.values().filter(|shared| !**shared).count()).unwrap_or(u32::MAX),
        shared: volumes
            .into_iter()
            .filter_map(|(volume, shared)| shared.then_some(volume))
            .collect(),
    };
    drivers.into_iter().map(attachments).collect()
}

/// Driver and name of the volume behind a claim. One that is still to be made is known by its class and claim;
/// volumes of no CSI driver do not count.
fn volume_of(claim: &PersistentVolumeClaim, around: &Surroundings) -> Option<(String, String)> {
    let name = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
    if let Some(volume) = name.and_then(|name| around.volume(name)) {
        let source = volume.spec.as_ref()?.csi.as_ref()?;
        return Some((source.driver.clone(), source.volume_handle.clone()));
    }
    let class = around.class(class_of_claim(claim))?;
    let to_be_made = format!("{}/{}", claim.namespace().unwrap_or_default(), claim.name_any());
    Some((class.provisioner.clone(), to_be_made))
}
