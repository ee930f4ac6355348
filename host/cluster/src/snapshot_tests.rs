use crate::{Change, Index, Inputs, Kind, ObjectKey, Offering};
use autoscaler_core::model::{NodeState, Resources, Snapshot};
use serde_json::{Value, json};
use std::sync::Arc;

const DATACENTER: &str = "dc-1";

/// A cluster of one group, told by watch events.
struct Scene {
    index: Arc<Index>,
    inputs: Inputs,
}

impl Scene {
    #[expect(clippy::needless_pass_by_value, reason = "cases write their values in place")]
    fn new(group: Value) -> Self {
        let index = Index::new(Arc::new(|| jiff::Timestamp::UNIX_EPOCH));
        let offering = |size: i64, name: &str, cpu: u32, memory_mib: u64| Offering {
            size,
            names: vec![size.to_string(), name.to_owned()],
            cpu,
            memory_mib,
            disk_gib: 100,
            hourly_micros: 1000 * u64::from(cpu),
        };
        let inputs = Inputs {
            offerings: [(
                DATACENTER.to_owned(),
                vec![offering(11, "small", 2, 4096), offering(12, "big", 8, 16384)],
            )]
            .into(),
            reserved: Resources::cpu_memory(100, 512 << 20),
            ..Inputs::default()
        };
        let scene = Self { index, inputs };
        let mut spec = json!({
            "minNodes": 0, "maxNodes": 5, "datacenterID": DATACENTER, "resourceIdentifier": "c", "offeringIDs": ["small"],
            "labels": {"tier": "web"}, "taints": [{"key": "dedicated", "value": "web", "effect": "NoSchedule"}],
        });
        spec.as_object_mut()
            .unwrap()
            .extend(group.as_object().unwrap().clone());
        let group = json!({"metadata": {"name": "web", "namespace": "ns"}, "spec": spec});
        scene.index.apply(&Change::NodeGroup(Arc::new(
            serde_json::from_value(group).unwrap(),
        )));
        scene
    }

    fn vpsie_node(&self, name: &str, phase: &str, node: Option<&str>) {
        let object = json!({
            "metadata": {"name": name, "namespace": "ns"},
            "spec": {"nodeGroupName": "web", "instanceType": "small", "datacenterID": DATACENTER, "resourceIdentifier": "c"},
            "status": {"phase": phase, "nodeName": node},
        });
        self.index.apply(&Change::VPSieNode(Arc::new(
            serde_json::from_value(object).unwrap(),
        )));
    }

    fn node(&self, name: &str, ready: bool, taints: &Value) {
        let object = json!({
            "metadata": {"name": name, "labels": {"tier": "web"}},
            "spec": {"taints": taints},
            "status": {
                "allocatable": {"cpu": "1500m", "memory": "3Gi", "pods": "110"},
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
            },
        });
        self.index
            .apply(&Change::Node(Arc::new(serde_json::from_value(object).unwrap())));
    }

    fn pod(&self, name: &str, node: Option<&str>) {
        let waits = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": "1970-01-01T00:00:00Z"}]);
        let object = json!({
            "metadata": {"name": name, "namespace": "shop", "uid": name,
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "u", "controller": true}]},
            "spec": {"nodeName": node, "containers": [{"name": "c", "resources": {"requests": {"cpu": "500m"}}}]},
            "status": {"conditions": if node.is_none() { waits } else { json!([]) }},
        });
        self.index
            .apply(&Change::Pod(Arc::new(serde_json::from_value(object).unwrap())));
    }

    fn snapshot(&self) -> Snapshot {
        self.index.snapshot(&self.inputs)
    }
}

