//! What stands beside pods, told in any order: the classes of the pods that it concerns follow.

use crate::{Change, Index, Inputs, Kind, ObjectKey};
use autoscaler_core::model::{ClassId, NodeId, PodClass, Resident, Snapshot};
use serde_json::{Value, json};
use std::sync::Arc;

fn told(objects: &[Value]) -> Arc<Index> {
    let index = Index::new(Arc::new(|| jiff::Timestamp::UNIX_EPOCH));
    objects.iter().for_each(|object| index.apply(&change(object)));
    index
}

fn change(object: &Value) -> Change {
    let object = object.clone();
    match object["kind"].as_str().unwrap() {
        "Pod" => Change::Pod(Arc::new(serde_json::from_value(object).unwrap())),
        "Node" => Change::Node(Arc::new(serde_json::from_value(object).unwrap())),
        "Namespace" => Change::Namespace(Arc::new(serde_json::from_value(object).unwrap())),
        "PersistentVolumeClaim" => Change::Claim(Arc::new(serde_json::from_value(object).unwrap())),
        "PersistentVolume" => Change::Volume(Arc::new(serde_json::from_value(object).unwrap())),
        "StorageClass" => Change::StorageClass(Arc::new(serde_json::from_value(object).unwrap())),
        "CSINode" => Change::CsiNode(Arc::new(serde_json::from_value(object).unwrap())),
        "CSIDriver" => Change::CsiDriver(Arc::new(serde_json::from_value(object).unwrap())),
        "CSIStorageCapacity" => Change::StorageCapacity(Arc::new(serde_json::from_value(object).unwrap())),
        "VolumeAttachment" => Change::VolumeAttachment(Arc::new(serde_json::from_value(object).unwrap())),
        kind => panic!("{kind}"),
    }
}

/// The snapshot, the numbers of classes aside that depend on the history of the index.
fn snapshot(index: &Index) -> Snapshot {
    let mut snapshot = index.snapshot(&Inputs::default());
    for at in 0..snapshot.nodes.len() {
        let residents = snapshot.nodes[at].residents.iter();
        let renumbered = residents.map(|pod| {
            let class = snapshot.class_of(pod.class);
            Arc::new(Resident { class, ..pod.clone() })
        });
        snapshot.nodes[at].residents = Arc::new(renumbered.collect());
    }
    snapshot.class_ids.clear();
    snapshot
}

fn class_of(snapshot: &Snapshot, name: &str) -> PodClass {
    let (_, class) = pod_of(snapshot, name).unwrap();
    PodClass::clone(&snapshot.classes[class as usize])
}

/// What a pod was promised, and its class.
fn pod_of(snapshot: &Snapshot, name: &str) -> Option<(Option<NodeId>, ClassId)> {
    let waiting = snapshot
        .pods
        .iter()
        .map(|pod| (&pod.key, (pod.nominated, pod.class)));
    let residents = snapshot.nodes.iter().flat_map(|node| node.residents.iter());
    let running = residents.map(|pod| (&pod.key, (None, snapshot.class_of(pod.class))));
    let mut all = waiting.chain(running);
    all.find(|(key, _)| &*key.name == name).map(|(_, found)| found)
}

/// A waiting pod of the namespace `ns`.
fn pod(name: &str, spec: &Value) -> Value {
    let mut pod = json!({
        "kind": "Pod", "metadata": {"name": name, "namespace": "ns", "uid": name},
        "spec": {"containers": [{"name": "c"}]},
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "lastTransitionTime": "1970-01-01T00:00:00Z"}]},
    });
    let fields = pod["spec"].as_object_mut().unwrap();
    fields.extend(spec.as_object().unwrap().clone());
    pod
}

