//! What is added to a cluster by dice of its own, so that the rest of it stays what its seed has always meant: nodes that
//! are drained, attached volumes, what storage drivers have room for, and volumes that a driver has taken over.

use serde_json::{Value, json};

use super::Dice;
use super::nodes::{RACK, ZONE};
use super::volumes::DRIVER;

/// Drivers that took over from plugins of Kubernetes.
const AWS: &str = "ebs.csi.aws.com";
const CINDER: &str = "cinder.csi.openstack.org";

/// Adds to the objects of a cluster.
pub(super) fn add(dice: &mut Dice, objects: &mut Vec<Value>) {
    if dice.percent(40) {
        cordon(dice, objects);
    }
    if !objects.iter().any(|object| object["kind"] == "StorageClass") {
        return;
    }
    if dice.percent(60) {
        hand_over(dice, objects);
    }
    if dice.percent(70) {
        attach(dice, objects);
    }
    if dice.percent(50) {
        publish(dice, objects);
    }
}

fn of_kind<'a>(objects: &'a mut [Value], kind: &'a str) -> impl Iterator<Item = &'a mut Value> {
    objects.iter_mut().filter(move |object| object["kind"] == kind)
}

/// Cordons some nodes, with the taint that the node lifecycle controller adds.
fn cordon(dice: &mut Dice, objects: &mut [Value]) {
    let taint = json!({ "key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule" });
    for node in of_kind(objects, "Node") {
        let known = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        if dice.percent(20) && known.iter().all(|other| other["key"] != taint["key"]) {
            node["spec"]["unschedulable"] = true.into();
            node["spec"]["taints"] = known
                .into_iter()
                .chain([taint.clone()])
                .collect::<Vec<_>>()
                .into();
        }
    }
}

/// Makes some volumes, and a class, those of plugins that a driver has taken over.
fn hand_over(dice: &mut Dice, objects: &mut Vec<Value>) {
    for volume in of_kind(objects, "PersistentVolume") {
        if !dice.percent(30) {
            continue;
        }
        let id = volume["spec"]["csi"]["volumeHandle"].take();
        if let Some(spec) = volume["spec"].as_object_mut() {
            spec.remove("csi");
        }
        match dice.below(2) {
            0 => volume["spec"]["awsElasticBlockStore"] = json!({ "volumeID": id }),
            _ => volume["spec"]["cinder"] = json!({ "volumeID": id }),
        }
    }
    for node in of_kind(objects, "CSINode") {
        let name = node["metadata"]["name"].clone();
        let mut drivers = node["spec"]["drivers"].as_array().cloned().unwrap_or_default();
        for driver in dice.some(&[AWS, CINDER], 60) {
            drivers.push(
                json!({ "name": driver, "nodeID": name, "allocatable": { "count": dice.pick(&[0, 1, 1, 2]) } }),
            );
        }
        node["spec"]["drivers"] = drivers.into();
    }
    for claim in of_kind(objects, "PersistentVolumeClaim") {
        if claim["spec"]["storageClassName"] == "late"
            && claim["spec"]["volumeName"].is_null()
            && dice.percent(40)
        {
            claim["spec"]["storageClassName"] = "late-old".into();
        }
    }
    objects.push(json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": { "name": "late-old" },
        "provisioner": "kubernetes.io/aws-ebs", "volumeBindingMode": "WaitForFirstConsumer",
    }));
}

/// Attaches volumes to nodes: to that of their pod or to another, or more than one.
fn attach(dice: &mut Dice, objects: &mut Vec<Value>) {
    let names = |objects: &mut [Value], kind| -> Vec<String> {
        of_kind(objects, kind)
            .filter_map(|object| Some(object["metadata"]["name"].as_str()?.to_owned()))
            .collect()
    };
    let nodes = names(objects, "CSINode");
    let volumes = names(objects, "PersistentVolume");
    if nodes.is_empty() {
        return;
    }
    for (at, volume) in volumes.iter().enumerate() {
        for time in 0..dice.pick(&[0, 1, 1, 2]) {
            let attacher = if dice.percent(90) { DRIVER } else { AWS };
            objects.push(json!({
                "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
                "metadata": { "name": format!("attachment-{at}-{time}") },
                "spec": {
                    "attacher": attacher, "nodeName": dice.pick(&nodes),
                    "source": { "persistentVolumeName": volume },
                },
            }));
        }
    }
}

/// Lets the driver say where it has room.
fn publish(dice: &mut Dice, objects: &mut Vec<Value>) {
    objects.push(json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": { "name": DRIVER },
        "spec": { "storageCapacity": dice.percent(85) },
    }));
    for at in 0..dice.below(6) {
        let mut capacity = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "CSIStorageCapacity",
            "metadata": { "name": format!("capacity-{at}"), "namespace": dice.pick(&["default", "alpha"]) },
            "storageClassName": dice.pick(&["late", "late", "late-zonal", "late-old"]),
            "capacity": dice.pick(&["1Gi", "2Gi", "1023Mi", "100Gi"]),
        });
        let topology = match dice.below(6) {
            0 => Value::Null,
            1 => json!({}),
            2 => json!({ "matchLabels": { (RACK): "r1" } }),
            3 => json!({ "matchExpressions": [{ "key": ZONE, "operator": "NotIn", "values": ["z1"] }] }),
            4 => {
                json!({ "matchLabels": { (ZONE): "z3" }, "matchExpressions": [{ "key": RACK, "operator": "Exists" }] })
            }
            _ => json!({ "matchLabels": { (ZONE): dice.pick(&["z1", "z2"]) } }),
        };
        if !topology.is_null() {
            capacity["nodeTopology"] = topology;
        }
        if dice.percent(25) {
            capacity["maximumVolumeSize"] = dice.pick(&["512Mi", "1Gi", "2Gi"]).into();
        }
        objects.push(capacity);
    }
}
