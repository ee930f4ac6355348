//! What a pod may say of where it wants to run.

use serde_json::{Map, Value, json};

use super::nodes::{HOSTNAME, RACK, TAINTS, ZONE, ZONES};
use super::{Dice, NAMESPACES};

pub(super) const APPS: [&str; 3] = ["web", "db", "cache"];

/// Labels of a pod: few, so that selectors meet many.
pub(super) fn labels(dice: &mut Dice) -> Value {
    let mut labels = Map::new();
    if dice.percent(92) {
        labels.insert("app".into(), dice.pick(&APPS).into());
    }
    if dice.percent(60) {
        labels.insert("version".into(), dice.pick(&["v1", "v2"]).into());
    }
    if dice.percent(30) {
        labels.insert("tier".into(), dice.pick(&["front", "back"]).into());
    }
    Value::Object(labels)
}

/// A label selector over pods; none at all, and one that asks for nothing, are among them.
fn selector(dice: &mut Dice) -> Value {
    match dice.below(20) {
        0 => return Value::Null,
        1 => return json!({}),
        _ => {}
    }
    let mut selector = json!({});
    if dice.percent(75) {
        selector["matchLabels"] = json!({ "app": dice.pick(&APPS) });
    }
    if dice.percent(35) || selector["matchLabels"].is_null() {
        let expression = match dice.below(4) {
            0 => {
                json!({ "key": "version", "operator": "In", "values": dice.pick(&[vec!["v1"], vec!["v1", "v2"]]) })
            }
            1 => json!({ "key": "version", "operator": "NotIn", "values": ["v2"] }),
            2 => json!({ "key": "tier", "operator": "Exists" }),
            _ => json!({ "key": "tier", "operator": "DoesNotExist" }),
        };
        selector["matchExpressions"] = json!([expression]);
    }
    selector
}

fn topology_key(dice: &mut Dice) -> &'static str {
    dice.pick(&[ZONE, ZONE, ZONE, HOSTNAME, HOSTNAME, RACK])
}

/// A label whose value two pods may have to share. The API server lets none in that the selector names as well.
fn shared_key(selector: &Value) -> &'static str {
    if selector["matchExpressions"][0]["key"] == "version" {
        "tier"
    } else {
        "version"
    }
}

/// A term of inter-pod affinity or anti-affinity.
pub(super) fn pod_term(dice: &mut Dice) -> Value {
    let selector = selector(dice);
    let mut term = json!({ "topologyKey": topology_key(dice) });
    if !selector.is_null() {
        if dice.percent(12) {
            term["matchLabelKeys"] = json!([shared_key(&selector)]);
        } else if dice.percent(10) {
            term["mismatchLabelKeys"] = json!([shared_key(&selector)]);
        }
        term["labelSelector"] = selector;
    }
    if dice.percent(25) {
        let names: Vec<&str> = NAMESPACES.iter().map(|(name, _)| *name).collect();
        let chosen = dice.some(&names, 40);
        if !chosen.is_empty() {
            term["namespaces"] = json!(chosen);
        }
    }
    if dice.percent(30) {
        term["namespaceSelector"] = match dice.below(5) {
            0 => json!({}),
            1 => json!({ "matchLabels": { "team": "red" } }),
            2 => json!({ "matchLabels": { "kubernetes.io/metadata.name": "beta" } }),
            3 => json!({ "matchExpressions": [{ "key": "stage", "operator": "NotIn", "values": ["prod"] }] }),
            _ => json!({ "matchExpressions": [{ "key": "team", "operator": "Exists" }] }),
        };
    }
    term
}

