//! Whole operations against the small API server, with the clock moved by hand.

use super::*;
use crate::testing::FakeApi;
use autoscaler_api::autoscaler_config::Strategy;
use autoscaler_api::rebalance::{RebalanceKind, RebalanceStatus};
use autoscaler_cluster::Change;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const TAINTED: &str = "the group's own";

struct Scene {
    api: FakeApi,
    tools: Tools,
    key: ObjectKey,
}

fn node(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"team": "a"}},
           "spec": {"taints": [{"key": TAINTED, "effect": "NoSchedule"}]}})
}

fn vpsie_node(name: &str) -> Value {
    json!({"apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "VPSieNode",
           "metadata": {"name": name, "namespace": "team", "finalizers": [labels::VPSIE_NODE_FINALIZER]},
           "spec": {"nodeGroupName": "g", "instanceType": "small", "datacenterID": "d", "resourceIdentifier": "c"}})
}

fn pod(name: &str, node: &str, owner: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "spec": {"nodeName": node, "containers": []},
           "metadata": {"name": name, "namespace": "team",
                        "ownerReferences": [{"apiVersion": "v1", "kind": owner, "name": "o", "uid": "o", "controller": true}]}})
}

impl Scene {
    /// Two nodes; the first runs a pod of a ReplicaSet and one of a DaemonSet.
    fn new(rebalancer: &Value) -> Self {
        let api = FakeApi::new();
        let now = api.now();
        let index = Index::new(now.clone());
        let config = json!({"apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "AutoscalerConfig",
                            "metadata": {"name": "default"}, "spec": {"rebalancer": rebalancer}});
        index.apply(&Change::Config(Arc::new(serde_json::from_value(config).unwrap())));
        for number in ["1", "2"] {
            api.put("nodes", node(&format!("n{number}")));
            api.put("vpsienodes", vpsie_node(&format!("v{number}")));
        }
        api.put("pods", pod("web", "n1", "ReplicaSet"));
        api.put("pods", pod("agent", "n1", "DaemonSet"));
        let removal = |number: &str| Removal {
            node: format!("n{number}"),
            vpsie_node: format!("v{number}"),
            group: None,
            offering: None,
            reason: "unneeded".to_owned(),
        };
        let plan = removal_plan(
            RebalanceKind::RemoveUnderused,
            Strategy::Rolling,
            &[removal("1"), removal("2")],
        );
        api.put(
            "rebalances",
            json!({"apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "Rebalance",
                   "metadata": {"name": "op", "namespace": "team"}, "spec": {"plan": plan}}),
        );
        let metrics = Arc::new(Metrics::new());
        let events = Events::spawn(
            api.client(),
            now.clone(),
            metrics.clone(),
            CancellationToken::new(),
        );
        let tools = Tools {
            effects: api.client(),
            index,
            metrics,
            events,
            now,
            turn: Arc::default(),
        };
        api.writes();
        Self {
            api,
            tools,
            key: ObjectKey::new("team", "op"),
        }
    }

    async fn pass(&self) -> Next {
        reconcile(&self.tools, &self.key).await.unwrap()
    }

    /// Passes until nothing more is to be done, with the time between them; at most `limit` of them.
    async fn passes(&self, limit: usize) {
        for _ in 0..limit {
            match self.pass().await {
                Next::Done => return,
                Next::After(delay) => tokio::time::sleep(delay).await,
            }
        }
        panic!("still going on: {:#?}", self.status());
    }

    /// The VPSieNode controller: what was deleted goes, with its Node.
    fn machines_go(&self) {
        for number in ["1", "2"] {
            let name = format!("v{number}");
            let leaves = |object: Value| !object["metadata"]["deletionTimestamp"].is_null();
            if self.api.object("vpsienodes", &name).is_some_and(leaves) {
                self.api.remove("vpsienodes", &name);
                self.api.remove("nodes", &format!("n{number}"));
            }
        }
    }

    fn status(&self) -> RebalanceStatus {
        let object = self
            .api
            .object("rebalances", "op")
            .expect("the Rebalance is there");
        serde_json::from_value(object["status"].clone()).unwrap_or_default()
    }

    /// What an operation may leave behind on things that stay.
    fn assert_no_marks(&self) {
        for node in self.api.objects("nodes") {
            assert_ne!(node["spec"]["unschedulable"], true, "{node}");
            assert_eq!(node["metadata"]["labels"], json!({"team": "a"}), "{node}");
            assert!(
                node["metadata"]["annotations"]
                    .as_object()
                    .is_none_or(serde_json::Map::is_empty),
                "{node}"
            );
            assert_eq!(
                node["spec"]["taints"],
                json!([{"key": TAINTED, "effect": "NoSchedule"}])
            );
        }
        for node in self.api.objects("vpsienodes") {
            assert!(
                node["metadata"]["labels"]
                    .as_object()
                    .is_none_or(serde_json::Map::is_empty),
                "{node}"
            );
        }
        let rebalance = self.api.object("rebalances", "op");
        let finalizers = rebalance
            .map(|object| object["metadata"]["finalizers"].clone())
            .unwrap_or_default();
        assert!(finalizers.as_array().is_none_or(Vec::is_empty), "{finalizers}");
    }

