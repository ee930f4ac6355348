//! The desk as its users meet it: decisions on snapshots of every sort, replays, and what is said of what makes no sense.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use support::{guest, policy};

fn good(folder: &Path, arguments: &[&str]) -> String {
    let (code, stdout, stderr) = policy(folder, arguments);
    assert_eq!(code, 0, "{arguments:?}: {stdout}{stderr}");
    stdout
}

struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.write(
            "grow.yaml",
            "cluster:\n  offerings: [{name: small, cpu: 2, price: 20}]\n  groups: [{name: web, max: 5}]\n  pods: [{name: shop, count: 3, cpu: 1}]\n",
        );
        desk.write(
            "shrink.yaml",
            "cluster:\n  offerings: [{name: small, cpu: 2, price: 20}]\n  groups: [{name: web}]\n  nodes: [{name: a, group: web}]\n",
        );
        desk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        file
    }
}

#[test]
fn a_decision_is_told_with_its_reasons_and_costs() {
    let desk = Desk::new();
    let table = good(desk.path(), &["run", "grow.yaml"]);
    for part in [
        "cluster  1 node groups, 1 ways to buy a node, 0 nodes, 3 pods wait",
        "scale-up: pack-pending",
        "node-selection: cheapest-fit",
        "grow default/web for 3 pods",
        "of 4000000000 (",
        "of 65536 KiB (",
        "  buy 2 × small for default/web",
        "2 nodes come, 0 go; 0.040000 per hour; 0 pods left",
    ] {
        assert!(table.contains(part), "{part:?} is not in\n{table}");
    }
    let report: Value = serde_json::from_str(&good(desk.path(), &["run", "shrink.yaml", "--json"])).unwrap();
    assert_eq!(report["plan"], serde_json::json!(["remove a in batch 0"]));
    assert_eq!(report["answers"][0]["kind"], "rebalance");
    // Limits are those of the command line.
    let (code, _, stderr) = policy(desk.path(), &["run", "grow.yaml", "--fuel", "1000"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("used up its fuel of 1000"), "{stderr}");
}

#[test]
fn a_record_is_decided_again_by_the_same_and_by_another_policy() {
    let desk = Desk::new();
    let thousand = guest("thousand");
    good(desk.path(), &["run", "grow.yaml", "--record", "a.json.gz"]);
    good(
        desk.path(),
        &["run", "grow.yaml", "--record", "b.json.gz", "--policy", &thousand],
    );
    let text = good(desk.path(), &["replay", "a.json.gz"]);
    assert!(
        text.starts_with("a.json.gz: growth, the same plan, byte by byte\n"),
        "{text}"
    );
    let other = good(desk.path(), &["replay", "a.json.gz", "--policy", &thousand]);
    for line in [
        "a.json.gz: growth, another plan",
        "  - buy 2 × small for default/web",
        "  + buy 5 × small for default/web",
        "  nodes bought  2 → 5",
        "  price         0.040000 → 0.100000 per hour",
    ] {
        assert!(
            other.lines().any(|found| found == line),
            "{line:?} is not in\n{other}"
        );
    }
    let (code, _, stderr) = policy(
        desk.path(),
        &[
            "replay",
            "a.json.gz",
            "--policy",
            &thousand,
            "--fail-on-difference",
        ],
    );
    assert_eq!(
        (code, stderr.contains("1 of 1 decisions come to another plan")),
        (1, true),
        "{stderr}"
    );
    // A component that is not in the program has to be given.
    let (code, _, stderr) = policy(desk.path(), &["replay", "b.json.gz"]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("is not at hand; give it") && stderr.contains("sha256:"),
        "{stderr}"
    );
    let again = good(desk.path(), &["replay", "b.json.gz", "--policy", &thousand]);
    assert!(again.contains("the same plan, byte by byte"), "{again}");
    // A record is a snapshot, too.
    let table = good(desk.path(), &["run", "a.json.gz"]);
    assert!(table.contains("buy 2 × small for default/web"), "{table}");
}

#[test]
fn what_kubectl_printed_can_be_decided_about() {
    let desk = Desk::new();
    let dump = r#"
apiVersion: v1
kind: List
items:
- apiVersion: autoscaler.vpsie.com/v1alpha1
  kind: NodeGroup
  metadata: {name: web, namespace: default}
  spec: {minNodes: 0, maxNodes: 5, datacenterID: dc, offeringIDs: [small], resourceIdentifier: r, project: p,
         osImageID: o, kubernetesVersion: v1.33.0}
- apiVersion: v1
  kind: Pod
  metadata: {name: shop-1, namespace: shop, creationTimestamp: "2026-01-01T00:00:00Z"}
  spec: {containers: [{name: c, image: none, resources: {requests: {cpu: 1}}}]}
  status:
    phase: Pending
    conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, lastTransitionTime: "2026-01-01T00:00:05Z"}]
