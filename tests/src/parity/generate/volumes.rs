//! Volumes: claims that are bound, that wait for their first consumer, or that never will be bound; drivers
//! with room for few.

use serde_json::{Value, json};

use super::nodes::{HOSTNAME, Plan, RACK, ZONE, ZONES};
use super::{Dice, NAMESPACES};

pub(super) const DRIVER: &str = "csi.example.com";

/// How the claims of one namespace come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Bound to a volume of its own.
    Bound,
    /// As `Bound`, and for one pod at a time.
    Exclusive,
    /// Waits for its first consumer.
    Late,
    /// Should have been bound by now.
    Early,
    /// Pods name it, and it does not exist.
    Missing,
}

/// What pods of a cluster may mount.
pub(super) struct Supply {
    pub(super) objects: Vec<Value>,
    /// Namespace and name of each claim.
    claims: Vec<(&'static str, String, Kind)>,
    wanted: bool,
}

/// Where a volume can be reached.
fn reachable(dice: &mut Dice, nodes: &[Plan]) -> Value {
    let zones = json!({ "key": ZONE, "operator": "In", "values": dice.pick(&[vec!["z1"], vec!["z2"], vec!["z1", "z3"]]) });
    let name = dice.pick(&nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>());
    let terms = match dice.below(5) {
        0 => json!([{ "matchExpressions": [{ "key": HOSTNAME, "operator": "In", "values": [name] }] }]),
        1 => json!([{ "matchExpressions": [zones, { "key": RACK, "operator": "Exists" }] }]),
        2 => {
            json!([{ "matchExpressions": [zones] }, { "matchExpressions": [{ "key": RACK, "operator": "In", "values": ["r2"] }] }])
        }
        _ => json!([{ "matchExpressions": [zones] }]),
    };
    json!({ "required": { "nodeSelectorTerms": terms } })
}

fn volume(dice: &mut Dice, name: &str, class: &str, nodes: &[Plan]) -> Value {
    let mut volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": { "name": name, "labels": {} },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": { "storage": dice.pick(&["1Gi", "2Gi"]) },
            "storageClassName": class,
            "csi": { "driver": DRIVER, "volumeHandle": name },
            "persistentVolumeReclaimPolicy": "Retain",
        },
        "status": { "phase": "Available" },
    });
    if dice.percent(70) {
        volume["spec"]["nodeAffinity"] = reachable(dice, nodes);
    }
    if dice.percent(20) {
        volume["metadata"]["labels"][ZONE] = dice.pick(&["z1", "z2", "z1__z3"]).into();
    }
    volume
}

fn claim(namespace: &str, name: &str, class: &str, size: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": name, "namespace": namespace, "annotations": {} },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": class,
            "resources": { "requests": { "storage": size } },
        },
        "status": { "phase": "Pending" },
    })
}

fn bind(claim: &mut Value, volume: &mut Value) {
    claim["spec"]["volumeName"] = volume["metadata"]["name"].clone();
    claim["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = "yes".into();
    claim["status"] = json!({ "phase": "Bound" });
    volume["spec"]["claimRef"] = json!({
        "kind": "PersistentVolumeClaim", "apiVersion": "v1",
        "namespace": claim["metadata"]["namespace"], "name": claim["metadata"]["name"],
    });
    volume["status"] = json!({ "phase": "Bound" });
}

fn classes(dice: &mut Dice) -> Vec<Value> {
    let class = |name: &str, provisioner: &str, mode: &str| {
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": { "name": name },
            "provisioner": provisioner, "volumeBindingMode": mode,
        })
    };
    let mut zonal = class("late-zonal", DRIVER, "WaitForFirstConsumer");
    let zones: Vec<&str> = dice.some(&ZONES, 50);
    let zones = if zones.is_empty() { vec!["z2"] } else { zones };
    let mut expressions = vec![json!({ "key": ZONE, "values": zones })];
    if dice.percent(30) {
        expressions.push(json!({ "key": RACK, "values": ["r1"] }));
    }
    zonal["allowedTopologies"] = json!([{ "matchLabelExpressions": expressions }]);
    vec![
        class("late", DRIVER, "WaitForFirstConsumer"),
        zonal,
        class("by-hand", "kubernetes.io/no-provisioner", "WaitForFirstConsumer"),
        class("at-once", DRIVER, "Immediate"),
    ]
}

fn drivers(dice: &mut Dice, node: &Plan) -> Value {
    let mut driver = json!({ "name": DRIVER, "nodeID": node.name, "topologyKeys": [ZONE] });
    if dice.percent(80) {
        driver["allocatable"] = json!({ "count": dice.pick(&[0, 1, 1, 2, 2, 3]) });
    }
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": { "name": node.name },
        "spec": { "drivers": [driver] },
    })
}