#[test]
fn a_node_stands_where_its_record_and_its_kubelet_say() {
    use NodeState::{Leaving, NotReady, Ready, Upcoming};
    // Phase of the record, whether the Node exists and is ready, what the snapshot shows, current, upcoming.
    let cases = [
        ("ordered", "Pending", None, Some(Upcoming), 1, 1),
        ("listed", "Provisioned", None, Some(Upcoming), 1, 1),
        ("joined, not ready", "Joining", Some(false), Some(Upcoming), 1, 1),
        (
            "ready, not yet labelled",
            "Joining",
            Some(true),
            Some(Upcoming),
            1,
            1,
        ),
        ("ready", "Ready", Some(true), Some(Ready), 1, 0),
        ("ready once", "Ready", Some(false), Some(NotReady), 1, 0),
        ("its Node is gone", "Ready", None, None, 1, 0),
        ("leaving", "Terminating", Some(true), Some(Leaving), 0, 0),
        ("failed", "Failed", None, None, 0, 0),
    ];
    for (name, phase, node, want, current, upcoming) in cases {
        let scene = Scene::new(json!({}));
        scene.vpsie_node("web-1", phase, node.map(|_| "machine-1"));
        if let Some(ready) = node {
            scene.node("machine-1", ready, &json!([]));
        }
        let snapshot = scene.snapshot();
        assert_eq!(snapshot.nodes.first().map(|node| node.state), want, "{name}");
        assert_eq!(snapshot.nodes.len(), usize::from(want.is_some()), "{name}");
        let group = &snapshot.groups[0];
        assert_eq!((group.current, group.upcoming), (current, upcoming), "{name}");
    }
}

#[test]
fn a_node_on_its_way_is_what_it_will_be() {
    let scene = Scene::new(json!({}));
    scene.vpsie_node("web-1", "Joining", Some("machine-1"));
    scene.node(
        "machine-1",
        false,
        &json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]),
    );
    scene.pod("early", Some("machine-1"));
    let snapshot = scene.snapshot();
    let node = &snapshot.nodes[0];
    assert_eq!(node.name, "machine-1");
    assert_eq!(
        node.taints
            .iter()
            .map(|taint| taint.key.as_str())
            .collect::<Vec<_>>(),
        ["dedicated"]
    );
    assert_eq!(
        node.labels.get("kubernetes.io/hostname").map(String::as_str),
        Some("machine-1")
    );
    assert_eq!(
        node.allocatable.cpu_milli, 1900,
        "an estimate: two cores less what is reserved"
    );
    assert_eq!(
        node.residents.len(),
        1,
        "a pod that was bound early holds its room"
    );
}

#[test]
fn taints_that_pass_do_not_close_a_ready_node() {
    let scene = Scene::new(json!({}));
    scene.vpsie_node("web-1", "Ready", Some("machine-1"));
    let taints = json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}, {"key": "mine", "effect": "NoSchedule"}]);
    scene.node("machine-1", true, &taints);
    let keys: Vec<String> = scene.snapshot().nodes[0]
        .taints
        .iter()
        .map(|taint| taint.key.clone())
        .collect();
    assert_eq!(keys, ["mine"]);
}

#[test]
fn templates_follow_the_spec_and_learn_from_nodes() {
    let cases = [
        ("one offering", json!({}), vec![("small", 11, 1900)]),
        (
            "several",
            json!({"offeringIDs": ["small", "big"]}),
            vec![("small", 11, 1900), ("big", 12, 7900)],
        ),
        (
            "by number",
            json!({"offeringIDs": ["12"]}),
            vec![("12", 12, 7900)],
        ),
        (
            "pinned by kubeSizeID",
            json!({"offeringIDs": ["plan-uuid"], "kubeSizeID": 12}),
            vec![("plan-uuid", 12, 7900)],
        ),
        (
            "unknown ones are left out",
            json!({"offeringIDs": ["small", "huge"]}),
            vec![("small", 11, 1900)],
        ),
        (
            "not mixed: the preferred one",
            json!({"offeringIDs": ["small", "big"], "allowMixedInstances": false, "preferredInstanceType": "big"}),
            vec![("big", 12, 7900)],
        ),
    ];
    for (name, group, want) in cases {
        let snapshot = Scene::new(group).snapshot();
        let got: Vec<_> = snapshot
            .templates
            .iter()
            .map(|t| (t.offering.as_str(), t.size, t.allocatable.cpu_milli))
            .collect();
        assert_eq!(got, want, "{name}");
    }
    let scene = Scene::new(json!({}));
    scene.vpsie_node("web-1", "Ready", Some("machine-1"));
    scene.node("machine-1", true, &json!([]));
    assert_eq!(
        scene.snapshot().templates[0].allocatable.cpu_milli,
        1500,
        "what a node of it really offers"
    );
}

