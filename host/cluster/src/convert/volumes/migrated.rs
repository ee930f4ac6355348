//! Volumes of plugins that were once part of Kubernetes: each is served by a CSI driver today, and counts as one of it.
//!
//! What a volume is called matters only where two pods mean the same one.

use k8s_openapi::api::core::v1::{PersistentVolume, Volume};
use kube::ResourceExt;

const AWS: &str = "ebs.csi.aws.com";
const GCE: &str = "pd.csi.storage.gke.io";
const AZURE: &str = "disk.csi.azure.com";
const CINDER: &str = "cinder.csi.openstack.org";
const PORTWORX: &str = "pxd.portworx.com";
/// Provisioners of those plugins, with the driver of each.
const PROVISIONERS: [(&str, &str); 5] = [
    ("kubernetes.io/aws-ebs", AWS),
    ("kubernetes.io/gce-pd", GCE),
    ("kubernetes.io/azure-disk", AZURE),
    ("kubernetes.io/cinder", CINDER),
    ("kubernetes.io/portworx-volume", PORTWORX),
];
/// Plugins whose volumes count nowhere: kube-scheduler does not take part in their migration.
const UNCOUNTED: [&str; 2] = ["kubernetes.io/azure-file", "kubernetes.io/vsphere-volume"];

/// The only kind of Azure disk that there is a driver for.
const MANAGED: &str = "managed";
/// The zone labels of a volume.
const ZONES: [&str; 2] = [
    "failure-domain.beta.kubernetes.io/zone",
    "topology.kubernetes.io/zone",
];

/// The driver that makes volumes for a provisioner; none where they do not count.
pub(super) fn driver(provisioner: &str) -> Option<&str> {
    let migrated = PROVISIONERS.iter().find(|(plugin, _)| *plugin == provisioner);
    let driver = migrated.map_or(provisioner, |(_, driver)| driver);
    (!UNCOUNTED.contains(&provisioner)).then_some(driver)
}

/// Driver and name of a volume of such a plugin.
pub(super) fn of_persistent(volume: &PersistentVolume) -> Option<(&'static str, String)> {
    let spec = volume.spec.as_ref()?;
    if let Some(source) = &spec.aws_elastic_block_store {
        Some((AWS, ebs(&source.volume_id)))
    } else if let Some(source) = &spec.gce_persistent_disk {
        let labels = volume.labels();
        let zone = ZONES
            .iter()
            .find_map(|key| labels.get(*key).filter(|zone| !zone.is_empty()));
        Some((GCE, gce(zone.map(String::as_str), &source.pd_name)))
    } else if let Some(source) = &spec.azure_disk {
        is_managed(source.kind.as_deref()).then(|| (AZURE, source.disk_uri.clone()))
    } else if let Some(source) = &spec.cinder {
        Some((CINDER, source.volume_id.clone()))
    } else {
        let source = spec.portworx_volume.as_ref()?;
        Some((PORTWORX, source.volume_id.clone()))
    }
}

/// The same of a volume that a pod mounts without a claim.
pub(super) fn inline(volume: &Volume) -> Option<(&'static str, String)> {
    if let Some(source) = &volume.aws_elastic_block_store {
        Some((AWS, ebs(&source.volume_id)))
    } else if let Some(source) = &volume.gce_persistent_disk {
        Some((GCE, gce(None, &source.pd_name)))
    } else if let Some(source) = &volume.azure_disk {
        is_managed(source.kind.as_deref()).then(|| (AZURE, source.disk_uri.clone()))
    } else if let Some(source) = &volume.cinder {
        Some((CINDER, source.volume_id.clone()))
    } else {
        let source = volume.portworx_volume.as_ref()?;
        Some((PORTWORX, source.volume_id.clone()))
    }
}

/// `aws://zone/vol-1` is `vol-1`.
fn ebs(id: &str) -> String {
    let bare = id.strip_prefix("aws://").and_then(|rest| rest.rsplit('/').next());
    bare.unwrap_or(id).to_owned()
}

fn gce(zone: Option<&str>, disk: &str) -> String {
    format!("{}/{disk}", zone.unwrap_or("UNSPECIFIED"))
}

fn is_managed(kind: Option<&str>) -> bool {
    kind.is_none_or(|kind| kind.eq_ignore_ascii_case(MANAGED))
}
