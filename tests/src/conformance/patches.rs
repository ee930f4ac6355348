//! The three classic patches.

use anyhow::Result;
use http::Method;
use serde_json::json;

use super::Session;
use super::objects::config_map;

pub(super) async fn merge_patch(s: &mut Session) -> Result<()> {
    let maps = s.core("configmaps");
    let path = format!("{maps}/a");
    let made = s
        .post(&maps, config_map("a", json!({"a": "1", "b": "2"})))
        .await?;
    for (step, patch) in [
        ("set", json!({"data": {"c": "3"}})),
        ("remove", json!({"data": {"a": null}})),
        (
            "labels",
            json!({"metadata": {"labels": {"x": "y"}, "finalizers": ["example.com/f"]}}),
        ),
        ("nothing", json!({})),
        (
            "stale",
            json!({"metadata": {"resourceVersion": made.version()}, "data": {"d": "4"}}),
        ),
        ("rename", json!({"metadata": {"name": "b"}})),
        ("wrong type", json!({"data": "text"})),
        ("remove finalizer", json!({"metadata": {"finalizers": null}})),
    ] {
        let answer = s.patch("merge", &path, patch).await?;
        if step == "wrong type" {
            // The message shows the whole object.
            let cause = &answer.body["details"]["causes"][0];
            s.note_value(
                step,
                json!([
                    answer.code,
                    answer.body["reason"],
                    cause["field"],
                    cause["reason"]
                ]),
            );
        } else {
            s.note(step, &answer, &["data", "metadata.labels", "metadata.finalizers"]);
        }
    }
    let missing = s.patch("merge", &format!("{maps}/missing"), json!({})).await?;
    s.note("missing", &missing, &[]);
    let unknown = s
        .send(Method::PATCH, &path, "application/json", Some(json!({})))
        .await?;
    s.note("unknown patch type", &unknown, &[]);
    Ok(())
}

pub(super) async fn json_patch(s: &mut Session) -> Result<()> {
    let maps = s.core("configmaps");
    let path = format!("{maps}/a");
    let mut object = config_map("a", json!({"a": "1"}));
    object["metadata"]["annotations"] = json!({"b.example/c": "2"});
    s.post(&maps, object).await?;
    for (step, patch) in [
        (
            "replace",
            json!([{"op": "replace", "path": "/data/a", "value": "9"}]),
        ),
        (
            "escaped",
            json!([{"op": "remove", "path": "/metadata/annotations/b.example~1c"}]),
        ),
        (
            "add map",
            json!([{"op": "add", "path": "/metadata/labels", "value": {"x": "y"}}]),
        ),
        (
            "test fails",
            json!([{"op": "test", "path": "/data/a", "value": "0"}, {"op": "remove", "path": "/data/a"}]),
        ),
        ("no such path", json!([{"op": "remove", "path": "/data/zz"}])),
    ] {
        let answer = s.patch("json", &path, patch).await?;
        s.note(
            step,
            &answer,
            &["data", "metadata.labels", "metadata.annotations"],
        );
    }
    Ok(())
}

pub(super) async fn strategic_patch(s: &mut Session) -> Result<()> {
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "conformance-strategic"},
        "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]},
        "status": {"conditions": [
            {"type": "Ready", "status": "True", "reason": "Here"},
            {"type": "DiskPressure", "status": "False", "reason": "Fine"},
        ]},
    });
    s.post("/api/v1/nodes", node).await?;
    let path = "/api/v1/nodes/conformance-strategic";
    for (step, sub, patch) in [
        (
            "condition",
            "/status",
            json!({"status": {"conditions": [{"type": "DiskPressure", "status": "True"}]}}),
        ),
        (
            "new condition",
            "/status",
            json!({"status": {"conditions": [{"type": "Mine", "status": "True", "reason": "R"}]}}),
        ),
        (
            "addresses",
            "/status",
            json!({"status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}}),
        ),
        (
            "address",
            "/status",
            json!({"status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.2"}]}}),
        ),
        (
            "finalizers",
            "",
            json!({"metadata": {"finalizers": ["example.com/a", "example.com/b"]}}),
        ),
        (
            "more finalizers",
            "",
            json!({"metadata": {"finalizers": ["example.com/c"]}}),
        ),
        (
            "fewer finalizers",
            "",
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a", "example.com/b", "example.com/c"]}}),
        ),
        (
            "labels",
            "",
            json!({"metadata": {"labels": {"a": "b", "c": "d"}}}),
        ),
        ("label removed", "", json!({"metadata": {"labels": {"a": null}}})),
        (
            "labels replaced",
            "",
            json!({"metadata": {"labels": {"$patch": "replace", "e": "f"}}}),
        ),
    ] {
        let answer = s.patch("strategic-merge", &format!("{path}{sub}"), patch).await?;
        s.note(
            step,
            &answer,
            &[
                "status.conditions",
                "status.addresses",
                "metadata.finalizers",
                "metadata.labels",
            ],
        );
    }
    s.delete(path, None).await?;

    let deployments = s.group("apps/v1", "deployments");
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "replicas": 0, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
            {"name": "one", "image": "i:1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
            {"name": "two", "image": "i:1"},
        ]}},
    }});
    s.post(&deployments, deployment).await?;
    let spec = "spec.template.spec.containers";
    let path = format!("{deployments}/d");
    for (step, containers) in [
        ("container image", json!([{"name": "two", "image": "i:2"}])),
        (
            "environment",
            json!([{"name": "one", "env": [{"name": "Y", "value": "3"}, {"name": "Z", "value": "4"}]}]),
        ),
        ("container removed", json!([{"name": "two", "$patch": "delete"}])),
    ] {
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        let answer = s.patch("strategic-merge", &path, patch).await?;
        s.note(step, &answer, &[spec]);
    }
    Ok(())
}