#[test]
fn daemon_sets_take_their_part_of_new_nodes_that_they_run_on() {
    // Of 1900 thousandths of a core; the group's nodes are tainted and labelled.
    let cases = [
        (
            "it tolerates everything",
            "/spec/template/spec/tolerations",
            json!([{"operator": "Exists"}]),
            1700,
        ),
        (
            "it tolerates nothing",
            "/spec/template/spec/tolerations",
            json!([]),
            1900,
        ),
        (
            "it is being deleted",
            "/metadata/deletionTimestamp",
            json!("1970-01-01T00:00:00Z"),
            1900,
        ),
        (
            "it selects the group",
            "/spec/template/spec/nodeSelector",
            json!({"tier": "web"}),
            1700,
        ),
        (
            "it selects others",
            "/spec/template/spec/nodeSelector",
            json!({"tier": "db"}),
            1900,
        ),
        (
            "it begins with more",
            "/spec/template/spec/initContainers",
            json!([
            {"name": "i", "resources": {"requests": {"cpu": "1"}}}]),
            900,
        ),
        (
            "it comes with overhead",
            "/spec/template/spec/overhead",
            json!({"cpu": "50m"}),
            1650,
        ),
        (
            "it would not fit",
            "/spec/template/spec/overhead",
            json!({"cpu": "2"}),
            1900,
        ),
        (
            "it needs a device",
            "/spec/template/spec/overhead",
            json!({"example.com/gpu": "1"}),
            1900,
        ),
    ];
    for (why, path, value, want) in cases {
        let mut set = json!({
            "metadata": {"name": "agent", "namespace": "kube-system"},
            "spec": {"selector": {}, "template": {"metadata": {"labels": {"app": "agent"}}, "spec": {
                "tolerations": [{"key": "dedicated", "operator": "Exists"}],
                "containers": [{"name": "c", "resources": {"requests": {"cpu": "200m"}}}]}}},
        });
        let (parent, key) = path.rsplit_once('/').unwrap();
        set.pointer_mut(parent).unwrap()[key] = value;
        let scene = Scene::new(json!({}));
        scene
            .index
            .apply(&Change::DaemonSet(Arc::new(serde_json::from_value(set).unwrap())));
        let snapshot = scene.snapshot();
        let template = &snapshot.templates[0];
        assert_eq!(template.allocatable.cpu_milli, want, "{why}");
        let runs = usize::from(want < 1900);
        assert_eq!(template.allocatable.pods, 110 - runs as i64, "{why}");
        let daemons = template
            .daemons
            .iter()
            .map(|class| &snapshot.classes[*class as usize]);
        assert_eq!(
            daemons.filter(|class| class.labels["app"] == "agent").count(),
            runs,
            "{why}"
        );
    }
}

#[test]
fn what_matters_most_comes_first_on_a_new_node() {
    let scene = Scene::new(json!({"taints": []}));
    for (name, priority, cpu) in [
        ("a", "", "1"),
        ("b", "system-node-critical", "1500m"),
        ("c", "", "400m"),
    ] {
        let set = json!({
            "metadata": {"name": name, "namespace": "kube-system"},
            "spec": {"selector": {}, "template": {"metadata": {}, "spec": {
                "priorityClassName": priority,
                "containers": [{"name": name, "resources": {"requests": {"cpu": cpu}}}]}}},
        });
        scene
            .index
            .apply(&Change::DaemonSet(Arc::new(serde_json::from_value(set).unwrap())));
    }
    assert_eq!(
        scene.snapshot().templates[0].allocatable.cpu_milli,
        0,
        "b and c, with no room for a"
    );
}

#[test]
fn new_nodes_have_the_smallest_limit_that_a_node_of_the_group_has_shown() {
    let scene = Scene::new(json!({}));
    let csi = |node: &str, count: i32| {
        let object = json!({"metadata": {"name": node}, "spec": {"drivers": [
            {"name": "csi", "nodeID": node, "allocatable": {"count": count}}]}});
        scene.index.apply(&Change::CsiNode(Arc::new(
            serde_json::from_value(object).unwrap(),
        )));
    };
    assert_eq!(scene.snapshot().templates[0].attach_limits, [].into());
    for (name, count) in [("web-1", 9), ("web-2", 7), ("web-3", 8)] {
        let machine = format!("machine-{name}");
        scene.vpsie_node(name, "Ready", Some(&machine));
        scene.node(&machine, true, &json!([]));
        csi(&machine, count);
    }
    csi("somebody-else", 1);
    scene.vpsie_node("web-4", "Joining", None);
    let snapshot = scene.snapshot();
    assert_eq!(
        snapshot.templates[0].attach_limits,
        [("csi".to_owned(), 7)].into()
    );
    let upcoming = snapshot
        .nodes
        .iter()
        .find(|node| node.state == NodeState::Upcoming)
        .unwrap();
    assert_eq!(*upcoming.attach_limits, [("csi".to_owned(), 7)].into());
}