fn claiming(name: &str, claim: &str) -> Value {
    let volumes = json!([{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]);
    pod(name, &json!({"volumes": volumes}))
}

fn running(name: &str, claim: &str, node: &str) -> Value {
    let mut pod = claiming(name, claim);
    pod["spec"]["nodeName"] = node.into();
    pod
}

fn with_size(mut claim: Value, size: &str) -> Value {
    claim["spec"]["resources"] = json!({"requests": {"storage": size}});
    claim
}

fn claim(name: &str, volume: &str) -> Value {
    json!({"kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "ns", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {"volumeName": volume}, "status": {"phase": "Bound"}})
}

fn unbound(name: &str, class: &str) -> Value {
    json!({"kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "ns"},
        "spec": {"storageClassName": class}, "status": {"phase": "Pending"}})
}

fn volume(name: &str, claim: &str, zone: &str) -> Value {
    json!({"kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {"claimRef": {"namespace": "ns", "name": claim}, "csi": {"driver": "csi", "volumeHandle": name},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]}]}}},
        "status": {"phase": "Bound"}})
}

fn free(name: &str, class: &str) -> Value {
    json!({"kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {"storageClassName": class}, "status": {"phase": "Available"}})
}

fn by_hand(name: &str) -> Value {
    json!({"kind": "StorageClass", "metadata": {"name": name}, "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer"})
}

fn node(name: &str) -> Value {
    json!({"kind": "Node", "metadata": {"name": name}, "status": {"allocatable": {"cpu": "4", "pods": "110"},
        "conditions": [{"type": "Ready", "status": "True"}]}})
}

fn limits(node: &str, drivers: &Value) -> Value {
    json!({"kind": "CSINode", "metadata": {"name": node}, "spec": {"drivers": drivers}})
}

fn limit(node: &str, count: i32) -> Value {
    limits(
        node,
        &json!([{"name": "csi", "nodeID": node, "allocatable": {"count": count}}]),
    )
}

fn attachment(name: &str, volume: &str, node: &str) -> Value {
    json!({"kind": "VolumeAttachment", "metadata": {"name": name}, "spec": {
        "attacher": "csi", "nodeName": node, "source": {"persistentVolumeName": volume}}})
}

fn driver(storage_capacity: bool) -> Value {
    json!({"kind": "CSIDriver", "metadata": {"name": "csi"}, "spec": {"storageCapacity": storage_capacity}})
}

fn capacity(name: &str, class: &str, zone: &str, amount: &str) -> Value {
    json!({"kind": "CSIStorageCapacity", "metadata": {"name": name, "namespace": "ns"},
        "storageClassName": class, "capacity": amount, "nodeTopology": {"matchLabels": {"zone": zone}}})
}

/// Every order of a few things.
fn orders(things: &[Value]) -> Vec<Vec<Value>> {
    let [first, rest @ ..] = things else {
        return vec![Vec::new()];
    };
    let insert_everywhere = |order: Vec<Value>| {
        (0..=order.len()).map(move |at| {
            let mut longer = order.clone();
            longer.insert(at, first.clone());
            longer
        })
    };
    orders(rest).into_iter().flat_map(insert_everywhere).collect()
}

#[test]
fn the_order_of_events_makes_no_difference() {
    let namespace = |name: &str, tier: &str| json!({"kind": "Namespace", "metadata": {"name": name, "labels": {"tier": tier}}});
    let affinity = json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
        "topologyKey": "zone", "labelSelector": {}, "namespaceSelector": {"matchLabels": {"tier": "gold"}}}]}});
    for things in [
        vec![
            claiming("web", "data"),
            claim("data", "pv"),
            volume("pv", "data", "a"),
        ],
        vec![
            claiming("web", "data"),
            claiming("other", "data"),
            claim("data", "pv"),
            volume("pv", "data", "a"),
        ],
        vec![
            claiming("web", "data"),
            unbound("data", "local"),
            free("pv", "local"),
            by_hand("local"),
        ],
        vec![
            pod("web", &json!({"affinity": affinity})),
            namespace("one", "gold"),
            namespace("two", "silver"),
        ],
        vec![
            claiming("web", "data"),
            with_size(unbound("data", "late"), "2Gi"),
            json!({"kind": "StorageClass", "metadata": {"name": "late"}, "provisioner": "csi",
                "volumeBindingMode": "WaitForFirstConsumer"}),
            driver(true),
            capacity("here", "late", "a", "2Gi"),
        ],
        vec![
            running("web", "data", "n"),
            claim("data", "pv"),
            volume("pv", "data", "a"),
            attachment("one", "pv", "n"),
            limit("n", 3),
            node("n"),
        ],
    ] {
        let all = orders(&things);
        let expected = snapshot(&told(&all[0]));
        for order in &all {
            assert_eq!(snapshot(&told(order)), expected, "{order:?}");
        }
        // Every object makes a difference, and its end takes that back.
        for thing in things.iter().filter(|thing| thing["kind"] != "Pod") {
            let others: Vec<Value> = things.iter().filter(|other| *other != thing).cloned().collect();
            let without = snapshot(&told(&others));
            let index = told(&things);
            let (kind, namespace) = match thing["kind"].as_str().unwrap() {
                "PersistentVolumeClaim" => (Kind::Claim, "ns"),
                "PersistentVolume" => (Kind::Volume, ""),
                "StorageClass" => (Kind::StorageClass, ""),
                "CSIDriver" => (Kind::CsiDriver, ""),
                "CSIStorageCapacity" => (Kind::StorageCapacity, "ns"),
                "VolumeAttachment" => (Kind::VolumeAttachment, ""),
                "CSINode" => (Kind::CsiNode, ""),
                "Node" => (Kind::Node, ""),
                _ => (Kind::Namespace, ""),
            };
            let name = thing["metadata"]["name"].as_str().unwrap();
            index.apply(&Change::Gone(kind, ObjectKey::new(namespace, name)));
            assert_eq!(snapshot(&index), without, "without {thing}");
        }
    }
}

