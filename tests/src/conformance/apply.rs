//! Server-side apply.

use anyhow::Result;
use http::Method;
use serde_json::{Value, json};

use super::Session;
use super::objects::config_map;
use super::session::Answer;

/// The managers that apply, with their fields; those that update have more to say than is agreed on.
pub(super) fn appliers(answer: &Answer) -> Value {
    let entries = answer.body["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut appliers: Vec<Value> = entries
        .into_iter()
        .filter(|entry| entry["operation"] == "Apply")
        .map(|entry| json!([entry["manager"], entry["subresource"], entry["fieldsV1"]]))
        .collect();
    // The server orders them by time, in whole seconds.
    appliers.sort_by_key(ToString::to_string);
    json!(appliers)
}

pub(super) async fn apply_lifecycle(s: &mut Session) -> Result<()> {
    let path = s.core("configmaps/a");
    let mut first = config_map("a", json!({"x": "1", "y": "2"}));
    first["metadata"]["labels"] = json!({"l": "1"});
    let made = s.apply("alpha", &path, first.clone()).await?;
    s.note("create", &made, &["metadata.labels", "data"]);
    s.note_value("owned", appliers(&made));
    let again = s.apply("alpha", &path, first).await?;
    s.note_value("again", json!([again.code, again.version() == made.version()]));
    let less = s
        .apply("alpha", &path, config_map("a", json!({"y": "2"})))
        .await?;
    s.note("less", &less, &["metadata.labels", "data"]);
    let shared = s
        .apply("beta", &path, config_map("a", json!({"y": "2", "z": "3"})))
        .await?;
    s.note("shared", &shared, &["data"]);
    s.note_value("shared by", appliers(&shared));
    let left = s.apply("alpha", &path, config_map("a", json!({}))).await?;
    s.note("left to the other", &left, &["data"]);
    s.note_value("left by", appliers(&left));
    let other = s
        .apply("beta", &path, json!({"apiVersion": "v1", "kind": "ConfigMap"}))
        .await?;
    s.note("all gone", &other, &["data"]);
    let anonymous = s
        .send(
            Method::PATCH,
            &path,
            "application/apply-patch+yaml",
            Some(config_map("a", json!({}))),
        )
        .await?;
    s.note("no manager", &anonymous, &[]);
    let misnamed = s.apply("alpha", &path, config_map("b", json!({}))).await?;
    s.note("other name", &misnamed, &[]);
    let mut stale = config_map("a", json!({"q": "1"}));
    stale["metadata"]["resourceVersion"] = json!(made.version());
    let stale = s.apply("alpha", &path, stale).await?;
    s.note("stale", &stale, &[]);
    Ok(())
}

pub(super) async fn apply_conflicts(s: &mut Session) -> Result<()> {
    let path = s.core("configmaps/a");
    s.apply("alpha", &path, config_map("a", json!({"x": "1", "y": "1"})))
        .await?;
    let one = s.apply("beta", &path, config_map("a", json!({"x": "2"}))).await?;
    s.note("one conflict", &one, &[]);
    let two = s
        .apply("beta", &path, config_map("a", json!({"x": "2", "y": "2"})))
        .await?;
    s.note("two conflicts", &two, &[]);
    let forced = s
        .force_apply("beta", &path, config_map("a", json!({"x": "2"})))
        .await?;
    s.note("forced", &forced, &["data"]);
    s.note_value("owned", appliers(&forced));
    s.patch(
        "merge",
        &format!("{path}?fieldManager=editor"),
        json!({"data": {"y": "3"}}),
    )
    .await?;
    let edited = s
        .apply("alpha", &path, config_map("a", json!({"y": "1"})))
        .await?;
    s.note("edited by hand", &edited, &[]);
    let back = s
        .force_apply("alpha", &path, config_map("a", json!({"y": "1"})))
        .await?;
    s.note("taken back", &back, &["data"]);
    Ok(())
}

pub(super) async fn apply_lists(s: &mut Session) -> Result<()> {
    let deployments = s.group("apps/v1", "deployments");
    let path = format!("{deployments}/d");
    let deployment = |containers: Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
            "replicas": 0, "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers}},
        }})
    };
    let container =
        |name: &str, image: &str| json!({"name": name, "image": image, "env": [{"name": "V", "value": "1"}]});
    let made = s
        .apply("alpha", &path, deployment(json!([container("one", "i:1")])))
        .await?;
    s.note("create", &made, &["spec.template.spec.containers"]);
    s.note_value("owned", appliers(&made));
    let other = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "template": {"spec": {"containers": [{"name": "side", "image": "s:1"}]}},
    }});
    let added = s.apply("beta", &path, other).await?;
    s.note("another container", &added, &["spec.template.spec.containers"]);
    let renamed = s
        .apply("alpha", &path, deployment(json!([container("two", "i:2")])))
        .await?;
    s.note("renamed", &renamed, &["spec.template.spec.containers"]);
    let mut finalized = deployment(json!([container("two", "i:2")]));
    finalized["metadata"]["finalizers"] = json!(["example.com/a"]);
    let set = s.apply("alpha", &path, finalized).await?;
    s.note("finalizer", &set, &["metadata.finalizers"]);
    let unset = s
        .apply("alpha", &path, deployment(json!([container("two", "i:2")])))
        .await?;
    s.note("finalizer gone", &unset, &["metadata.finalizers"]);
    Ok(())
}

pub(super) async fn apply_status(s: &mut Session) -> Result<()> {
    let path = "/api/v1/nodes/conformance-apply";
    let missing = s
        .apply(
            "alpha",
            &format!("{path}/status"),
            json!({"apiVersion": "v1", "kind": "Node", "status": {}}),
        )
        .await?;
    s.note("missing", &missing, &[]);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "conformance-apply"}});
    s.post("/api/v1/nodes", node).await?;
    let condition = |reason: &str| {
        json!({"apiVersion": "v1", "kind": "Node", "status": {"conditions": [
            {"type": "Mine", "status": "True", "reason": reason},
        ]}})
    };
    let set = s
        .apply("alpha", &format!("{path}/status"), condition("A"))
        .await?;
    s.note("set", &set, &["status.conditions"]);
    s.note_value("owned", appliers(&set));
    let changed = s
        .apply("alpha", &format!("{path}/status"), condition("B"))
        .await?;
    s.note("changed", &changed, &["status.conditions"]);
    let labels = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"labels": {"a": "b"}}, "spec": {"unschedulable": true}});
    let main = s.apply("alpha", path, labels).await?;
    s.note(
        "main",
        &main,
        &["metadata.labels", "spec.unschedulable", "status.conditions"],
    );
    s.note_value("owned by both", appliers(&main));
    let nothing = s
        .apply("alpha", path, json!({"apiVersion": "v1", "kind": "Node"}))
        .await?;
    s.note("nothing", &nothing, &["metadata.labels", "spec.unschedulable"]);
    s.delete(path, None).await?;
    Ok(())
}