#[test]
fn taints_pass_that_the_operator_names() {
    let taints = json!([
        {"key": "node.cilium.io/agent-not-ready", "effect": "NoExecute"},
        {"key": "storage.example.com/starting", "effect": "NoSchedule"},
        {"key": "dedicated", "effect": "NoSchedule"},
    ]);
    for (startup_taints, expected) in [
        (
            vec![],
            vec![
                "node.cilium.io/agent-not-ready",
                "storage.example.com/starting",
                "dedicated",
            ],
        ),
        (
            vec!["node.cilium.io/agent-not-ready", "storage.example.com/"],
            vec!["dedicated"],
        ),
    ] {
        let mut scene = Scene::new(json!({"taints": taints}));
        scene.inputs.startup_taints = startup_taints.into_iter().map(str::to_owned).collect();
        scene.vpsie_node("web-1", "Pending", None);
        scene.vpsie_node("web-2", "Ready", Some("machine-2"));
        scene.node("machine-2", true, &taints);
        scene.vpsie_node("web-3", "Joining", Some("machine-3"));
        scene.node("machine-3", false, &taints);
        let snapshot = scene.snapshot();
        assert_eq!(snapshot.nodes.len(), 3);
        let nodes = snapshot.nodes.iter().map(|node| &node.taints);
        for taints in nodes.chain([&snapshot.templates[0].taints]) {
            let keys: Vec<&str> = taints.iter().map(|taint| taint.key.as_str()).collect();
            assert_eq!(keys, expected);
        }
        scene.vpsie_node("web-2", "Ready", Some("machine-2"));
        scene.node("machine-2", false, &taints);
        let snapshot = scene.snapshot();
        let broken = snapshot
            .nodes
            .iter()
            .find(|node| node.name == "machine-2")
            .unwrap();
        assert_eq!(broken.taints.len(), 3, "a node that is not ready has all of them");
    }
}

/// A DaemonSet of a runtime: what admission makes of its pods counts.
#[test]
fn daemon_pods_take_what_their_runtime_adds() {
    let overhead = json!({"overhead": {"podFixed": {"cpu": "50m"}}});
    let chooses = |tier: &str| json!({"scheduling": {"nodeSelector": {"tier": tier}}});
    let tolerates = json!({"scheduling": {"tolerations": [{"key": "dedicated", "operator": "Exists"}]}});
    // Of 1900 thousandths of a core, 200 for the pod.
    let cases = [
        ("a runtime that adds nothing", Some(json!({})), json!({}), 1700),
        (
            "one that takes something itself",
            Some(overhead.clone()),
            json!({}),
            1650,
        ),
        (
            "as the pod says",
            Some(overhead.clone()),
            json!({"overhead": {"cpu": "50m"}}),
            1650,
        ),
        (
            "not as the pod says: no pod is let in",
            Some(overhead),
            json!({"overhead": {"cpu": "10m"}}),
            1900,
        ),
        ("one that does not exist", None, json!({}), 1900),
        ("one of the group's nodes", Some(chooses("web")), json!({}), 1700),
        ("one of other nodes", Some(chooses("db")), json!({}), 1900),
        (
            "one that the pod contradicts",
            Some(chooses("db")),
            json!({"nodeSelector": {"tier": "web"}}),
            1900,
        ),
        (
            "one that tolerates the group's taint",
            Some(tolerates),
            json!({"tolerations": null}),
            1700,
        ),
    ];
    for (why, runtime, fields, expected) in cases {
        let scene = Scene::new(json!({}));
        if let Some(mut runtime) = runtime {
            let fields = runtime.as_object_mut().unwrap();
            fields.insert("metadata".into(), json!({"name": "sandbox"}));
            fields.insert("handler".into(), json!("sandbox"));
            let runtime = serde_json::from_value(runtime).unwrap();
            scene.index.apply(&Change::RuntimeClass(Arc::new(runtime)));
        }
        let mut spec = json!({
            "runtimeClassName": "sandbox", "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "c", "resources": {"requests": {"cpu": "200m"}}}],
        });
        spec.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let set = json!({
            "metadata": {"name": "agent", "namespace": "kube-system"},
            "spec": {"selector": {}, "template": {"metadata": {}, "spec": spec}},
        });
        let set = serde_json::from_value(set).unwrap();
        scene.index.apply(&Change::DaemonSet(Arc::new(set)));
        assert_eq!(
            scene.snapshot().templates[0].allocatable.cpu_milli,
            expected,
            "{why}"
        );
    }
}

