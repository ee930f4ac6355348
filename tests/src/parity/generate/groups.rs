//! NodeGroups and what they buy: the nodes that do not exist yet.

use autoscaler_cluster::Offering;
use serde_json::{Value, json};

use super::Dice;
use super::nodes::{RACK, TAINTS, ZONE};

/// A group, and the one offering that it buys.
#[must_use]
pub fn group(dice: &mut Dice) -> (Value, Offering) {
    let mut labels = json!({});
    if dice.percent(80) {
        labels[ZONE] = dice.pick(&["z1", "z2", "z3", "z4"]).into();
    }
    for (key, values) in [
        (RACK, ["r1", "r2", "r3"]),
        ("disk", ["ssd", "hdd", "ssd"]),
        ("cores", ["4", "8", "many"]),
    ] {
        if dice.percent(65) {
            labels[key] = dice.pick(&values).into();
        }
    }
    let taints: Vec<Value> = dice
        .some(&TAINTS[..4], 15)
        .into_iter()
        .map(|(key, value, effect)| json!({ "key": key, "value": value, "effect": effect }))
        .collect();
    let group = json!({
        "apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "NodeGroup",
        "metadata": { "name": "new", "namespace": "default" },
        "spec": {
            "minNodes": 0, "maxNodes": 3, "datacenterID": "dc", "resourceIdentifier": "cluster",
            "offeringIDs": ["size"], "labels": labels, "taints": taints,
        },
    });
    let offering = Offering {
        size: 1,
        names: vec!["size".into()],
        cpu: dice.pick(&[1, 2, 4]),
        memory_mib: dice.pick(&[512, 1024, 4096]),
        disk_gib: dice.pick(&[1, 2, 20]),
        hourly_micros: 1000,
    };
    (group, offering)
}
