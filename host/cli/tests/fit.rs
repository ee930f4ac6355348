//! `fit` as its users meet it: the answer, and what is said of files that make no sense.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs `fit` over standard input.
fn fit(input: &str, json: bool) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vpsie-autoscaler"));
    command.args(["fit", "--from-dump", "-"]);
    if json {
        command.arg("--json");
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that gave up reading is no failure of the test; what it says is looked at below.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// A cluster with a pod for most of what can happen, as several YAML documents.
const CLUSTER: &str = r#"
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Node
  metadata: {name: small, labels: {zone: a}}
  status: {allocatable: {cpu: "1", memory: 1Gi, pods: "10"}, conditions: [{type: Ready, status: "True"}]}
- apiVersion: v1
  kind: Node
  metadata: {name: big, labels: {zone: b}}
  spec: {taints: [{key: dedicated, value: db, effect: NoSchedule}]}
  status: {allocatable: {cpu: 4, memory: 8Gi, pods: 10}, conditions: [{type: Ready, status: "True"}]}
- apiVersion: v1
  kind: Node
  metadata: {name: cordoned, labels: {zone: b}}
  spec: {unschedulable: true}
  status: {allocatable: {cpu: 4, memory: 8Gi, pods: 10}}
- apiVersion: v1
  kind: Node
  metadata: {name: broken, labels: {zone: a}}
  spec: {taints: [{key: node.kubernetes.io/not-ready, effect: NoSchedule}]}
  status: {allocatable: {cpu: 4, memory: 8Gi, pods: 10}, conditions: [{type: Ready, status: "False"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: tolerant, namespace: shop}
spec:
  tolerations: [{operator: Exists}]
  containers: [{name: c, image: none, resources: {requests: {cpu: 2}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: modest}
spec: {containers: [{name: c, image: none, resources: {requests: {cpu: 500m}}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: zonal}
spec:
  nodeSelector: {zone: b}
  containers: [{name: c, image: none}]
---
apiVersion: v1
kind: Pod
metadata: {name: finished}
spec: {containers: [{name: c, image: none}]}
status: {phase: Succeeded}
---
apiVersion: v1
kind: Pod
metadata: {name: going, deletionTimestamp: "2026-01-01T00:00:00Z"}
spec: {containers: [{name: c, image: none}]}
---
apiVersion: v1
kind: Pod
metadata: {name: running}
spec: {nodeName: small, containers: [{name: c, image: none, resources: {requests: {cpu: 501m}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
"#;

#[test]
fn the_answer_as_json() {
    let (code, stdout, stderr) = fit(CLUSTER, true);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        stderr,
        "vpsie-autoscaler: ignored 1 of kind Service (v1): no rule asks for it\n"
    );
    let answer: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let expected = serde_json::json!({
        "feasible": {
            "default/modest": [],
            "default/zonal": [],
            "shop/tolerant": ["big", "broken", "cordoned"],
        },
        "refused": {
            "default/modest": {
                "big": "Taints", "broken": "Taints", "cordoned": "Unschedulable", "small": "Resources",
            },
            "default/zonal": {
                "big": "Taints", "broken": "Taints", "cordoned": "Unschedulable", "small": "NodeAffinity",
            },
            "shop/tolerant": { "small": "Resources" },
        },
    });
    assert_eq!(answer, expected);
}

#[test]
fn the_answer_for_people() {
    let (code, stdout, _) = fit(CLUSTER, false);
    assert_eq!(code, 0);
    let expected = "\
default/modest: fits on 0 of 4 nodes
  Resources       small
  Taints          big, broken
  Unschedulable   cordoned
default/zonal: fits on 0 of 4 nodes
  Taints          big, broken
  NodeAffinity    small
  Unschedulable   cordoned
shop/tolerant: fits on 3 of 4 nodes
  fits            big, broken, cordoned
  Resources       small
";
    assert_eq!(stdout, expected);
}

#[test]
fn json_and_yaml_and_several_files_say_the_same() {
    let items = |kind: &str, items: serde_json::Value| {
        serde_json::json!({"apiVersion": "v1", "kind": kind, "items": items}).to_string()
    };
    let node = serde_json::json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"},
        "status": {"allocatable": {"cpu": "1", "pods": "3"}},
    });
    let pod = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "x"},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
    });
    let bare = |object: &serde_json::Value| {
        let mut object = object.clone();
        object
            .as_object_mut()
            .unwrap()
            .retain(|name, _| name != "kind" && name != "apiVersion");
        object
    };
    let folder = std::env::temp_dir().join(format!("vpsie-autoscaler-fit-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let shapes = [
        vec![items("List", serde_json::json!([node, pod]))],
        vec![
            items("NodeList", serde_json::json!([bare(&node)])),
            items("PodList", serde_json::json!([bare(&pod)])),
        ],
        vec![format!("{node}\n{pod}")],
        vec![format!("--- \n{node}\n---\n{pod}\n---\n")],
    ];
    let mut answers = Vec::new();
    for (number, files) in shapes.iter().enumerate() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vpsie-autoscaler"));
        command.args(["fit", "--json", "--from-dump"]);
        for (at, text) in files.iter().enumerate() {
            let path = folder.join(format!("{number}-{at}"));
            std::fs::write(&path, text).unwrap();
            command.arg(path);
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{files:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        answers.push(serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap());
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let expected = serde_json::json!({"feasible": {"x/p": ["n"]}, "refused": {"x/p": {}}});
    assert!(answers.iter().all(|answer| *answer == expected), "{answers:?}");
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    for (input, message) in [
        (
            "",
            "reading standard input: it is empty; give what `kubectl get … -o json` or `-o yaml` prints",
        ),
        (
            "{",
            "reading standard input: this is no JSON: EOF while parsing an object at line 1 column 1",
        ),
        ("a: [1", "reading standard input: this is no YAML: "),
        (
            "just words",
            "reading standard input: this is no Kubernetes object; ",
        ),
        ("{\"items\": []}", "reading standard input: `kind` is missing; "),
        (
            "kind: List",
            "reading standard input: `items` is missing, or no list, in this List",
        ),
        (
            "kind: List\nitems: [7]",
            "reading standard input, item 1: this is no Kubernetes object; ",
        ),
        (
            "kind: List\nitems: [{kind: Node, metadata: {name: n}}, {kind: Pod, metadata: {}}]",
            "reading standard input, item 2: `metadata.name` is missing in this Pod",
        ),
        (
            "kind: Pod\nmetadata: {name: a}\n---\nkind: Pod\nmetadata: {name: a, namespace: default}",
            "reading standard input, document 2 (Pod default/a): it was there before; ",
        ),
        (
            "kind: Node\nmetadata: {name: n}\nstatus: {allocatable: {cpu: lots}}",
            "reading standard input (Node n): `status.allocatable.cpu` is \"lots\", no quantity: ",
        ),
        (
            "kind: Node\nmetadata: {name: n}\nspec: {taints: [{key: a, effect: NoSched}]}",
            "reading standard input (Node n): `spec.taints[0].effect` is \"NoSched\"; use NoSchedule, ",
        ),
        (
            "kind: Pod\nmetadata: {name: p}\nspec: {containers: none}",
            "reading standard input (Pod default/p): `spec.containers`: invalid type: string \"none\", ",
        ),
        (
            "kind: Pod\nmetadata: {name: p}\nspec: {containers: [], priority: high}",
            "see `kubectl explain pod.spec.priority`",
        ),
    ] {
        let (code, stdout, stderr) = fit(input, true);
        assert_eq!((code, stdout.as_str()), (1, ""), "{input}: {stderr}");
        assert!(
            stderr.contains(message),
            "{input}\n  says: {stderr}  wanted: {message}"
        );
        assert_eq!(stderr.lines().count(), 1, "one error, one line: {stderr}");
    }
}

#[test]
fn nothing_is_an_answer_too() {
    let node = "kind: Node\nmetadata: {name: n}";
    assert_eq!(
        fit(node, false),
        (0, "No pod is pending.\n".into(), String::new())
    );
    let (code, stdout, _) = fit(node, true);
    let answer: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (code, answer),
        (0, serde_json::json!({"feasible": {}, "refused": {}}))
    );
    let (_, stdout, _) = fit("kind: Pod\nmetadata: {name: p}", true);
    let answer: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let expected = serde_json::json!({"feasible": {"default/p": []}, "refused": {"default/p": {}}});
    assert_eq!(answer, expected, "a cluster without nodes");
}
