//! Volumes that are attached to the node, by CSI driver: what counts towards the limits of nodes.

use super::super::surroundings::{Surroundings, class_of_claim};
use super::{Claim, migrated};
use autoscaler_core::model::Attachments;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Volume};
use kube::ResourceExt;
use std::collections::BTreeMap;

/// What a pod attaches by its claims, and by volumes that need none.
pub(super) fn read<'a>(
    claims: &[Claim<'_>],
    volumes: impl Iterator<Item = &'a Volume>,
    namespace: &str,
    around: &Surroundings,
) -> Vec<Attachments> {
    let mut drivers: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    let mut note = |driver: String, volume: String, shared: bool| {
        *drivers.entry(driver).or_default().entry(volume).or_default() |= shared;
    };
    for Claim { claim, .. } in claims {
        if let Some((driver, volume)) = volume_of(claim, around) {
            note(driver, volume, around.users(namespace, &claim.name_any()) > 1);
        }
    }
    // Whoever names such a disk means the same one.
    for (driver, volume) in volumes.filter_map(migrated::inline) {
        note(driver.to_owned(), volume, true);
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
        let source = volume.spec.as_ref().and_then(|spec| spec.csi.as_ref());
        let known = |driver: &str, volume: String| (driver.to_owned(), volume);
        return match source {
            Some(source) => Some(known(&source.driver, source.volume_handle.clone())),
            None => migrated::of_persistent(volume).map(|(driver, volume)| known(driver, volume)),
        };
    }
    let class = around.class(class_of_claim(claim))?;
    let driver = migrated::driver(&class.provisioner)?;
    let to_be_made = format!("{}/{}", claim.namespace().unwrap_or_default(), claim.name_any());
    Some((driver.to_owned(), to_be_made))
}