/// Makes the claims and volumes of a cluster.
pub(super) fn supply(dice: &mut Dice, nodes: &[Plan], wanted: bool) -> Supply {
    let mut supply = Supply {
        objects: Vec::new(),
        claims: Vec::new(),
        wanted,
    };
    // Half of all clusters have none: other rules shall not always stand behind these.
    if dice.percent(50) || !wanted {
        return supply;
    }
    supply.objects = classes(dice);
    for node in nodes {
        if dice.percent(75) {
            supply.objects.push(drivers(dice, node));
        }
    }
    for (namespace, _) in NAMESPACES {
        for at in 0..4 {
            let name = format!("claim-{at}");
            let kind = dice.pick(&[
                Kind::Bound,
                Kind::Bound,
                Kind::Bound,
                Kind::Bound,
                Kind::Exclusive,
                Kind::Late,
                Kind::Late,
                Kind::Late,
                Kind::Early,
                Kind::Missing,
            ]);
            supply.add(dice, namespace, &name, kind, nodes);
            supply.claims.push((namespace, name, kind));
        }
    }
    for at in 0..dice.below(4) {
        let free = volume(dice, &format!("free-{at}"), "by-hand", nodes);
        supply.objects.push(free);
    }
    supply
}

impl Supply {
    fn add(&mut self, dice: &mut Dice, namespace: &str, name: &str, kind: Kind, nodes: &[Plan]) {
        match kind {
            Kind::Bound | Kind::Exclusive => {
                let mut claim = claim(namespace, name, "late", "1Gi");
                let mut volume = volume(dice, &format!("{namespace}-{name}"), "late", nodes);
                if kind == Kind::Exclusive {
                    claim["spec"]["accessModes"] = json!(["ReadWriteOncePod"]);
                    volume["spec"]["accessModes"] = json!(["ReadWriteOncePod"]);
                }
                bind(&mut claim, &mut volume);
                match dice.below(25) {
                    // The binder has yet to agree.
                    0 => claim["metadata"]["annotations"] = json!({}),
                    1 => claim["status"] = json!({ "phase": "Lost" }),
                    _ => {}
                }
                self.objects.extend([volume, claim]);
            }
            Kind::Late => {
                let class = dice.pick(&["late", "late-zonal", "late-zonal", "by-hand", "by-hand"]);
                let mut claim = claim(namespace, name, class, dice.pick(&["1Gi", "2Gi"]));
                if class != "by-hand" && dice.percent(10) {
                    let node = &nodes[dice.below(nodes.len())];
                    claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] =
                        node.name.clone().into();
                }
                self.objects.push(claim);
            }
            Kind::Early => self.objects.push(claim(namespace, name, "at-once", "1Gi")),
            Kind::Missing => {}
        }
    }

    /// Lets a pod mount something, now and then. Pods that run have had their claims bound.
    pub(super) fn mount(&self, dice: &mut Dice, spec: &mut Value, namespace: &str, runs: bool) {
        let fitting: Vec<&str> = self
            .claims
            .iter()
            .filter(|(of, _, kind)| {
                *of == namespace && (!runs || matches!(kind, Kind::Bound | Kind::Exclusive))
            })
            .map(|(_, name, _)| name.as_str())
            .collect();
        let mut volumes = Vec::new();
        if !fitting.is_empty() && dice.percent(30) {
            for (at, name) in dice.some(&fitting, 40).into_iter().enumerate() {
                volumes.push(
                    json!({ "name": format!("claim-{at}"), "persistentVolumeClaim": { "claimName": name } }),
                );
            }
        }
        if self.wanted && dice.percent(6) {
            let (disk, read_only) = (dice.pick(&["d1", "d2"]), dice.percent(50));
            volumes.push(match dice.below(3) {
                0 => json!({ "name": "disk", "awsElasticBlockStore": { "volumeID": disk, "readOnly": read_only } }),
                1 => json!({ "name": "disk", "iscsi": { "targetPortal": "10.0.0.9", "iqn": format!("iqn.2026-01.example.com:{disk}"), "lun": 0, "readOnly": read_only } }),
                _ => json!({ "name": "disk", "gcePersistentDisk": { "pdName": disk, "readOnly": read_only } }),
            });
        }
        if self.wanted && !runs && dice.percent(2) {
            let template = json!({ "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
            } });
            volumes.push(json!({ "name": "scratch", "ephemeral": { "volumeClaimTemplate": template } }));
        }
        if !volumes.is_empty() {
            spec["volumes"] = volumes.into();
        }
    }
}
