//! Evictions and the accounting of disruption budgets.

use anyhow::Result;
use serde_json::{Value, json};

use super::Session;

const NOWHERE: &str = "conformance-eviction-node";

fn eviction(pod: &str) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod},
        "deleteOptions": {"gracePeriodSeconds": 30},
    })
}

/// A pod that looks as if it ran: on no known node, so that no kubelet interferes. Nobody collects it that soon.
async fn running(s: &mut Session, name: &str, label: &str) -> Result<()> {
    let pods = s.core("pods");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": label}},
        "spec": {"nodeName": NOWHERE, "containers": [{"name": "c", "image": "i:1"}]},
    });
    s.post(&pods, pod).await?;
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    s.patch("strategic-merge", &format!("{pods}/{name}/status"), status)
        .await?;
    Ok(())
}

async fn budget(s: &mut Session, name: &str, label: &str, min: i64, healthy: i64) -> Result<()> {
    let budgets = s.group("policy/v1", "poddisruptionbudgets");
    let body = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
        "spec": {"minAvailable": min, "selector": {"matchLabels": {"app": label}}},
    });
    s.post(&budgets, body).await?;
    s.until(
        &format!("{budgets}/{name}"),
        "the budget to be counted",
        |answer| {
            answer.body["status"]["observedGeneration"] == 1
                && answer.body["status"]["currentHealthy"] == healthy
        },
    )
    .await?;
    Ok(())
}

pub(super) async fn evictions(s: &mut Session) -> Result<()> {
    let pods = s.core("pods");
    for name in ["a", "b", "c"] {
        running(s, name, "web").await?;
    }
    budget(s, "web", "web", 2, 3).await?;
    let path = s.group("policy/v1", "poddisruptionbudgets/web");
    let counted = s.get(&path).await?;
    s.note(
        "counted",
        &counted,
        &[
            "status.currentHealthy",
            "status.desiredHealthy",
            "status.expectedPods",
            "status.disruptionsAllowed",
        ],
    );
    let first = s.post(&format!("{pods}/a/eviction"), eviction("a")).await?;
    s.note("first", &first, &[]);
    let second = s.post(&format!("{pods}/b/eviction"), eviction("b")).await?;
    s.note_value(
        "second",
        json!([
            second.code,
            second.body["reason"],
            second.body["message"],
            second.body["details"]["causes"][0]["reason"]
        ]),
    );
    let spent = s
        .until(&path, "the budget to be spent", |answer| {
            answer.body["status"]["currentHealthy"] == 2
        })
        .await?;
    s.note(
        "spent",
        &spent,
        &[
            "status.disruptionsAllowed",
            "status.currentHealthy",
            "status.desiredHealthy",
        ],
    );
    let third = s.post(&format!("{pods}/b/eviction"), eviction("b")).await?;
    s.note("third", &third, &[]);
    Ok(())
}

pub(super) async fn refused_evictions(s: &mut Session) -> Result<()> {
    let pods = s.core("pods");
    let missing = s
        .post(&format!("{pods}/missing/eviction"), eviction("missing"))
        .await?;
    s.note("missing", &missing, &[]);
    let pending = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pending", "labels": {"app": "p"}},
        "spec": {"schedulerName": "conformance", "containers": [{"name": "c", "image": "i:1"}]},
    });
    s.post(&pods, pending).await?;
    let misnamed = s
        .post(&format!("{pods}/pending/eviction"), eviction("other"))
        .await?;
    s.note("other name", &misnamed, &[]);
    let evicted = s
        .post(&format!("{pods}/pending/eviction"), eviction("pending"))
        .await?;
    s.note("pending", &evicted, &[]);
    let gone = s.get(&format!("{pods}/pending")).await?;
    s.note("pending", &gone, &[]);
    running(s, "free", "free").await?;
    let free = s.post(&format!("{pods}/free/eviction"), eviction("free")).await?;
    s.note("no budget", &free, &[]);
    let going = s.get(&format!("{pods}/free")).await?;
    let conditions: Vec<Value> = going.body["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|condition| condition["type"] == "DisruptionTarget")
        .map(|condition| json!([condition["status"], condition["reason"], condition["message"]]))
        .collect();
    s.note(
        "going",
        &going,
        &["metadata.deletionGracePeriodSeconds", "metadata.generation"],
    );
    s.note_value("target", json!(conditions));
    running(s, "twice", "twice").await?;
    budget(s, "one", "twice", 0, 1).await?;
    budget(s, "two", "twice", 0, 1).await?;
    let twice = s
        .post(&format!("{pods}/twice/eviction"), eviction("twice"))
        .await?;
    s.note("two budgets", &twice, &[]);
    Ok(())
}