#[test]
fn a_volume_is_its_pods_own_while_nobody_else_uses_it() {
    let index = told(&[
        claiming("web", "data"),
        claiming("other", "data"),
        claim("data", "pv"),
        volume("pv", "data", "a"),
    ]);
    let attached = |index: &Index| {
        let class = class_of(&snapshot(index), "web");
        (class.attachments[0].own, class.attachments[0].shared.clone())
    };
    assert_eq!(attached(&index), (0, vec!["pv".to_owned()]));
    index.apply(&Change::Gone(Kind::Pod, ObjectKey::new("ns", "other")));
    assert_eq!(attached(&index), (1, vec![]));
}

#[test]
fn which_namespaces_a_term_means() {
    let namespace =
        |name: &str| json!({"kind": "Namespace", "metadata": {"name": name, "labels": {"tier": name}}});
    for (term, namespaces, selects, why) in [
        (json!({}), vec!["ns"], true, "its own"),
        (
            json!({"namespaces": ["gold"]}),
            vec!["gold"],
            true,
            "those that it lists",
        ),
        (
            json!({"namespaceSelector": {}}),
            vec![],
            true,
            "all, whatever is listed",
        ),
        (
            json!({"namespaceSelector": {}, "namespaces": ["gold"]}),
            vec![],
            true,
            "all",
        ),
        (
            json!({"namespaceSelector": {"matchLabels": {"tier": "gold"}}}),
            vec!["gold"],
            true,
            "those that it selects, not its own",
        ),
        (
            json!({"namespaceSelector": {"matchLabels": {"tier": "gold"}}, "namespaces": ["ns"]}),
            vec!["gold", "ns"],
            true,
            "both together",
        ),
        (
            json!({"namespaceSelector": {"matchLabels": {"tier": "none"}}}),
            vec![""],
            true,
            "none: one that no pod is in",
        ),
    ] {
        let mut whole = json!({"topologyKey": "zone", "labelSelector": {}});
        whole
            .as_object_mut()
            .unwrap()
            .extend(term.as_object().unwrap().clone());
        let affinity =
            json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [whole]}});
        let index = told(&[
            namespace("gold"),
            namespace("silver"),
            pod("web", &json!({"affinity": affinity})),
        ]);
        let term = class_of(&snapshot(&index), "web").pod_anti_affinity[0].clone();
        assert_eq!(term.namespaces, namespaces, "{why}");
        assert_eq!(term.selector.is_some(), selects, "{why}");
    }
}