"#;
    desk.write("dump.yaml", dump);
    desk.write(
        "catalogue.yaml",
        "offerings: [{name: small, cpu: 2, price: 20}]\n",
    );
    let table = good(
        desk.path(),
        &["run", "dump.yaml", "--catalogue", "catalogue.yaml"],
    );
    assert!(table.contains("buy 1 × small for default/web"), "{table}");
    // Without offerings nothing can be bought, and that is what it says.
    let table = good(desk.path(), &["run", "dump.yaml"]);
    assert!(
        table.contains("0 ways to buy a node") && table.contains("nothing to do"),
        "{table}"
    );
    let pods = dump.split_once("- apiVersion: v1\n").unwrap().1;
    desk.write(
        "pods.yaml",
        &format!("kind: List\nitems:\n- apiVersion: v1\n{pods}"),
    );
    let (code, _, stderr) = policy(desk.path(), &["run", "pods.yaml"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("pods.yaml has no NodeGroup"), "{stderr}");
}

#[test]
fn cases_hold_or_fail_for_people_and_for_machines() {
    let desk = Desk::new();
    desk.write(
        "cases/good/snapshot.yaml",
        &std::fs::read_to_string(desk.path().join("grow.yaml")).unwrap(),
    );
    desk.write(
        "cases/good/expect.yaml",
        "invariants: {untrimmed: true, servesAll: true, maxFuel: 10000000, maxMemoryMiB: 8}\npurchases: {web/small: 2}\n",
    );
    let (text, _) = (good(desk.path(), &["test", "--junit", "report.xml"]), ());
    assert!(
        text.starts_with("ok    cases/good (") && text.ends_with("1 cases, 0 fail\n"),
        "{text}"
    );
    let thousand = guest("thousand");
    let failing = [
        ("purchases: {web/small: 3}", None, "purchases:"),
        ("invariants: {maxFuel: 10}", None, "maxFuel: scale-up took"),
        (
            "invariants: {untrimmed: true}",
            Some(&thousand),
            "untrimmed: the checker changes the plan",
        ),
        (
            "invariants: {untrimed: true}",
            None,
            "invariants.untrimed: unknown field",
        ),
        ("purchased: {}", None, "purchased: unknown field"),
    ];
    for (expect, component, said) in failing {
        desk.write("cases/good/expect.yaml", expect);
        let mut arguments = vec!["test", "--junit", "report.xml"];
        arguments.extend(component.iter().flat_map(|file| ["--policy", file.as_str()]));
        let (code, stdout, stderr) = policy(desk.path(), &arguments);
        assert_eq!(code, 1, "{expect}: {stdout}");
        assert!(
            stdout.contains("FAIL  cases/good\n") && stdout.contains(said),
            "{expect}: {stdout}"
        );
        assert!(stderr.contains("1 of 1 cases fail"), "{stderr}");
        let report = std::fs::read_to_string(desk.path().join("report.xml")).unwrap();
        assert!(
            report.contains("failures=\"1\"") && report.contains("<failure message="),
            "{report}"
        );
    }
    // Blessed, it holds; and the invariants stay.
    desk.write(
        "cases/good/expect.yaml",
        "invariants: {untrimmed: true}\npurchases: {web/small: 9}\n",
    );
    good(desk.path(), &["test", "--bless"]);
    let blessed = std::fs::read_to_string(desk.path().join("cases/good/expect.yaml")).unwrap();
    assert!(
        blessed.contains("untrimmed: true") && blessed.contains("web/small: 2"),
        "{blessed}"
    );
    good(desk.path(), &["test"]);
    std::fs::remove_file(desk.path().join("cases/good/expect.yaml")).unwrap();
    let (_, stdout, _) = policy(desk.path(), &["test"]);
    assert!(
        stdout.contains("there is no expect.yaml; --bless writes it"),
        "{stdout}"
    );
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line_that_helps() {
    let desk = Desk::new();
    desk.write("rubbish.gz", "\u{1f}rubbish");
    std::fs::write(desk.path().join("cut.json.gz"), [0x1f, 0x8b, 8, 0]).unwrap();
    desk.write(
        "later.json",
        r#"{"format":"vpsie-autoscaler/decision-record","version":7,"record":{}}"#,
    );
    desk.write("core.wasm", "\0asm\u{1}\0\0\0");
    desk.write("typo.yaml", "cluster: {pod: []}\n");
    let cases: [(&[&str], &str); 9] = [
        (&["replay", "none.json.gz"], "none.json.gz"),
        (&["replay", "cut.json.gz"], "it is damaged or cut off"),
        (
            &["replay", "later.json"],
            "this program reads vpsie-autoscaler/decision-record version 1",
        ),
        (
            &["replay", "grow.yaml"],
            "it is no JSON document of the format vpsie-autoscaler/decision-record",
        ),
        (&["run", "typo.yaml"], "cluster.pod: unknown field"),
        (
            &["run", "grow.yaml", "--policy", "core.wasm"],
            "it is a core WebAssembly module",
        ),
        (
            &["run", "grow.yaml", "--config", "grow={}"],
            "there is no kind \"grow\"; there are scale-up",
        ),
        (
            &["run", "grow.yaml", "--config", "scale-up={\"minWait\": 1}"],
            "unknown field `minWait`",
        ),
        (&["build"], "there is no Cargo.toml, app.py or policy.js"),
    ];
    for (arguments, said) in cases {
        let (code, _, stderr) = policy(desk.path(), arguments);
        assert_eq!(code, 1, "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
    let (_, _, stderr) = policy(desk.path(), &["new", "."]);
    assert!(stderr.contains("cannot be the name of a project"), "{stderr}");
    desk.write("full/file", "");
    let (_, _, stderr) = policy(desk.path(), &["new", "full"]);
    assert!(stderr.contains("full: the folder is not empty"), "{stderr}");
}

#[test]
fn a_component_is_inspected_and_measured() {
    let desk = Desk::new();
    let thousand = guest("thousand");
    let report: Value = serde_json::from_str(&good(desk.path(), &["inspect", &thousand, "--json"])).unwrap();
    assert!(report["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(report["kinds"][0]["world"], "scale-up-policy");
    assert_eq!(report["kinds"][1]["name"], "thousand");
    let exports = report["exports"].to_string();
    assert!(
        exports.contains("vpsie:autoscaler/node-selection@0.1.0"),
        "{exports}"
    );
    let rows: Value = serde_json::from_str(&good(
        desk.path(),
        &["bench", "grow.yaml", "shrink.yaml", "--runs", "3", "--json"],
    ))
    .unwrap();
    let kinds: Vec<&str> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["scale-up", "node-selection", "rebalance"]);
    assert!(rows[0]["p99Micros"].as_u64() >= rows[0]["p50Micros"].as_u64());
    assert!(rows[0]["fuel"].as_u64().unwrap() > 0);
}