#[test]
fn taints_that_pass_do_not_close_nodes_to_come() {
    let taints = json!([
        {"key": "startup-taint.cluster-autoscaler.kubernetes.io/agent", "effect": "NoSchedule"},
        {"key": "dedicated", "effect": "NoSchedule"},
    ]);
    let scene = Scene::new(json!({"taints": taints}));
    scene.vpsie_node("web-1", "Pending", None);
    let snapshot = scene.snapshot();
    for taints in [&snapshot.templates[0].taints, &snapshot.nodes[0].taints] {
        let keys: Vec<&str> = taints.iter().map(|taint| taint.key.as_str()).collect();
        assert_eq!(keys, ["dedicated"]);
    }
}

#[test]
fn waiting_pods_are_those_that_the_scheduler_gave_up_on_for_long_enough() {
    let mut scene = Scene::new(json!({}));
    scene.pod("waits", None);
    scene.node("machine-1", true, &json!([]));
    scene.pod("runs", Some("machine-1"));
    scene.pod("lost", Some("machine-of-yesterday"));
    scene.inputs.now_ms = 5_000;
    for (grace_ms, waiting) in [(0, vec!["waits"]), (5_000, vec!["waits"]), (5_001, vec![])] {
        scene.inputs.grace_ms = grace_ms;
        let snapshot = scene.snapshot();
        let waits: Vec<&str> = snapshot.pods.iter().map(|pod| &*pod.key.name).collect();
        assert_eq!(waits, waiting, "grace {grace_ms}");
        let residents = snapshot.nodes.iter().flat_map(|node| node.residents.iter());
        let runs: Vec<&str> = residents.map(|pod| &*pod.key.name).collect();
        assert_eq!(runs, ["runs"], "grace {grace_ms}");
    }
}

#[test]
fn scale_down_rests_after_growth_and_after_removals() {
    let stamps =
        |up: Option<&str>, down: Option<&str>| json!({"lastScaleUpTime": up, "lastScaleDownTime": down});
    let policy = json!({"scaleDownPolicy": {"stabilizationWindowSeconds": 60, "cooldownSeconds": 10, "cpuThreshold": 70}});
    let cases = [
        ("never changed", stamps(None, None), true),
        (
            "grew a moment ago",
            stamps(Some("1970-01-01T00:00:50Z"), None),
            false,
        ),
        ("grew long ago", stamps(Some("1970-01-01T00:00:40Z"), None), true),
        (
            "shrank a moment ago",
            stamps(None, Some("1970-01-01T00:01:35Z")),
            false,
        ),
        (
            "shrank long ago",
            stamps(None, Some("1970-01-01T00:01:30Z")),
            true,
        ),
    ];
    for (name, status, want) in cases {
        let mut scene = Scene::new(policy.clone());
        scene.inputs.now_ms = 100_000;
        let mut group = (*scene.index.node_group(&ObjectKey::new("ns", "web")).unwrap()).clone();
        group.status = Some(serde_json::from_value(status).unwrap());
        scene.index.apply(&Change::NodeGroup(Arc::new(group)));
        let snapshot = scene.snapshot();
        assert_eq!(snapshot.groups[0].may_shrink, want, "{name}");
        assert_eq!(
            snapshot.groups[0]
                .annotations
                .get("scale-down-cpu-threshold")
                .map(String::as_str),
            Some("70")
        );
    }
}

#[test]
fn what_is_gone_leaves_no_trace() {
    let scene = Scene::new(json!({}));
    let empty = scene.snapshot();
    scene.node("machine-1", true, &json!([]));
    scene.pod("runs", Some("machine-1"));
    scene.vpsie_node("web-1", "Ready", Some("machine-1"));
    assert_eq!(
        scene.index.owner_of_node("machine-1"),
        Some(ObjectKey::new("ns", "web-1"))
    );
    scene
        .index
        .apply(&Change::Gone(Kind::VPSieNode, ObjectKey::new("ns", "web-1")));
    scene
        .index
        .apply(&Change::Gone(Kind::Pod, ObjectKey::new("shop", "runs")));
    scene
        .index
        .apply(&Change::Gone(Kind::Node, ObjectKey::new("", "machine-1")));
    assert_eq!(scene.snapshot(), empty);
    assert_eq!(scene.index.owner_of_node("machine-1"), None);
}