#[test]
fn what_becomes_of_pods() {
    type Fate = fn(&mut Value);
    /// The node that is promised to the pod, and whether it is on its way out; none where it does not count.
    type Seen = Option<(Option<u32>, bool)>;
    let cases: [(&str, Fate, Seen); 8] = [
        ("it waits", |_| {}, Some((None, false))),
        (
            "it has ended",
            |pod| pod["status"]["phase"] = json!("Succeeded"),
            None,
        ),
        (
            "it has failed on its node",
            |pod| {
                pod["spec"]["nodeName"] = json!("n");
                pod["status"]["phase"] = json!("Failed");
            },
            None,
        ),
        (
            "it is deleted before it ran",
            |pod| {
                pod["metadata"]["deletionTimestamp"] = json!("1970-01-01T00:00:00Z");
            },
            None,
        ),
        (
            "it is deleted while it runs",
            |pod| {
                pod["metadata"]["deletionTimestamp"] = json!("1970-01-01T00:00:00Z");
                pod["spec"]["nodeName"] = json!("n");
            },
            Some((None, true)),
        ),
        (
            "it is promised a node, not waiting for long",
            |pod| {
                pod["status"] = json!({"nominatedNodeName": "n"});
            },
            Some((Some(0), false)),
        ),
        (
            "it is promised a node that is gone",
            |pod| {
                pod["status"]["nominatedNodeName"] = json!("gone");
            },
            Some((None, false)),
        ),
        (
            "it runs where it was promised",
            |pod| {
                pod["status"]["nominatedNodeName"] = json!("n");
                pod["spec"]["nodeName"] = json!("n");
            },
            Some((None, false)),
        ),
    ];
    for (why, fate, expected) in cases {
        let mut pod = pod("web", &json!({}));
        fate(&mut pod);
        let snapshot = snapshot(&told(&[node("n"), pod]));
        let found = pod_of(&snapshot, "web")
            .map(|(nominated, class)| (nominated, snapshot.classes[class as usize].terminating));
        assert_eq!(found, expected, "{why}");
    }
}

#[test]
fn nodes_have_the_limits_of_their_drivers() {
    let driver = |name: &str, count: Value| json!({"name": name, "nodeID": "n", "allocatable": count});
    let drivers = json!([
        driver("csi", json!({"count": 8})),
        driver("nfs", json!({})),
        driver("none", Value::Null)
    ]);
    for things in orders(&[node("n"), limits("n", &drivers)]) {
        let index = told(&things);
        assert_eq!(
            *snapshot(&index).nodes[0].attach_limits,
            [("csi".to_owned(), 8)].into()
        );
        index.apply(&Change::Gone(Kind::CsiNode, ObjectKey::new("", "n")));
        assert_eq!(*snapshot(&index).nodes[0].attach_limits, [].into());
    }
}

