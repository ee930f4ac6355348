//! Volumes as the scheduler judges them: claims and what is behind them, against nodes by their labels.

mod possessions;

use super::super::pod_class;
use super::super::surroundings::Surroundings;
use autoscaler_core::model::{Labels, PodClass, ResourceNames};
use serde_json::{Value, json};
use std::sync::Arc;

/// A pod `ns/web` with these volumes, amid these objects.
fn class(volumes: &Value, objects: &[Value]) -> PodClass {
    let mut around = Surroundings::default();
    for object in objects {
        add(&mut around, object);
    }
    let pod = json!({
        "metadata": {"name": "web", "namespace": "ns", "uid": "uid-web"},
        "spec": {"containers": [], "volumes": volumes},
    });
    pod_class(
        &serde_json::from_value(pod).unwrap(),
        &mut ResourceNames::default(),
        &around,
    )
}

fn add(around: &mut Surroundings, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    match object["kind"].as_str().unwrap() {
        "PersistentVolumeClaim" => {
            let claim = serde_json::from_value(object.clone()).unwrap();
            around.set_claim(&("ns".to_owned(), name), Some(Arc::new(claim)));
        }
        "PersistentVolume" => {
            let volume = serde_json::from_value(object.clone()).unwrap();
            around.set_volume(&name, Some(Arc::new(volume)));
        }
        "StorageClass" => {
            let class = serde_json::from_value(object.clone()).unwrap();
            around.set_class(&name, Some(Arc::new(class)));
        }
        "CSIDriver" => {
            let driver = serde_json::from_value(object.clone()).unwrap();
            around.set_driver(&name, Some(&driver));
        }
        "CSIStorageCapacity" => {
            let capacity = serde_json::from_value(object.clone()).unwrap();
            around.set_capacity(&("ns".to_owned(), name), Some(&capacity));
        }
        kind => panic!("{kind}"),
    }
}

/// Changes to an object: paths as JSON pointers.
fn with(mut object: Value, changes: &[(&str, Value)]) -> Value {
    for (path, value) in changes {
        let (parent, key) = path.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[key.replace("~1", "/")] = value.clone();
    }
    object
}

/// A volume `data` by the claim of that name.
fn data() -> Value {
    json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}])
}

fn bound() -> Value {
    json!({"kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "ns", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {"volumeName": "pv", "storageClassName": "late", "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "10Gi"}}},
        "status": {"phase": "Bound"}})
}

fn unbound(name: &str, class: &str, size: &str) -> Value {
    json!({"kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "ns", "annotations": {}},
        "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
        "status": {"phase": "Pending"}})
}

