//! What volumes take of a node, and who else may use them.

use super::super::super::pod_class;
use super::super::super::surroundings::Surroundings;
use super::{add, bound, class, classes, data, reach, storage, unbound, volume, with};
use autoscaler_core::model::{PodKey, ResourceNames};
use serde_json::{Value, json};

#[test]
fn claims_for_one_pod_are_known_by_name() {
    for (modes, expected) in [
        (json!(["ReadWriteOncePod"]), vec!["data"]),
        (json!(["ReadWriteOnce"]), vec![]),
        (json!(["ReadWriteMany"]), vec![]),
    ] {
        let claim = with(bound(), &[("/spec/accessModes", modes)]);
        assert_eq!(
            class(&data(), &[claim, volume("pv", &[])]).exclusive_claims,
            expected
        );
    }
}

#[test]
fn what_is_attached() {
    let nfs = json!({"server": "s", "path": "/"});
    for (why, objects, expected) in [
        ("a CSI volume", vec![bound(), volume("pv", &[])], Some(("csi", 1))),
        (
            "one to be made",
            vec![unbound("data", "late", "1Gi")],
            Some(("csi", 1)),
        ),
        ("one that is gone, by its class", vec![bound()], Some(("csi", 1))),
        (
            "of no driver",
            vec![
                bound(),
                with(
                    volume("pv", &[]),
                    &[("/spec/csi", Value::Null), ("/spec/nfs", nfs)],
                ),
            ],
            None,
        ),
        ("no claim", vec![], None),
    ] {
        let class = class(&data(), &[objects, classes()].concat());
        let found = class
            .attachments
            .first()
            .map(|attached| (attached.driver.as_str(), attached.own));
        assert_eq!(found, expected, "{why}");
    }
}

/// Volumes of plugins that drivers have taken over.
#[test]
fn what_is_attached_by_a_driver_that_took_over() {
    let persistent = |source: Value| {
        let volume = with(volume("pv", &[]), &[("/spec/csi", Value::Null)]);
        let (kind, source) = source.as_object().unwrap().iter().next().unwrap();
        with(volume, &[(&format!("/spec/{kind}"), source.clone())])
    };
    for (source, expected) in [
        (
            json!({"awsElasticBlockStore": {"volumeID": "aws://zone/vol-1"}}),
            Some(("ebs.csi.aws.com", "vol-1")),
        ),
        (
            json!({"awsElasticBlockStore": {"volumeID": "vol-1"}}),
            Some(("ebs.csi.aws.com", "vol-1")),
        ),
        (
            json!({"gcePersistentDisk": {"pdName": "d"}}),
            Some(("pd.csi.storage.gke.io", "UNSPECIFIED/d")),
        ),
        (
            json!({"azureDisk": {"diskName": "d", "diskURI": "/d", "kind": "Managed"}}),
            Some(("disk.csi.azure.com", "/d")),
        ),
        (
            json!({"azureDisk": {"diskName": "d", "diskURI": "/d", "kind": "Dedicated"}}),
            None,
        ),
        (
            json!({"cinder": {"volumeID": "d"}}),
            Some(("cinder.csi.openstack.org", "d")),
        ),
        (
            json!({"portworxVolume": {"volumeID": "d"}}),
            Some(("pxd.portworx.com", "d")),
        ),
        (json!({"vsphereVolume": {"volumePath": "d"}}), None),
        (json!({"nfs": {"server": "s", "path": "/"}}), None),
    ] {
        let by_claim = class(&data(), &[bound(), persistent(source.clone())]);
        let found = by_claim.attachments.first();
        assert_eq!(
            found.map(|attached| (attached.driver.as_str(), attached.own)),
            expected.map(|(driver, _)| (driver, 1)),
            "{source}, by a claim"
        );
        let inline = class(&json!([with(source.clone(), &[("/name", json!("v"))])]), &[]);
        let found = inline.attachments.first();
        assert_eq!(
            found.map(|attached| (attached.driver.as_str(), attached.shared.join(" "))),
            expected.map(|(driver, name)| (driver, name.to_owned())),
            "{source}, by itself"
        );
    }
    for (provisioner, expected) in [
        ("kubernetes.io/aws-ebs", Some("ebs.csi.aws.com")),
        ("kubernetes.io/vsphere-volume", None),
        ("somebody/else", Some("somebody/else")),
    ] {
        let made = [
            unbound("data", "old", "1Gi"),
            storage("old", provisioner, "WaitForFirstConsumer"),
        ];
        let class = class(&data(), &made);
        let found = class.attachments.first();
        assert_eq!(
            found.map(|attached| attached.driver.as_str()),
            expected,
            "{provisioner}"
        );
    }
}

#[test]
fn a_volume_is_shared_once_a_second_pod_uses_its_claim() {
    let mut around = Surroundings::default();
    for object in [bound(), volume("pv", &[])] {
        add(&mut around, &object);
    }
    let pods = ["one", "two", "three"].map(|name| PodKey {
        namespace: "ns".into(),
        name: name.into(),
    });
    let claims = ["data".to_owned()];
    let concerned = |keys: std::collections::BTreeSet<PodKey>| {
        keys.into_iter()
            .map(|key| key.name.to_string())
            .collect::<Vec<_>>()
    };
    assert!(around.use_claims(&pods[0], &[], &claims).is_empty());
    assert_eq!(concerned(around.use_claims(&pods[1], &[], &claims)), ["one"]);
    assert!(around.use_claims(&pods[2], &[], &claims).is_empty());
    let pod = json!({"metadata": {"name": "one", "namespace": "ns"}, "spec": {"containers": [], "volumes": data()}});
    let pod = serde_json::from_value(pod).unwrap();
    let attached = pod_class(&pod, &mut ResourceNames::default(), &around).attachments;
    assert_eq!(
        (attached[0].own, attached[0].shared.as_slice()),
        (0, ["pv".to_owned()].as_slice())
    );
    assert!(around.use_claims(&pods[2], &claims, &[]).is_empty());
    assert_eq!(concerned(around.use_claims(&pods[1], &claims, &[])), ["one"]);
}

#[test]
fn disks_without_a_claim() {
    for (volume, expected) in [
        (
            json!({"gcePersistentDisk": {"pdName": "d", "readOnly": true}}),
            vec![("gce-pd/d", true)],
        ),
        (
            json!({"awsElasticBlockStore": {"volumeID": "d", "readOnly": true}}),
            vec![("aws-ebs/d", false)],
        ),
        (
            json!({"iscsi": {"iqn": "d", "lun": 0, "targetPortal": "p"}}),
            vec![("iscsi/d", false)],
        ),
        (
            json!({"rbd": {"image": "i", "monitors": ["m2", "m1"], "readOnly": true}}),
            vec![("rbd/m1/rbd/i", true), ("rbd/m2/rbd/i", true)],
        ),
        (json!({"emptyDir": {}}), vec![]),
    ] {
        let volumes = json!([with(volume, &[("/name", json!("v"))])]);
        let class = class(&volumes, &[]);
        let found: Vec<(&str, bool)> = class
            .disks
            .iter()
            .map(|disk| (disk.name.as_str(), disk.read_only))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(reach(&class), "a b c bare");
    }
}
