//! Nodes: few zones and racks, labels that some lack, taints, and allocatables that a handful of pods fills.

use serde_json::{Map, Value, json};

use super::Dice;

/// Topology keys, the usual ones and one that only some nodes have.
pub(super) const ZONE: &str = "topology.kubernetes.io/zone";
pub(super) const RACK: &str = "rack";
pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";
pub(super) const ZONES: [&str; 3] = ["z1", "z2", "z3"];

/// An extended resource, and one that comes in pages.
pub(super) const DEVICE: &str = "example.com/device";
pub(super) const PAGES: &str = "hugepages-2Mi";

pub(super) const TAINTS: [(&str, &str, &str); 7] = [
    ("dedicated", "web", "NoSchedule"),
    ("dedicated", "db", "NoExecute"),
    ("device", "", "NoSchedule"),
    ("spot", "true", "PreferNoSchedule"),
    ("node.kubernetes.io/not-ready", "", "NoSchedule"),
    ("node.kubernetes.io/unreachable", "", "NoExecute"),
    ("node.kubernetes.io/unschedulable", "", "NoSchedule"),
];

/// A node, and roughly what is free on it: pods are made to just fit, or just not.
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) object: Value,
    pub(super) free_cpu: i64,
    pub(super) free_mib: i64,
}

pub(super) fn plan(dice: &mut Dice, at: usize) -> Plan {
    let name = format!("node-{at:02}");
    let mut labels = Map::new();
    let mut label = |key: &str, value: &str| drop(labels.insert(key.to_owned(), value.into()));
    if !dice.percent(6) {
        label(HOSTNAME, &name);
    }
    if !dice.percent(10) {
        label(ZONE, dice.pick(&ZONES));
    }
    if dice.percent(60) {
        label(RACK, dice.pick(&["r1", "r2"]));
    }
    if dice.percent(60) {
        label("disk", dice.pick(&["ssd", "hdd"]));
    }
    if dice.percent(70) {
        label("cores", dice.pick(&["4", "8", "16", "08", "many"]));
    }
    let taints: Vec<Value> = dice
        .some(&TAINTS, 3)
        .into_iter()
        .map(|(key, value, effect)| json!({ "key": key, "value": value, "effect": effect }))
        .collect();
    let not_ready = taints.iter().any(|taint| {
        taint["key"]
            .as_str()
            .is_some_and(|key| key.contains("not-ready") || key.contains("unreachable"))
    });
    let cpu = dice.pick(&[1500, 2000, 4000, 4000]);
    let mib = dice.pick(&[1024, 2048, 4096, 4096]);
    let mut allocatable = json!({
        "cpu": dice.pick(&[format!("{cpu}m"), format!("{}", cpu as f64 / 1000.0)]),
        "memory": dice.pick(&[format!("{mib}Mi"), format!("{}", mib << 20)]),
        "pods": dice.pick(&["2", "3", "5", "110", "110", "110", "110", "110"]),
    });
    if dice.percent(60) {
        allocatable["ephemeral-storage"] = dice.pick(&["1Gi", "10Gi"]).into();
    }
    if dice.percent(50) {
        allocatable[DEVICE] = dice.pick(&["0", "1", "2", "4"]).into();
    }
    if dice.percent(30) {
        allocatable[PAGES] = dice.pick(&["2Mi", "4Mi", "8Mi"]).into();
    }
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": labels },
        "spec": { "taints": taints },
        "status": {
            "allocatable": allocatable,
            "capacity": allocatable,
            "conditions": [{ "type": "Ready", "status": if not_ready { "False" } else { "True" } }],
        },
    });
    if dice.percent(6) {
        object["spec"]["unschedulable"] = true.into();
    }
    Plan {
        name,
        object,
        free_cpu: cpu,
        free_mib: mib,
    }
}