fn volume(name: &str, zones: &[&str]) -> Value {
    let mut volume = json!({"kind": "PersistentVolume", "metadata": {"name": name, "labels": {}},
        "spec": {"storageClassName": "late", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"},
            "csi": {"driver": "csi", "volumeHandle": name}},
        "status": {"phase": "Bound"}});
    if !zones.is_empty() {
        volume["spec"]["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "zone", "operator": "In", "values": zones}]}]}});
    }
    volume
}

fn local(name: &str, zones: &[&str]) -> Value {
    let changes = [
        ("/spec/storageClassName", json!("local")),
        ("/status/phase", json!("Available")),
    ];
    with(volume(name, zones), &changes)
}

fn storage(name: &str, provisioner: &str, mode: &str) -> Value {
    json!({"kind": "StorageClass", "metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode})
}

fn classes() -> Vec<Value> {
    let allowed = json!([{"matchLabelExpressions": [{"key": "zone", "values": ["b", "c"]}]}]);
    vec![
        storage("late", "csi", "WaitForFirstConsumer"),
        storage("now", "csi", "Immediate"),
        storage("local", "kubernetes.io/no-provisioner", "WaitForFirstConsumer"),
        with(
            storage("zonal", "csi", "WaitForFirstConsumer"),
            &[("/allowedTopologies", allowed)],
        ),
    ]
}

/// Which of the nodes a, b and c, each in the zone of its name, and `bare`, without a zone, reach the volumes.
fn reach(class: &PodClass) -> String {
    let nodes = ["a", "b", "c", "bare"].into_iter().filter(|name| {
        let zone = (*name != "bare").then(|| ("zone".to_owned(), (*name).to_owned()));
        let labels: Labels = zone.into_iter().collect();
        class
            .volume_topology
            .iter()
            .all(|selector| selector.matches(name, &labels))
    });
    nodes.collect::<Vec<_>>().join(" ")
}

#[test]
fn where_a_claim_is_satisfied() {
    const ALL: &str = "a b c bare";
    let claim = |class| unbound("data", class, "10Gi");
    let selected = |class, node| {
        with(
            claim(class),
            &[(
                "/metadata/annotations/volume.kubernetes.io~1selected-node",
                json!(node),
            )],
        )
    };
    let cases: Vec<(&str, Vec<Value>, &str)> = vec![
        ("no claim", vec![], ""),
        ("a bound one", vec![bound(), volume("pv", &["a"])], "a"),
        (
            "a volume of several zones",
            vec![bound(), volume("pv", &["a", "c"])],
            "a c",
        ),
        ("a volume of everywhere", vec![bound(), volume("pv", &[])], ALL),
        ("a volume that is gone", vec![bound()], ""),
        (
            "half bound",
            vec![
                with(bound(), &[("/metadata/annotations", json!({}))]),
                volume("pv", &["a"]),
            ],
            "",
        ),
        (
            "lost",
            vec![
                with(bound(), &[("/status/phase", json!("Lost"))]),
                volume("pv", &["a"]),
            ],
            "",
        ),
        (
            "being deleted",
            vec![
                with(
                    bound(),
                    &[("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"))],
                ),
                volume("pv", &["a"]),
            ],
            "",
        ),
        ("to be bound at once", vec![claim("now")], ""),
        ("made where the pod goes", vec![claim("late")], ALL),
        ("made in some zones", vec![claim("zonal")], "b c"),
        ("a class that does not exist", vec![claim("lost")], ""),
        ("no class", vec![claim("")], ""),
        (
            "a class by annotation",
            vec![with(
                claim("now"),
                &[(
                    "/metadata/annotations/volume.beta.kubernetes.io~1storage-class",
                    json!("zonal"),
                )],
            )],
            "b c",
        ),
        ("being made for a node", vec![selected("late", "b")], "b"),
        (
            "being made where its class does not",
            vec![selected("zonal", "a")],
            "",
        ),
        ("made by hand, none there", vec![claim("local")], ""),
        (
            "made by hand, in two zones",
            vec![claim("local"), local("one", &["a"]), local("two", &["c"])],
            "a c",
        ),
        (
            "made by hand, everywhere",
            vec![claim("local"), local("one", &[])],
            ALL,
        ),
        (
            "made by hand, too small",
            vec![unbound("data", "local", "11Gi"), local("one", &["a"])],
            "",
        ),
        (
            "somebody else's",
            vec![
                claim("local"),
                with(
                    local("one", &["a"]),
                    &[("/spec/claimRef", json!({"namespace": "ns", "name": "other"}))],
                ),
            ],
            "",
        ),
        (
            "meant for it, available or not",
            vec![
                claim("local"),
                with(
                    local("one", &["a"]),
                    &[
                        ("/spec/claimRef", json!({"namespace": "ns", "name": "data"})),
                        ("/status/phase", json!("Pending")),
                    ],
                ),
            ],
            "a",
        ),
        (
            "meant for it, and another",
            vec![
                claim("local"),
                local("one", &["b"]),
                with(
                    local("two", &["a"]),
                    &[("/spec/claimRef", json!({"namespace": "ns", "name": "data"}))],
                ),
            ],
            "a",
        ),
        (
            "released",
            vec![
                claim("local"),
                with(local("one", &["a"]), &[("/status/phase", json!("Released"))]),
            ],
            "",
        ),
        (
            "of another mode",
            vec![
                claim("local"),
                with(local("one", &["a"]), &[("/spec/volumeMode", json!("Block"))]),
            ],
            "",
        ),
        (
            "of other access modes",
            vec![
                claim("local"),
                with(
                    local("one", &["a"]),
                    &[("/spec/accessModes", json!(["ReadOnlyMany"]))],
                ),
            ],
            "",
        ),
        (
            "not selected",
            vec![
                with(
                    claim("local"),
                    &[("/spec/selector", json!({"matchLabels": {"disk": "ssd"}}))],
                ),
                local("one", &["a"]),
                with(
                    local("two", &["b"]),
                    &[("/metadata/labels", json!({"disk": "ssd"}))],
                ),
            ],
            "b",
        ),
        (
            "one there, or made",
            vec![
                claim("zonal"),
                with(
                    local("one", &["a"]),
                    &[("/spec/storageClassName", json!("zonal"))],
                ),
            ],
            "a b c",
        ),
    ];
    for (why, objects, expected) in cases {
        let objects = [objects, classes()].concat();
        assert_eq!(reach(&class(&data(), &objects)), expected, "{why}");
    }
}

fn driver(storage_capacity: Option<bool>) -> Value {
    json!({"kind": "CSIDriver", "metadata": {"name": "csi"}, "spec": {"storageCapacity": storage_capacity}})
}

/// Room for volumes of a class on nodes of these labels; null for none.
fn room(name: &str, class: &str, labels: &Value, amount: &str) -> Value {
    let topology = labels.is_object().then(|| json!({"matchLabels": labels}));
    json!({"kind": "CSIStorageCapacity", "metadata": {"name": name}, "storageClassName": class,
        "capacity": amount, "nodeTopology": topology})
}

#[test]
fn where_a_driver_has_room() {
    const ALL: &str = "a b c bare";
    let claim = |class| unbound("data", class, "10Gi");
    let zone = |name: &str| json!({"zone": name});
    let here = |amount| room("one", "late", &zone("a"), amount);
    let held = driver(Some(true));
    let largest = |amount: &str| with(here("100Gi"), &[("/maximumVolumeSize", json!(amount))]);
    let expressions = |expression: Value| {
        with(
            here("10Gi"),
            &[("/nodeTopology", json!({"matchExpressions": [expression]}))],
        )
    };
    let selected = |class, node| {
        let key = "/metadata/annotations/volume.kubernetes.io~1selected-node";
        with(claim(class), &[(key, json!(node))])
    };
    let cases: Vec<(&str, Vec<Value>, &str)> = vec![
        ("no driver is known", vec![claim("late")], ALL),
        ("it does not say", vec![claim("late"), driver(None)], ALL),
        (
            "it is not held to it",
            vec![claim("late"), driver(Some(false)), here("1Gi")],
            ALL,
        ),
        ("it publishes nothing", vec![claim("late"), held.clone()], ""),
        (
            "just enough",
            vec![claim("late"), held.clone(), here("10Gi")],
            "a",
        ),
        (
            "not quite enough",
            vec![claim("late"), held.clone(), here("10239Mi")],
            "",
        ),
        (
            "of another class",
            vec![
                claim("late"),
                held.clone(),
                room("one", "zonal", &zone("a"), "10Gi"),
            ],
            "",
        ),
        (
            "in two zones",
            vec![
                claim("late"),
                held.clone(),
                here("10Gi"),
                room("two", "late", &zone("c"), "20Gi"),
            ],
            "a c",
        ),
        (
            "everywhere",
            vec![
                claim("late"),
                held.clone(),
                room("one", "late", &json!({}), "10Gi"),
            ],
            ALL,
        ),
        (
            "nowhere",
            vec![
                claim("late"),
                held.clone(),
                room("one", "late", &Value::Null, "10Gi"),
            ],
            "",
        ),
        (
            "no volume as large",
            vec![claim("late"), held.clone(), largest("9Gi")],
            "",
        ),
        (
            "one volume as large",
            vec![claim("late"), held.clone(), largest("10Gi")],
            "a",
        ),
        (
            "no amount",
            vec![
                claim("late"),
                held.clone(),
                with(here("1Gi"), &[("/capacity", Value::Null)]),
            ],
            "",
        ),
        (
            "where a label is not",
            vec![
                claim("late"),
                held.clone(),
                expressions(json!({"key": "zone", "operator": "NotIn", "values": ["a", "b"]})),
            ],
            "c bare",
        ),
        (
            "of any size, if the claim says none",
            vec![
                with(claim("late"), &[("/spec/resources", json!({}))]),
                held.clone(),
            ],
            ALL,
        ),
        (
            "where the class makes volumes as well",
            vec![
                claim("zonal"),
                held.clone(),
                room("one", "zonal", &zone("a"), "10Gi"),
                room("two", "zonal", &zone("b"), "10Gi"),
            ],
            "b",
        ),
        (
            "for a node that was chosen",
            vec![selected("late", "a"), held.clone(), here("10Gi")],
            "a",
        ),
        (
            "for another than was chosen",
            vec![selected("late", "b"), held.clone(), here("10Gi")],
            "",
        ),
        (
            "or a volume that is there",
            vec![
                claim("late"),
                held.clone(),
                here("10Gi"),
                with(
                    local("free", &["b"]),
                    &[("/spec/storageClassName", json!("late"))],
                ),
            ],
            "a b",
        ),
        (
            "a volume that is there, and no room",
            vec![
                claim("late"),
                held.clone(),
                with(
                    local("free", &["b"]),
                    &[("/spec/storageClassName", json!("late"))],
                ),
            ],
            "b",
        ),
        (
            "made by hand",
            vec![claim("local"), held, local("free", &["b"])],
            "b",
        ),
    ];
    for (why, objects, expected) in cases {
        let objects = [objects, classes()].concat();
        assert_eq!(reach(&class(&data(), &objects)), expected, "{why}");
    }
}

#[test]
fn every_volume_must_be_reached() {
    let volumes = json!([
        {"name": "one", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "two", "persistentVolumeClaim": {"claimName": "more"}},
    ]);
    let here = |zones: &[&str]| vec![bound(), volume("pv", zones)];
    for (why, objects, expected) in [
        (
            "a bound one and one to be made",
            [here(&["a", "b"]), vec![unbound("more", "zonal", "1Gi")]].concat(),
            "b",
        ),
        (
            "two that do not meet",
            [here(&["a"]), vec![unbound("more", "zonal", "1Gi")]].concat(),
            "",
        ),
        (
            "two of one by hand",
            vec![
                unbound("data", "local", "1Gi"),
                unbound("more", "local", "1Gi"),
                local("one", &["a"]),
            ],
            "",
        ),
        (
            "two of two by hand",
            vec![
                unbound("data", "local", "1Gi"),
                unbound("more", "local", "1Gi"),
                local("one", &["a"]),
                local("two", &["a"]),
                local("three", &["b"]),
            ],
            "a",
        ),
        (
            "one here and one that is everywhere",
            vec![
                unbound("data", "local", "1Gi"),
                unbound("more", "local", "1Gi"),
                local("one", &["a"]),
                local("two", &[]),
            ],
            "a",
        ),
    ] {
        let objects = [objects, classes()].concat();
        assert_eq!(reach(&class(&volumes, &objects)), expected, "{why}");
    }
}

#[test]
fn zone_labels_of_volumes_hold() {
    const OLD: &str = "failure-domain.beta.kubernetes.io/zone";
    const NEW: &str = "topology.kubernetes.io/zone";
    const REGION: &str = "topology.kubernetes.io/region";
    for (volume_labels, node, expected, why) in [
        (json!({}), json!({NEW: "a"}), true, "no label"),
        (json!({NEW: "a"}), json!({NEW: "a"}), true, "the zone"),
        (json!({NEW: "a"}), json!({NEW: "b"}), false, "another zone"),
        (json!({NEW: "a__b"}), json!({NEW: "b"}), true, "one of two zones"),
        (
            json!({NEW: "a__"}),
            json!({NEW: "b"}),
            true,
            "a list that cannot be read",
        ),
        (json!({NEW: "a"}), json!({}), true, "a node that says nothing"),
        (
            json!({NEW: "a"}),
            json!({REGION: "r"}),
            false,
            "a node that says something else",
        ),
        (
            json!({NEW: "a", REGION: "r"}),
            json!({NEW: "a", REGION: "s"}),
            false,
            "the zone alone",
        ),
        (
            json!({OLD: "a"}),
            json!({NEW: "a"}),
            true,
            "the old name for the new",
        ),
        (
            json!({OLD: "a"}),
            json!({NEW: "b"}),
            false,
            "the old name, another zone",
        ),
        (
            json!({OLD: "a"}),
            json!({OLD: "a", NEW: "b"}),
            true,
            "the old name comes first",
        ),
        (
            json!({NEW: "a"}),
            json!({OLD: "a"}),
            false,
            "the new name for the old",
        ),
    ] {
        let volume = with(volume("pv", &[]), &[("/metadata/labels", volume_labels)]);
        let class = class(&data(), &[bound(), volume]);
        let labels: Labels = serde_json::from_value(node).unwrap();
        let found = class
            .volume_topology
            .iter()
            .all(|selector| selector.matches("n", &labels));
        assert_eq!(found, expected, "{why}");
    }
}

#[test]
fn ephemeral_volumes_have_a_claim_of_their_own() {
    let volumes = json!([{"name": "tmp", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]);
    let owner = |uid: &str| json!([{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": uid, "controller": true}]);
    let claim = |name: &str, uid: &str| {
        with(
            unbound(name, "zonal", "1Gi"),
            &[("/metadata/ownerReferences", owner(uid))],
        )
    };
    for (why, claims, expected) in [
        ("not made yet", vec![], ""),
        ("made for the pod", vec![claim("web-tmp", "uid-web")], "b c"),
        (
            "of an earlier pod of the name",
            vec![claim("web-tmp", "uid-old")],
            "",
        ),
        ("nobody's", vec![unbound("web-tmp", "zonal", "1Gi")], ""),
    ] {
        let objects = [claims, classes()].concat();
        assert_eq!(reach(&class(&volumes, &objects)), expected, "{why}");
    }
}
