//! Disks that a pod mounts without a claim and that a node mounts for one writer only.

use autoscaler_core::model::Disk;
use k8s_openapi::api::core::v1::Volume;

/// The disks among these volumes.
pub(super) fn read<'a>(volumes: impl Iterator<Item = &'a Volume>) -> Vec<Disk> {
    let mut all: Vec<Disk> = volumes.flat_map(of_volume).collect();
    all.sort();
    all.dedup();
    all
}

fn of_volume(volume: &Volume) -> Vec<Disk> {
    let disk = |name: String, read_only: Option<bool>| Disk {
        name,
        read_only: read_only == Some(true),
    };
    if let Some(source) = &volume.gce_persistent_disk {
        vec![disk(format!("gce-pd/{}", source.pd_name), source.read_only)]
    } else if let Some(source) = &volume.aws_elastic_block_store {
        // Even two readers exclude each other.
        vec![disk(format!("aws-ebs/{}", source.volume_id), None)]
    } else if let Some(source) = &volume.iscsi {
        vec![disk(format!("iscsi/{}", source.iqn), source.read_only)]
    } else if let Some(source) = &volume.rbd {
        let pool = source.pool.as_deref().unwrap_or("rbd");
        // An image is the same where one monitor is the same.
        let named =
            |monitor: &String| disk(format!("rbd/{monitor}/{pool}/{}", source.image), source.read_only);
        source.monitors.iter().map(named).collect()
    } else {
        Vec::new()
    }
}
