//! Creation, replacement and validation of single objects.

use anyhow::Result;
use serde_json::{Value, json};

use super::Session;

#[expect(clippy::needless_pass_by_value, reason = "cases write their values in place")]
pub(super) fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

pub(super) async fn create(s: &mut Session) -> Result<()> {
    let maps = s.core("configmaps");
    let mut object = config_map("a", json!({"k": "v"}));
    object["metadata"]["labels"] = json!({"app": "x"});
    object["metadata"]["annotations"] = json!({});
    object["metadata"]["generation"] = json!(7);
    object["unknown"] = json!(1);
    let made = s.post(&maps, object).await?;
    s.note(
        "create",
        &made,
        &["kind", "apiVersion", "metadata", "data", "unknown"],
    );
    let got = s.get(&format!("{maps}/a")).await?;
    s.note("get", &got, &["metadata", "data"]);
    s.note_value("same revision", json!(got.version() == made.version()));

    let generated = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "made-"}});
    let generated = s.post(&maps, generated).await?;
    let name = generated.name();
    s.note_value(
        "generated",
        json!([generated.code, name.starts_with("made-"), name.len()]),
    );
    let long = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x".repeat(70)}});
    let long = s.post(&maps, long).await?;
    s.note_value("long generated", json!([long.code, long.name().len()]));

    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"token": "abc"}});
    let secrets = s.core("secrets");
    let secret = s.post(&secrets, secret).await?;
    s.note("secret", &secret, &["data", "type", "stringData"]);
    Ok(())
}

pub(super) async fn create_refused(s: &mut Session) -> Result<()> {
    let maps = s.core("configmaps");
    s.post(&maps, config_map("a", json!({}))).await?;
    for (step, path, body) in [
        ("duplicate", maps.clone(), config_map("a", json!({}))),
        (
            "no name",
            maps.clone(),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
        ),
        ("bad name", maps.clone(), config_map("Not_A_Name", json!({}))),
        (
            "other kind",
            maps.clone(),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b"}}),
        ),
        (
            "other version",
            maps.clone(),
            json!({"apiVersion": "v2", "kind": "ConfigMap", "metadata": {"name": "b"}}),
        ),
        (
            "other namespace",
            maps.clone(),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "namespace": "default"}}),
        ),
        (
            "missing namespace",
            "/api/v1/namespaces/conformance-nowhere/configmaps".to_owned(),
            config_map("b", json!({})),
        ),
        (
            "revision set",
            maps.clone(),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "resourceVersion": "1"}}),
        ),
        (
            "bad label",
            maps.clone(),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "labels": {"a b": "c"}}}),
        ),
        (
            "bad label value",
            maps.clone(),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "labels": {"a": "-"}}}),
        ),
    ] {
        let answer = s.post(&path, body).await?;
        if step.starts_with("other ") && step != "other namespace" {
            // The message names Go types.
            s.note_value(step, json!([answer.code, answer.body["reason"]]));
        } else {
            s.note(step, &answer, &[]);
        }
    }
    let missing = s.get(&format!("{maps}/missing")).await?;
    s.note("get missing", &missing, &[]);
    let leases = s.group("coordination.k8s.io/v1", "leases/missing");
    let missing = s.get(&leases).await?;
    s.note("get missing lease", &missing, &[]);
    Ok(())
}

pub(super) async fn update(s: &mut Session) -> Result<()> {
    let maps = s.core("configmaps");
    let path = format!("{maps}/a");
    let first = s.post(&maps, config_map("a", json!({"k": "1"}))).await?;
    let mut second = first.body.clone();
    second["data"]["k"] = json!("2");
    let written = s.put(&path, second.clone()).await?;
    s.note("update", &written, &["metadata", "data"]);
    s.note_value("new revision", json!(written.version() != first.version()));
    let stale = s.put(&path, second.clone()).await?;
    s.note("stale", &stale, &[]);
    let again = s.put(&path, written.body.clone()).await?;
    s.note_value(
        "nothing changed",
        json!([again.code, again.version() == written.version()]),
    );
    let blind = s.put(&path, config_map("a", json!({"k": "3"}))).await?;
    s.note("without revision", &blind, &["data"]);
    let mut other = config_map("a", json!({}));
    other["metadata"]["uid"] = json!("11111111-2222-4333-8444-555555555555");
    let other = s.put(&path, other).await?;
    s.note("other uid", &other, &[]);
    let misnamed = s.put(&path, config_map("b", json!({}))).await?;
    s.note("other name", &misnamed, &[]);
    let missing = s.put(&format!("{maps}/b"), config_map("b", json!({}))).await?;
    s.note("missing", &missing, &[]);
    let mut frozen = blind.body.clone();
    frozen["metadata"]["creationTimestamp"] = json!("2001-01-01T00:00:00Z");
    frozen["metadata"]["labels"] = json!({"a": "b"});
    let frozen = s.put(&path, frozen).await?;
    let kept = frozen.body["metadata"]["creationTimestamp"] == first.body["metadata"]["creationTimestamp"];
    s.note("creation time", &frozen, &["metadata.labels"]);
    s.note_value("kept", json!(kept));
    Ok(())
}