    fn metric(&self, line: &str) -> bool {
        self.tools.metrics.render().lines().any(|l| l == line)
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_go_one_after_the_other_and_each_step_is_written_before_it_is_done() {
    let scene = Scene::new(&json!({}));
    scene.pass().await;
    let status = scene.status();
    assert_eq!(status.phase, RebalancePhase::Running);
    assert_eq!(status.progress.as_deref(), Some("1/8"));
    let n1 = scene.api.object("nodes", "n1").unwrap();
    assert_eq!(n1["spec"]["unschedulable"], true);
    assert_eq!(
        n1["metadata"]["labels"][labels::REBALANCE_OPERATION],
        labels::IN_PROGRESS
    );
    assert_eq!(n1["metadata"]["annotations"][labels::CORDONED_BY], "team/op");
    assert_eq!(n1["spec"]["taints"].as_array().unwrap().len(), 2);
    let label = |name: &str| scene.api.object("vpsienodes", name).unwrap()["metadata"]["labels"].clone();
    assert_eq!(label("v1")[labels::REBALANCE_OPERATION], labels::IN_PROGRESS);
    assert_eq!(label("v2")[labels::REBALANCE_OPERATION], labels::IN_PROGRESS);
    let n2 = scene.api.object("nodes", "n2").unwrap();
    assert!(
        n2["spec"]["unschedulable"].is_null(),
        "the second node waits: maxConcurrent is 1"
    );
    assert_eq!(status.before.unwrap().nodes.len(), 2);
    assert!(scene.metric("rebalancer_operations_in_progress 1"));
    let writes = scene.api.writes();
    let order: Vec<&str> = writes
        .iter()
        .map(String::as_str)
        .filter(|write| !write.ends_with("events"))
        .collect();
    assert_eq!(
        order,
        [
            // The finalizer, and the cluster before.
            "PATCH rebalances/op",
            "PATCH rebalances/op/status",
            // Marks on everything that is involved.
            "PATCH vpsienodes/v1",
            "PATCH nodes/n1",
            "PATCH vpsienodes/v2",
            "PATCH nodes/n2",
            // It runs; the cordon begins, is done, and the drain begins.
            "PATCH rebalances/op/status",
            "PATCH rebalances/op/status",
            "PATCH nodes/n1",
            "PATCH rebalances/op/status",
            "PATCH rebalances/op/status",
            "PATCH rebalances/op/status"
        ]
    );
    for _ in 0..10 {
        scene.machines_go();
        let Next::After(delay) = scene.pass().await else {
            break;
        };
        tokio::time::sleep(delay).await;
    }
    let status = scene.status();
    assert_eq!(status.phase, RebalancePhase::Completed, "{status:#?}");
    assert_eq!(status.progress.as_deref(), Some("8/8"));
    assert!(scene.api.objects("nodes").is_empty() && scene.api.objects("vpsienodes").is_empty());
    assert!(
        scene.api.object("pods", "agent").is_some(),
        "DaemonSet pods are left"
    );
    assert!(scene.metric(r#"rebalancer_operations_total{operation="execute",result="success"} 1"#));
    assert!(scene.metric("rebalancer_operations_in_progress 0"));
    scene.assert_no_marks();
}

#[tokio::test(start_paused = true)]
async fn a_blocked_drain_names_the_budget_and_rolls_back_when_its_time_is_over() {
    let scene = Scene::new(&json!({"drainTimeout": "60s"}));
    scene.api.block("web", Some("web-budget"));
    assert_eq!(scene.pass().await, Next::After(judge::SETTLE));
    tokio::time::sleep(judge::SETTLE).await;
    assert_eq!(scene.pass().await, Next::After(Duration::from_secs(10)));
    assert!(scene.metric("rebalancer_operations_blocked 1"));
    let message = scene.status().steps[1].message.clone().unwrap();
    assert!(
        message.contains("team/web") && message.contains("web-budget"),
        "{message}"
    );
    scene.passes(20).await;
    let status = scene.status();
    assert_eq!(status.phase, RebalancePhase::RolledBack);
    let message = status.message.unwrap();
    for word in ["rollback", "drain timeout of 60s", "web-budget"] {
        assert!(message.contains(word), "{message} lacks {word}");
    }
    assert!(scene.api.object("pods", "web").is_some());
    assert!(scene.metric(r#"rebalancer_operations_total{operation="rollback",result="success"} 1"#));
    assert!(scene.metric(r#"rebalancer_operations_total{operation="execute",result="failure"} 1"#));
    scene.assert_no_marks();
    scene.tools.events.flush().await;
    let reasons: Vec<Value> = scene
        .api
        .objects("events")
        .iter()
        .map(|event| event["reason"].clone())
        .collect();
    assert!(
        reasons.contains(&json!("RebalanceRollback")) && reasons.contains(&json!("RebalanceRolledBack")),
        "{reasons:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_opens_again_lets_the_drain_go_on() {
    let scene = Scene::new(&json!({}));
    scene.api.block("web", Some("web-budget"));
    scene.pass().await;
    tokio::time::sleep(judge::SETTLE).await;
    scene.pass().await;
    scene.api.block("web", None);
    tokio::time::sleep(Duration::from_secs(10)).await;
    scene.pass().await;
    assert!(scene.api.object("pods", "web").is_none());
}

#[tokio::test(start_paused = true)]
async fn operators_end_an_operation_in_several_ways() {
    type Interfere = fn(&FakeApi);
    let table: [(&str, Interfere, &str); 5] = [
        (
            "uncordon",
            |api| api.edit("nodes", "n1", |node| node["spec"]["unschedulable"] = Value::Null),
            "uncordoned",
        ),
        (
            "label removed",
            |api| {
                api.edit("nodes", "n1", |node| {
                    node["metadata"]["labels"] = json!({"team": "a"})
                })
            },
            "cleared the rebalance label",
        ),
        (
            "annotation",
            |api| {
                api.edit("rebalances", "op", |object| {
                    object["metadata"]["annotations"] = json!({(labels::ROLLBACK): "requested"});
                });
            },
            "requested",
        ),
        (
            "a pod without a place",
            |api| {
                let mut waiting = pod("moved", "", "ReplicaSet");
                waiting["metadata"]["creationTimestamp"] = json!("2027-01-15T08:00:05Z");
                api.put("pods", waiting);
            },
            "pod team/moved finds no place",
        ),
        (
            "deleted",
            |api| {
                api.edit("rebalances", "op", |object| {
                    object["metadata"]["deletionTimestamp"] = json!("2027-01-15T08:00:00Z");
                });
            },
            "",
        ),
    ];
    for (name, interfere, message) in table {
        let scene = Scene::new(&json!({}));
        scene.api.linger("web");
        scene.pass().await;
        interfere(&scene.api);
        scene.api.remove("pods", "web");
        scene.passes(30).await;
        scene.assert_no_marks();
        assert!(
            scene.api.object("vpsienodes", "v1").is_some(),
            "{name}: nothing was removed"
        );
        if message.is_empty() {
            assert!(
                scene.api.object("rebalances", "op").is_none(),
                "{name}: the object may go"
            );
            continue;
        }
        let status = scene.status();
        assert_eq!(status.phase, RebalancePhase::RolledBack, "{name}");
        assert!(
            status.message.as_deref().unwrap_or_default().contains(message),
            "{name}: {:?}",
            status.message
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_node_that_is_deleted_ends_the_operation_while_its_old_one_is_there() {
    let removal = Removal {
        node: "n1".to_owned(),
        vpsie_node: "v1".to_owned(),
        group: None,
        offering: None,
        reason: "too dear".to_owned(),
    };
    let arrival = Arrival {
        vpsie_node: "v3".to_owned(),
        group: "g".to_owned(),
        offering: "small".to_owned(),
        size: 1,
    };
    let unit = Unit {
        arrivals: vec![arrival],
        removals: vec![removal],
    };
    let plan = plan(RebalanceKind::Replace, Strategy::Rolling, &[unit]);
    let table: [(&[&str], RebalancePhase); 2] = [
        (&["1-1-provision"], RebalancePhase::RolledBack),
        // What is gone cannot come back: the operation is through.
        (
            &["1-1-provision", "1-cordon", "1-drain", "1-verify", "1-remove"],
            RebalancePhase::Completed,
        ),
    ];
    for (done, phase) in table {
        let scene = Scene::new(&json!({}));
        let steps: Vec<Value> = done.iter().map(|id| json!({"id": id, "state": "Done"})).collect();
        let status = json!({"phase": "Running", "startedAt": "2027-01-15T08:00:00Z", "steps": steps});
        scene.api.edit("rebalances", "op", |object| {
            object["spec"]["plan"] = json!(plan);
            object["status"] = status.clone();
        });
        scene.passes(30).await;
        let status = scene.status();
        assert_eq!(status.phase, phase, "{done:?}: {status:#?}");
        let message = status.message.unwrap_or_default();
        let told = message.contains("somebody deleted the replacement v3");
        assert_eq!(told, phase == RebalancePhase::RolledBack, "{message}");
        assert!(scene.api.object("vpsienodes", "v1").is_some(), "{done:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cordon_of_somebody_else_is_left_alone() {
    let scene = Scene::new(&json!({}));
    scene
        .api
        .edit("nodes", "n1", |node| node["spec"]["unschedulable"] = true.into());
    scene.api.block("web", Some("web-budget"));
    scene.passes(60).await;
    assert_eq!(scene.status().phase, RebalancePhase::RolledBack);
    let n1 = scene.api.object("nodes", "n1").unwrap();
    assert_eq!(n1["spec"]["unschedulable"], true);
    assert_eq!(n1["metadata"]["labels"], json!({"team": "a"}));
}

#[tokio::test(start_paused = true)]
async fn without_rollback_a_failed_operation_stays_as_it_is() {
    let scene = Scene::new(&json!({"rollbackOnFailure": false, "drainTimeout": "20s"}));
    scene.api.block("web", Some("web-budget"));
    scene.passes(20).await;
    assert_eq!(scene.status().phase, RebalancePhase::Failed);
    assert_eq!(
        scene.api.object("nodes", "n1").unwrap()["spec"]["unschedulable"],
        true
    );
}

#[tokio::test(start_paused = true)]
async fn a_rollback_keeps_trying_and_tells_what_cannot_come_back() {
    let scene = Scene::new(&json!({}));
    scene.api.linger("late");
    scene.api.put("pods", pod("late", "n2", "ReplicaSet"));
    for _ in 0..4 {
        scene.machines_go();
        let Next::After(delay) = scene.pass().await else {
            break;
        };
        tokio::time::sleep(delay).await;
    }
    assert_eq!(
        scene.status().progress.as_deref(),
        Some("5/8"),
        "{:#?}",
        scene.status()
    );
    scene.api.edit("rebalances", "op", |object| {
        object["metadata"]["annotations"] = json!({(labels::ROLLBACK): "requested"});
    });
    scene.api.fail_with(Some(500));
    assert!(reconcile(&scene.tools, &scene.key).await.is_err());
    scene.api.fail_with(None);
    scene.passes(3).await;
    let message = scene.status().message.unwrap();
    assert!(message.contains("removed already: n1"), "{message}");
    scene.assert_no_marks();
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_cannot_be_carried_out_is_not_begun() {
    let scene = Scene::new(&json!({}));
    scene.api.edit("rebalances", "op", |object| {
        object["spec"]["plan"]["steps"][0]["action"] = "provision".into();
    });
    scene.passes(1).await;
    let status = scene.status();
    assert_eq!(status.phase, RebalancePhase::Failed);
    assert!(status.message.unwrap().contains("step 1-cordon"));
    assert!(scene.metric(r#"rebalancer_operations_total{operation="execute",result="skipped"} 1"#));
    scene.assert_no_marks();
}

#[tokio::test(start_paused = true)]
async fn operations_wait_for_those_that_run() {
    let scene = Scene::new(&json!({}));
    let mut other = scene.api.object("rebalances", "op").unwrap();
    other["metadata"]["name"] = json!("other");
    other["status"] = json!({"phase": "Running"});
    let other: Rebalance = serde_json::from_value(other).unwrap();
    scene.tools.index.apply(&Change::Rebalance(Arc::new(other)));
    assert_eq!(scene.pass().await, Next::After(Duration::from_secs(10)));
    assert_eq!(scene.status().phase, RebalancePhase::Pending);
    assert!(scene.status().message.unwrap().contains("maxConcurrent"));
    scene.assert_no_marks();
}

/// A process may die after any write: another one goes on, and nothing is done to the cluster that the
/// record does not tell.
#[tokio::test(start_paused = true)]
async fn an_operation_survives_a_crash_after_every_write() {
    for survived in 0..40 {
        let scene = Scene::new(&json!({}));
        scene.api.fail_after(survived);
        let first = reconcile(&scene.tools, &scene.key).await;
        scene.api.fail_with(None);
        for _ in 0..20 {
            scene.machines_go();
            match scene.pass().await {
                Next::Done => break,
                Next::After(delay) => tokio::time::sleep(delay).await,
            }
        }
        assert_eq!(
            scene.status().phase,
            RebalancePhase::Completed,
            "after {survived} writes"
        );
        assert!(
            scene.api.objects("vpsienodes").is_empty(),
            "after {survived} writes"
        );
        scene.assert_no_marks();
        if first.is_ok() {
            return;
        }
    }
    panic!("the first pass never ended by itself");
}