/// One topology spread constraint. A pod may have several, of different keys.
fn spread(dice: &mut Dice, key: &str) -> Value {
    let mut constraint = json!({
        "maxSkew": dice.pick(&[1, 1, 1, 2, 3]),
        "topologyKey": key,
        "whenUnsatisfiable": if dice.percent(85) { "DoNotSchedule" } else { "ScheduleAnyway" },
    });
    let selector = selector(dice);
    if !selector.is_null() {
        if dice.percent(25) {
            constraint["matchLabelKeys"] = json!([shared_key(&selector)]);
        }
        constraint["labelSelector"] = selector;
    }
    if dice.percent(25) && constraint["whenUnsatisfiable"] == "DoNotSchedule" {
        constraint["minDomains"] = dice.pick(&[1, 2, 3, 4]).into();
    }
    for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
        if dice.percent(40) {
            constraint[policy] = dice.pick(&["Honor", "Ignore"]).into();
        }
    }
    constraint
}

pub(super) fn spreads(dice: &mut Dice) -> Vec<Value> {
    let keys = match dice.below(6) {
        0 => vec![ZONE, HOSTNAME],
        1 => vec![ZONE, RACK],
        2 => vec![RACK],
        3 => vec![HOSTNAME],
        _ => vec![ZONE],
    };
    keys.into_iter().map(|key| spread(dice, key)).collect()
}

/// A toleration near a taint that nodes have: often it makes up for it, often it just does not.
pub(super) fn toleration(dice: &mut Dice) -> Value {
    if dice.percent(10) {
        return json!({ "operator": "Exists" });
    }
    let (key, value, effect) = dice.pick(&TAINTS);
    let mut toleration = json!({ "key": key });
    if dice.percent(40) {
        toleration["operator"] = "Exists".into();
    } else {
        if dice.percent(50) {
            toleration["operator"] = "Equal".into();
        }
        toleration["value"] = if dice.percent(80) { value } else { "other" }.into();
    }
    match dice.below(10) {
        0..4 => {}
        4..9 => toleration["effect"] = effect.into(),
        _ => toleration["effect"] = dice.pick(&["NoSchedule", "NoExecute"]).into(),
    }
    toleration
}

pub(super) fn node_selector(dice: &mut Dice) -> Value {
    match dice.below(4) {
        0 => json!({ "disk": "ssd" }),
        1 => json!({ (ZONE): dice.pick(&ZONES) }),
        2 => json!({ (RACK): "r1" }),
        _ => json!({ "disk": "hdd", (RACK): dice.pick(&["r1", "r2"]) }),
    }
}

fn node_requirement(dice: &mut Dice) -> Value {
    match dice.below(9) {
        0 | 1 => {
            json!({ "key": ZONE, "operator": "In", "values": dice.pick(&[vec!["z1"], vec!["z1", "z2"], vec!["z3", "z9"]]) })
        }
        2 => json!({ "key": ZONE, "operator": "NotIn", "values": ["z1"] }),
        3 => json!({ "key": RACK, "operator": "Exists" }),
        4 => json!({ "key": RACK, "operator": "DoesNotExist" }),
        5 => json!({ "key": "cores", "operator": "Gt", "values": [dice.pick(&["3", "4", "8", "2"])] }),
        6 => json!({ "key": "cores", "operator": "Lt", "values": [dice.pick(&["5", "8", "16", "eight"])] }),
        7 => json!({ "key": "disk", "operator": "NotIn", "values": ["ssd", "nvme"] }),
        _ => json!({ "key": "disk", "operator": "In", "values": ["ssd"] }),
    }
}

/// Required node affinity: alternatives of conjunctions, by label and by name.
pub(super) fn node_affinity(dice: &mut Dice, names: &[String]) -> Value {
    let terms: Vec<Value> = (0..=dice.below(2))
        .map(|_| {
            let mut term = json!({});
            if dice.percent(85) {
                let requirements: Vec<Value> = (0..=dice.below(2)).map(|_| node_requirement(dice)).collect();
                term["matchExpressions"] = requirements.into();
            }
            if dice.percent(12) {
                let operator = dice.pick(&["In", "NotIn"]);
                term["matchFields"] =
                    json!([{ "key": "metadata.name", "operator": operator, "values": [dice.pick(names)] }]);
            }
            term
        })
        .collect();
    json!({ "nodeSelectorTerms": terms })
}