/// What is attached to a node with a limit of 5, and what is left of the limit beside the pods there.
#[test]
fn volumes_that_are_attached_and_used_by_nobody_take_of_the_limit() {
    let pv = |name: &str| volume(name, "data", "a");
    let used = || vec![running("web", "data", "n"), claim("data", "pv"), pv("pv")];
    let without = |path: &str, mut object: Value| {
        *object.pointer_mut(path).unwrap() = Value::Null;
        object
    };
    let by = |driver: &str, mut attachment: Value| {
        attachment["spec"]["attacher"] = driver.into();
        attachment
    };
    let inline = |mut attachment: Value| {
        attachment["spec"]["source"] =
            json!({"inlineVolumeSpec": {"csi": {"driver": "csi", "volumeHandle": "h"}}});
        attachment
    };
    let cases: Vec<(&str, Vec<Value>, u32)> = vec![
        ("nothing", vec![], 5),
        (
            "of a pod there",
            [used(), vec![attachment("a", "pv", "n")]].concat(),
            5,
        ),
        ("of nobody", vec![pv("pv"), attachment("a", "pv", "n")], 4),
        (
            "of nobody, twice",
            vec![pv("pv"), attachment("a", "pv", "n"), attachment("b", "pv", "n")],
            4,
        ),
        (
            "two of nobody",
            vec![
                pv("pv"),
                pv("more"),
                attachment("a", "pv", "n"),
                attachment("b", "more", "n"),
            ],
            3,
        ),
        ("elsewhere", vec![pv("pv"), attachment("a", "pv", "m")], 5),
        (
            "of a pod elsewhere",
            vec![
                running("web", "data", "m"),
                claim("data", "pv"),
                pv("pv"),
                attachment("a", "pv", "n"),
            ],
            4,
        ),
        (
            "of a pod that waits",
            vec![
                claiming("web", "data"),
                claim("data", "pv"),
                pv("pv"),
                attachment("a", "pv", "n"),
            ],
            4,
        ),
        (
            "of a claim that has another by now",
            vec![
                running("web", "data", "n"),
                claim("data", "new"),
                pv("new"),
                pv("pv"),
                attachment("a", "pv", "n"),
            ],
            4,
        ),
        ("a volume that is gone", vec![attachment("a", "pv", "n")], 5),
        (
            "of no driver",
            vec![without("/spec/csi", pv("pv")), attachment("a", "pv", "n")],
            5,
        ),
        (
            "by another driver",
            vec![pv("pv"), by("nfs", attachment("a", "pv", "n"))],
            5,
        ),
        (
            "by no driver",
            vec![pv("pv"), by("", attachment("a", "pv", "n"))],
            5,
        ),
        ("without a volume", vec![inline(attachment("a", "pv", "n"))], 5),
    ];
    for (why, things, expected) in cases {
        let things = [vec![node("n"), limit("n", 5)], things].concat();
        let index = told(&things);
        let left = |index: &Index| snapshot(index).nodes[0].attach_limits["csi"];
        assert_eq!(left(&index), expected, "{why}");
        // Whoever goes takes what it had along.
        index.apply(&Change::Gone(Kind::Pod, ObjectKey::new("ns", "web")));
        for name in ["a", "b"] {
            index.apply(&Change::Gone(Kind::VolumeAttachment, ObjectKey::new("", name)));
        }
        assert_eq!(left(&index), 5, "{why}: detached");
    }
}

#[test]
fn ports_of_the_host() {
    let container = |ports: Value| json!({"name": "c", "ports": ports});
    let sidecar = |ports: Value| json!({"name": "s", "restartPolicy": "Always", "ports": ports});
    for (spec, expected, why) in [
        (
            json!({"containers": [container(json!([{"containerPort": 80}]))]}),
            vec![],
            "none of the host",
        ),
        (
            json!({"containers": [container(json!([{"containerPort": 80, "hostPort": 8080}]))]}),
            vec![(8080, "")],
            "one of the host",
        ),
        (
            json!({"hostNetwork": true, "containers": [container(json!([{"containerPort": 80}]))]}),
            vec![(80, "")],
            "all of them on the host's network",
        ),
        (
            json!({"containers": [container(json!([
                {"containerPort": 80, "hostPort": 8080, "hostIP": "0.0.0.0"}, {"containerPort": 81, "hostPort": 8081, "hostIP": "::"}]))]}),
            vec![(8080, ""), (8081, "::")],
            "every address of IPv4, and one of IPv6",
        ),
        (
            json!({"initContainers": [sidecar(json!([{"containerPort": 1, "hostPort": 9}])), container(json!([{"containerPort": 1, "hostPort": 8}]))]}),
            vec![(9, "")],
            "of sidecars, not of containers that end",
        ),
        (
            json!({"containers": [container(json!([{"containerPort": 80, "hostPort": 99999}, {"containerPort": 80, "hostPort": -1}]))]}),
            vec![],
            "numbers that no port has",
        ),
    ] {
        let class = class_of(&snapshot(&told(&[pod("web", &spec)])), "web");
        let found: Vec<(u16, &str)> = class
            .host_ports
            .iter()
            .map(|port| (port.port, port.host_ip.as_str()))
            .collect();
        assert_eq!(found, expected, "{why}");
    }
}