pub(super) async fn update_leases(s: &mut Session) -> Result<()> {
    let leases = s.group("coordination.k8s.io/v1", "leases");
    let lease = |holder: &str| {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
            "spec": {
                "holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 1,
                "acquireTime": "2026-01-02T03:04:05.000006Z", "renewTime": "2026-01-02T03:04:05.000006Z",
            },
        })
    };
    let path = format!("{leases}/l");
    let made = s.put(&path, lease("a")).await?;
    s.note("put creates", &made, &["metadata", "spec"]);
    let blind = s.put(&path, lease("b")).await?;
    s.note("put without revision", &blind, &[]);
    let mut taken = made.body.clone();
    taken["spec"]["holderIdentity"] = json!("b");
    let first = s.put(&path, taken.clone()).await?;
    s.note("first taker", &first, &["spec.holderIdentity"]);
    let second = s.put(&path, taken).await?;
    s.note("second taker", &second, &[]);
    let merged = s
        .patch("merge", &path, json!({"spec": {"holderIdentity": "c"}}))
        .await?;
    s.note("patched", &merged, &["spec.holderIdentity"]);
    let mut bad = lease("d");
    bad["metadata"]["name"] = json!("m");
    bad["spec"]["leaseDurationSeconds"] = json!(0);
    let bad = s.post(&leases, bad).await?;
    s.note("no duration", &bad, &[]);
    Ok(())
}

pub(super) async fn validation(s: &mut Session) -> Result<()> {
    let pods = s.core("pods");
    let deployments = s.group("apps/v1", "deployments");
    let budgets = s.group("policy/v1", "poddisruptionbudgets");
    let container = json!({"name": "c", "image": "i:1"});
    for (step, path, body) in [
        (
            "no containers",
            &pods,
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []}}),
        ),
        (
            "no image",
            &pods,
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}}),
        ),
        (
            "same name twice",
            &pods,
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container, container]}}),
        ),
        (
            "selector does not match",
            &deployments,
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
                "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "c"}}, "spec": {"containers": [container]}},
            }}),
        ),
        (
            "negative replicas",
            &deployments,
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
                "replicas": -1, "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}},
            }}),
        ),
        (
            "budget with both",
            &budgets,
            json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"}, "spec": {
                "minAvailable": 1, "maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}},
            }}),
        ),
    ] {
        let answer = s.post(path, body).await?;
        if step == "budget with both" {
            // The message shows the value in Go's own words.
            let cause = &answer.body["details"]["causes"][0];
            s.note_value(step, json!([answer.code, cause["field"], cause["reason"]]));
        } else {
            s.note(step, &answer, &[]);
        }
    }
    Ok(())
}

pub(super) async fn nodes(s: &mut Session) -> Result<()> {
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "conformance-node", "labels": {"a": "b"}},
        "spec": {"taints": [{"key": "pool", "value": "x", "effect": "NoSchedule"}]},
        "status": {"capacity": {"cpu": "2", "pods": "110"}},
    });
    let made = s.post("/api/v1/nodes", node).await?;
    s.note(
        "create",
        &made,
        &["metadata", "status.capacity", "status.allocatable"],
    );
    s.note_value("first taints", made.body["spec"]["taints"].clone());
    let path = "/api/v1/nodes/conformance-node";
    let bad = s
        .patch(
            "merge",
            path,
            json!({"spec": {"taints": [{"key": "a", "effect": "Sometimes"}]}}),
        )
        .await?;
    s.note("unknown effect", &bad, &[]);
    let twice = json!({"key": "a", "value": "1", "effect": "NoSchedule"});
    let bad = s
        .patch("merge", path, json!({"spec": {"taints": [twice, twice]}}))
        .await?;
    s.note("taint twice", &bad, &[]);
    let status = s
        .patch(
            "merge",
            &format!("{path}/status"),
            json!({"spec": {"unschedulable": true}, "status": {"capacity": {"cpu": "4"}}}),
        )
        .await?;
    s.note("status", &status, &["spec.unschedulable", "status.capacity"]);
    let main = s
        .patch(
            "merge",
            path,
            json!({"spec": {"unschedulable": true}, "status": {"capacity": {"cpu": "8"}}}),
        )
        .await?;
    s.note("main", &main, &["spec.unschedulable", "status.capacity"]);
    let list = s
        .get("/api/v1/nodes?fieldSelector=spec.unschedulable%3Dtrue%2Cmetadata.name%3Dconformance-node")
        .await?;
    s.note_value(
        "unschedulable",
        json!(list.body["items"].as_array().map(Vec::len)),
    );
    let gone = s.delete(path, None).await?;
    s.note("delete", &gone, &[]);
    Ok(())
}
